"""``knowmvg evaluate --predictions`` and ``knowmvg convert boxes``, from file to file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.boxtext.reading import MAX_BOXES, MAX_CHARACTERS
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.predictions.answers import Listed, Listing
from knowmvg.sources.predictions.coco import MAX_BOXES_AN_IMAGE
from knowmvg.sources.predictions.formats import READ, WRITTEN, read_predictions

PAGE = (Path(__file__).parents[2] / "docs/predictions.md").read_text(encoding="utf-8")
SIZE = (256, 256)
BOXES = {
    "small left effusion": ((150.0, 170.5, 220.0, 240.0),),
    "bilateral edema": ((20.0, 80.0, 110.0, 200.0), (140.0, 80.0, 230.0, 200.0)),
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(np.full(SIZE, 128, dtype=np.uint8)).save(folder / "a.png")
    phrases = tuple(PhraseRow(text=text, boxes=boxes, finding="edema") for text, boxes in BOXES.items())
    rows = [
        StudyRow(
            id=f"s{i}", patient=f"p{i}", split=split, image="a.png", width=256, height=256, report="", phrases=phrases
        )
        for i, split in enumerate(["test", "test", "train"])
    ]
    text = "".join(row.model_dump_json(by_alias=True) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def command(capsys):
    def end(*arguments):
        code = main([str(argument) for argument in arguments])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return end


def answers(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scored(command, data, file, form, *options, protocol="teacher_forced"):
    out = file.parent / "tables"
    code, screen, err = command(
        "evaluate",
        "--predictions",
        file,
        "--format",
        form,
        "--data",
        data,
        "--protocol",
        protocol,
        "--out",
        out,
        *options,
    )
    assert code == 0, err
    assert "not a medical device" in " ".join(screen.split())
    metrics = json.loads((out / "metrics.json").read_text())["protocols"][protocol]
    return metrics, json.loads((out / "answers.json").read_text()), (out / "tables.md").read_text()


@pytest.mark.parametrize("form", sorted(set(READ) & set(WRITTEN)))
def test_the_references_score_as_references_in_every_format(form, data, command, tmp_path):
    file = tmp_path / "written"
    code, _, err = command(
        "convert", "boxes", data, "--from", "manifest", "--to", form, "--split", "test", "--out", file
    )
    assert (code, err) == (0, "")
    (model, *priors), counts, page = scored(command, data, file, form)
    floor = {"maira2": 0.95, "minigpt": 0.95, "qwen2.5": 0.98, "llava": 0.95, "kosmos2": 0.8}.get(form, 0.99)
    assert model["micro"]["miou"]["value"] >= floor
    names = {row["row"] for row in priors}
    assert {"mean box", "class-mean box", "text-only oracle"} <= names
    assert not {"shuffled report and phrase", "blank image"} & names
    assert counts["valid_rate"] == 1.0
    assert "Valid rate 100.0 %: of 4 phrases asked" in page
    assert "cannot be asked again" in page


def test_what_is_missing_and_junk_is_counted_and_scores_zero(data, command, tmp_path):
    file = answers(
        tmp_path / "mine.jsonl",
        {"study": "s0", "phrase": "small left effusion", "answer": "[[150, 170.5, 220, 240]]"},
        {"study": "s0", "phrase": "bilateral edema", "answer": "Both lungs are white."},
        {"study": "s9", "phrase": "bilateral edema", "answer": "[]"},
    )
    (model, *_), counts, page = scored(command, data, file, "plain")
    assert model["micro"]["miou"]["value"] == 0.25
    assert {key: counts[key] for key in ("asked", "boxed", "empty", "invalid", "missing", "valid_rate")} == {
        "asked": 4, "boxed": 1, "empty": 0, "invalid": 1, "missing": 2, "valid_rate": 0.25,
    }  # fmt: skip
    assert (counts["unknown"], counts["unanswered"]) == (["s9"], ["s1"])
    assert "no box in the text 1" in page


def test_repair_and_least_score_are_options(data, command, tmp_path):
    box = [220.0, 170.5, 150.0, 240.0]
    rows = [{"study": "s0", "phrase": "small left effusion", "boxes": [box], "scores": [0.4]}]
    for options, miou in (((), 0.0), (("--repair",), 0.25), (("--repair", "--min-score", "0.5"), 0.0)):
        (model, *_), counts, _ = scored(command, data, answers(tmp_path / "a", *rows), "jsonl", *options)
        assert model["micro"]["miou"]["value"] == miou
        assert counts["faults"] == {"swapped corners": 1}


def test_generated_phrases(data, command, tmp_path):
    text = "<obj>Small left effusion <box><x58><y66><x85><y93></box></obj>"
    (model, *_), counts, _ = scored(
        command, data, answers(tmp_path / "a", {"study": "s0", "answer": text}), "maira2", protocol="generate"
    )
    assert model["identification"]["recall"]["value"] == 0.25
    assert (counts["unit"], counts["asked"], counts["boxed"], counts["missing"]) == ("study", 2, 1, 1)


def test_given_phrases_are_no_generation(data, command, tmp_path):
    file = answers(tmp_path / "a", {"study": "s0", "phrase": "small left effusion", "boxes": []})
    common = ["evaluate", "--predictions", file, "--format", "jsonl", "--data", data, "--out", tmp_path / "out"]
    code, _, err = command(*common, "--protocol", "generate")
    assert code == 5
    assert "was given" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_without_a_training_split_there_are_no_priors(data, command, tmp_path):
    manifest = data / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:2]))
    file = answers(tmp_path / "a", {"study": "s0", "phrase": "small left effusion", "boxes": []})
    rows, _, page = scored(command, data, file, "jsonl")
    assert len(rows) == 1
    assert "No prior rows" in page


def test_wrong_command_lines(data, command, tmp_path):
    file = answers(tmp_path / "a", {"study": "s0", "phrase": "x", "boxes": []})
    right = {"--format": "jsonl", "--protocol": "teacher_forced", "--data": data, "--out": tmp_path / "out"}

    def end(**changes):
        options = right | {f"--{key}": value for key, value in changes.items()}
        words = [word for key, value in options.items() if value is not None for word in (key, value)]
        return command("evaluate", "--predictions", file, *words)[0]

    for changes in ({"format": None}, {"format": "yolo"}, {"protocol": None}, {"protocol": "guess"}, {"data": None},
                    {"out": None}, {"view": "tilted"}, {"match": "luck"}, {"min-score": "2"}):  # fmt: skip
        assert end(**changes) == 2, changes
    assert end(data=tmp_path) == 5
    assert end(split="val") == 5
    assert end(format="maira2") == 5
    assert command("evaluate")[0] == 2
    assert command("evaluate", tmp_path, "--predictions", file)[0] == 2
    assert not (tmp_path / "out").exists()
    unknown = answers(tmp_path / "b", {"study": "zz", "phrase": "x", "boxes": []})
    code, _, err = command("evaluate", "--predictions", unknown, *[w for pair in right.items() for w in pair])
    assert code == 5
    assert "1 studies, none of which" in " ".join(err.split())


def test_from_one_model_to_another(data, command, tmp_path):
    maira = answers(tmp_path / "maira", {"study": "s0", "answer": "<obj>edema <box><x10><y20><x30><y40></box></obj>"})
    code, _, err = command("convert", "boxes", maira, "--from", "maira2", "--to", "qwen3", "--data", data,
                           "--out", tmp_path / "qwen", "--out-view", "letterbox:512x512")  # fmt: skip
    assert (code, err) == (0, "")
    (row,) = map(json.loads, (tmp_path / "qwen").read_text().splitlines())
    assert json.loads(row["answer"]) == [{"bbox_2d": [105, 205, 305, 405], "label": "edema"}]
    assert row["view"] == "letterbox:512x512"
    assert "phrase" not in row


@pytest.mark.parametrize("form", ["coco", "label-studio", "fiftyone"])
def test_exports_and_what_was_left_out(form, data, command, tmp_path):
    rows = [
        {"study": "s0", "phrases": [{"text": "x", "boxes": [[1, 2, 30, 40], [5, 5, 5]]}, {"text": "y", "boxes": []}]},
        {"study": "zz", "phrases": []},
    ]
    out = tmp_path / "export.json"
    words = [
        "convert",
        "boxes",
        answers(tmp_path / "a", *rows),
        "--from",
        "jsonl",
        "--to",
        form,
        "--data",
        data,
        "--out",
    ]
    code, screen, err = command(*words, out)
    assert code == 0
    assert "not a medical device" in " ".join(screen.split())
    told = " ".join(err.split())
    assert all(part in told for part in ("1 x partial box: left out", "1 studies", "1 phrases without a box"))
    first = out.read_text()
    assert json.loads(first)
    assert out.with_name("export.json.config.xml").exists() == (form == "label-studio")
    out.write_text("mine")
    assert command(*words, out)[0] == 9
    assert out.read_text() == "mine"
    assert command(*words, out, "--overwrite")[0] == 0
    assert out.read_text() == first


def test_wrong_conversions(data, command, tmp_path):
    file = answers(tmp_path / "a", {"study": "s0", "phrase": "x", "boxes": []})
    out = tmp_path / "out"

    def end(source=file, form="jsonl", to="coco", folder=data, target=out):
        words = ["--data", folder] if folder is not None else []
        return command("convert", "boxes", source, "--from", form, "--to", to, "--out", target, *words)[0]

    assert (end(form="yolo"), end(to="grounding"), end(folder=None)) == (2, 2, 2)
    assert (end(source=tmp_path / "none"), end(form="manifest"), end(folder=tmp_path)) == (5, 5, 5)
    assert end(source=answers(tmp_path / "b", {"study": "zz", "phrase": "x", "boxes": []})) == 5
    assert end(target=tmp_path) == 9
    assert not out.exists()
    assert end(target=file / "deep") == 9
    assert command("convert", "boxes", file)[0] == 2


# ---- docs/predictions.md


def sections():
    parts = re.split(r"^### (\S+)$", PAGE.split("## Formats")[1].split("## Converting")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("form", READ)
def test_every_format_has_an_example_that_is_read(form, tmp_path):
    examples = re.findall(r"^```json\n(.*?)^```$", sections()[form], re.MULTILINE | re.DOTALL)
    assert examples
    listing = Listing([Listed("p1-0", "images/p1-0.png", SIZE), Listed("p2-0", "images/p2-0.png", SIZE)])
    for example in examples:
        (tmp_path / "example").write_text(example, encoding="utf-8")
        found = read_predictions(tmp_path / "example", form, listing)
        assert found.unknown == ()
        assert [answer.faults for answer in found.answers] == [()] * len(found.answers)
        boxes = [box for item in found.answers[0].items for box in item.boxes]
        expected = (30, 90, 120, 200) if form == "grounding" else (150, 170.5, 220, 240)
        half_a_cell = 4.01 if form == "kosmos2" else 1.5  # 32 cells to 256 pixels
        np.testing.assert_allclose(boxes, [expected], atol=half_a_cell)


def test_the_page_lists_the_formats_and_limits():
    assert list(sections()) == list(dict.fromkeys(["jsonl", "coco", "grounding", *READ]))
    for number in (MAX_CHARACTERS, MAX_BOXES, MAX_BOXES_AN_IMAGE):
        assert f"{number:,}" in PAGE
    from knowmvg.core.boxtext.reading import Fault
    from knowmvg.core.boxtext.views import Fit

    for words in (*Fault, *WRITTEN):
        assert words in PAGE
    for fit in Fit:
        assert f"`{fit}:" in PAGE
