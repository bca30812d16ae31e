"""The grounder on tiny models of the real classes: promises of the interface, shared prefixes, whole answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowmvg.core.boxtext.codec import BoxCodec, Style
from knowmvg.core.grounder import Grounder, LimitedGrounder, Query
from knowmvg.core.records import Assertion, Phrase, Radiograph, Study
from knowmvg.grounders.coordinates.answers import NAMES_NONE
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.inference.answering import Task, by_both, by_parser
from knowmvg.inference.reconcile import NOT_LEARNT
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.sources.report import read_report

FAMILIES = ["llava", "qwen2_5_vl", "qwen3_vl", "smolvlm", "idefics3", "gemma3", "paligemma", "internvl", "joined_llava"]
PHRASES = ["left effusion", "nodule", "a <2 cm mass"]
SHORT = BoxCodec(style=Style.MINIGPT)


def study(seed, size=(60, 80), report="Left pleural effusion. No pneumothorax."):
    pixels = np.random.default_rng(seed).random(size[::-1]).astype(np.float32)
    return Study(Radiograph(pixels), report, f"s{seed}")


def queries(*texts, boxes=None):
    return [Query(Phrase(text=text), boxes) for text in texts]


@pytest.fixture
def grounder(speaking):
    def made(name, **changes):
        config = CoordinatesConfig.of(CONVENTIONS[name])
        config = CoordinatesConfig.model_validate(config.model_dump() | {"most": 2} | changes)
        return CoordinateGrounder(BackboneSpeaker(speaking(name)), config, name)

    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_every_answer_of_every_family_parses(grounder, name):
    model = grounder(name, most=1)
    studies = [study(1), study(2, (90, 40))]
    asking = [queries("mass", "a <2 cm \u00e4"), []]
    answers = model.answers(studies, asking)
    assert all(answer.valid and answer.whole for answer in answers[0])
    if name not in ("qwen3_vl", "paligemma"):
        return
    asking = [[], queries("mass", boxes=2) + queries("mass", boxes=0)]
    answers, groundings = model.answers(studies, asking), model.ground_phrases(studies, asking)
    assert isinstance(model, Grounder)
    assert [g.study for g in groundings] == ["s1", "s2"]
    assert [[p.text for p in g.phrases] for g in groundings] == [[q.phrase.text for q in row] for row in asking]
    assert [len(phrase.boxes) for phrase in groundings[1].phrases] == [2, 0]
    for item, row, asked in zip(groundings, answers, asking, strict=True):
        for phrase, answer, query in zip(item.phrases, row, asked, strict=True):
            assert len(phrase.boxes) == (0 if answer is None else len(answer.boxes)) <= (query.boxes or 2)
            assert [r.xyxy[0] for r in phrase.boxes] == sorted(r.xyxy[0] for r in phrase.boxes)
            assert all(0 < r.score <= 1 for r in phrase.boxes)


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "gemma3", "paligemma", "internvl"])
def test_a_batch_answers_what_its_studies_answer_alone(grounder, name):
    model = grounder(name, codec=SHORT)
    studies = [study(4), study(5, (90, 40))]
    asking = [queries(*PHRASES[:2]), queries(PHRASES[2])]
    together = model.ground_phrases(studies, asking)
    alone = [model.ground_phrases([one], [row])[0] for one, row in zip(studies, asking, strict=True)]
    apart = [model.ground_phrases(studies[:1], [[query]])[0].phrases[0] for query in asking[0]]
    for left, right in [*zip(together, alone, strict=True)]:
        for a, b in zip(left.phrases, right.phrases, strict=True):
            assert [r.xyxy for r in a.boxes] == [r.xyxy for r in b.boxes]
            assert [r.score for r in a.boxes] == pytest.approx([r.score for r in b.boxes], abs=1e-4)
    assert [[r.xyxy for r in p.boxes] for p in apart] == [[r.xyxy for r in p.boxes] for p in together[0].phrases]


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "joined_llava"])
def test_eight_phrases_share_one_image_and_one_prefix(grounder, name, monkeypatch):
    looked, read = [], []
    look, plain = Backbone.look, Backbone.read
    monkeypatch.setattr(Backbone, "look", lambda self, shown: looked.append(1) or look(self, shown))

    def counted(self, input_ids, *args, **more):
        read.append(tuple(input_ids.shape))
        return plain(self, input_ids, *args, **more)

    monkeypatch.setattr(Backbone, "read", counted)
    model = grounder(name, codec=SHORT, most=1)
    model.ground_phrases([study(6)], [queries(*[f"nodule number {n}" for n in range(8)])])
    image = model.speaker.loaded.vlm.image_length
    assert len(looked) == 1
    assert read[0][0] == 1 < image < read[0][1]  # the prefix, once, with the image in it
    assert read[1][0] == 8  # what the questions differ in
    assert read[1][1] < read[0][1]
    assert all(shape == (8, 1) for shape in read[2:])
    looked.clear(), read.clear()
    model.ground_phrases([study(6), study(7)], [queries("a", "b"), queries("c")])
    assert len(looked) == 1  # both images in one batch
    assert [shape[0] for shape in read[:2]] == [2, 3]


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_free_answers_are_read_as_they_come(grounder, name, monkeypatch):
    model = grounder(name, constrained=False, codec=SHORT)
    monkeypatch.setattr("knowmvg.grounders.coordinates.grounder.FREE_TOKENS", 12)
    (row,) = model.answers([study(8)], [queries(*PHRASES)])
    assert not any(answer.valid for answer in row)  # random weights write no box by themselves
    (result,) = model.ground_phrases([study(8)], [queries(*PHRASES)])
    assert all(phrase.reason.startswith("The model's answer could not be taken") for phrase in result.phrases)
    held = model.with_options(constrained=True)
    assert all(answer.valid for answer in held.answers([study(8)], [queries(*PHRASES)])[0])


def test_expected_coordinates_lie_within_the_image_and_differ(grounder):
    model = grounder("joined_llava", least=1)
    likeliest = model.ground_phrases([study(9)], [queries("nodule")])[0].phrases[0]
    expected = model.with_options(expected=True).ground_phrases([study(9)], [queries("nodule")])[0].phrases[0]
    assert len(likeliest.boxes) == len(expected.boxes)
    assert [r.xyxy for r in likeliest.boxes] != [r.xyxy for r in expected.boxes]
    assert [r.score for r in likeliest.boxes] == [r.score for r in expected.boxes]


def test_a_report_s_phrases_are_those_that_the_model_copies(grounder, monkeypatch):
    model = grounder("llava")
    said = ['1. left pleural effusion.\n- "Left pleural effusion"\n* mass in the lung\nNone.', ""]
    original = model.speaker.answer

    def answer(seen, owners, questions, choose, most):
        if choose is None:
            assert "No pneumothorax" in questions[0]
            return torch.zeros(len(questions), 1, dtype=torch.long)
        return original(seen, owners, questions, choose, most)

    monkeypatch.setattr(model.speaker, "answer", answer)
    spoken = iter(said)
    plain = model.speaker.said
    monkeypatch.setattr(model.speaker, "said", lambda ids: next(spoken) if list(ids) == [0] else plain(ids))
    first, second = model.ground([study(10), study(11)])
    assert [phrase.text for phrase in first.phrases] == ["Left pleural effusion"]
    assert first.phrases[0].span == (0, 21)
    assert second.phrases == ()


def test_a_model_that_names_no_phrases_says_so(grounder):
    (result,) = grounder("joined_llava").ground([study(12)])
    assert result.phrases == ()
    assert NAMES_NONE in result.warnings
    absent = Phrase(text="pneumothorax", assertion=Assertion.ABSENT)
    reading = grounder("joined_llava").with_reader(lambda report: [Phrase(text="nodule"), absent])
    assert [phrase.text for phrase in reading.ground([study(12)])[0].phrases] == ["nodule"]
    own = grounder("llava")
    assert own.with_reader(lambda report: []) is own


def test_what_a_model_was_never_taught_to_place_gets_a_reason_and_no_box(grounder):
    plain = grounder("joined_llava")
    task = plain.config.model_copy(update={"findings": ("pleural effusion",), "least": 1})
    taught = CoordinateGrounder(plain.speaker, task, "taught", lambda report: read_report(report).phrases)
    assert isinstance(taught, LimitedGrounder)
    assert plain.findings is None
    told = replace(study(14), report="Small left pleural effusion. Right PICC line in place.")
    assert [phrase.finding for phrase in taught.ground([told])[0].phrases] == ["pleural effusion"]
    for named_by in (by_parser, by_both):
        (result,) = named_by(taught, [Task(told, read_report(told.report))])
        effusion, line = result.phrases
        assert effusion.boxes
        assert (line.finding, line.boxes, line.reason) == ("central venous catheter", (), NOT_LEARNT)


def test_queries_must_be_as_many_as_the_studies(grounder):
    with pytest.raises(ValueError, match="one list of queries a study"):
        grounder("llava").ground_phrases([study(13)], [])
