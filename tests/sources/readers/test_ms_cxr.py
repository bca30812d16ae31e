from __future__ import annotations

import gzip

import pytest
from layouts import DISGUISES, MimicFolders, read_all, table_bytes, write_json

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.ms_cxr_files import COLUMNS
from knowmvg.sources.datasets.reader import Places

HEADER = [*COLUMNS, "split"]
REPORT = """                 FINAL REPORT
 INDICATION:  Pneumonia?

 FINDINGS:  There is a small left
 pleural effusion.  The heart is enlarged.
"""


class Release:
    """MS-CXR 1.1.0 (or 0.1) with three images, one phrase of two boxes, and MIMIC folders beside it."""

    def __init__(self, root, version="1.1.0"):
        self.root, self.version = root / "ms-cxr", version
        self.root.mkdir()
        self.mimic = MimicFolders(root)
        self.images = [self.mimic.image(number) for number in (1, 2, 3)]
        one, two, three = self.images
        self.rows = [
            self.row(one, "Pleural Effusion", "Small left pleural effusion", (40, 30, 20, 10), "train"),
            self.row(one, "Cardiomegaly", "heart is enlarged", (10, 20, 30, 20), "train"),
            self.row(two, "Lung Opacity", "bilateral opacities", (5, 5, 10, 10), "val"),
            self.row(two, "Lung Opacity", "bilateral opacities", (45.5, 5, 10, 10.25), "val"),
            self.row(three, "Pneumonia", "possible right lower lobe pneumonia", (8, 30, 12, 12), "test"),
        ]

    @staticmethod
    def row(image, category, text, box, split, size=(64, 48)):
        return [category, text, image["path"], *box, *size, image["dicom_id"], split]

    @property
    def stem(self):
        return "MS_CXR_Local_Alignment_v" + {"1.1.0": "1.1.0", "0.1": "1.0.0"}[self.version]

    def write(self, rows=None, header=None):
        header = header or (HEADER if self.version == "1.1.0" else HEADER[:-1])
        cut = [row[: len(header)] for row in (self.rows if rows is None else rows)]
        path = self.root / f"{self.stem}.csv"
        path.write_bytes(table_bytes([header, *cut]))
        return path

    def json(self):
        """The same as the COCO file."""
        names = sorted({row[0] for row in self.rows})
        images = {image["dicom_id"]: number for number, image in enumerate(self.images)}
        return {
            "info": {"version": self.version},
            "categories": [{"id": names.index(name), "name": name} for name in names],
            "images": [
                {
                    "id": images[image["dicom_id"]],
                    "file_name": image["dicom_id"] + ".jpg",
                    "path": image["path"],
                    "width": 64,
                    "height": 48,
                }
                for image in self.images
            ],
            "annotations": [
                {
                    "id": number,
                    "category_id": names.index(row[0]),
                    "image_id": images[row[9]],
                    "bbox": row[3:7],
                    "label_text": row[1],
                }
                | ({"split": row[10]} if self.version == "1.1.0" else {})
                for number, row in enumerate(self.rows)
            ],
        }

    def places(self, **more):
        return Places(self.root, images=self.mimic.jpg, **more)

    def reader(self, options=None, **more):
        return open_reader("ms-cxr", self.places(**more), options)


@pytest.fixture
def release(tmp_path):
    made = Release(tmp_path)
    made.write()
    return made


def test_phrases_of_an_image_are_one_study_and_boxes_of_a_phrase_stay_together(release):
    rows, faults = read_all(release.reader())
    assert faults == []
    assert [row.id for row in rows] == [image["dicom_id"] for image in release.images]
    assert [row.split for row in rows] == ["train", "val", "test"]
    assert [row.patient for row in rows] == ["p" + image["subject_id"] for image in release.images]
    assert [row.image for row in rows] == [image["path"] for image in release.images]
    effusion, heart = rows[0].phrases
    assert (effusion.finding, effusion.side, effusion.boxes) == ("pleural effusion", Side.LEFT, ((40, 30, 60, 40),))
    assert (heart.finding, heart.side) == ("cardiomegaly", None)
    (opacity,) = rows[1].phrases
    assert opacity.boxes == ((5.0, 5.0, 15.0, 15.0), (45.5, 5.0, 55.5, 15.25))
    (pneumonia,) = rows[2].phrases
    assert (pneumonia.assertion, pneumonia.side) == (Assertion.POSSIBLE, Side.RIGHT)
    assert rows[1].source == f"{release.stem}.csv:4"


def test_without_reports_the_phrases_are_the_text_and_the_facts_say_so(release):
    reader = release.reader()
    rows, _ = read_all(reader)
    assert rows[0].report == "Small left pleural effusion. heart is enlarged."
    for row in rows:
        for phrase in row.phrases:
            assert phrase.span is not None
            assert row.report[slice(*phrase.span)] == phrase.text
    assert any("No reports" in note for note in reader.facts.notes)
    assert reader.facts.credentialed


