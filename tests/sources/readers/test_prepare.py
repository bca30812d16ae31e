from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from layouts import picture, write_sums
from PIL import Image

from knowmvg.core.errors import ImageError, ManifestError, OutputError
from knowmvg.core.records import Section, Side
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.sources.datasets.reader import DatasetFacts, Fault
from knowmvg.sources.manifest import PhraseRow, StudyRow, load_study, read_rows
from knowmvg.sources.prepare import collect, prepare, write
from knowmvg.sources.prepare.checks import RowChecks
from knowmvg.sources.prepare.names import Names
from knowmvg.sources.prepare.plot import write_plot
from knowmvg.sources.prepare.tally import GRID, Tally
from knowmvg.sources.prepared import image_path, image_root, path_within, prepared_notes

FACTS = DatasetFacts("Made up", "1", "none", credentialed=False, source="a test")


@dataclass
class FakeReader:
    """Gives what it is told to; ``broken_at`` is how many items come before it is interrupted."""

    items: list
    image_root: Path
    files: tuple[Path, ...] = ()
    facts: DatasetFacts = FACTS
    broken_at: int | None = None
    given: list = field(default_factory=list)

    def read(self):
        for number, item in enumerate(self.items):
            if number == self.broken_at:
                raise KeyboardInterrupt
            self.given.append(item)
            yield item


def study(number, *, size=(64, 48), boxes=((10.0, 10.0, 30.0, 30.0),), split="train", **more):
    text = "left effusion"
    phrase = PhraseRow(
        text=text,
        span=(0, len(text)),
        section=Section.FINDINGS,
        finding="pleural effusion",
        side=Side.LEFT,
        boxes=boxes,
    )
    defaults = {
        "id": f"s{number}",
        "patient": f"p{number // 2}",
        "split": split,
        "image": f"{number}.png",
        "width": size[0],
        "height": size[1],
        "report": f"{text}. Case {number}.",
        "phrases": (phrase,),
        "source": f"table.csv:{number + 2}",
    }
    return StudyRow(**(defaults | more))


