"""Each row shows what a grounder that provably reacts to one thing, and to no other, must show."""

import json

import numpy as np
import pytest
from robustness_fakes import SIZE, Copies, Knows, ReadsSide, Refuses, SeesBright, bright_studies, bright_study

from knowmvg.core.boxes import pairwise_iou
from knowmvg.core.errors import OutputError
from knowmvg.core.grounder import Grounder, KnowledgeGrounder
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.intervals import paired_difference
from knowmvg.evaluation.robustness.changed_studies import ChangedStudies
from knowmvg.evaluation.robustness.evidence import CITED, NONE, OTHER, REGION, REPLACED, UNCITED
from knowmvg.evaluation.robustness.image_changes import brightness, crop, noise, rotation
from knowmvg.evaluation.robustness.masking import elsewhere, painted
from knowmvg.evaluation.robustness.measure import mirror
from knowmvg.evaluation.robustness.pairs import centre_x
from knowmvg.evaluation.robustness.stress import stress
from knowmvg.evaluation.samples import Protocol

STUDIES = bright_studies(16)
CHANGES = (crop(0.75), rotation(8), brightness(0.05), noise(0.001))


def stressed(grounder, studies=STUDIES, **options):
    options = {"training_studies": None, "image_changes": CHANGES, "resamples": 50} | options
    return stress(grounder, studies, **options)


@pytest.fixture(scope="module")
def reader():
    return stressed(ReadsSide())


@pytest.fixture(scope="module")
def seer():
    return stressed(SeesBright(), training_studies=bright_studies(6))


@pytest.fixture(scope="module")
def copier():
    return stressed(Copies(STUDIES))


def image_row(result, name):
    (row,) = [row for row in result.images if row.name == name]
    return row


def evidence_row(result, name):
    (row,) = [row for row in result.evidence if row.name == name]
    return row


def test_the_fakes_keep_the_contract():
    assert isinstance(ReadsSide(), Grounder)
    assert isinstance(Knows(), KnowledgeGrounder)
    assert not isinstance(SeesBright(), KnowledgeGrounder)


def test_a_model_that_reads_the_side_word_crosses_over(reader):
    (row,) = reader.sides
    assert (row.n_phrases, row.n_left_out, row.n_without_box) == (16, 0, 0)
    assert row.crossed.value == 1.0
    assert row.mirrored.value == pytest.approx(row.plain.value)  # its boxes lie alike on either side
    assert row.original.value == 0.0
    assert row.mirrored_gain.value == pytest.approx(row.plain.value)
    blank = next(control for control in reader.controls if control.name == "blank image")
    assert blank.summary.micro.miou.value == pytest.approx(row.plain.value)  # and it sees nothing


def test_a_model_that_ignores_the_text_stays(seer):
    (row,) = seer.sides
    assert (row.crossed.value, row.original.value, row.mirrored.value) == (0.0, 1.0, 0.0)
    assert (row.mirrored_gain.value, row.mirrored_gain.low, row.mirrored_gain.high) == (-1.0, -1.0, -1.0)
    (words,) = seer.wording
    assert (words.changed.value, words.drop.value, words.same_place.value) == (1.0, 0.0, 1.0)
    assert 0 < words.n_phrases <= 16
    assert words.n_phrases + words.n_left_out == 16


def test_a_model_that_sees_follows_a_crop_exactly(seer):
    row = image_row(seer, "crop")
    assert row.n_phrases + row.n_left_out == 16
    assert row.boxes_lost == row.n_left_out > 0
    assert (row.changed.value, row.drop.value, row.same_place.value, row.old_size.value) == (1.0, 0.0, 1.0, 1.0)
    turned = image_row(seer, "rotation")
    assert turned.changed.value > 0.8  # up to the pixels at the edges of a turned box
    assert turned.old_size.value < 0.95
    for name in ("brightness", "noise"):
        assert (image_row(seer, name).changed.value, image_row(seer, name).boxes_lost) == (1.0, 0)


