"""What every grounding system promises, whatever it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import Phrase, Study
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.store import load_grounder
from tests.grounders.conftest import REPORT, labelled_study, radiograph

QUERIES = [Query(Phrase(text="left pleural effusion"), 1), Query(Phrase(text="bilateral edema"), 2)]


@pytest.fixture
def studies() -> list[Study]:
    sizes = [(90, 70), (64, 64), (41, 130)]
    return [Study(radiograph(w, h, i), REPORT, f"s{i}") for i, (w, h) in enumerate(sizes)]


def test_it_is_a_grounder(grounder: PromptedGrounder) -> None:
    assert isinstance(grounder, Grounder)


def test_one_grounding_a_study_in_order_with_boxes_inside(grounder: PromptedGrounder, studies: list[Study]) -> None:
    answers = grounder.ground_phrases(studies, [QUERIES, [], QUERIES[:1]])
    assert [a.study for a in answers] == ["s0", "s1", "s2"]
    assert [[len(p.boxes) for p in a.phrases] for a in answers] == [[1, 2], [], [1]]
    for answer, study in zip(answers, studies, strict=True):
        assert answer.image_size == study.image.size  # Grounding itself refuses a box outside it
        assert all(region.xyxy[2] > region.xyxy[0] for p in answer.phrases for region in p.boxes)


def test_a_batch_is_its_singles(grounder: PromptedGrounder, studies: list[Study]) -> None:
    together = grounder.ground_phrases(studies, [QUERIES] * 3)
    for study, answer in zip(studies, together, strict=True):
        alone = grounder.ground_phrases([study], [QUERIES])[0]
        for a, b in zip(answer.phrases, alone.phrases, strict=True):
            np.testing.assert_allclose([r.xyxy for r in a.boxes], [r.xyxy for r in b.boxes], atol=1e-3)


def test_generation_of_a_batch_is_that_of_its_singles(grounder: PromptedGrounder, studies: list[Study]) -> None:
    grounder.max_new_tokens = 12
    reports = [REPORT, "Clear.", "Edema is seen at the left base, with a nodule."]
    asked = [Study(s.image, report, s.id) for s, report in zip(studies, reports, strict=True)]
    together = grounder.ground(asked)
    for study, answer in zip(asked, together, strict=True):
        alone = grounder.ground([study])[0]
        assert [p.text for p in answer.phrases] == [p.text for p in alone.phrases]


def test_nothing_asked_nothing_answered(grounder: PromptedGrounder) -> None:
    assert grounder.ground([]) == []
    assert grounder.ground_phrases([], []) == []
    empty = grounder.ground_phrases([Study(radiograph(30, 30, 0), "")], [[]])
    assert empty[0].phrases == ()


def test_unequal_lists_are_refused(grounder: PromptedGrounder, studies: list[Study]) -> None:
    with pytest.raises(ValueError, match="expected one list of queries a study, got 1 for 3 studies"):
        grounder.ground_phrases(studies, [[]])


def test_the_same_question_gets_the_same_answer(grounder: PromptedGrounder, studies: list[Study]) -> None:
    assert grounder.ground_phrases(studies, [QUERIES] * 3) == grounder.ground_phrases(studies, [QUERIES] * 3)


def test_saved_and_loaded_it_answers_alike(grounder: PromptedGrounder, studies: list[Study], tmp_path: Path) -> None:
    grounder.model.half().float()  # what the file keeps
    before = grounder.ground_phrases(studies, [QUERIES] * 3)
    store.save(grounder, tmp_path / "model")
    after = load_grounder(tmp_path / "model").ground_phrases(studies, [QUERIES] * 3)
    assert before == after


def test_a_number_of_boxes_may_be_left_to_the_model(grounder: PromptedGrounder, studies: list[Study]) -> None:
    answer = grounder.ground_phrases(studies[:1], [[Query(Phrase(text="edema"))]])[0]
    assert 1 <= len(answer.phrases[0].boxes) <= 4


def test_training_changes_what_is_trainable_and_nothing_else(grounder: PromptedGrounder) -> None:
    examples = [grounder.example(labelled_study(seed)) for seed in range(3)]
    before = {name: value.clone() for name, value in grounder.model.state_dict().items()}
    grounder.model.train()
    parameters = grounder.trainable()
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    for _ in range(2):  # the first step opens paths that start at zero
        optimizer.zero_grad()
        sum(grounder.losses(grounder.collate(examples)).values()).backward()
        optimizer.step()
    grounder.model.eval()
    changed = {n for n, value in grounder.model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed <= set(parameters)
    assert not any(name.startswith(("image_encoder.", "segmenter.")) for name in changed)
    parts = {name.split(".")[0] for name in changed}
    assert {"vlm", "projection", "attention"} <= parts


def test_losses_are_finite_named_and_fall(grounder: PromptedGrounder) -> None:
    torch.manual_seed(0)
    examples = [grounder.example(labelled_study(seed)) for seed in range(2)]
    batch = grounder.collate(examples)
    optimizer = torch.optim.Adam(grounder.trainable().values(), lr=3e-3)
    totals = []
    for _ in range(25):
        terms = grounder.losses(batch)
        total = torch.stack(list(terms.values())).sum()
        assert torch.isfinite(total)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]


def test_a_batch_without_any_box_can_be_learned_from(grounder: PromptedGrounder) -> None:
    study = Study(radiograph(50, 50, 1), "FINDINGS: No pneumothorax.", "none")
    terms = grounder.losses(grounder.collate([grounder.example(study)]))
    total = torch.stack(list(terms.values())).sum()
    assert torch.isfinite(total)
    total.backward()
