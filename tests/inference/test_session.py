from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import knowmvg
from knowmvg.core.errors import ImageError, ReportError
from knowmvg.core.grounder import Query
from knowmvg.core.records import Assertion, GroundedPhrase, Grounding, Phrase, Radiograph, Region, Side, Study
from knowmvg.inference.answering import NamedBy
from knowmvg.inference.session import NO_PHRASE, Session

REPORT = (
    "INDICATION: Evaluate for pneumonia.\n\n"
    "FINDINGS: Small left pleural effusion. No pneumothorax. There is a nodule in the right upper lobe.\n"
)


def answer(text: str, *, report: str = REPORT) -> GroundedPhrase:
    start = report.find(text)
    span = (start, start + len(text)) if start >= 0 else None
    return GroundedPhrase(text=text, span=span, boxes=(Region(xyxy=(1, 2, 3, 4), score=0.9),))


def sources(grounding: Grounding) -> dict[str, str]:
    return {p.finding: p.evidence.source for p in grounding.phrases if p.finding and p.evidence}


def test_both_reconciles_model_and_parser(fake_grounder, radiograph):
    grounder = fake_grounder([answer("Small left pleural effusion")])
    grounding = Session(grounder).ground(radiograph, REPORT)
    assert sources(grounding) == {"pleural effusion": "both", "pneumothorax": "parser", "nodule": "parser"}
    assert len(grounder.asked) == 1
    assert len(grounder.asked[0]) == 1
    assert "nodule" in grounder.asked[0][0]
    boxes = {p.finding: [r.xyxy for r in p.boxes] for p in grounding.phrases}
    assert boxes == {"pleural effusion": [(1, 2, 3, 4)], "pneumothorax": [], "nodule": [grounder.asked_box]}


@pytest.mark.parametrize("source", ["both", "model"])
def test_what_the_parser_inside_a_model_named_is_called_the_parsers(fake_grounder, radiograph, source):
    grounder = fake_grounder([answer("Small left pleural effusion")])
    grounder.reader = lambda report: []
    grounder.with_reader = lambda reader: grounder
    grounding = Session(grounder).ground(radiograph, REPORT, phrases=source)
    assert set(sources(grounding).values()) == {"parser"}


def test_phrases_come_in_report_order_and_verbatim(fake_grounder, radiograph):
    grounding = Session(fake_grounder()).ground(radiograph, REPORT)
    spans = [phrase.span for phrase in grounding.phrases]
    assert spans == sorted(spans)
    assert all(REPORT[slice(*phrase.span)] == phrase.text for phrase in grounding.phrases)


def test_parser_alone_never_asks_for_absent_phrases(fake_grounder, radiograph):
    grounder = fake_grounder([answer("Small left pleural effusion")])
    grounding = Session(grounder).ground(radiograph, REPORT, phrases="parser")
    assert set(sources(grounding).values()) == {"parser"}
    assert not any("pneumothorax" in text for row in grounder.asked for text in row)
    absent = [phrase for phrase in grounding.phrases if phrase.assertion is Assertion.ABSENT]
    assert [phrase.finding for phrase in absent] == ["pneumothorax"]


def test_model_alone_asks_nothing_and_learns_what_its_words_mean(fake_grounder, radiograph):
    grounder = fake_grounder([answer("Small left pleural effusion"), answer("pneumonia")])
    grounding = Session(grounder).ground(radiograph, REPORT, phrases="model")
    assert grounder.asked == []
    asked, found = grounding.phrases
    assert (found.finding, found.side) == ("pleural effusion", Side.LEFT)
    assert asked.boxes == ()
    assert "indication" in asked.reason


def test_the_model_is_asked_once_only_where_the_parser_knows_more(fake_grounder, radiograph):
    grounder = fake_grounder([answer("Small left pleural effusion")])
    list(Session(grounder).ground_many([(radiograph, REPORT[:76]), (radiograph, REPORT)]))
    assert len(grounder.asked) == 1


