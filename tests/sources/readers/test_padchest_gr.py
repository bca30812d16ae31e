"""PadChest-GR: reports as lists of sentences, made here in the layout of the release."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from layouts import DISGUISES, picture, read_all, table_bytes, write_json

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion, Side
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places

NAME = "grounded_reports_20240819.json"
HEADER = ["StudyID", "ImageID", "PatientID", "split", "label", "label_group", "PatientSex_DICOM"]


def finding(**changes: Any) -> dict[str, Any]:
    """A positive sentence with one box in fractions."""
    whole = {
        "sentence_en": "Small left pleural effusion.",
        "sentence_es": "Pequeño derrame pleural izquierdo.",
        "abnormal": True,
        "boxes": [[0.5, 0.25, 0.75, 1.0]],
        "extra_boxes": [[0.5, 0.5, 0.75, 1.0], [0.0, 0.0, 0.25, 0.25]],
        "labels": ["pleural effusion"],
        "locations": ["loc left"],
        "progression": "stable",
    }
    return {key: value for key, value in (whole | changes).items() if value != "left out"}


NEGATIVE = {"sentence_en": "No pneumothorax.", "sentence_es": "Sin neumotórax.", "abnormal": False}


class Release:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.studies: list[Any] = []
        self.table: list[list[object]] = [HEADER]

    def study(self, number: int, *findings: Any, split: str = "train", **changes: Any) -> dict[str, Any]:
        image = f"{number:03d}_02-089-127.png"
        picture(self.root / "Padchest_GR_files" / "PadChest_GR" / image, (80, 40), bits=16)
        study = {"StudyID": f"s{number}", "ImageID": image, "findings": list(findings)} | changes
        self.studies.append(study)
        for label in ("pleural effusion", "normal"):
            self.table.append([f"s{number}", image, f"p{number}", split, label, "group", "F"])
        return study

    def open(self, **options: str) -> DatasetReader:
        write_json(self.root / NAME, self.studies)
        (self.root / "master_table.csv").write_bytes(table_bytes(self.table))
        return open_reader("padchest-gr", Places(self.root), options)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def test_sentences_boxes_and_absences(release: Release) -> None:
    release.study(1, finding(), NEGATIVE, split="validation")
    reader = release.open()
    (row,), faults = read_all(reader)
    assert not faults
    assert (row.id, row.patient, row.split) == ("001_02-089-127", "p1", "val")
    assert (row.width, row.height) == (80, 40)
    present, absent = row.phrases
    assert present.boxes == ((40.0, 10.0, 60.0, 40.0),)
    assert (present.finding, present.side, present.assertion) == ("pleural effusion", Side.LEFT, Assertion.PRESENT)
    assert (absent.finding, absent.assertion, absent.boxes) == ("pneumothorax", Assertion.ABSENT, ())
    assert row.report == "Small left pleural effusion. No pneumothorax."
    assert [row.report[slice(*p.span)] for p in row.phrases if p.span] == [p.text for p in row.phrases]
    assert reader.facts.version == "20240819"
    assert reader.image_root == release.root / "Padchest_GR_files" / "PadChest_GR"


def test_spanish_sentences_keep_what_the_english_ones_say(release: Release) -> None:
    release.study(1, finding(), NEGATIVE)
    (row,), _ = read_all(release.open(language="es"))
    assert row.report == "Pequeño derrame pleural izquierdo. Sin neumotórax."
    assert [(p.finding, p.side) for p in row.phrases] == [("pleural effusion", Side.LEFT), ("pneumothorax", None)]


def test_the_second_reader(release: Release) -> None:
    release.study(1, finding(), finding(sentence_en="Nodule.", labels=["nodule"], extra_boxes=[]))
    (row,), _ = read_all(release.open(boxes="second"))
    assert row.phrases[0].boxes == ((0.0, 0.0, 20.0, 10.0), (40.0, 20.0, 60.0, 40.0)), "from left to right"
    assert row.phrases[1].boxes == ((40.0, 10.0, 60.0, 40.0),), "the first reader's where the second drew none"


def test_labels_without_a_counterpart_or_with_two(release: Release) -> None:
    odd = finding(sentence_en="Gynecomastia.", labels=["gynecomastia"], locations="left out")
    two = finding(sentence_en="Opacity in the base.", labels=["infiltrates", "atelectasis"], locations=["loc right"])
    release.study(1, odd, two)
    (row,), faults = read_all(release.open())
    assert not faults
    assert [(p.finding, p.side) for p in row.phrases] == [(None, None), (None, Side.RIGHT)]


def test_a_positive_sentence_may_have_no_boxes(release: Release) -> None:
    release.study(1, finding(boxes=[], extra_boxes="left out"))
    (row,), faults = read_all(release.open())
    assert not faults
    assert (row.phrases[0].assertion, row.phrases[0].boxes) == (Assertion.PRESENT, ())


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"boxes": [[0.5, 0.25, 0.5, 1.0]]}, "box without area"),
        ({"boxes": [[0.5, 0.25, 0.25, 1.0]]}, "box without area"),
        ({"boxes": [[0.5, 0.25, 0.75]]}, "wrong type"),
        ({"boxes": [["a", 0.25, 0.75, 1.0]]}, "wrong type"),
        ({"boxes": {"x": 1}}, "wrong type"),
        ({"boxes": [[50, 20, 70, 30]]}, "not normalised"),
        ({"boxes": [[1.1, 0.2, 1.3, 0.5]]}, "box outside"),
        ({"sentence_en": ""}, "empty field"),
        ({"sentence_en": 7}, "wrong type"),
        ({"sentence_en": "left out"}, "empty field"),
        ({"abnormal": "left out"}, "wrong type"),
        ({"abnormal": "yes"}, "wrong type"),
        ({"labels": "pleural effusion"}, "wrong type"),
        ({"progression": 3}, "wrong type"),
    ],
)
def test_unusable_findings_are_named_and_left_out(release: Release, changes: dict[str, Any], kind: str) -> None:
    release.study(1, NEGATIVE, finding(**changes))
    (row,), faults = read_all(release.open())
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, NAME, 1, False)]
    assert "finding 2" in faults[0].detail
    assert [p.text for p in row.phrases] == ["No pneumothorax."]


def test_findings_that_are_mended(release: Release) -> None:
    box = [0.5, 0.25, 0.75, 1.0]
    release.study(1, finding(boxes=[box, box, [0.9, 0.9, 1.2, 1.1]]), NEGATIVE | {"boxes": [box]})
    (row,), faults = read_all(release.open())
    assert [(f.kind, f.kept) for f in faults] == [
        ("duplicate box", True),
        ("box outside", True),
        ("boxes of an absent finding", True),
    ]
    assert row.phrases[0].boxes == ((40.0, 10.0, 60.0, 40.0), (72.0, 36.0, 80.0, 40.0))
    assert row.phrases[1].boxes == ()


def test_faults_never_repeat_the_text(release: Release) -> None:
    release.study(1, finding(sentence_en="Secret words.", boxes=[["secret"]], abnormal="secret"))
    _, faults = read_all(release.open())
    assert faults
    assert "ecret" not in repr(faults)


def test_studies_that_cannot_be_used(release: Release) -> None:
    release.study(1, finding(), StudyID="stranger")
    release.study(2, finding(), ImageID="../002.png")
    release.study(3, finding(), ImageID="gone.png")
    release.study(4, finding(), findings="none")
    release.studies.append(["no object"])
    last = release.study(5, NEGATIVE)
    release.studies.append(last)
    release.table.append(["s6", "x.png", "p6", "holdout", "", "", ""])
    rows, faults = read_all(release.open())
    assert [row.id for row in rows] == ["005_02-089-127"]
    assert [(f.kind, f.row) for f in faults] == [
        ("unknown split", 12),
        ("unknown study", 1),
        ("odd identifier", 2),
        ("missing image", 3),
        ("wrong type", 4),
        ("wrong type", 5),
        ("duplicate image", 7),
    ]


def test_an_image_behind_a_link_out_of_the_folder(release: Release, tmp_path_factory: pytest.TempPathFactory) -> None:
    study = release.study(1, finding())
    image = release.root / "Padchest_GR_files" / "PadChest_GR" / study["ImageID"]
    elsewhere = picture(tmp_path_factory.mktemp("elsewhere") / "x.png", (80, 40))
    image.unlink()
    image.symlink_to(elsewhere)
    rows, faults = read_all(release.open())
    assert (rows, [f.kind for f in faults]) == ([], ["image outside"])


def test_a_study_with_two_patients_is_left_out(release: Release) -> None:
    release.study(1, finding())
    release.table.append(["s1", "x.png", "p2", "train", "", "", ""])
    rows, faults = read_all(release.open())
    assert (rows, [f.kind for f in faults]) == ([], ["contradiction", "unknown study"])


@pytest.mark.parametrize("column", ["StudyID", "PatientID", "split"])
def test_each_column_missing(release: Release, column: str) -> None:
    release.study(1, finding())
    release.table[0] = ["other" if name == column else name for name in HEADER]
    with pytest.raises(ManifestError, match=rf"master_table\.csv \(line 1\) without '{column}'"):
        release.open()


JSON_DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    name: DISGUISES[name] for name in ("Windows line ends", "byte order mark", "UTF-16", "gzip")
}


@pytest.mark.parametrize("disguise", JSON_DISGUISES.values(), ids=JSON_DISGUISES)
def test_the_reports_in_every_disguise(release: Release, disguise: Callable[[bytes], bytes]) -> None:
    release.study(1, finding(), NEGATIVE)
    plain = read_all(release.open(language="es"))
    text = json.dumps(release.studies, indent=1, ensure_ascii=False).encode()
    (release.root / NAME).write_bytes(disguise(text))
    assert read_all(open_reader("padchest-gr", Places(release.root), {"language": "es"})) == plain


BROKEN = {
    "no JSON": b"StudyID,ImageID",
    "cut short": b'[{"StudyID": "s1", "ImageID": "x.png", "findings": [',
    "NaN": b'[{"StudyID": "s1", "findings": [{"boxes": [[NaN, 0, 1, 1]]}]}]',
    "no list": b'{"studies": []}',
    "empty": b"",
    "Latin-1": '[{"StudyID": "Pequeño"}]'.encode("latin-1"),
    "gzip cut short": gzip.compress(b"[" + b'{"StudyID": "s1"},' * 9_000 + b"{}]")[:-30],
    "nested beyond sense": b"[" * 200_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_reports(release: Release, content: bytes) -> None:
    release.study(1, finding())
    release.open()
    (release.root / NAME).write_bytes(content)
    with pytest.raises(ManifestError, match=NAME):
        read_all(open_reader("padchest-gr", Places(release.root)))


def test_files_that_are_missing(release: Release) -> None:
    with pytest.raises(ManifestError, match="grounded_reports"):
        open_reader("padchest-gr", Places(release.root))
    release.study(1, finding())
    release.open()
    (release.root / "master_table.csv").unlink()
    with pytest.raises(ManifestError, match=r"master_table\.csv"):
        open_reader("padchest-gr", Places(release.root))


@pytest.mark.parametrize("options", [{"language": "fr"}, {"boxes": "third"}])
def test_odd_options(release: Release, options: dict[str, str]) -> None:
    release.study(1, finding())
    with pytest.raises(RecipeError):
        release.open(**options)
