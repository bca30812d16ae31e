from __future__ import annotations

import hashlib
import json

import pytest

from knowmvg.core.records import Side
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.manifest import load_study, read_rows
from tests.sources.data_folders import boxed, row, write_folder

ROWS = [
    row("a", "p1", "train", report="FINDINGS: Left effusion.", phrases=(boxed("pleural effusion", side=Side.LEFT),)),
    row("b", "p2", "val", report="No heading.", phrases=(boxed("nodule"), boxed("cardiomegaly"))),
    row("c", "p3", "test", report="", phrases=(boxed("nodule"),)).model_copy(update={"report": ""}),
]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", ROWS)


def texts(folder, out, mode="full", *more):
    return main(["texts", str(folder), "--mode", mode, "--out", str(out), *more])


def test_the_new_folder_leads_to_the_same_images(folder, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert texts(folder, out, "phrase") == 0
    made = list(read_rows(out))
    assert [one.id for one in made] == ["a#1", "b#1", "b#2", "c#1"]
    for one in made:
        original = next(before for before in ROWS if one.id.startswith(before.id))
        assert (load_study(out, one).image.pixels == load_study(folder, original).image.pixels).all()
        assert (one.split, one.patient) == (original.split, original.patient)
    assert {path.name for path in out.iterdir()} == {"manifest.jsonl", "dataset.json"}
    assert "not a medical device" in capsys.readouterr().out
    assert main(["leaks", str(out)]) == 0


def test_what_has_no_text_is_left_out_and_counted(folder, tmp_path, capsys):
    assert texts(folder, tmp_path / "out", "findings") == 0
    assert [one.id for one in read_rows(tmp_path / "out")] == ["a", "c"]
    assert "left out: 1 studies without a text in this mode" in " ".join(capsys.readouterr().err.split())


def test_a_mode_that_names_nothing_with_boxes_is_told(tmp_path, capsys):
    rows = [row("a", "p1", "train", report="FINDINGS: Left effusion.\nIMPRESSION: Stable.", phrases=(boxed("nodule"),))]
    rows[0] = rows[0].model_copy(
        update={"phrases": (rows[0].phrases[0].model_copy(update={"text": "Left effusion", "span": (10, 23)}),)}
    )
    folder = write_folder(tmp_path / "data", rows)
    assert texts(folder, tmp_path / "out", "impression") == 0
    assert "nothing to ground" in " ".join(capsys.readouterr().err.split())


def test_positions_are_dropped_or_said(folder, tmp_path):
    assert texts(folder, tmp_path / "drop", "full", "--positions", "drop") == 0
    assert next(iter(read_rows(tmp_path / "drop"))).report == "FINDINGS: Effusion."
    assert texts(folder, tmp_path / "say", "full", "--positions", "say") == 0
    *_, last = read_rows(tmp_path / "say")
    assert last.phrases[0].side is Side.RIGHT


def test_notes_of_a_prepared_folder_lead_to_its_images(folder, tmp_path):
    moved = tmp_path / "prepared"
    moved.mkdir()
    (moved / "manifest.jsonl").write_bytes((folder / "manifest.jsonl").read_bytes())
    notes = {"schema": "knowmvg.prepared/1", "image_root": "../data", "credentialed": True, "counts": {},
             "fingerprint": "old", "ids_sha256": "old", "made_with": {"seed": "1"}}  # fmt: skip
    (moved / "dataset.json").write_text(json.dumps(notes))
    out = tmp_path / "elsewhere" / "out"
    assert texts(moved, out) == 0
    told = json.loads((out / "dataset.json").read_text())
    assert (out / told["image_root"] / "images/a.png").samefile(folder / "images/a.png")
    assert [one.image for one in read_rows(out)] == [one.image for one in ROWS]
    manifest = (out / "manifest.jsonl").read_bytes()
    assert told["fingerprint"] == hashlib.sha256(manifest).hexdigest()
    assert told["ids_sha256"] == hashlib.sha256(b"a\nb\nc\n").hexdigest()
    assert told["credentialed"] is True
    assert told["made_with"] == {
        "seed": "1", "texts_of": str(moved), "text_mode": "full", "text_positions": "keep", "text_seed": "0"
    }  # fmt: skip


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_earlier_folder_is_replaced_only_when_asked(folder, tmp_path):
    out = tmp_path / "out"
    assert texts(folder, out) == 0
    before = contents(out)
    assert texts(folder, out, "phrase") == 9
    assert contents(out) == before
    assert texts(folder, out, "phrase", "--overwrite") == 0
    assert contents(out) != before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}


def test_what_this_command_did_not_write_is_never_replaced(folder, tmp_path):
    other = write_folder(tmp_path / "other", ROWS, images=False)
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "years of work.txt").write_text("mine")
    for target in (other, thesis):
        before = contents(target)
        assert texts(folder, target, "full", "--overwrite") == 9
        assert contents(target) == before
    for target in (folder, tmp_path):
        assert texts(folder, target, "full", "--overwrite") == 5
    assert (thesis / "years of work.txt").is_file()


@pytest.mark.parametrize("breaks", ["line", "twice", "disk", "none"])
def test_a_failure_leaves_nothing_half_written(breaks, folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert texts(folder, out) == 0
    before = contents(out)
    manifest = folder / "manifest.jsonl"
    if breaks == "line":
        manifest.write_text(manifest.read_text() + "{}\n")
    elif breaks == "twice":
        manifest.write_text(manifest.read_text() * 2)
    elif breaks == "none":
        manifest.write_text(manifest.read_text().splitlines()[1] + "\n")
    else:
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    mode = "impression" if breaks == "none" else "full"
    assert texts(folder, out, mode, "--overwrite") == (9 if breaks == "disk" else 5)
    assert contents(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}
    assert "effusion" not in capsys.readouterr().err.casefold()


@pytest.mark.parametrize(
    ("mode", "more"), [("poem", []), ("full", ["--positions", "hide"]), ("full", ["--seed", "-1"])]
)
def test_a_wrong_command_line_ends_with_2(mode, more, folder, tmp_path):
    assert texts(folder, tmp_path / "out", mode, *more) == 2
    assert not (tmp_path / "out").exists()


def test_a_simulated_folder_stays_one_that_says_so(folder, tmp_path):
    (folder / "dataset.json").write_text('{"schema": "knowmvg.dataset/1", "seed": 3, "counts": {}, "fingerprint": "f"}')
    assert texts(folder, tmp_path / "out") == 0
    told = json.loads((tmp_path / "out/dataset.json").read_text())
    assert (told["schema"], told["seed"]) == ("knowmvg.dataset/1", 3)
    assert told["counts"]["train"]["studies"] == 1
