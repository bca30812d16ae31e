from __future__ import annotations

import pytest
import tiny_diffusion
import torch

from knowmvg.nn.diffusion.attention import cross_attentions, reading_attention


class Sink:
    def __init__(self, groups, fails=False):
        self.groups, self.fails, self.seen = groups, fails, []

    def add(self, layer, maps):
        if self.fails:
            raise RuntimeError("stop")
        self.seen.append((layer, maps))


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return tiny_diffusion.unet().requires_grad_(False)


def inputs(rows=2, tokens=7):
    source = torch.Generator().manual_seed(2)
    return torch.randn(rows, 4, 8, 8, generator=source), torch.randn(rows, tokens, 16, generator=source)


def uniform(rows=2, tokens=7):
    return torch.full((rows, tokens, 1), 1 / tokens)


@pytest.mark.parametrize("fails", [False, True])
def test_the_very_processors_come_back(unet, fails):
    before = unet.attn_processors
    x, states = inputs()
    sink = Sink(uniform(), fails)
    try:
        with reading_attention(unet, sink):
            changed = [name for name, one in unet.attn_processors.items() if one is not before[name]]
            assert sorted(changed) == sorted(name for name in before if "attn2" in name)
            unet(x, 10, encoder_hidden_states=states)
        assert not fails
    except RuntimeError:
        assert fails
    after = unet.attn_processors
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_the_prediction_is_that_of_the_unet_itself(unet):
    x, states = inputs()
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    for given in (None, mask):
        alone = unet(x, 10, encoder_hidden_states=states, encoder_attention_mask=given).sample
        with reading_attention(unet, Sink(uniform())):
            read = unet(x, 10, encoder_hidden_states=states, encoder_attention_mask=given).sample
        torch.testing.assert_close(read, alone, atol=1e-5, rtol=1e-4)


def test_layers_come_in_the_order_of_the_computation(unet):
    names = cross_attentions(unet)
    assert [name.split(".")[0] for name in names] == ["down_blocks"] * 2 + ["mid_block"] + ["up_blocks"] * 4
    x, states = inputs()
    sink = Sink(uniform())
    with reading_attention(unet, sink):
        unet(x, 10, encoder_hidden_states=states)
    assert [layer for layer, _ in sink.seen] == list(range(7))
    assert [maps.shape[-1] for _, maps in sink.seen] == [8, 4, 4, 4, 4, 8, 8]
    chosen = Sink(uniform())
    with reading_attention(unet, chosen, [5, 1]):
        unet(x, 10, encoder_hidden_states=states)
    assert [layer for layer, _ in chosen.seen] == [1, 5]


def test_weights_are_shares(unet):
    """All tokens together have weight 1 at each place; masked tokens have none; groups of 0 read nothing."""
    x, states = inputs()
    groups = torch.zeros(2, 7, 3)
    groups[:, :, 0] = 1
    groups[:, 4:, 1] = 1
    sink = Sink(groups)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    with reading_attention(unet, sink):
        unet(x, 10, encoder_hidden_states=states, encoder_attention_mask=mask)
    for _, maps in sink.seen:
        assert maps.shape[:2] == (2, 3)
        torch.testing.assert_close(maps[:, 0], torch.ones_like(maps[:, 0]))
        assert (maps[0, 1] > 0.1).all()
        assert (maps[1, 1] < 1e-6).all()
        assert not maps[:, 2].any()


def test_rows_computed_apart_are_rows_computed_together(unet, monkeypatch):
    x, states = inputs(5)
    whole, parted = Sink(uniform(5)), Sink(uniform(5))
    with reading_attention(unet, whole):
        first = unet(x, 10, encoder_hidden_states=states).sample
    monkeypatch.setattr("knowmvg.nn.diffusion.attention.AT_ONCE", 1)
    with reading_attention(unet, parted):
        second = unet(x, 10, encoder_hidden_states=states).sample
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    for (_, one), (_, other) in zip(whole.seen, parted.seen, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