@pytest.mark.parametrize("source", ["model", "parser", "both"])
def test_what_is_evaluated_is_what_a_session_answers(fake_grounder, radiograph, source):
    def grounder():
        return fake_grounder([answer("Small left pleural effusion")])

    as_used = NamedBy(grounder(), source)
    (scored,) = as_used.ground([Study(radiograph, REPORT, "study")])
    assert scored.phrases == Session(grounder()).ground(radiograph, REPORT, source).phrases
    query = Query(Phrase(text="nodule"))
    assert as_used.ground_phrases([Study(radiograph, REPORT, "study")], [[query]])[0].phrases[0].boxes


def test_a_report_without_finding_gives_an_empty_answer_with_a_warning(fake_grounder, radiograph):
    grounding = Session(fake_grounder()).ground(radiograph, "The patient was seen today.", study_id="s1")
    assert grounding.phrases == ()
    assert NO_PHRASE in grounding.warnings
    assert grounding.study == "s1"


def test_image_warnings_come_once(fake_grounder, radiograph):
    image = Radiograph(radiograph.pixels, warnings=("rotated",))
    grounding = Session(fake_grounder()).ground(image, REPORT)
    assert grounding.warnings == ("rotated",)
    assert grounding.versions == {"knowmvg": knowmvg.__version__, "fake": "1"}
    assert grounding.study is None


def test_paths_are_read(fake_grounder, tmp_path):
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "image.png")
    (tmp_path / "report.txt").write_text(REPORT, encoding="utf-8")
    session = Session(fake_grounder())
    for image in (tmp_path / "image.png", str(tmp_path / "image.png")):
        grounding = session.ground(image, tmp_path / "report.txt")
        assert grounding.image_size == (64, 64)
        assert len(grounding.phrases) == 3


def test_many_studies_equal_single_ones_in_order(fake_grounder, radiograph):
    other = Radiograph(np.zeros((50, 50), dtype=np.float32))
    reports = [REPORT, "Cardiomegaly.", "No pneumothorax.", REPORT] * 5
    images = [radiograph, other] * 10
    session = Session(fake_grounder([answer("Small left pleural effusion")]))
    names = [f"s{k}" for k in range(20)]
    many = list(session.ground_many(zip(images, reports, strict=True), study_ids=names))
    single = [session.ground(i, r, study_id=n) for i, r, n in zip(images, reports, names, strict=True)]
    assert many == single


@pytest.mark.parametrize("report", ["", "  \n\t "])
def test_an_empty_report_is_refused(fake_grounder, radiograph, report, tmp_path):
    with pytest.raises(ReportError, match="with text"):
        Session(fake_grounder()).ground(radiograph, report)
    (tmp_path / "r.txt").write_text(report)
    with pytest.raises(ReportError, match="with text"):
        Session(fake_grounder()).ground(radiograph, tmp_path / "r.txt")


def test_a_file_name_is_no_report(fake_grounder, radiograph, tmp_path):
    (tmp_path / "r.txt").write_text(REPORT)
    with pytest.raises(ReportError, match="names a file"):
        Session(fake_grounder()).ground(radiograph, str(tmp_path / "r.txt"))
    with pytest.raises(ReportError, match="none at"):
        Session(fake_grounder()).ground(radiograph, tmp_path / "missing.txt")


def test_a_missing_image_is_refused(fake_grounder, tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        Session(fake_grounder()).ground(tmp_path / "missing.png", REPORT)


def test_an_unknown_source_of_phrases_is_refused(fake_grounder, radiograph):
    with pytest.raises(ValueError, match="model, parser, both"):
        Session(fake_grounder()).ground(radiograph, REPORT, phrases="all")


def test_the_package_exports_load_and_nothing_by_mistake():
    from knowmvg.inference import session

    assert knowmvg.load is session.load
    assert knowmvg.Session is Session
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = knowmvg.lod