def test_a_model_that_copies_does_not_follow(copier):
    row = image_row(copier, "crop")
    assert row.plain.value == 1.0
    assert row.drop.value == pytest.approx(row.changed.value - 1.0)
    assert row.drop.value < -0.3
    assert row.hit_drop.value < -0.3
    assert row.same_place.value == pytest.approx(row.changed.value)  # its plain answer was the reference
    assert image_row(copier, "brightness").drop.value == 0.0


def test_the_drop_is_the_paired_difference_of_the_samples(copier):
    changed = ChangedStudies(STUDIES, CHANGES[0])
    kept = [study for study in changed() if len(study.labels[0].boxes)]
    old = {study.id: study.labels[0].boxes for study in STUDIES}
    size = kept[0].image.size
    ious = [float(pairwise_iou(np.clip(old[study.id], 0, [*size] * 2), study.labels[0].boxes)[0, 0]) for study in kept]
    expected = paired_difference(ious, [1.0] * len(kept), [study.patient for study in kept], resamples=50)
    assert image_row(copier, "crop").drop.model_dump() == pytest.approx(expected.model_dump())


def test_denied_findings(seer, copier, reader):
    for result, generated in ((seer, 0.0), (copier, 1.0), (reader, 0.0)):
        by_protocol = {row.protocol: row for row in result.denials}
        assert by_protocol["generate"].stated.value == 1.0
        assert by_protocol["generate"].denied.value == generated
        assert by_protocol["phrase_given"].denied.value == 1.0  # none of these refuses
    row = {row.protocol: row for row in stressed(Refuses(), image_changes=()).denials}["phrase_given"]
    assert (row.stated.value, row.denied.value, row.change.value, row.n_left_out) == (1.0, 0.0, -1.0, 0)


def test_a_region_that_was_looked_at_matters(seer, reader):
    row, other = evidence_row(seer, REGION), evidence_row(seer, OTHER)
    assert (row.same_place.value, other.same_place.value) == (0.0, 1.0)
    assert (row.score_change.value, row.iou_change.value) == (-1.0, -1.0)
    assert (row.comparison, row.minus_comparison.value) == (OTHER, -1.0)
    assert other.minus_comparison is None
    blind = evidence_row(reader, REGION)
    assert (blind.same_place.value, blind.score_change.value, blind.minus_comparison.value) == (1.0, 0.0, 0.0)


def test_knowledge_that_is_used_matters():
    used = stressed(Knows(), image_changes=())
    row, other = evidence_row(used, CITED), evidence_row(used, UNCITED)
    assert row.same_place.value < 0.5
    assert other.same_place.value == 1.0
    assert row.minus_comparison.value == pytest.approx(row.same_place.value - 1.0)
    assert row.score_change.value == pytest.approx(-0.5)
    assert evidence_row(used, REPLACED).same_place.value < 0.5
    assert evidence_row(used, NONE).same_place.value < 0.5
    assert used.notes[-1] != "No knowledge rows: the model has no knowledge that can be taken away."
    idle = stressed(Knows(decorative=True), image_changes=())
    for name in (CITED, REPLACED, NONE):
        row = evidence_row(idle, name)
        assert (row.same_place.value, row.score_change.value, row.minus_comparison.value) == (1.0, 0.0, 0.0)


def test_too_little_knowledge_to_compare_with_is_said():
    result = stressed(Knows(nodes=("left",)), image_changes=())
    assert not any(row.name == CITED for row in result.evidence)
    assert any("16 phrases cited no knowledge" in note for note in result.notes)


def test_notes_say_what_is_missing(seer, reader):
    assert "No knowledge rows: the model has no knowledge that can be taken away." in seer.notes
    assert any(note.startswith("No prior rows") for note in reader.notes)
    assert [row.name for row in seer.controls][1:] == [
        "mean box",
        "class-mean box",
        "text-only oracle",
        "nearest training phrase",
        "shuffled report and phrase",
        "blank image",
    ]


def test_no_table_mixes_protocols(seer):
    tables = [table for table, _ in seer.tables()]
    assert [table.protocol for table in tables if table.title == "Denied findings"] == ["generate", "phrase_given"]
    assert all(row.protocol == table.protocol for table in tables for row in table.rows)
    assert {table.protocol for table in tables if table.title != "Denied findings"} == {"phrase_given"}


