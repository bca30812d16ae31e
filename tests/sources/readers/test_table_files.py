from __future__ import annotations

import gzip
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import DISGUISES, table_bytes

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.placing import all_inside, box_from_xywh, box_from_xyxy, image_side, inside
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, finite, read_table

ROWS = [
    ["name", "x", "note"],
    ["a", "1.5", "first"],
    ["b", "2", "with, comma"],
    ["c", "3", "two\nlines"],
    ["d", "4", ""],
]


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def rows_of(path, columns=("name", "x"), **more):
    return list(read_table(path, columns, **more))


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_table_reads_the_same_however_it_lies_on_disk(tmp_path, disguise):
    path = tmp_path / "table.csv"
    path.write_bytes(DISGUISES[disguise](table_bytes([["name", "x"], ["a", "1.5"], ["b", "2"]])))
    rows = rows_of(path)
    assert [dict(row.values) for row in rows] == [{"name": "a", "x": "1.5"}, {"name": "b", "x": "2"}]
    assert [row.line for row in rows] == [2, 3]


def test_lines_are_those_of_the_file_even_after_a_field_of_two_lines(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(table_bytes(ROWS))
    rows = rows_of(path, optional=("note",))
    assert [(row.values["name"], row.line) for row in rows] == [("a", 2), ("b", 3), ("c", 4), ("d", 6)]
    assert rows[1].values["note"] == "with, comma"
    assert rows[0].source == "table.csv:2"


def test_latin_1_is_read_where_utf_8_ends_late(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(
        table_bytes([["name", "x"], *[["plain " * 2000, "1"]] * 100, ["na\xefve", "2"]], encoding="latin-1")
    )
    *_, last = rows_of(path)
    assert last.values["name"] == "na\xefve"


def test_a_column_that_nobody_reads_is_told_once(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(table_bytes(ROWS))
    first, *rest = rows_of(path)
    assert isinstance(first, Fault)
    assert (first.kind, first.row, first.kept) == ("further column", 1, True)
    assert len(rest) == 4


@pytest.mark.parametrize("row", [["a"], ["a", "1", "text beyond the header"]])
def test_a_row_of_another_length_is_left_out_with_its_line(tmp_path, row):
    path = tmp_path / "table.csv"
    path.write_bytes(table_bytes([["name", "x"], ["ok", "1"], row, ["ok", "2"]]))
    found = rows_of(path)
    faults = [item for item in found if isinstance(item, Fault)]
    assert [(fault.kind, fault.row, fault.kept) for fault in faults] == [("wrong number of fields", 3, False)]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "without 'name', 'x'"),
        (b"name\na\n", "without 'x'"),
        (b"name;x\na;1\n", "without 'name', 'x'"),
        (b"name,x,X\na,1,2\n", "more than once"),
        (b'name,x\n"a,1\nb,2\n', "line 2"),
        (b"name,x\n" + b"a" * 200_000 + b",1\n", "line 2"),
        (b"name,x\n" + b"1," * (1 << 20) + b"\n", "characters in line 2"),
        (b"\x1f\x8bnot gzip", "table.csv"),
        (gzip.compress(table_bytes(ROWS) * 1000)[:-20], "table.csv"),
        (b"\xff\xfen\x00a\x00m\x00", "table.csv"),
        (bytes(range(256)), "table.csv"),
    ],
    ids=[
        "empty",
        "column",
        "semicolons",
        "twice",
        "quotation",
        "long field",
        "long line",
        "no gzip",
        "cut gzip",
        "odd UTF-16",
        "binary",
    ],
)
def test_what_is_no_such_table_is_an_error_that_names_the_file(tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        rows_of(path)
    assert words in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match="none at"):
        rows_of(tmp_path / "table.csv")
    assert find_table(tmp_path, "table.csv.gz") is None
    (tmp_path / "table.csv.gz").touch()
    assert find_table(tmp_path, "table.csv") == tmp_path / "table.csv.gz"


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "NaN", "1e999"])
def test_nan_and_infinity_are_no_numbers_of_a_data_set(value):
    with pytest.raises(UnusableError) as caught:
        finite(value, "x")
    assert caught.value.kind == "not finite"


