"""uMedGround's uncertainty in a result: deviations in pixels of the stored image, and agreement as the score."""

from __future__ import annotations

import pytest
import torch

from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.grounders.prompted.objective import Objective
from knowmvg.grounders.prompted.uncertainty import box_deviations, box_scores
from knowmvg.grounders.prompted.variants import baseline, umedground
from knowmvg.nn.box_decoder import Boxes
from tests.grounders.conftest import labelled_study, tiny_grounder

QUERIES = [[Query(Phrase(text="left effusion"), 1), Query(Phrase(text="edema"), 3)]]


def test_deviations_are_pixels_of_the_stored_image() -> None:
    frame = Frame.letterbox((200, 100), (64, 64))  # 0.32 canvas pixels a stored one: a unit is 200 of them
    several = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.3, 0.4], [0.3, 0.2, 0.3, 0.7]]])
    boxes = Boxes(several.mean(dim=1), torch.zeros(1), hypotheses=several)
    found = box_deviations(boxes, frame)
    expected = torch.tensor([[0.1 * 200, 0, 0, (0.03**0.5) * 200]], dtype=torch.float64)  # unbiased variance 0.03
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert box_deviations(boxes._replace(hypotheses=None), frame) is None


def test_the_score_is_the_heads_or_the_agreement() -> None:
    same = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).expand(1, 3, 4)
    boxes = Boxes(same.mean(dim=1), torch.zeros(1), hypotheses=same)
    assert box_scores(boxes, "head").tolist() == [0.5]
    assert box_scores(boxes, "agreement").tolist() == pytest.approx([1.0])


def test_a_result_has_the_deviations_of_each_box(tokenizer, graph) -> None:
    study = labelled_study()
    (answer,) = tiny_grounder(umedground(), tokenizer, graph).ground_phrases([study], QUERIES)
    for phrase, boxes in zip(answer.phrases, (1, 3), strict=True):
        assert phrase.evidence is not None
        assert len(phrase.evidence.box_deviations) == len(phrase.boxes) == boxes
        assert min(map(min, phrase.evidence.box_deviations)) > 0
        assert all(0 < region.score <= 1 for region in phrase.boxes)
    (alone,) = tiny_grounder(umedground(), tokenizer, graph).ground_phrases([study], [QUERIES[0][:1]])
    first, again = answer.phrases[0].evidence, alone.phrases[0].evidence
    assert first is not None
    assert again is not None
    assert first.box_deviations[0] == pytest.approx(again.box_deviations[0], abs=0.02)  # no other phrase takes part
    (plain,) = tiny_grounder(baseline("token"), tokenizer, graph).ground_phrases([study], QUERIES)
    assert plain.phrases[0].evidence is not None
    assert plain.phrases[0].evidence.box_deviations == ()


def test_each_hypothesis_is_taught(tokenizer, graph) -> None:
    grounder = tiny_grounder(umedground(), tokenizer, graph)
    batch = grounder.collate([grounder.example(labelled_study())])
    published, by_error = (grounder.losses(batch, Objective(hypotheses=kind)) for kind in ("published", "error"))
    assert published["box_l1"].item() != by_error["box_l1"].item()
    assert published["local_l1"].item() == by_error["local_l1"].item()  # the second box head has one answer
    (published["box_l1"] + published["box_giou"]).backward()
    tokens = grounder.model.attention.decoder.other_tokens
    assert float(tokens.grad.abs().sum(dim=2).min()) > 0


def test_beta_is_of_every_box_term(tokenizer, graph) -> None:
    grounder = tiny_grounder(umedground(), tokenizer, graph)
    batch = grounder.collate([grounder.example(labelled_study())])
    plain, smooth = (grounder.losses(batch, Objective(l1_beta=beta)) for beta in (0.0, 1.0))
    for term in ("box_l1", "local_l1"):
        assert plain[term].item() > smooth[term].item()


def test_limits_are_kept_and_change_no_answer(tokenizer, graph, tmp_path) -> None:
    grounder = tiny_grounder(baseline(), tokenizer, graph)
    studies = [labelled_study(seed) for seed in range(3)]
    at_once = grounder.ground_phrases(studies, QUERIES * 3)
    grounder.limits = AnswerLimits(batch_size=2, max_new_tokens=9)
    for one, other in zip(at_once, grounder.ground_phrases(studies, QUERIES * 3), strict=True):
        for phrase, again in zip(one.phrases, other.phrases, strict=True):
            assert phrase.boxes[0].xyxy == pytest.approx(again.boxes[0].xyxy, abs=1e-3)
    store.save(grounder, tmp_path / "model")
    assert store.load(tmp_path / "model").limits == AnswerLimits(2, 9)
    with pytest.raises(ValueError, match="at least 1"):
        AnswerLimits(batch_size=0)
