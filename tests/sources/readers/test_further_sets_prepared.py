"""From a release to studies in memory: every further set through ``prepare``, and junk in place of each table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import picture, table_bytes, write_json
from test_chest_imagenome import LUNGS
from test_chest_imagenome import Release as ImaGenome
from test_coco_boxes import data_set
from test_csv_boxes import HEADER, ROWS
from test_mimic_questions_and_classes import Copies
from test_padchest_gr import NAME, NEGATIVE, finding
from test_padchest_gr import Release as PadChest

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.sources.prepare.checks import RowChecks
from knowmvg.sources.prepare.run import prepare


def imagenome(root: Path) -> DatasetReader:
    release = ImaGenome(root)
    release.image(1, *LUNGS)
    return release.open()


def padchest(root: Path) -> DatasetReader:
    release = PadChest(root)
    release.study(1, finding(), NEGATIVE)
    return release.open()


def coco(root: Path) -> DatasetReader:
    picture(root / "a.png", (64, 48))
    picture(root / "deep" / "b.png", (30, 20))
    write_json(root / "set.json", data_set())
    return open_reader("coco", Places(root))


def table(root: Path) -> DatasetReader:
    picture(root / "a.png", (64, 48))
    picture(root / "b.png", (30, 20))
    (root / "boxes.csv").write_bytes(table_bytes([HEADER, *ROWS]))
    return open_reader("csv", Places(root))


def copies(root: Path) -> Copies:
    made = Copies(root)
    made.image(1)
    made.box(1, "Edema", "mild edema", 4, 5, 20, 20)
    made.ask(1, "presence", "is there edema?", "yes")
    return made


SETS: dict[str, Callable[[Path], DatasetReader]] = {
    "chest-imagenome": imagenome,
    "padchest-gr": padchest,
    "coco": coco,
    "csv": table,
    "medical-diff-vqa": lambda root: copies(root).open(),
    "medical-diff-vqa by question": lambda root: copies(root).open(rows="question"),
    "mrg-mimic-class": lambda root: copies(root).classes(),
}


@pytest.mark.parametrize("made", SETS.values(), ids=SETS)
def test_rows_pass_the_checks_and_load(tmp_path: Path, made: Callable[[Path], DatasetReader]) -> None:
    reader = made(tmp_path)
    checks, boxes = RowChecks(reader.image_root), 0
    for item in reader.read():
        assert isinstance(item, StudyRow)
        row, faults = checks(item)
        assert not faults
        study = load_study(reader.image_root, row)
        assert study.image.size == (row.width, row.height)
        boxes += sum(len(label.boxes) for label in study.labels)
    assert boxes


def test_prepared(tmp_path: Path) -> None:
    done = prepare(table(tmp_path), tmp_path / "out", made_with={"box": "xyxy"})
    assert [row.id for row in read_rows(tmp_path / "out")] == ["a", "b"]
    assert (done.notes.name, done.notes.faults) == ("CSV", {})


def test_the_same_files_give_the_same_rows(tmp_path: Path) -> None:
    reader = table(tmp_path)
    assert list(reader.read()) == list(reader.read())


JUNK = st.binary(max_size=200) | st.text(max_size=200).map(str.encode)
NEAR = st.text(alphabet='image,phrase,x1y2"\n;\t0.5-e[]{}:', max_size=200).map(str.encode)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JUNK | NEAR, st.sampled_from(["csv", "coco", "padchest-gr", "vindr-cxr"]))
def test_junk_is_an_error_that_names_the_file(tmp_path: Path, content: bytes, name: str) -> None:
    files = {"csv": "boxes.csv", "coco": "set.json", "padchest-gr": NAME, "vindr-cxr": "train.csv"}
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / files[name]).write_bytes(content)
    (folder / "master_table.csv").write_bytes(b"StudyID,PatientID,split\n")
    annotations = folder / files[name] if name in ("csv", "coco") else None
    items, said = [], ""
    try:
        items = list(open_reader(name, Places(folder, annotations=annotations)).read())
    except ManifestError as error:
        said = str(error)
    assert not said or str(folder) in said
    assert not any(getattr(item, "phrases", ()) for item in items), "junk holds no phrase"
