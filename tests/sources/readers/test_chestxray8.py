from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest
from layouts import DISGUISES, picture, read_all, table_bytes

from knowmvg.core.errors import ManifestError
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.chestxray8 import TABLE
from knowmvg.sources.datasets.reader import Places

HEADER = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"]
ROWS = [
    ["00000001_000.png", "Atelectasis", 100.5, 200, 50, 60.25],
    ["00000001_000.png", "Effusion", 700, 800, 100, 100],
    ["00000001_000.png", "Effusion", 100, 800, 100, 100],
    ["00000002_011.png", "Infiltrate", 10, 20, 30, 40],
]
SHARED = Path(os.environ.get("KNOWMVG_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL = SHARED / "nih_bbox"


@pytest.fixture
def download(tmp_path):
    write(tmp_path, ROWS)
    return tmp_path


def write(folder, rows, header=HEADER, tail=""):
    data = table_bytes([header, *rows]).decode()
    (folder / TABLE).write_text("".join(line + tail + "\n" for line in data.splitlines()))


def reader_of(folder, **more):
    return open_reader("chestx-ray8", Places(folder, **more))


def test_boxes_of_an_image_are_one_study_by_finding(download):
    rows, faults = read_all(reader_of(download))
    assert faults == []
    assert [(row.id, row.patient, row.split) for row in rows] == [
        ("00000001_000", "00000001", ""),
        ("00000002_011", "00000002", ""),
    ]
    collapse, effusion = rows[0].phrases
    assert collapse.boxes == ((100.5, 200.0, 150.5, 260.25),)
    assert (effusion.finding, effusion.boxes) == ("pleural effusion", ((100, 800, 200, 900), (700, 800, 800, 900)))
    assert rows[0].report == "Atelectasis. Pleural effusion."
    for row in rows:
        assert (row.width, row.height) == (1024, 1024)
        assert all(row.report[slice(*phrase.span)] == phrase.text for phrase in row.phrases)


def test_every_label_has_a_finding_of_the_lexicon():
    table = categories_of("chestx-ray8")
    assert set(table.findings.values()) <= set(load_lexicon().by_name())
    assert table.finding("Infiltrate") == table.finding("Infiltration") == "infiltrate"


@pytest.mark.parametrize("folder", ["", "images", "images_001/images", "images_012/images"])
def test_images_are_found_where_the_archives_put_them(download, folder):
    picture(download / folder / "00000002_011.png")
    rows, _ = read_all(reader_of(download))
    assert [row.image for row in rows] == ["00000001_000.png", f"{folder}/00000002_011.png".lstrip("/")]


def test_empty_trailing_columns_of_the_original_are_passed_over(download):
    expected = read_all(reader_of(download))
    write(download, ROWS, tail=",,,")
    assert read_all(reader_of(download)) == expected


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_table_may_lie_on_disk_in_any_way(download, disguise):
    expected = read_all(reader_of(download))
    path = download / TABLE
    path.write_bytes(DISGUISES[disguise](path.read_bytes()))
    assert read_all(reader_of(download)) == expected


def test_the_table_may_be_packed(download):
    path = download / TABLE
    (download / f"{TABLE}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert len(read_all(reader_of(download))[0]) == 2


@pytest.mark.parametrize("column", HEADER)
def test_each_missing_column_is_named(download, column):
    place = HEADER.index(column)
    write(download, [row[:place] + row[place + 1 :] for row in ROWS], HEADER[:place] + HEADER[place + 1 :])
    with pytest.raises(ManifestError) as caught:
        reader_of(download)
    assert repr(column) in caught.value.got
    assert TABLE in caught.value.got


BAD_FIELDS = [
    ("Image Index", "", "empty field"),
    ("Image Index", "../00000001_000.png", "wrong identifier"),
    ("Image Index", "1.png", "wrong identifier"),
    ("Finding Label", "", "empty field"),
    ("Finding Label", "Hernia", "unknown category"),
    ("Bbox [x", "one", "wrong type"),
    ("Bbox [x", "1024", "box outside"),
    ("y", "NaN", "not finite"),
    ("y", "", "empty field"),
    ("w", "0", "box without area"),
    ("h]", "-1", "box without area"),
    ("h]", "inf", "not finite"),
]


@pytest.mark.parametrize(("column", "value", "kind"), BAD_FIELDS, ids=[f"{c}-{v}" for c, v, _ in BAD_FIELDS])
def test_a_bad_field_is_a_fault_with_its_line(download, column, value, kind):
    rows = [list(row) for row in ROWS]
    rows[0][HEADER.index(column)] = value
    write(download, rows)
    found, (fault,) = read_all(reader_of(download))
    assert (fault.kind, fault.file, fault.row, fault.kept) == (kind, TABLE, 2, False)
    assert [phrase.finding for phrase in found[0].phrases] == ["pleural effusion"]


def test_a_finding_with_one_bad_box_is_left_out_as_a_whole(download):
    rows = [list(row) for row in ROWS]
    rows[2][4] = "nan"
    write(download, rows)
    found, (fault,) = read_all(reader_of(download))
    assert fault.row == 4
    assert [phrase.finding for phrase in found[0].phrases] == ["atelectasis"]


def test_mended_rows_are_told(download):
    rows = [*ROWS, ROWS[3], ["00000003_000.png", "Mass", 1000, 0, 30, 30]]
    write(download, rows)
    found, faults = read_all(reader_of(download))
    assert [(fault.kind, fault.row, fault.kept) for fault in faults] == [
        ("duplicate row", 6, True),
        ("box outside", 7, True),
    ]
    assert found[2].phrases[0].boxes == ((1000.0, 0.0, 1024.0, 30.0),)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ManifestError, match=TABLE):
        reader_of(tmp_path)


@pytest.mark.skipif(not (REAL / TABLE).is_file(), reason=f"the real {TABLE} is not in {REAL} (KNOWMVG_SHARED_DATA)")
def test_the_real_file_is_read_in_full():
    rows, faults = read_all(reader_of(REAL))
    boxes = [(phrase.finding, box) for row in rows for phrase in row.phrases for box in phrase.boxes]
    assert faults == []
    assert (len(rows), len(boxes)) == (880, 984)
    assert len({row.patient for row in rows}) == 726
    assert all(0 <= x1 < x2 <= 1024 and 0 <= y1 < y2 <= 1024 for _, (x1, y1, x2, y2) in boxes)
    counts = {"atelectasis": 180, "cardiomegaly": 146, "pleural effusion": 153, "infiltrate": 123, "mass": 85}
    counts |= {"nodule": 79, "pneumonia": 120, "pneumothorax": 98}
    assert Counter(finding for finding, _ in boxes) == counts
    assert sum((REAL / row.image).is_file() for row in rows) == 4
