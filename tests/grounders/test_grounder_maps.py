"""Maps of every row of the family: where they lie, what they are, and that nothing changes by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from knowmvg.core.errors import ModelError
from knowmvg.core.grounder import MapGrounder, Query
from knowmvg.core.maps import MapKind
from knowmvg.core.records import Evidence, Phrase, Study
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.grounders.prompted.variants import VARIANTS, baseline, knowmvg
from knowmvg.inference.session import Session
from tests.grounders.conftest import REPORT, labelled_study, radiograph, tiny_grounder

QUERIES = [Query(Phrase(text="left pleural effusion"), 1), Query(Phrase(text="bilateral edema"), 2)]
STUDIES = [Study(radiograph(w, h, i), REPORT, f"s{i}") for i, (w, h) in enumerate([(90, 70), (64, 64), (41, 130)])]
KINDS = {
    "baseline": {"drawn", "attention"},
    "kps": {"drawn", "attention"},
    "gla": {"drawn", "attention", "frozen"},
    "knowmvg": {"drawn", "attention", "frozen"},
    "lisa": {"drawn"},
    "medground": {"attention"},
    "umedground": {"attention"},
}


def maps_of(grounder, studies=STUDIES, queries=None):
    answers = grounder.ground_phrases(studies, queries or [QUERIES] * len(studies))
    return [[{m.kind.value: m for m in p.evidence.maps} for p in answer.phrases] for answer in answers]


def without_maps(answers):
    return [
        answer.model_copy(
            update={
                "phrases": tuple(
                    p.model_copy(update={"evidence": p.evidence.model_copy(update={"maps": ()})})
                    for p in answer.phrases
                )
            }
        )
        for answer in answers
    ]


def test_each_phrase_has_one_of_each_kind_on_the_image(grounder):
    assert isinstance(grounder, MapGrounder)
    mapped = grounder.with_maps()
    assert {kind.value for kind in grounder.maps} == KINDS[kind_of(grounder)]
    for study, phrases in zip(STUDIES, maps_of(mapped), strict=True):
        for maps in phrases:
            assert set(maps) == KINDS[kind_of(grounder)]
            for one in maps.values():
                drawn = one.on_image()
                assert drawn.shape == study.image.pixels.shape
                assert drawn.dtype == np.float32
                assert 0 <= drawn.min() <= drawn.max() <= 1


def kind_of(grounder) -> str:
    return next(name for name, build in VARIANTS.items() if build() == grounder.config.variant)


def test_nothing_else_changes_and_none_is_made_unasked(grounder):
    plain = grounder.ground_phrases(STUDIES, [QUERIES] * 3)
    assert all(phrase.evidence.maps == () for answer in plain for phrase in answer.phrases)
    mapped = grounder.with_maps()
    assert without_maps(mapped.ground_phrases(STUDIES, [QUERIES] * 3)) == plain
    assert grounder.ground_phrases(STUDIES, [QUERIES] * 3) == plain
    assert mapped.with_maps() is mapped


def test_unasked_no_weight_is_computed(tokenizer, graph, monkeypatch):
    from knowmvg.grounders.prompted import grounder as module
    from knowmvg.nn import attention_weights

    def never(*_, **__):
        raise AssertionError("a map was made")

    monkeypatch.setattr(module, "evidence_maps", never)
    monkeypatch.setattr(attention_weights._Asked, "forward", never)
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    grounder.ground_phrases(STUDIES, [QUERIES] * 3)
    with pytest.raises(AssertionError, match="map was made"):
        grounder.with_maps().ground_phrases(STUDIES, [QUERIES] * 3)


def test_a_batch_is_its_singles(grounder):
    mapped = grounder.with_maps()
    asked = [QUERIES, QUERIES[:1], QUERIES]
    for study, queries, together in zip(STUDIES, asked, maps_of(mapped, STUDIES, asked), strict=True):
        (alone,) = maps_of(mapped, [study], [queries])
        for one, other in zip(together, alone, strict=True):
            for kind in one:
                np.testing.assert_allclose(one[kind].cells, other[kind].cells, atol=2e-4)
                assert one[kind].white == pytest.approx(other[kind].white, rel=1e-3)


def test_what_is_drawn_is_what_the_box_was_read_from(tokenizer, graph):
    """The map of one box is the sigmoid of its logits; that of two is their highest."""
    grounder = tiny_grounder(baseline(), tokenizer, graph)
    place, decoded = grounder.model.place, []

    def watched(*args):
        decoded.append(place(*args))
        return decoded[-1]

    mapped = grounder.with_maps()
    place = mapped.model.place
    mapped.model.place = watched
    ((one, two),) = maps_of(mapped, STUDIES[:1])
    logits = decoded[0].decoded.boxes.mask
    np.testing.assert_allclose(one["drawn"].cells, logits[0].sigmoid().numpy(), atol=1e-6)
    np.testing.assert_allclose(two["drawn"].cells, logits[1:].amax(dim=0).sigmoid().numpy(), atol=1e-6)
    weights = decoded[0].decoded.boxes.attention
    np.testing.assert_allclose(two["attention"].cells * two["attention"].white, weights[1:].mean((0, 1)), atol=1e-6)
    assert two["attention"].cells.max() == pytest.approx(1)
    assert (two["attention"].cells * two["attention"].white).sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (50, 150), (200, 90)])
def test_a_drawing_lies_where_its_box_lies(tokenizer, graph, size):
    """Logits are put into the decoder's place: what it drew in a corner of the image must come back in that corner."""
    grounder = tiny_grounder(baseline(), tokenizer, graph).with_maps()
    width, height = size
    study = Study(radiograph(width, height, 0), REPORT, "s")
    wanted = np.array([0.55 * width, 0.1 * height, 0.95 * width, 0.45 * height])
    place = grounder.model.place

    def drawing(*args):
        placed = place(*args)
        _, (frame,) = grounder._encode([study])
        region = np.zeros((height, width), dtype=np.float32)
        region[int(wanted[1]) : int(wanted[3]), int(wanted[0]) : int(wanted[2])] = 1
        share = torch.from_numpy(frame.on((32, 32)).render(region)).clamp(0.001, 0.999)
        boxes = placed.decoded.boxes._replace(mask=share.logit().expand(len(args[0]), -1, -1))
        return replace(placed, decoded=placed.decoded._replace(boxes=boxes))

    grounder.model.place = drawing
    ((maps,),) = maps_of(grounder, [study], [QUERIES[:1]])
    rows, columns = np.nonzero(maps["drawn"].on_image() > 0.5)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(found, wanted, atol=max(size) / 32)