@pytest.fixture
def images(tmp_path):
    for number in range(6):
        picture(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def quick_picture(request, monkeypatch):
    """Drawing takes a second: only the test of the picture draws it."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(write, "write_plot", lambda path, *_: path.write_bytes(b"a picture"))


@pytest.fixture
def drawn():
    """Asked for by the test that wants the picture itself."""


def reader_of(images, *items, **more):
    return FakeReader(list(items) or [study(number) for number in range(6)], images, **more)


def test_a_prepared_folder_holds_manifest_notes_faults_summary_and_picture(images, out):
    seen = []
    result = prepare(reader_of(images), out, progress=lambda *told: seen.append(told))
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset.json",
        "faults.jsonl",
        "manifest.jsonl",
        "summary.md",
        "summary.png",
    ]
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    rows = list(read_rows(out))
    assert [row.id for row in rows] == [f"s{number}" for number in range(6)]
    assert rows == [study(number) for number in range(6)]
    notes = prepared_notes(out)
    assert notes == result.notes
    assert notes.fingerprint == hashlib.sha256((out / "manifest.jsonl").read_bytes()).hexdigest()
    assert notes.ids_sha256 == hashlib.sha256("".join(f"s{n}\n" for n in range(6)).encode()).hexdigest()
    assert notes.counts["train"] | {"assertions": None} == {
        "studies": 6,
        "images": 6,
        "patients": 3,
        "phrases": 6,
        "boxes": 6,
        "unmentioned": 0,
        "assertions": None,
        "findings": {"pleural effusion": 6},
        "boxes_by_finding": {"pleural effusion": 6},
    }
    assert {stage for stage, _, _ in seen} == {collect.READING, write.WRITING}
    assert "| train | 6 | 6 | 3 | 6 | 6 |" in (out / "summary.md").read_text()


@pytest.mark.usefixtures("drawn")
def test_the_picture_shows_the_boxes_and_is_the_same_at_every_run(images, out):
    result = prepare(reader_of(images), out)
    with Image.open(out / "summary.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > 1000
    assert len(np.unique(pixels[::8, ::8].reshape(-1, 3), axis=0)) > 20
    write_plot(out / "again.png", result.notes, result.tally)
    assert (out / "again.png").read_bytes() == (out / "summary.png").read_bytes()
    write_plot(out / "empty.png", result.notes, Tally())


def test_the_same_source_gives_the_same_bytes(images, tmp_path):
    for name in "ab":
        prepare(reader_of(images), tmp_path / name)
    for name in ("manifest.jsonl", "dataset.json", "summary.md", "faults.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_studies_are_loaded_from_where_their_images_lie(images, out):
    picture(images / "deep.png", (40, 40), bits=16)
    prepare(reader_of(images, study(0), study(1, image="deep.png", size=(40, 40), boxes=((1.0, 2.0, 3.0, 4.0),))), out)
    assert image_root(out) == images
    first, second = LabelledStudies(out, "train")
    assert first.image.size == (64, 48)
    assert first.labels[0].boxes.tolist() == [[10, 10, 30, 30]]
    assert len(np.unique(second.image.pixels)) > 256
    assert second.image.pixels.max() == 1.0


def test_a_manifest_that_leads_out_of_the_images_is_refused(images, out):
    prepare(reader_of(images), out)
    row = next(iter(read_rows(out)))
    for name in ("../secret.png", "/etc/passwd", "", "a\0b"):
        with pytest.raises(ManifestError, match="leads out"):
            load_study(out, row.model_copy(update={"image": name}))


def test_images_that_have_moved_or_changed_are_told(images, out):
    prepare(reader_of(images), out)
    row = next(iter(read_rows(out)))
    picture(images / "0.png", (32, 32))
    with pytest.raises(ManifestError, match="64 x 48 pixels in the image of study s0"):
        load_study(out, row)
    (images / "0.png").unlink()
    with pytest.raises(ImageError):
        load_study(out, row)
    shutil.move(images, images.with_name("elsewhere"))
    with pytest.raises(ManifestError, match="image_root"):
        load_study(out, row)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "knowmvg.prepared/1"}', "\xff"])
def test_damaged_notes_are_an_error_and_no_silent_default(images, out, content):
    prepare(reader_of(images), out)
    (out / "dataset.json").write_text(content, encoding="latin-1")
    with pytest.raises(ManifestError, match=r"dataset\.json"):
        image_path(out, "0.png")


def test_a_folder_without_such_notes_holds_its_own_images(tmp_path):
    assert image_root(tmp_path) == tmp_path
    (tmp_path / "dataset.json").write_text('{"schema": "knowmvg.dataset/1"}')
    assert image_path(tmp_path, "images/a.png") == tmp_path / "images" / "a.png"


def outside_link(images):
    target = images.parent / "outside.png"
    picture(target)
    (images / "link.png").symlink_to(target)
    return study(0, image="link.png")


FAULTY = {
    "missing image": lambda images: study(0, image="none.png"),
    "wrong image size": lambda images: study(0, size=(48, 64)),
    "unreadable image": lambda images: (images / "x.png").write_bytes(b"GIF89a") and study(0, image="x.png"),
    "link out of the folder": outside_link,
    "box outside": lambda images: study(0, boxes=((64.0, 0.0, 70.0, 10.0),)),
    "not finite": lambda images: study(0, boxes=((0.0, 0.0, float("nan"), 10.0),)),
    "empty field": lambda images: study(0, patient=""),
    "report too long": lambda images: study(0, report="x" * 1_000_001),
    "span outside": lambda images: study(0, report="left"),
    "duplicate identifier": lambda images: study(5, source="table.csv:2"),
    "wrong type": lambda images: Fault("wrong type", "table.csv", 2, "no number in column 'x'", kept=False),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_fault_is_an_error_with_file_and_row_unless_it_may_be_skipped(images, out, kind):
    items = [study(5), FAULTY[kind](images), study(1)]
    with pytest.raises(ManifestError) as caught:
        prepare(reader_of(images, *items), out)
    assert "row 2 of table.csv" in str(caught.value)
    assert kind in caught.value.got
    assert "effusion" not in str(caught.value)
    assert not out.exists()
    assert not out.with_name(".out.part").exists()
    result = prepare(reader_of(images, *items), out, skip_faulty=True)
    assert [row.id for row in read_rows(out)] == ["s5", "s1"]
    assert result.notes.faults == {kind: {"mended": 0, "left_out": 1}}
    (fault,) = map(json.loads, (out / "faults.jsonl").read_text().splitlines())
    assert (fault["kind"], fault["file"], fault["row"], fault["kept"]) == (kind, "table.csv", 2, False)
    assert f"| {kind} | 0 | 1 |" in (out / "summary.md").read_text()


def test_mended_rows_are_counted_and_no_error(images, out):
    told = Fault("duplicate row", "table.csv", 9, "counted once", kept=True)
    hanging = study(0, boxes=((-3.0, 10.0, 30.0, 50.0),))
    result = prepare(reader_of(images, told, hanging), out)
    assert result.notes.faults == {
        "box outside": {"mended": 1, "left_out": 0},
        "duplicate row": {"mended": 1, "left_out": 0},
    }
    assert next(read_rows(out)).phrases[0].boxes == ((0.0, 10.0, 30.0, 48.0),)


def test_a_reader_that_knows_no_size_gets_that_of_the_file(images, out):
    prepare(reader_of(images, study(0, size=(0, 0))), out)
    row = next(read_rows(out))
    assert (row.width, row.height) == (64, 48)


def test_no_study_at_all_is_an_error(images, out):
    with pytest.raises(ManifestError, match="at least one study"):
        prepare(FakeReader([], images), out)
    assert not out.exists()
    late = study(0, image="late.png")
    with pytest.raises(ManifestError, match="at least one study"):
        prepare(reader_of(images, late), out, skip_faulty=True)
    picture(images / "late.png")
    assert prepare(reader_of(images, late), out, skip_faulty=True).taken_up == 0


def test_what_lies_at_the_target_is_not_replaced_unasked(images, out):
    prepare(reader_of(images), out)
    before = (out / "manifest.jsonl").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        prepare(reader_of(images, study(0)), out)
    assert (out / "manifest.jsonl").read_bytes() == before
    with pytest.raises(ManifestError):
        prepare(reader_of(images, study(0, image="none.png")), out, overwrite=True)
    assert (out / "manifest.jsonl").read_bytes() == before
    prepare(reader_of(images, study(0)), out, overwrite=True)
    assert len(list(read_rows(out))) == 1
    other = out.with_name("other")
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(OutputError, match=r"without dataset\.json"):
        prepare(reader_of(images), other, overwrite=True)


@pytest.fixture
def noted_often(monkeypatch):
    monkeypatch.setattr(collect, "NOTED_EVERY", 2)


@pytest.mark.usefixtures("noted_often")
@pytest.mark.parametrize("broken_at", [0, 1, 2, 5, 6])
def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(images, out, broken_at, monkeypatch):
    told = Fault("duplicate row", "table.csv", 9, "counted once", kept=True)
    items = [study(0), told, study(1), study(2), study(3, image="none.png"), study(4), study(5)]
    prepare(reader_of(images, *items), out.with_name("whole"), skip_faulty=True)
    with pytest.raises(KeyboardInterrupt):
        prepare(reader_of(images, *items, broken_at=broken_at), out, skip_faulty=True)
    assert not out.exists()
    looked_at = []
    before = RowChecks.__call__
    monkeypatch.setattr(RowChecks, "__call__", lambda self, row: looked_at.append(row.id) or before(self, row))
    result = prepare(reader_of(images, *items), out, skip_faulty=True)
    assert result.taken_up == broken_at - broken_at % 2
    assert looked_at == [item.id for item in items[result.taken_up :] if isinstance(item, StudyRow)]
    for name in ("manifest.jsonl", "dataset.json", "faults.jsonl", "summary.md"):
        assert (out / name).read_bytes() == (out.with_name("whole") / name).read_bytes()


@pytest.mark.usefixtures("noted_often")
@pytest.mark.parametrize("change", ["rows cut", "rows altered", "note damaged", "annotations changed", "other choice"])
def test_an_earlier_run_that_does_not_fit_is_not_taken_up(images, out, change):
    table = images.parent / "table.csv"
    table.write_text("one")
    with pytest.raises(KeyboardInterrupt):
        prepare(reader_of(images, broken_at=5, files=(table,)), out)
    part = out.with_name(".out.part")
    assert sorted(path.name for path in part.iterdir()) == [
        "faults.partial.jsonl",
        "progress.json",
        "rows.partial.jsonl",
    ]
    rows = part / "rows.partial.jsonl"
    if change == "rows cut":
        rows.write_bytes(rows.read_bytes()[:50])
    elif change == "rows altered":
        rows.write_bytes(rows.read_bytes().replace(b"s1", b"s7"))
    elif change == "note damaged":
        (part / "progress.json").write_text("{")
    elif change == "annotations changed":
        table.write_text("two lines")
    choices = {"text": "phrase"} if change == "other choice" else None
    result = prepare(reader_of(images, files=(table,)), out, made_with=choices)
    assert result.taken_up == 0
    assert [row.id for row in read_rows(out)] == [f"s{number}" for number in range(6)]


@pytest.mark.usefixtures("noted_often")
def test_a_reader_that_changes_its_mind_is_told(images, out):
    with pytest.raises(KeyboardInterrupt):
        prepare(reader_of(images, broken_at=5), out)
    with pytest.raises(ManifestError, match="cut off"):
        prepare(reader_of(images, *[study(5 - number) for number in range(6)]), out)


def test_rows_can_be_changed_and_dropped_on_the_way(images, out):
    def shorten(row):
        return None if row.id == "s1" else row.model_copy(update={"report": row.phrases[0].text})

    result = prepare(reader_of(images), out, transform=shorten, made_with={"text": "phrase"})
    rows = list(read_rows(out))
    assert [row.id for row in rows] == ["s0", "s2", "s3", "s4", "s5"]
    assert {row.report for row in rows} == {"left effusion"}
    assert result.notes.made_with == {"text": "phrase"}
    assert "text phrase" in (out / "summary.md").read_text()


def test_splits_are_assigned_by_what_has_seen_all_rows(images, out):
    def learn(rows):
        splits = dict(zip(sorted({row.patient for row in rows}), ("train", "val", "test"), strict=True))
        return lambda row: splits[row.patient]

    result = prepare(reader_of(images), out, assign=learn)
    assert [row.split for row in read_rows(out)] == ["train", "train", "val", "val", "test", "test"]
    assert list(result.notes.counts) == ["train", "val", "test"]


def test_annotation_files_are_compared_with_their_published_digests(images, out, tmp_path):
    names = ["same.csv", "other.csv", "unlisted.csv"]
    folder = tmp_path / "release"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    write_sums(folder, names[:2], wrong=["other.csv"])
    files = (*(folder / name for name in names), images / "0.png")
    result = prepare(reader_of(images, files=files), out)
    states = ["as published", "not as published", "not listed", "no SHA256SUMS.txt"]
    assert list(result.notes.checksums.values()) == states
    assert result.notes.faults == {"wrong hash": {"mended": 1, "left_out": 0}}
    (folder / "SHA256SUMS.txt").write_text("no digest at all\n")
    with pytest.raises(ManifestError, match="line 1"):
        prepare(reader_of(images, files=files), out, overwrite=True)


def test_images_are_compared_when_asked(images, out):
    with pytest.raises(ManifestError, match="--verify"):
        prepare(reader_of(images), out, verify_images=True)
    write_sums(images, [f"{number}.png" for number in range(5)], wrong=["3.png"])
    result = prepare(reader_of(images), out, verify_images=True, skip_faulty=True)
    assert [row.id for row in read_rows(out)] == ["s0", "s1", "s2", "s4"]
    assert result.notes.faults == {"wrong hash": {"mended": 0, "left_out": 2}}


def test_names_are_known_once_they_came(monkeypatch):
    monkeypatch.setattr("knowmvg.sources.prepare.names._RECENT", 7)
    names = Names()
    assert all(names.add(str(number)) for number in range(100))
    assert not any(names.add(str(number)) for number in range(100))
    assert len(names) == 100
    assert names.add("a", "b")
    assert not names.add("a", "b")
    assert names.add("ab")


def test_places_and_sizes_are_counted_in_parts_of_the_image():
    tally = Tally()
    tally.add(study(0, size=(200, 100), boxes=((0.0, 0.0, 100.0, 50.0),)))
    tally.add(study(1, size=(200, 100), boxes=((0.0, 0.0, 200.0, 100.0),)))
    found = tally.findings["pleural effusion"]
    assert found.centres[GRID // 4, GRID // 4] == found.centres[GRID // 2, GRID // 2] == 1
    assert found.centres.sum() == 2
    half = GRID // 2
    assert (found.covered[:half, :half] == 2).all()
    assert (found.covered[half:] == 1).all()
    assert found.covered[:half, half:].max() == 1
    assert found.median_size() == pytest.approx(0.5, abs=0.01)


def test_a_path_within_a_folder_stays_there(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a").touch()
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in" / "a")
    assert path_within(tmp_path / "linked", "a") == tmp_path / "linked" / "a"
    assert path_within(tmp_path / "in", "up") is not None
    for name in ("", ".", "..", "../in2/a", "/etc/passwd", "a\0"):
        assert path_within(tmp_path / "in", name) is None
