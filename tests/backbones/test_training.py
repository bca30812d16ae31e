"""What is trained of a backbone, and what is not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from knowmvg.grounders.backbones.load import LoadedBackbone
from tests.backbones.tiny_families import FAMILIES, UNTIED

REPORT = "Left pleural effusion."
PHRASES = [("Left pleural effusion", 2), ("nodule", 1)]


def loss(backbone: LoadedBackbone) -> Tensor:
    """Answer-only cross entropy."""
    written = backbone.tokenizer.write(REPORT, PHRASES)
    canvas = np.random.default_rng(7).random((1, 40, 40)).astype(np.float32)
    features = backbone.vlm.look(backbone.pictures(canvas))
    states = backbone.vlm(torch.tensor([[*written.prompt, *written.answer]]), None, features)
    emitting = states[0, len(written.prompt) - 1 : -1]
    return F.cross_entropy(backbone.vlm.logits(emitting), torch.tensor(written.answer))


def trained(backbone: LoadedBackbone) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in backbone.vlm.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", FAMILIES)
def test_only_adapters_and_the_rows_of_box_are_trained(name: str, load: Callable[..., LoadedBackbone]) -> None:
    backbone = load(name)
    parameters = trained(backbone)
    rows = [n for n in parameters if n.endswith(("embedded", "written"))]
    adapters = [n for n in parameters if "lora_" in n]
    assert len(rows) == (2 if name in UNTIED else 1)
    assert len(adapters) == 2 * 2 * 2  # layers, q and v, two factors
    assert set(parameters) == {*rows, *adapters}
    assert all(".layers." in n and "vision" not in n and "visual" not in n for n in adapters)
    assert all(p.dtype == torch.float32 for p in parameters.values())


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "gemma3"])
def test_learning_moves_no_other_row(name: str, load: Callable[..., LoadedBackbone]) -> None:
    backbone = load(name)
    rows = backbone.vlm.rows
    assert rows is not None
    everything = torch.arange(rows.frozen.weight.shape[0])
    others = everything[everything != backbone.tokenizer.box]
    before = {n: p.detach().clone() for n, p in backbone.vlm.named_parameters()}
    embedded = rows(others).clone()
    ours = {n for n in before if n.endswith(("embedded", "written"))}
    optimizer = torch.optim.AdamW(backbone.vlm.parameters(), lr=0.01, weight_decay=0.5)
    backbone.vlm.train()
    first = float(loss(backbone).detach())
    for _ in range(2):
        optimizer.zero_grad()
        loss(backbone).backward()
        optimizer.step()
    backbone.vlm.eval()
    assert float(loss(backbone).detach()) < first
    changed = {n for n, p in backbone.vlm.named_parameters() if not torch.equal(p, before[n])}
    assert ours <= changed
    assert all(n in ours or "lora_" in n for n in changed)
    assert torch.equal(rows(others), embedded)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_reads_and_writes_as_if_it_were_in_the_matrices(name: str, kept: Callable[[str], LoadedBackbone]) -> None:
    backbone = kept(name)
    vlm, box = backbone.vlm, backbone.tokenizer.box
    rows, head = vlm.rows, vlm.model.lm_head
    assert rows is not None
    written = rows.embedded if rows.written is None else rows.written
    size = max(box + 1, head.weight.shape[0])
    matrix = torch.zeros(size, vlm.hidden_size)
    matrix[: head.weight.shape[0]] = head.weight
    matrix[box] = written[0]
    states = torch.randn(3, vlm.hidden_size)
    logits, known = vlm.logits(states), torch.arange(size) < head.weight.shape[0]
    known[box] = True
    torch.testing.assert_close(logits[:, known], (states @ matrix.T)[:, known])
    assert bool(logits[:, ~known].isneginf().all())
    scale = float(getattr(rows.frozen, "embed_scale", 1.0))
    torch.testing.assert_close(rows(torch.tensor([[box]]))[0, 0], rows.embedded[0] * scale)
    assert rows.tied == (name not in UNTIED)


def test_an_untrained_adapter_changes_nothing(load: Callable[..., LoadedBackbone]) -> None:
    torch.testing.assert_close(loss(load("llava")), loss(load("llava", lora=None)))


def test_targets_that_the_decoder_lacks_are_refused(load: Callable[..., LoadedBackbone]) -> None:
    with pytest.raises(Exception, match="'out_proj'"):  # the vision tower has such layers, the decoder none
        load("llava", lora={"targets": ["out_proj"]})


@pytest.mark.parametrize("name", ["llava", "smolvlm"])
def test_all_rows_can_be_trained_as_in_the_lineage(name: str, load: Callable[..., LoadedBackbone]) -> None:
    backbone = load(name, rows="all", lora=None)
    parameters = trained(backbone)
    assert len(parameters) == (2 if name in UNTIED else 1)
    loss(backbone).backward()
    gradient = backbone.vlm.model.get_input_embeddings().weight.grad
    assert gradient is not None
    assert gradient.shape[0] > backbone.tokenizer.box
    assert bool(gradient[backbone.tokenizer.box].any())


@pytest.mark.parametrize("name", ["llava", "qwen3_vl"])
def test_checkpointing_changes_no_gradient(name: str, load: Callable[..., LoadedBackbone]) -> None:
    gradients = []
    for checkpointing in (False, True):
        backbone = load(name, checkpointing=checkpointing, lora={"dropout": 0.0})
        backbone.vlm.train()
        loss(backbone).backward()
        gradients.append({n: p.grad for n, p in trained(backbone).items()})
    assert gradients[0].keys() == gradients[1].keys()
    for name_, gradient in gradients[0].items():
        assert gradient is not None
        torch.testing.assert_close(gradient, gradients[1][name_], atol=1e-6, rtol=1e-4)


def test_the_vision_tower_never_trains(load: Callable[..., LoadedBackbone]) -> None:
    vlm = load("llava").vlm.train()
    assert vlm.decoder.training
    assert not any(module.training for module in vlm.model.model.vision_tower.modules())
    assert not vlm.look({"pixel_values": torch.zeros(1, 3, 28, 28)}).requires_grad
