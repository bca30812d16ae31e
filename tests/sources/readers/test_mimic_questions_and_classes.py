"""MRG-MIMIC-VQA and MRG-MIMIC-Class over MS-CXR: all tables made here in the layouts of the releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from layouts import DISGUISES, MimicFolders, dicom_name, read_all, table_bytes

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places

BOXES = ["category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height", "dicom_id", "split"]
QUESTIONS = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"]
LABELS = [f"label {number}" for number in range(14)]
IMAGES = ["subject_id", "study_id", *LABELS, "dicom_id", "view", "split", "study_date", "study_order"]


class Copies:
    """MS-CXR 1.1.0, Medical-Diff-VQA and MIMIC-CXR-JPG in folders beside each other."""

    def __init__(self, root: Path) -> None:
        self.root, self.mimic = root, MimicFolders(root)
        self.boxes: list[list[Any]] = [BOXES]
        self.questions: list[list[Any]] = [QUESTIONS]
        self.images: list[list[Any]] = [IMAGES]
        self.entries: dict[int, dict[str, str]] = {}

    def image(self, number: int, *, pictured: bool = True) -> None:
        entry = self.entries[number] = self.mimic.image(number, (64, 48))
        labels = [1.0, "", -1.0, *[""] * 11]
        named = entry["dicom_id"] if pictured else dicom_name(number + 1_000)
        self.images.append([entry["subject_id"], entry["study_id"], *labels, named, "PA", "train", "21800506", 1])

    def box(self, number: int, category: str, text: str, *xywh: float, split: str = "test") -> None:
        entry = self.entries[number]
        self.boxes.append([category, text, entry["path"], *xywh, 64, 48, entry["dicom_id"], split])

    def ask(self, number: int, kind: str, question: str, answer: str, split: str = "val", ref: str = "") -> None:
        entry = self.entries[number]
        self.questions.append([entry["study_id"], entry["subject_id"], ref, kind, question, answer, split])

    def write(self) -> None:
        for folder, name, rows in (
            ("ms-cxr", "MS_CXR_Local_Alignment_v1.1.0.csv", self.boxes),
            ("vqa", "mimic_pair_questions.csv", self.questions),
            ("vqa", "mimic_all.csv", self.images),
        ):
            (self.root / folder).mkdir(exist_ok=True)
            (self.root / folder / name).write_bytes(table_bytes(rows))

    def open(self, **options: str) -> DatasetReader:
        self.write()
        return self.reopened(**options)

    def reopened(self, **options: str) -> DatasetReader:
        places = Places(self.root / "vqa", images=self.mimic.jpg, annotations=self.root / "ms-cxr")
        return open_reader("medical-diff-vqa", places, options)

    def classes(self, **options: str) -> DatasetReader:
        self.write()
        return open_reader("mrg-mimic-class", Places(self.root / "ms-cxr", images=self.mimic.jpg), options)


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    made = Copies(tmp_path)
    made.image(1)
    made.box(1, "Pleural Effusion", "small left effusion", 40, 20, 10, 20)
    made.box(1, "Pleural Effusion", "right effusion", 2, 20, 10, 20)
    made.box(1, "Cardiomegaly", "enlarged heart", 20, 20, 20, 20)
    made.ask(1, "abnormality", "what abnormalities are seen in this image?", "pleural effusion, cardiomegaly")
    made.ask(1, "presence", "is there pneumothorax?", "no")
    made.ask(1, "location", "where is the pleural effusion?", "left lung")
    made.ask(1, "view", "which view is this image taken?", "PA view")
    made.ask(1, "difference", "what has changed?", "nothing", ref="50000077.0")
    made.ask(1, "location", "where is the pleural effusion?", "left lung", ref="50000078")
    return made


def test_all_questions_on_an_image_are_its_text(copies: Copies) -> None:
    reader = copies.open()
    (row,), faults = read_all(reader)
    assert not faults
    assert row.report == (
        "Question: what abnormalities are seen in this image? Answer: pleural effusion, cardiomegaly\n"
        "Question: is there pneumothorax? Answer: no\n"
        "Question: where is the pleural effusion? Answer: left lung"
    )
    assert (row.id, row.patient, row.split) == (dicom_name(1), "p10000001", "test")
    assert [p.text for p in row.phrases] == ["small left effusion", "right effusion", "enlarged heart"]
    assert row.phrases[0].boxes == ((40.0, 20.0, 50.0, 40.0),)
    assert row.source == "mimic_pair_questions.csv:2"
    assert reader.facts.version == "1.0.0 with MS-CXR 1.1.0"
    assert reader.facts.credentialed
    assert len(reader.files) == 3


def test_a_row_for_each_question_that_names_a_finding_with_boxes(copies: Copies) -> None:
    rows, faults = read_all(copies.open(rows="question"))
    assert not faults
    first, second = rows
    assert (first.id, second.id) == (f"{dicom_name(1)}#q0", f"{dicom_name(1)}#q2")
    assert len(first.phrases) == 3
    assert [p.text for p in second.phrases] == ["small left effusion", "right effusion"]
    assert [(u.finding, u.boxes) for u in second.unmentioned] == [("cardiomegaly", ((20.0, 20.0, 40.0, 40.0),))]
    assert second.report == "Question: where is the pleural effusion? Answer: left lung"


def test_what_is_denied_has_no_boxes(copies: Copies) -> None:
    copies.ask(1, "presence", "is there cardiomegaly?", "no")
    copies.ask(1, "presence", "is there cardiomegaly?", "yes")
    rows, _ = read_all(copies.open(rows="question"))
    assert [row.id[-2:] for row in rows] == ["q0", "q2", "q4"]
    assert [p.text for p in rows[-1].phrases] == ["enlarged heart"]


def test_the_split_of_the_questions(copies: Copies) -> None:
    assert read_all(copies.open(split_of="questions"))[0][0].split == "val"
    copies.ask(1, "presence", "is there edema?", "no", split="train")
    rows, faults = read_all(copies.open(split_of="questions"))
    assert not rows
    assert [(f.kind, f.kept) for f in faults] == [("contradiction", False)]


def test_boxes_of_another_image_of_the_study_take_no_part(copies: Copies) -> None:
    copies.image(2, pictured=False)
    copies.box(2, "Edema", "edema", 1, 1, 9, 9)
    copies.ask(2, "abnormality", "what abnormalities are seen?", "edema")
    rows, faults = read_all(copies.open())
    assert [row.id for row in rows] == [dicom_name(1)]
    assert [(f.kind, f.row, f.kept) for f in faults] == [("no questions", 5, True)]


def test_identifiers_with_a_trailing_zero(copies: Copies) -> None:
    plain = read_all(copies.open())
    for row in copies.questions[1:]:
        row[0] = f"{row[0]}.0"
    assert read_all(copies.open()) == plain


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"study_id": ""}, "empty field"),
        ({"study_id": "../1"}, "wrong identifier"),
        ({"question_type": "riddle"}, "unknown question type"),
        ({"question": ""}, "empty field"),
        ({"answer": ""}, "empty field"),
        ({"split": "holdout"}, "unknown split"),
    ],
)
def test_questions_that_cannot_be_used(copies: Copies, changes: dict[str, str], kind: str) -> None:
    copies.questions[3] = [changes.get(n, v) for n, v in zip(QUESTIONS, copies.questions[3], strict=True)]
    (row,), faults = read_all(copies.open())
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, "mimic_pair_questions.csv", 4, False)]
    assert len(row.report.splitlines()) == 3, "the same question stands there again"


@pytest.mark.parametrize("column", ["study_id", "question_type", "question", "answer", "split"])
def test_each_column_of_questions_missing(copies: Copies, column: str) -> None:
    copies.questions[0] = ["other" if name == column else name for name in QUESTIONS]
    with pytest.raises(ManifestError, match=rf"mimic_pair_questions\.csv \(line 1\) without '{column}'"):
        copies.open()


@pytest.mark.parametrize("column", ["study_id", "dicom_id"])
def test_each_column_of_images_missing(copies: Copies, column: str) -> None:
    copies.images[0] = ["other" if name == column else name for name in IMAGES]
    with pytest.raises(ManifestError, match=rf"mimic_all\.csv \(line 1\) without '{column}'"):
        copies.open()


@pytest.mark.parametrize("name", ["mimic_pair_questions.csv", "mimic_all.csv"])
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_tables_in_every_disguise(copies: Copies, name: str, disguise: Callable[[bytes], bytes]) -> None:
    plain = read_all(copies.open())
    path = copies.root / "vqa" / name
    path.write_bytes(disguise(path.read_bytes()))
    assert read_all(copies.reopened()) == plain


@pytest.mark.parametrize("name", ["mimic_pair_questions.csv", "mimic_all.csv"])
def test_tables_that_are_missing(copies: Copies, name: str) -> None:
    copies.write()
    (copies.root / "vqa" / name).unlink()
    with pytest.raises(ManifestError, match=name):
        copies.reopened()


def test_ms_cxr_missing_or_a_file(copies: Copies) -> None:
    copies.write()
    file = copies.root / "ms-cxr" / "MS_CXR_Local_Alignment_v1.1.0.csv"
    places = Places(copies.root / "vqa", images=copies.mimic.jpg, annotations=file)
    assert len(read_all(open_reader("medical-diff-vqa", places))[0]) == 1
    with pytest.raises(ManifestError, match="MS_CXR"):
        open_reader("medical-diff-vqa", Places(copies.root / "vqa", images=copies.mimic.jpg))


@pytest.mark.parametrize("options", [{"rows": "pair"}, {"split_of": "mine"}, {"version": "9"}, {"text": "name"}])
def test_odd_options_of_questions(copies: Copies, options: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        copies.open(**options)


def test_classes_have_the_boxes_of_all_their_phrases(copies: Copies) -> None:
    (row,), faults = read_all(copies.classes(text="name"))
    assert not faults
    assert row.report == "Cardiomegaly. Pleural effusion."
    assert [(p.text, p.finding, p.side, len(p.boxes)) for p in row.phrases] == [
        ("Cardiomegaly", "cardiomegaly", None, 1),
        ("Pleural effusion", "pleural effusion", None, 2),
    ]
    assert row.phrases[1].boxes == ((2.0, 20.0, 12.0, 40.0), (40.0, 20.0, 50.0, 40.0))
    assert [row.report[slice(*p.span)] for p in row.phrases if p.span] == ["Cardiomegaly", "Pleural effusion"]
    assert row.split == "test"


def test_descriptions_name_no_side(copies: Copies) -> None:
    (row,), _ = read_all(copies.classes())
    assert row.report.startswith("Cardiomegaly: ")
    assert "left" not in row.report.split()
    assert "right" not in row.report.split()
    assert [row.report[slice(*p.span)] for p in row.phrases if p.span] == [p.text for p in row.phrases]


def test_faults_and_options_of_ms_cxr_pass_through_the_classes(copies: Copies) -> None:
    copies.box(1, "Edema", "edema", 1, 1, 0, 9)
    reader = copies.classes(version="1.1.0")
    rows, faults = read_all(reader)
    assert [f.kind for f in faults] == ["box without area"]
    assert len(rows[0].phrases) == 2
    assert reader.facts.name.startswith("MRG-MIMIC-Class")
    assert len(reader.files) == 1
    assert reader.image_root == copies.mimic.jpg
    with pytest.raises(RecipeError):
        copies.classes(text="story")
