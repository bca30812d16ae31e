"""Files of predictions: read to stored pixels with everything wrong counted, written for other tools and read back."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from knowmvg.core.boxtext.reading import MAX_BOXES, Fault, Item
from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import ManifestError
from knowmvg.core.records import GroundedPhrase, Grounding, Region
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.predictions.answers import Answer, Listed, Listing, Predictions
from knowmvg.sources.predictions.coco import MAX_BOXES_AN_IMAGE
from knowmvg.sources.predictions.formats import DIALECTS, READ, WRITTEN, read_predictions, write_predictions
from knowmvg.sources.predictions.lines import MAX_LINE
from knowmvg.sources.predictions.references import listing_of, references

SIZE = (400, 200)
LISTING = Listing([Listed("a", "images/a.png", SIZE), Listed("b", "images/b.png", (100, 300))])
BOX, OTHER = (40.0, 20.0, 120.0, 90.0), (200.0, 100.0, 360.0, 180.0)

NAMED = Predictions(
    (
        Answer(
            "a", (Item("left effusion", (BOX, OTHER), (0.75, 0.5)), Item("edema & <1 cm nodule", (OTHER,), (0.25,)))
        ),
        Answer("b", (Item("left effusion", ((10.0, 20.0, 60.0, 240.0),), (1.0,)),)),
    )
)


@pytest.fixture
def file(tmp_path):
    def write(content, name="predictions"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_text(content, encoding="utf-8")
        return path

    return write


def read(path, form="jsonl", **options):
    return read_predictions(path, form, LISTING, **options)


def plain(predictions):
    """Boxes by study and phrase, without the scores."""
    return {(a.study, item.phrase): item.boxes for a in predictions.answers for item in a.items}


@pytest.mark.parametrize("form", [form for form in WRITTEN if form in READ and form not in ("plain", "llava")])
def test_what_is_written_is_read_back(form, file):
    simple = Predictions(
        tuple(
            Answer(a.study, tuple(Item(i.phrase.split(" &")[0], i.boxes, i.scores) for i in a.items))
            for a in NAMED.answers
        )
    )
    view = View.parse("letterbox:1000x1000")
    export = write_predictions(simple, form, LISTING, view=view)
    again = read(file(export.files[""]), form)
    assert export.notes == ()
    assert again.unknown == ()
    assert [answer.faults for answer in again.answers] == [(), ()]
    assert plain(again).keys() == plain(simple).keys()
    step = {"coco": 0, "jsonl": 0, "maira2": 2.1, "minigpt": 2.1, "kosmos2": 12.6}.get(
        form, 0.21
    )  # half a bin of the 400-pixel side
    for key, boxes in plain(simple).items():
        assert np.abs(np.array(plain(again)[key]) - np.array(boxes)).max() <= step + 1e-9
    if form in ("coco", "jsonl", "qwen2.5", "qwen3", "medgemma"):
        assert [i.scores for a in again.answers for i in a.items] == [i.scores for a in simple.answers for i in a.items]


@pytest.mark.parametrize("form", ["jsonl", *DIALECTS])
def test_answers_to_given_phrases_stay_what_they_are(form, file):
    asked = Predictions((Answer("a", (Item("x", (BOX,)),), (), "x"), Answer("a", (Item("y"),), (), "y")))
    if form in ("paligemma", "florence2"):  # they have no way to say no: the model answers with nothing
        asked = Predictions(asked.answers[:1])
    again = read(file(write_predictions(asked, form, LISTING).files[""]), form)
    assert [(a.study, a.asked, len(a.items[0].boxes), a.faults) for a in again.answers] == [
        ("a", answer.asked, len(answer.items[0].boxes), ()) for answer in asked.answers
    ]


def test_coco_by_an_independent_reader():
    """The COCO form as pycocotools indexes it, here in words: identifiers, left-top-width-height, categories."""
    data = json.loads(write_predictions(NAMED, "coco", LISTING).files[""])
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    assert len(images) == 2
    assert len({a["id"] for a in data["annotations"]}) == len(data["annotations"]) == 4
    found = {}
    for a in data["annotations"]:
        x, y, w, h = a["bbox"]
        assert a["area"] == w * h
        assert a["iscrowd"] == 0
        key = images[a["image_id"]]["file_name"], names[a["category_id"]]
        found.setdefault(key, []).append(((x, y, x + w, y + h), a["score"]))
    assert found == {
        ("images/a.png", "left effusion"): [(BOX, 0.75), (OTHER, 0.5)],
        ("images/a.png", "edema & <1 cm nodule"): [(OTHER, 0.25)],
        ("images/b.png", "left effusion"): [((10, 20, 60, 240), 1.0)],
    }
    assert (images[1]["width"], images[1]["height"]) == SIZE


def test_coco_is_indexed_by_faster_coco_eval():
    from faster_coco_eval import COCO

    coco = COCO(json.loads(write_predictions(NAMED, "coco", LISTING).files[""]))
    (effusion,) = [c["id"] for c in coco.loadCats(coco.getCatIds()) if c["name"] == "left effusion"]
    ids = [i for i in coco.getImgIds() if coco.loadImgs(i)[0]["file_name"] == "images/a.png"]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=ids, catIds=[effusion]))
    assert [a["bbox"] for a in annotations] == [[40, 20, 80, 70], [200, 100, 160, 80]]


def test_label_studio_by_an_independent_reader():
    export = write_predictions(NAMED, "label-studio", LISTING, model="m1", images="http://images/")
    tasks = json.loads(export.files[""])
    assert [task["data"]["image"] for task in tasks] == ["http://images/images/a.png", "http://images/images/b.png"]
    config = ET.fromstring(export.files[".config.xml"])
    labels = {label.get("value") for label in config.iter("Label")}
    found = {}
    for task in tasks:
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "m1"
        assert len({region["id"] for region in prediction["result"]}) == len(prediction["result"])
        for region in prediction["result"]:
            assert region["type"] == "rectanglelabels"
            assert config.find(f".//RectangleLabels[@name='{region['from_name']}']").get("toName") == region["to_name"]
            assert config.find(f".//Image[@name='{region['to_name']}']").get("value") == "$image"
            (label,) = region["value"]["rectanglelabels"]
            assert label in labels
            v, width, height = region["value"], region["original_width"], region["original_height"]
            assert v["rotation"] == region["image_rotation"] == 0
            box = (v["x"] / 100 * width, v["y"] / 100 * height)
            box += (box[0] + v["width"] / 100 * width, box[1] + v["height"] / 100 * height)
            found.setdefault((task["data"]["study"], label), []).append((box, region["score"]))
    for (study, phrase), pairs in found.items():
        (item,) = [i for a in NAMED.answers if a.study == study for i in a.items if i.phrase == phrase]
        np.testing.assert_allclose([box for box, _ in pairs], item.boxes, atol=1e-9)
        assert tuple(score for _, score in pairs) == item.scores
    assert len(found) == 3
    assert tasks[0]["predictions"][0]["score"] == pytest.approx(0.5)


def test_fiftyone_by_an_independent_reader():
    data = json.loads(write_predictions(NAMED, "fiftyone", LISTING).files[""])
    assert data["classes"] == ["edema & <1 cm nodule", "left effusion"]
    sizes = {"images/a": SIZE, "images/b": (100, 300)}
    assert data["labels"].keys() == sizes.keys()
    boxes = []
    for path, (width, height) in sizes.items():
        for detection in data["labels"][path]:
            assert detection["label"] in data["classes"]
            left, top, w, h = detection["bounding_box"]
            assert all(0 <= value <= 1 for value in (left, top, w, h))
            boxes.append([left * width, top * height, (left + w) * width, (top + h) * height])
    np.testing.assert_allclose(boxes, [b for a in NAMED.answers for i in a.items for b in i.boxes], atol=1e-9)
    assert [d["confidence"] for d in data["labels"]["images/a"]] == [0.75, 0.5, 0.25]
    nothing = json.loads(write_predictions(Predictions((Answer("a"),)), "fiftyone", LISTING).files[""])
    assert nothing == {"classes": [], "labels": {"images/a": None}}


def test_what_a_format_cannot_say_is_said():
    boxless = Predictions((Answer("a", (Item("x"), Item("y", (BOX,)))),))
    for form in ("coco", "fiftyone", "label-studio"):
        assert write_predictions(boxless, form, LISTING).notes == (
            f"1 phrases without a box: {form} has no place for them.",
        )
    corner = Predictions((Answer("a", (Item("x", ((0.0, 0.0, 50.0, 50.0), OTHER)),)),))
    (note,) = write_predictions(corner, "maira2", LISTING).notes  # the square in the middle starts at x = 100
    assert note.startswith("1 boxes lie where the model does not see")
    with pytest.raises(ManifestError, match="paligemma can write, for study a"):
        write_predictions(Predictions((Answer("a", (Item("x; y", (BOX,)),)),)), "paligemma", LISTING)
    for function in (write_predictions, lambda *a: read_predictions(LISTING, "yolo", LISTING)):
        with pytest.raises(ValueError, match="expected one of"):
            function(boxless, "yolo", LISTING)


# ---- what is wrong in a file of lines


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [
        ([[1, 2, 3]], Fault.PARTIAL), ([["1", 2, 3, 4]], Fault.NOT_A_NUMBER),
        ([[float("nan"), 2, 3, 4]], Fault.NOT_A_NUMBER),
        ([[9, 2, 3, 4]], Fault.SWAPPED), ([[1, 2, 3, 1e9]], Fault.OUT_OF_RANGE), ([[1, 2, 1, 4]], Fault.NO_AREA),
        ("[1, 2, 3, 4]", Fault.MALFORMED), ({"x": 1}, Fault.MALFORMED), ([None], Fault.PARTIAL),
        ([10**400], Fault.PARTIAL),
        ([[1, 2, 3, 10**400]], Fault.OUT_OF_RANGE), ([[1.0, 2.0, 30.0, 40.0]] * (MAX_BOXES + 1), Fault.TOO_MANY),
    ],
)  # fmt: skip
def test_a_wrong_box_is_counted_and_the_others_are_read(boxes, fault, file):
    rows = [{"study": "a", "phrase": "x", "boxes": boxes}, {"study": "a", "phrase": "y", "boxes": [BOX]}]
    wrong, right = read(file(rows)).answers
    assert (wrong.items[0].boxes if wrong.items else (), wrong.faults) == ((), (fault,))
    assert right == Answer("a", (Item("y", (BOX,)),), (), "y")


def test_scores_are_judged_and_kept(file):
    def answer(scores):
        return read(file([{"study": "a", "phrase": "x", "boxes": [BOX, OTHER], "scores": scores}])).answers[0]

    assert answer([0.5, 1]).items[0].scores == (0.5, 1.0)
    assert answer([0.5, None]).items[0].scores == (0.5, None)
    assert (answer([0.5, 7]).items[0].scores, answer([0.5, 7]).faults) == ((0.5, None), (Fault.BAD_SCORE,))
    assert (answer([0.5]).items[0].scores, answer([0.5]).faults) == ((), (Fault.BAD_SCORE,))
    assert answer(None).items[0].scores == ()


def test_low_scores_can_be_left_out(file):
    kept = NAMED.at_least(0.5)
    assert plain(kept) == {
        ("a", "left effusion"): (BOX, OTHER),
        ("a", "edema & <1 cm nodule"): (),
        ("b", "left effusion"): ((10, 20, 60, 240),),
    }
    unscored = Predictions((Answer("a", (Item("x", (BOX,)),)),))
    assert unscored.at_least(1.0) == unscored
    assert (NAMED.scored, unscored.scored) == (True, False)


def test_two_answers_to_one_question_are_none(file):
    rows = [
        {"study": "a", "phrase": "x", "boxes": [BOX]},
        {"study": "a", "phrase": " X ", "boxes": [OTHER]},
        {"study": "a", "phrase": "y", "boxes": [BOX]},
        {"study": "a", "phrase": "y", "boxes": [BOX]},
        {"study": "b", "phrase": "x", "boxes": []},
    ]
    twice, same, other = read(file(rows)).answers
    assert (twice.items, twice.faults) == ((), (Fault.DUPLICATE,))
    assert (same.items[0].boxes, same.faults) == ((BOX,), ())
    assert (other.items[0].boxes, other.faults) == ((), ())


def test_named_phrases(file):
    rows = [{"study": "a", "phrases": [{"text": "x", "boxes": [BOX]}, {"boxes": [BOX]}, 5, {"text": "z", "boxes": []}]}]
    (answer,) = read(file(rows)).answers
    assert [(item.phrase, item.boxes) for item in answer.items] == [("x", (BOX,)), ("z", ())]
    assert answer.faults == (Fault.UNNAMED, Fault.UNNAMED)
    assert answer.asked is None


def test_a_nameless_box_belongs_to_the_phrase_that_was_asked_and_to_none_otherwise(file):
    text = '{"bbox_2d": [100, 100, 500, 500]}'
    asked, named = read(
        file([{"study": "a", "phrase": "x", "answer": text}, {"study": "b", "answer": text}]), "qwen3"
    ).answers
    assert asked.items == (Item("x", ((40, 20, 200, 100),)),)
    assert (named.items, named.faults) == ((), (Fault.UNNAMED,))


def test_unknown_studies_are_told_once(file):
    rows = [{"study": name, "phrase": phrase, "boxes": []} for name in ("zz", "a", "yy") for phrase in ("x", "y")]
    found = read(file(rows))
    assert found.unknown == ("zz", "yy")
    assert len(found.answers) == 2


def test_what_the_model_saw_is_the_line_s_or_the_call_s_or_the_published_one(file):
    text = "[[0, 0, 50, 50]]"
    rows = [{"study": "a", "phrase": "x", "answer": text}]
    assert read(file(rows), "plain").answers[0].items[0].boxes == ((0, 0, 50, 50),)
    view = View.parse("squash:100x100")
    assert read(file(rows), "plain", view=view).answers[0].items[0].boxes == ((0, 0, 200, 100),)
    rows[0]["view"] = "letterbox:100x100"
    assert read(file(rows), "plain", view=view).answers[0].items[0].boxes == ((0, 0, 200, 100),)
    rows[0]["view"] = "corner:100x100"
    assert read(file(rows), "plain").answers[0].items[0].boxes == ((0, 0, 200, 200),)


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "5", '"text"', "{}", '{"study": 5, "phrase": "x", "boxes": []}',
        '{"study": "", "phrase": "x", "boxes": []}',
        '{"study": "a"}', '{"study": "a", "phrase": "x"}', '{"study": "a", "phrase": "x", "phrases": [], "boxes": []}',
        '{"study": "a", "phrases": "x"}', '{"study": "a", "phrase": "", "boxes": []}', "[" * 100_000,
        '{"study": "a", "phrase": "x", "boxes": [], "view": "tilted"}', "{" + " " * MAX_LINE + "}", "\x00",
    ],
    ids=lambda line: line[:30],
)  # fmt: skip
def test_a_line_that_is_no_answer_is_refused_by_its_number(line, file):
    with pytest.raises(ManifestError, match="line 2") as caught:
        read(file('{"study": "a", "phrase": "secret", "boxes": []}\n' + line + "\n"))
    assert "secret" not in str(caught.value)


def test_other_wrong_files(file, tmp_path):
    for form in READ:
        with pytest.raises(ManifestError, match="Check the path"):
            read(tmp_path / "none", form)
    with pytest.raises(ManifestError, match="no key `answer`"):
        read(file([{"study": "a", "phrase": "x", "boxes": []}]), "maira2")
    extreme = Listing([Listed("a", "a.png", (4000, 10))])
    with pytest.raises(ManifestError, match="ratio"):
        read_predictions(file([{"study": "a", "phrase": "x", "answer": "[]"}]), "qwen2.5", extreme)
    assert read(file("\n \n")).answers == ()


# ---- COCO


def coco(*annotations, images=({"id": 7, "file_name": "somewhere/a.png"},), categories=({"id": 3, "name": "edema"},)):
    return json.dumps({"images": list(images), "categories": list(categories), "annotations": list(annotations)})


def annotation(**changes):
    return {"image_id": 7, "category_id": 3, "bbox": [40, 20, 80, 70], "score": 0.5} | changes


def test_images_are_found_by_study_file_or_identifier(file):
    for image in ({"study": "a"}, {"file_name": "images/a.png"}, {"file_name": "elsewhere/a.png"}, {"id": "a"}):
        whole = {"id": 7} | image
        found = read(file(coco(annotation(image_id=whole["id"]), images=[whole])), "coco")
        assert found == Predictions((Answer("a", (Item("edema", (BOX,), (0.5,)),)),)), image
    results = [annotation(image_id="a", phrase="x"), annotation(image_id="c", phrase="x"), annotation(image_id=None)]
    found = read(file(json.dumps(results)), "coco")
    assert found.answers == (Answer("a", (Item("x", (BOX,), (0.5,)),)),)
    assert found.unknown == ("c", "None")


def test_the_phrase_is_the_annotation_s_before_the_category_s(file):
    rows = [annotation(), annotation(label_text="b"), annotation(phrase="c", label_text="b"), annotation(category_id=9)]
    (answer,) = read(file(coco(*rows)), "coco").answers
    assert [item.phrase for item in answer.items] == ["edema", "b", "c"]
    assert answer.faults == (Fault.UNNAMED,)


@pytest.mark.parametrize(
    ("bbox", "fault"),
    [
        (None, Fault.PARTIAL), ([1, 2, 3], Fault.PARTIAL), ("1234", Fault.PARTIAL), ([9, 2, -3, 4], Fault.SWAPPED),
        ([1, 2, 0, 4], Fault.NO_AREA), ([1, 2, 500, 4], Fault.OUT_OF_RANGE), ([1, 2, "3", 4], Fault.NOT_A_NUMBER),
        ([1, 2, float("inf"), 4], Fault.NOT_A_NUMBER), ([1.5, 2, 10**400, 4], Fault.NOT_A_NUMBER),
    ],
)  # fmt: skip
def test_wrong_coco_boxes(bbox, fault, file):
    (answer,) = read(file(coco(annotation(bbox=bbox), annotation(phrase="y"))), "coco").answers
    assert answer.faults == (fault,)
    assert [(item.phrase, len(item.boxes)) for item in answer.items] == [("edema", 0), ("y", 1)]


def test_a_box_may_end_a_pixel_beyond_the_image(file):
    (answer,) = read(file(coco(annotation(bbox=[-0.4, 0, 400.8, 200.5]))), "coco").answers
    assert answer.items[0].boxes == ((0, 0, 400, 200),)


def test_an_image_without_annotations_is_an_answer(file):
    assert read(file(coco()), "coco").answers == (Answer("a"),)


def test_too_many_coco_boxes(file):
    rows = [annotation()] * MAX_BOXES_AN_IMAGE
    assert len(read(file(coco(*rows)), "coco").answers[0].items[0].boxes) == MAX_BOXES_AN_IMAGE
    assert read(file(coco(*rows, annotation())), "coco").answers == (Answer("a", (), (Fault.TOO_MANY,)),)


def test_a_coco_file_lists_its_images(file):
    path = file(write_predictions(NAMED, "coco", LISTING).files[""])
    listing = listing_of(path)
    assert list(listing) == list(LISTING)
    assert read_predictions(path, "coco", listing) == read(path, "coco")
    bare = file(coco(annotation(), images=[{"id": 7, "file_name": "x/a.png", "width": 400, "height": 200}]))
    (answer,) = read_predictions(bare, "coco", listing_of(bare)).answers
    assert (answer.study, answer.items) == ("7", (Item("edema", (BOX,), (0.5,)),))
    for image in (
        {"id": 7},
        {"id": 7, "file_name": "a", "width": 4.5, "height": 5},
        {"id": 7, "width": 4, "height": 5},
    ):
        with pytest.raises(ManifestError, match="of image 7"):
            listing_of(file(coco(images=[image])))


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "{}", "[5]", '{"annotations": 5}', '{"annotations": [], "images": [5]}', "[" * 100_000,
     coco(images=[{"id": 1}, {"id": 1}])],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_files_that_are_no_coco(text, file):
    with pytest.raises(ManifestError, match=r"COCO|identifiers"):
        read(file(text), "coco")


# ---- groundings and references


def grounding(study="a", size=SIZE):
    phrases = (
        GroundedPhrase(text="x", boxes=(Region(xyxy=BOX, score=0.5),)),
        GroundedPhrase(text="y", reason="not found"),
        GroundedPhrase(text="no z", assertion="absent", reason="absent"),
    )
    return Grounding(image_size=size, phrases=phrases, model="m", study=study)


def test_groundings_one_a_file_or_one_a_line(file):
    expected = (Answer("a", (Item("x", (BOX,), (0.5,)), Item("y"))),)
    assert read(file(grounding().to_json()), "grounding").answers == expected
    lines = "".join(json.dumps(json.loads(grounding(s).to_json())) + "\n" for s in ("a", "zz"))
    assert read(file(lines), "grounding") == Predictions(expected, ("zz",))
    assert read(file(grounding(None).to_json()), "grounding").unknown == ("a grounding without a study",)


def test_wrong_groundings(file):
    with pytest.raises(ManifestError, match=r"400, 200.*500, 500"):
        read(file(grounding(size=(500, 500)).to_json()), "grounding")
    for text in ("{}", '{"schema_version": "9"}\n', "{\n", "[]"):
        with pytest.raises(ManifestError, match="a grounding in"):
            read(file(text), "grounding")


def test_references_of_a_folder(tmp_path):
    phrase = PhraseRow(text="x", boxes=(BOX,))
    absent = PhraseRow(text="no y", assertion="absent")
    rows = [
        StudyRow(
            id=n, patient=n, split=split, image=f"images/{n}.png", width=400, height=200, report="", phrases=phrases
        )
        for n, split, phrases in (
            ("a", "test", (phrase, absent, PhraseRow(text="x", boxes=(OTHER,)))),
            ("b", "train", ()),
        )
    ]
    text = "".join(row.model_dump_json(by_alias=True) + "\n" for row in rows)
    (tmp_path / "manifest.jsonl").write_text(text, encoding="utf-8")
    assert references(tmp_path).answers == (Answer("a", (Item("x", (BOX, OTHER)),), (), "x"),)
    assert [listed.study for listed in listing_of(tmp_path)] == ["a", "b"]
    assert [listed.study for listed in listing_of(tmp_path, "train")] == ["b"]
    with pytest.raises(ManifestError, match="split 'val'"):
        listing_of(tmp_path, "val")


def test_a_file_name_that_two_images_share_names_none():
    listing = Listing([Listed("a", "1/x.png", SIZE), Listed("b", "2/x.png", SIZE)])
    assert listing.find("1/x.png").study == "a"
    assert listing.find("x.png") is None