@pytest.mark.parametrize("value", ["left base", "1_0", "0x10", True, [1], {"x": 1}])
def test_what_is_no_number_is_of_the_wrong_type_and_not_repeated(value):
    with pytest.raises(UnusableError) as caught:
        finite(value, "column 'x'")
    assert caught.value.kind == "wrong type"
    assert "left" not in caught.value.detail


@pytest.mark.parametrize("value", ["", None])
def test_nothing_is_no_number(value):
    with pytest.raises(UnusableError) as caught:
        finite(value, "x")
    assert caught.value.kind == "empty field"


def test_a_row_gives_its_faults_file_and_line():
    row = TableRow("t.csv", 7, {"x": "", "y": "2"})
    assert row.number("y") == 2.0
    with pytest.raises(UnusableError) as caught:
        row.text("x")
    assert row.fault(caught.value) == Fault("empty field", "t.csv", 7, "nothing in column 'x'", kept=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), min_size=2, max_size=2)))
def test_what_csv_writes_is_what_is_read(shared_folder, fields):
    path = shared_folder / "t.csv"
    path.write_bytes(table_bytes([["name", "x"], *fields]))
    found = rows_of(path)
    expected = [[a.strip(), b.strip()] for a, b in fields if a.strip() or b.strip()]
    assert [[row.values["name"], row.values["x"]] for row in found] == expected


def test_boxes_are_clipped_and_the_clipping_told():
    assert inside((0.0, 0.0, 64.0, 48.0), (64, 48)) == ((0.0, 0.0, 64.0, 48.0), None)
    box, detail = inside((-2.0, 10.0, 70.0, 60.0), (64, 48))
    assert box == (0.0, 10.0, 64.0, 48.0)
    assert detail is not None
    assert "12 pixels" in detail
    assert inside((0.0, 0.0, 64.0000001, 48.0), (64, 48))[1] is None
    assert all_inside([(1.0, 1.0, 2.0, 2.0), (60.0, 1.0, 65.0, 2.0)], (64, 48))[1] != []


@pytest.mark.parametrize("box", [(70.0, 1.0, 80.0, 2.0), (-5.0, 1.0, 0.0, 2.0), (1.0, 48.0, 2.0, 50.0)])
def test_a_box_outside_entirely_is_unusable(box):
    with pytest.raises(UnusableError) as caught:
        inside(box, (64, 48))
    assert caught.value.kind == "box outside"


@pytest.mark.parametrize("sides", [(0, 5), (5, 0), (-1, 5)])
def test_a_box_without_area_is_unusable(sides):
    with pytest.raises(UnusableError, match="without area"):
        box_from_xywh(1, 1, *sides)
    with pytest.raises(UnusableError, match="without area"):
        box_from_xyxy(1, 1, 1 + sides[0], 1 + sides[1])


@pytest.mark.parametrize("side", [0, -1, 1.5, 70_000])
def test_an_image_side_is_a_whole_number_of_sane_size(side):
    with pytest.raises(UnusableError):
        image_side(side, "width")


@settings(deadline=None)
@given(*[st.floats(-1e4, 1e4) for _ in range(4)])
def test_what_inside_gives_lies_inside_and_in_the_box(x, y, width, height):
    try:
        box = box_from_xywh(x, y, width, height)
        (x1, y1, x2, y2), _ = inside(box, (640, 480))
    except UnusableError:
        return
    assert 0 <= x1 <= x2 <= 640
    assert 0 <= y1 <= y2 <= 480
    assert box[0] <= x1
    assert x2 <= box[2] or math.isclose(x2, box[2])
