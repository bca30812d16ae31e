"""Tables of boxes with the user's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import DISGUISES, picture, read_all, table_bytes

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import Fault, Places
from knowmvg.sources.manifest import StudyRow

HEADER = ["image", "phrase", "x1", "y1", "x2", "y2", "patient", "split", "report", "width", "height"]
ROWS: list[list[Any]] = [
    ["a.png", "Left effusion", 30, 5, 40, 25, "p1", "train", "There is a left effusion.", 64, 48],
    ["b.png", "", "", "", "", "", "p2", "valid", "Clear lungs.", "", ""],
    ["a.png", "No pneumothorax", "", "", "", "", "", "", "", "", ""],
    ["a.png", "Left effusion", 10, 5, 20.5, 25, "p1", "", "", "", ""],
]


def read(root: Path, rows: list[list[Any]], **options: str) -> tuple[list[StudyRow], list[Fault]]:
    (root / "boxes.csv").write_bytes(table_bytes(rows))
    return read_all(open_reader("csv", Places(root), options))


def test_rows_of_an_image_are_one_study(tmp_path: Path) -> None:
    (first, second), faults = read(tmp_path, [HEADER, *ROWS])
    assert not faults
    assert (first.id, first.image, first.patient, first.split) == ("a", "a.png", "p1", "train")
    assert (first.width, first.height, first.source) == (64, 48, "boxes.csv:2")
    effusion, absent = first.phrases
    assert effusion.boxes == ((10.0, 5.0, 20.5, 25.0), (30.0, 5.0, 40.0, 25.0))
    assert (effusion.finding, effusion.span) == ("pleural effusion", (11, 24))
    assert (absent.boxes, absent.assertion, absent.finding) == ((), Assertion.ABSENT, "pneumothorax")
    assert (second.split, second.phrases, second.report) == ("val", (), "Clear lungs.")


FORMS = {
    "xyxy": (["x1", "y1", "x2", "y2"], (10, 5, 30, 25)),
    "xywh": (["x", "y", "w", "h"], (10, 5, 20, 20)),
    "cxcywh": (["cx", "cy", "w", "h"], (20, 15, 20, 20)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("normalised", [False, True])
def test_the_same_box_in_every_form(tmp_path: Path, form: str, normalised: bool) -> None:
    columns, values = FORMS[form]
    picture(tmp_path / "a.png", (64, 48))
    scaled = [v / (64, 48)[i % 2] for i, v in enumerate(values)] if normalised else list(values)
    options = {"box": form, "coordinates": "normalised" if normalised else "pixels"}
    (row,), faults = read(tmp_path, [["image", "phrase", *columns], ["a.png", "nodule", *scaled]], **options)
    assert not faults
    assert row.phrases[0].boxes[0] == pytest.approx((10, 5, 30, 25))
    assert (row.width, row.height) == ((64, 48) if normalised else (0, 0))


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 60), st.floats(0, 40), st.floats(0.5, 4), st.floats(0.5, 8), st.sampled_from(["xywh", "cxcywh"]))
def test_forms_agree(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, w: float, h: float, form: str
) -> None:
    root = tmp_path_factory.mktemp("forms")
    corners, _ = read(root, [["image", "phrase", *FORMS["xyxy"][0]], ["a.png", "nodule", x, y, x + w, y + h]])
    first = (x, y) if form == "xywh" else (x + w / 2, y + h / 2)
    other, _ = read(root, [["image", "phrase", *FORMS[form][0]], ["a.png", "nodule", *first, w, h]], box=form)
    assert corners[0].phrases[0].boxes[0] == pytest.approx(other[0].phrases[0].boxes[0])


def test_columns_of_other_names(tmp_path: Path) -> None:
    header = ["Image Index", "Finding Label", "l", "t", "r", "b", "Patient ID", "Text"]
    rows = [header, ["00000001_000", "Cardiomegaly", 1, 2, 3, 4, "1", "Big heart."]]
    options = {
        "image": "Image Index",
        "category": "Finding Label",
        "box_columns": "l, t, r, b",
        "patient": "Patient ID",
        "report": "Text",
        "suffix": ".png",
    }
    (row,), faults = read(tmp_path, rows, **options)
    assert not faults
    assert (row.id, row.image, row.patient, row.report) == ("00000001_000", "00000001_000.png", "1", "Big heart.")
    assert (row.phrases[0].text, row.phrases[0].finding) == ("Cardiomegaly", "cardiomegaly")


@pytest.mark.parametrize(("name", "sign"), [("semicolon", ";"), ("tab", "\t")])
def test_delimiters(tmp_path: Path, name: str, sign: str) -> None:
    plain = read(tmp_path, [HEADER, *ROWS])
    text = table_bytes([HEADER, *ROWS]).decode().replace(",", sign)
    (tmp_path / "boxes.csv").write_text(text, encoding="utf-8")
    assert read_all(open_reader("csv", Places(tmp_path), {"delimiter": name})) == plain


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_tables_in_every_disguise(tmp_path: Path, disguise: Any) -> None:
    plain = read(tmp_path, [HEADER, *ROWS])
    path = tmp_path / "boxes.csv"
    path.write_bytes(disguise(path.read_bytes()))
    assert read_all(open_reader("csv", Places(tmp_path, annotations=path))) == plain


def test_latin_1(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_bytes(
        table_bytes([HEADER[:6], ["a.png", "ombre à droite", 1, 2, 3, 4]], encoding="latin-1")
    )
    rows, _ = read_all(open_reader("csv", Places(tmp_path)))
    assert rows[0].phrases[0].text == "ombre à droite"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (["a.png", "nodule", 1, 2, 1, 4], "box without area"),
        (["a.png", "nodule", 5, 2, 1, 4], "box without area"),
        (["a.png", "nodule", "NaN", 2, 1, 4], "not finite"),
        (["a.png", "nodule", "x", 2, 1, 4], "wrong type"),
        (["a.png", "nodule", "", 2, 1, 4], "empty field"),
        (["a.png", "", 1, 2, 3, 4], "no phrase"),
        (["", "nodule", 1, 2, 3, 4], "empty field"),
        (["a.png", "nodule", 1], "wrong number of fields"),
    ],
)
def test_unusable_rows_are_named_and_left_out(tmp_path: Path, row: list[Any], kind: str) -> None:
    rows, faults = read(tmp_path, [HEADER[:6], ["a.png", "nodule", 10, 20, 30, 40], ["a.png", "mass", 1, 2, 3, 4], row])
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, "boxes.csv", 4, False)]
    whole = kind in ("no phrase", "wrong number of fields") or not row[0]
    assert [p.text for p in rows[0].phrases] == (["nodule", "mass"] if whole else ["mass"])


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"patient": "p9"}, "contradiction"),
        ({"split": "test"}, "contradiction"),
        ({"report": "Another."}, "contradiction"),
        ({"width": "0.5"}, "contradiction"),
    ],
)
def test_rows_that_contradict_each_other(tmp_path: Path, changes: dict[str, str], kind: str) -> None:
    other = [changes.get(name, value) for name, value in zip(HEADER, ROWS[0], strict=True)]
    rows, faults = read(tmp_path, [HEADER, *ROWS, other])
    assert [row.id for row in rows] == ["b"]
    assert [(f.kind, f.row, f.kept) for f in faults] == [(kind, 2, False)]


def test_odd_splits_sizes_and_assertions(tmp_path: Path) -> None:
    header = ["image", "phrase", "x1", "y1", "x2", "y2", "split", "width", "height", "assertion"]
    rows, faults = read(
        tmp_path,
        [
            header,
            ["a.png", "nodule", 1, 2, 3, 4, "fold 3", "", "", ""],
            ["b.png", "nodule", 1, 2, 3, 4, "", 64.5, 48, ""],
            ["c.png", "nodule", 1, 2, 3, 4, "", 64, "", ""],
            ["d.png", "nodule", 1, 2, 3, 4, "", "", "", "perhaps"],
            ["e.png", "nodule", 1, 2, 3, 4, "", "", "", "Absent"],
            ["f.png", "nodule", 1, 2, 3, 4, "", "", "", "possible"],
            ["f.png", "nodule", 1, 2, 3, 5, "", "", "", "present"],
        ],
    )
    assert [(f.kind, f.row, f.kept) for f in faults] == [
        ("unknown assertion", 5, False),
        ("unknown split", 2, False),
        ("wrong image size", 3, False),
        ("empty field", 4, False),
        ("boxes of an absent finding", 6, True),
        ("contradiction", 8, False),
    ]
    assert [(row.id, [(p.assertion, p.boxes) for p in row.phrases]) for row in rows] == [
        ("e", [(Assertion.ABSENT, ())]),
        ("f", []),
    ]


def test_normalised_boxes_need_their_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (64, 48))
    header = HEADER[:6]
    rows, faults = read(
        tmp_path,
        [
            header,
            ["a.png", "nodule", 10, 2, 30, 4],
            ["b.png", "nodule", 0, 0, 1, 1],
            ["../a.png", "nodule", 0, 0, 1, 1],
        ],
        coordinates="normalised",
    )
    assert [(f.kind, f.row) for f in faults] == [("not normalised", 2), ("missing image", 3), ("image outside", 4)]
    assert [(row.id, row.phrases) for row in rows] == [("a", ())]


@pytest.mark.parametrize("column", HEADER[:6])
def test_each_column_missing(tmp_path: Path, column: str) -> None:
    header = ["other" if name == column else name for name in HEADER]
    with pytest.raises(ManifestError, match=r"boxes\.csv"):
        read(tmp_path, [header, *ROWS])


def test_a_column_that_an_option_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="'subject'"):
        read(tmp_path, [HEADER, *ROWS], patient="subject")


def test_which_table(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="0 at"):
        open_reader("csv", Places(tmp_path))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(table_bytes([HEADER, *ROWS]))
    with pytest.raises(ManifestError, match="2 at"):
        open_reader("csv", Places(tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"box": "yxyx"},
        {"box_columns": "a,b,c"},
        {"box_columns": "a,b,c,c"},
        {"coordinates": "percent"},
        {"delimiter": "pipe"},
        {"suffix": "../png"},
        {"hedgehog": "1"},
    ],
)
def test_odd_options(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        read(tmp_path, [HEADER, *ROWS], **options)
