"""A batch without a box computes what one with boxes does where it is asked to, and teaches nothing by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from knowmvg.core.records import Study
from knowmvg.grounders.prompted.batch import Batch
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.losses.stand_in import of_term, stands_in
from tests.grounders.conftest import labelled_study, radiograph


@pytest.fixture
def boxed(grounder: PromptedGrounder) -> Batch:
    return grounder.collate([grounder.example(labelled_study(seed)) for seed in range(2)])


@pytest.fixture
def boxless(grounder: PromptedGrounder) -> Batch:
    return grounder.collate([grounder.example(Study(radiograph(50, 50, 1), "FINDINGS: No pneumothorax.", "none"))])


@contextmanager
def visited(model: nn.Module) -> Iterator[list[str]]:
    """The names of the modules that run forward, in order."""
    order: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        return lambda *_: order.append(name)

    hooks = [part.register_forward_pre_hook(hook(name)) for name, part in model.named_modules()]
    yield order
    for each in hooks:
        each.remove()


def gradients(grounder: PromptedGrounder, terms: dict[str, Tensor]) -> dict[str, Tensor | None]:
    grounder.model.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    return {name: None if p.grad is None else p.grad.clone() for name, p in grounder.trainable().items()}


def test_it_runs_the_same_modules_and_returns_as_many_terms(
    grounder: PromptedGrounder, boxed: Batch, boxless: Batch
) -> None:
    ran, terms, taught = [], [], []
    for batch in (boxed, boxless):
        with visited(grounder.model) as order:
            terms.append(grounder.losses(batch, alike=True))
        ran.append(order)
        taught.append({name for name, grad in gradients(grounder, terms[-1]).items() if grad is not None})
    assert ran[0] == ran[1]
    assert taught[0] == taught[1]
    assert list(terms[0]) == [of_term(name) for name in terms[1]]
    assert [name for name in terms[1] if not stands_in(name)] == ["text"]


def test_it_teaches_what_it_taught(grounder: PromptedGrounder, boxless: Batch) -> None:
    plain, alike = grounder.losses(boxless), grounder.losses(boxless, alike=True)
    assert list(plain) == ["text"]
    assert torch.equal(alike["text"], plain["text"])
    assert all(float(value.detach()) == 0 for name, value in alike.items() if stands_in(name))
    before, now = gradients(grounder, plain), gradients(grounder, alike)
    assert any(grad is None for grad in before.values())
    for name, grad in now.items():
        was = before[name]
        if grad is not None:
            assert torch.equal(grad, torch.zeros_like(grad) if was is None else was), name


def test_a_batch_with_boxes_stays_as_it_is(grounder: PromptedGrounder, boxed: Batch) -> None:
    plain, alike = grounder.losses(boxed), grounder.losses(boxed, alike=True)
    assert plain.keys() == alike.keys()
    assert all(torch.equal(plain[name], alike[name]) for name in plain)