def test_with_reports_a_phrase_is_found_whatever_its_case_and_line_breaks(release):
    for image in release.images:
        release.mimic.report(image, REPORT)
    reader = release.reader(reports=release.mimic.reports)
    rows, faults = read_all(reader)
    assert faults == []
    assert reader.facts.notes == ()
    effusion, heart = rows[0].phrases
    assert rows[0].report == REPORT
    assert " ".join(REPORT[slice(*effusion.span)].split()) == "small left pleural effusion"
    assert effusion.section is heart.section is Section.FINDINGS
    assert rows[1].phrases[0].span is None


def test_a_phrase_that_stands_only_in_the_indication_has_no_span(release):
    image = release.images[2]
    release.write([release.row(image, "Pneumonia", "Pneumonia", (8, 30, 12, 12), "test")])
    release.mimic.report(image, REPORT)
    rows, _ = read_all(release.reader(reports=release.mimic.reports))
    assert rows[0].phrases[0].span is None


def test_a_missing_report_leaves_the_study_out(release):
    for image in release.images[:2]:
        release.mimic.report(image, REPORT)
    rows, (fault,) = read_all(release.reader(reports=release.mimic.reports))
    assert len(rows) == 2
    assert (fault.kind, fault.row, fault.kept) == ("missing report", 6, False)


def test_the_json_file_says_the_same_as_the_table(release):
    write_json(release.root / f"{release.stem}.json", release.json())
    of_table, of_json = (release.reader({"format": form}) for form in ("csv", "json"))
    assert [reader.files[0].suffix for reader in (of_table, of_json)] == [".csv", ".json"]
    (rows, _), (others, faults) = read_all(of_table), read_all(of_json)
    assert faults == []
    assert [row.model_copy(update={"source": None}) for row in rows] == [
        row.model_copy(update={"source": None}) for row in others
    ]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_release_0_1_has_no_split(tmp_path, form):
    release = Release(tmp_path, "0.1")
    release.write()
    write_json(release.root / f"{release.stem}.json", release.json())
    reader = release.reader({"format": form})
    rows, faults = read_all(reader)
    assert faults == []
    assert reader.facts.version == "0.1"
    assert {row.split for row in rows} == {""}


def test_the_split_of_mimic_cxr_can_be_asked_for(tmp_path):
    release = Release(tmp_path, "0.1")
    release.write()
    release.mimic.splits(zip(release.images[:2], ("validate", "test"), strict=True))
    rows, (fault,) = read_all(release.reader({"split": "mimic"}))
    assert [row.split for row in rows] == ["val", "test"]
    assert fault.kind == "unknown split"


def test_views_come_from_the_metadata(release):
    release.mimic.metadata(release.images[:1], view="PA")
    rows, _ = read_all(release.reader())
    assert [row.view for row in rows] == ["PA", None, None]


def test_the_newer_release_is_read_unless_the_older_is_named(release):
    older = release.root / "MS_CXR_Local_Alignment_v1.0.0.csv"
    older.write_bytes(table_bytes([HEADER[:-1], *[row[:-1] for row in release.rows[:1]]]))
    assert release.reader().facts.version == "1.1.0"
    assert len(read_all(release.reader({"version": "0.1"}))[0]) == 1
    assert release.reader(annotations=older).facts.version == "0.1"


@pytest.mark.parametrize("options", [{"version": "2"}, {"format": "xml"}, {"split": "mine"}, {"colour": "red"}])
def test_settings_that_there_are_not_are_refused(release, options):
    with pytest.raises(RecipeError):
        release.reader(options)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_table_may_lie_on_disk_in_any_way(release, disguise):
    expected, _ = read_all(release.reader())
    path = release.root / f"{release.stem}.csv"
    path.write_bytes(DISGUISES[disguise](path.read_bytes()))
    assert read_all(release.reader()) == (expected, [])


def test_a_table_packed_under_its_packed_name_can_be_named(release):
    path = release.root / f"{release.stem}.csv"
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    with pytest.raises(ManifestError, match=r"MS_CXR_Local_Alignment_v1\.1\.0\.csv"):
        release.reader()
    assert len(read_all(release.reader(annotations=packed))[0]) == 3


@pytest.mark.parametrize("column", HEADER)
def test_each_missing_column_is_named(release, column):
    place = HEADER.index(column)
    rows = [row[:place] + row[place + 1 :] for row in release.rows]
    path = release.write()
    path.write_bytes(table_bytes([HEADER[:place] + HEADER[place + 1 :], *rows]))
    with pytest.raises(ManifestError) as caught:
        release.reader()
    assert repr(column) in caught.value.got
    assert path.name in caught.value.got


