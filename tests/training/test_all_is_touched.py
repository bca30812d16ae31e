"""Under DeepSpeed each process has a gradient of every trained parameter, whatever its batch taught."""

from __future__ import annotations

import torch
from torch import nn

from knowmvg.training.deepspeed import touching_all


def test_every_trained_parameter_gets_a_gradient_and_the_others_stay() -> None:
    task = nn.ModuleDict({"taught": nn.Linear(3, 1), "untaught": nn.Linear(3, 1), "frozen": nn.Linear(3, 1)})
    task["frozen"].requires_grad_(False)
    given = torch.ones(2, 3)
    plain = task["taught"](given).square().mean()
    plain.backward(retain_graph=True)
    wanted = [p.grad.clone() for p in task["taught"].parameters()]
    task.zero_grad()
    loss = touching_all(plain, task)
    assert torch.equal(loss, plain)
    loss.backward()
    assert all(torch.equal(p.grad, before) for p, before in zip(task["taught"].parameters(), wanted, strict=True))
    assert all(not p.grad.any() for p in task["untaught"].parameters())
    assert all(p.grad is None for p in task["frozen"].parameters())