@pytest.mark.parametrize("protocol", [Protocol.TEACHER_FORCED, Protocol.GENERATE])
def test_other_protocols(protocol):
    result = stressed(SeesBright(), protocol=protocol, image_changes=CHANGES[:1])
    assert {row.protocol for row in (*result.images, *result.wording, *result.sides)} == {protocol}
    assert result.sides[0].original.value == 1.0  # in generate the phrase is named with its new side
    asked = Protocol.PHRASE_GIVEN if protocol is Protocol.GENERATE else protocol
    assert {row.protocol for row in result.evidence} == {asked}


def test_files_are_strict_whole_and_repeatable(reader, tmp_path):
    reader.write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"robustness.json", "robustness.md"}
    text = (tmp_path / "new/robustness.json").read_text()
    data = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert data == reader.to_dict()
    assert (data["schema"], data["notice"]) == ("knowmvg.robustness/1", DISCLAIMER)
    page = (tmp_path / "new/robustness.md").read_text()
    assert DISCLAIMER in page
    assert page.count("### Denied findings") == 2
    assert page.count("The report denies what the image shows") == 1
    assert stressed(ReadsSide()).to_json() == text


def test_a_place_that_cannot_be_written_is_told(reader, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="can be written"):
        reader.write(tmp_path / "file")


def test_progress_is_told_with_totals():
    told = []
    stressed(SeesBright(), progress=lambda *news: told.append(news), image_changes=CHANGES[:1])
    assert {total for _, _, total in told} == {16}
    assert any(stage.startswith("crop") for stage, _, _ in told)
    assert {"paraphrase", "left and right exchanged", "evidence"} <= {stage for stage, _, _ in told}


@pytest.mark.parametrize("studies", [[], [bright_study(0)]])
def test_no_study_and_one_patient(studies):
    result = stressed(SeesBright(), studies)
    assert [row.n_phrases for row in result.images[1:]] == [len(studies)] * 3
    drop = result.images[-1].drop
    assert drop is None if not studies else (drop.value, drop.low) == (0.0, None)
    json.loads(result.to_json(), parse_constant=lambda word: pytest.fail(word))
    assert "### Changed images" in result.to_markdown()


def test_a_lazy_pass_gives_the_same(reader):
    assert stressed(ReadsSide(), lambda: iter(STUDIES), batch_size=5).to_json() == reader.to_json()


def test_masks_fill_with_the_surroundings_and_spare_the_rest():
    one = bright_study(0, box=[50, 40, 70, 60])
    shown = painted(one, one.labels[0].boxes, "region")
    assert np.allclose(shown.image.pixels, 0.3)
    assert one.image.pixels.max() == 1.0  # the study itself is not touched
    assert shown.id != one.id
    whole = painted(one, np.array([[0.0, 0, *SIZE]]), "all")
    assert np.allclose(whole.image.pixels, one.image.pixels.mean())


def test_a_region_elsewhere_is_elsewhere():
    rng = np.random.default_rng(0)
    box = np.array([[50.0, 40, 70, 60], [10, 10, 30, 20]])
    found = elsewhere(box, SIZE, rng)
    assert found[:, 2:] - found[:, :2] == pytest.approx(box[:, 2:] - box[:, :2])
    assert pairwise_iou(found, box).max() < 0.06
    assert found.min() >= 0
    assert (found[:, 2:] <= SIZE).all()
    assert elsewhere(np.array([[5.0, 5, 115, 95]]), SIZE, rng) is None


def test_mirrors_and_centres_by_hand():
    assert mirror([[10, 5, 30, 8]], 100).tolist() == [[70, 5, 90, 8]]
    assert centre_x([[0, 0, 10, 10], [20, 0, 30, 30]]) == pytest.approx((5 * 100 + 25 * 300) / 400)
    assert centre_x([[10, 0, 10, 10]]) == 10
    with pytest.raises(ValueError, match="at least one box"):
        centre_x([])