BAD_FIELDS = [
    ("category_name", "", "empty field"),
    ("category_name", "Scoliosis", "unknown category"),
    ("label_text", "", "empty field"),
    ("label_text", "long " * 3000, "phrase too long"),
    ("path", "", "empty field"),
    ("path", "a.jpg", "wrong path"),
    ("path", "../../../../etc/passwd", "wrong identifier"),
    ("path", "files/p11/p10000001/s50000001/x.jpg", "wrong path"),
    ("x", "", "empty field"),
    ("x", "left base", "wrong type"),
    ("y", "nan", "not finite"),
    ("w", "inf", "not finite"),
    ("w", "0", "box without area"),
    ("h", "-3", "box without area"),
    ("x", "64", "box outside"),
    ("y", "-40", "box outside"),
    ("image_width", "0", "wrong image size"),
    ("image_height", "48.5", "wrong image size"),
    ("image_width", "wide", "wrong type"),
    ("image_width", "65", "contradiction"),
    ("dicom_id", "", "empty field"),
    ("dicom_id", "1.2.840", "wrong identifier"),
    ("split", "", "empty field"),
    ("split", "holdout", "unknown split"),
    ("split", "test", "contradiction"),
]


@pytest.mark.parametrize(("column", "value", "kind"), BAD_FIELDS, ids=[f"{c}-{v[:9]}" for c, v, _ in BAD_FIELDS])
def test_a_bad_field_is_a_fault_with_its_line_and_leaves_out_its_phrase(release, column, value, kind):
    release.rows[1][HEADER.index(column)] = value
    release.write()
    rows, (fault, *rest) = read_all(release.reader())
    assert rest == []
    assert (fault.kind, fault.file, fault.row, fault.kept) == (kind, f"{release.stem}.csv", 3, False)
    assert [phrase.finding for phrase in rows[0].phrases] == ["pleural effusion"]
    assert "heart" not in fault.detail
    assert "left base" not in fault.detail


def test_a_phrase_with_one_bad_box_is_left_out_with_all_its_boxes(release):
    release.rows[3][3] = "nan"
    release.write()
    rows, (fault,) = read_all(release.reader())
    assert fault.row == 5
    assert release.images[1]["dicom_id"] not in {row.id for row in rows}


def test_a_box_that_hangs_over_is_clipped_and_a_repeated_row_counted_once(release):
    release.rows[0][5] = 30
    release.rows.insert(3, list(release.rows[2]))
    release.write()
    rows, faults = read_all(release.reader())
    assert [(fault.kind, fault.row, fault.kept) for fault in faults] == [
        ("box outside", 2, True),
        ("duplicate row", 5, True),
    ]
    assert rows[0].phrases[0].boxes == ((40.0, 30.0, 64.0, 40.0),)
    assert len(rows[1].phrases[0].boxes) == 2


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda data: data["annotations"][1].pop("bbox"), "wrong type"),
        (lambda data: data["annotations"][1].update(bbox=[1, 2, 3]), "wrong type"),
        (lambda data: data["annotations"][1].update(bbox=[1, 2, "x", 4]), "wrong type"),
        (lambda data: data["annotations"][1].update(bbox=[1, 2, None, 4]), "empty field"),
        (lambda data: data["annotations"][1].update(bbox=[1, 2, float("nan"), 4]), "not finite"),
        (lambda data: data["annotations"][1].update(bbox=[1, 2, 0, 4]), "box without area"),
        (lambda data: data["annotations"][1].update(image_id=77), "unknown reference"),
        (lambda data: data["annotations"][1].update(image_id=[1]), "unknown reference"),
        (lambda data: data["annotations"][1].pop("category_id"), "unknown reference"),
        (lambda data: data["annotations"][1].pop("label_text"), "empty field"),
        (lambda data: data["annotations"][1].update(label_text=7), "wrong type"),
        (lambda data: data["annotations"][1].update(label_text="half \ud800"), "wrong type"),
        (lambda data: data["annotations"][1].pop("split"), "empty field"),
    ],
)
def test_a_bad_annotation_of_the_json_file_is_a_fault_with_its_place(release, spoil, kind):
    data = release.json()
    spoil(data)
    write_json(release.root / f"{release.stem}.json", data)
    rows, (fault,) = read_all(release.reader({"format": "json"}))
    assert (fault.kind, fault.row, fault.kept) == (kind, 2, False)
    assert len(rows) == 3


@pytest.mark.parametrize("key", ["width", "height", "path", "file_name"])
def test_an_image_without_a_field_leaves_out_its_annotations(release, key):
    data = release.json()
    del data["images"][0][key]
    write_json(release.root / f"{release.stem}.json", data)
    rows, faults = read_all(release.reader({"format": "json"}))
    assert [fault.row for fault in faults] == [1, 2]
    assert len(rows) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"categories": [], "images": []}',
        b'{"annotations": 3}',
        b'{"categories": [{}], "images": [], "annotations": []}',
    ],
)
def test_what_is_no_coco_file_is_an_error(release, content):
    (release.root / f"{release.stem}.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"v1\.1\.0\.json"):
        release.reader({"format": "json"})


def test_missing_files_are_named(release, tmp_path):
    with pytest.raises(ManifestError, match=r"MS_CXR_Local_Alignment_v1\.0\.0\.json"):
        open_reader("ms-cxr", Places(tmp_path, images=release.mimic.jpg), {"version": "0.1"})
    with pytest.raises(ManifestError, match="--annotations"):
        release.reader(annotations=tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="--images"):
        open_reader("ms-cxr", Places(release.root))
    with pytest.raises(RecipeError, match="ms-cxr"):
        open_reader("ms-dos", release.places())