def test_a_session_gives_them_with_every_source_of_phrases(tokenizer, graph):
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    grounder.limits = AnswerLimits(max_new_tokens=12)
    session, study = Session(grounder), labelled_study()
    for source in ("parser", "both"):
        grounding = session.ground(study.image, REPORT, phrases=source, maps=True)
        placed = [phrase for phrase in grounding.phrases if phrase.boxes]
        assert placed
        for phrase in placed:
            assert [m.kind for m in phrase.evidence.maps] == [MapKind.DRAWN, MapKind.ATTENTION, MapKind.FROZEN]
        rest = [phrase for phrase in grounding.phrases if not phrase.boxes]
        assert all(phrase.evidence is None or not phrase.evidence.maps for phrase in rest)
    assert all(not (p.evidence or Evidence()).maps for p in session.ground(study.image, REPORT).phrases)


def test_a_model_without_maps_says_so():
    class Bare:
        def ground(self, studies):
            raise AssertionError("asked")

        ground_phrases = ground

    with pytest.raises(ModelError, match="maps"):
        Session(Bare()).ground(radiograph(30, 30, 0), "Edema.", maps=True)


def test_knowledge_taken_away_leaves_the_maps(tokenizer, graph):
    mapped = tiny_grounder(knowmvg(), tokenizer, graph).with_maps()
    part = mapped.without_knowledge(set(graph.texts[:4]))
    assert set(maps_of(part, STUDIES[:1])[0][0]) == KINDS["knowmvg"]
