"""Keys and values in buffers with room: what is read back is what the published layer holds."""

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from knowmvg.nn.backbones.cache import ROOM, RoomyLayer


def filled(layer: DynamicLayer, *lengths: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer that was told of so many tokens, one time after the other."""
    generator = torch.Generator().manual_seed(sum(lengths))
    for length in lengths:
        keys, values = torch.randn(2, rows, 3, length, 4, generator=generator)
        told = layer.update(keys, values)
    return told


@pytest.mark.parametrize("lengths", [(5,), (5, 1, 1), (2, ROOM, 1), (2, ROOM + 1, 1)])
def test_all_that_was_told_is_kept(lengths):
    own, published = RoomyLayer(), DynamicLayer()
    for got, expected in zip(filled(own, *lengths, rows=2), filled(published, *lengths, rows=2), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("rows", [[0, 0, 0], [1], [1, 0, 1, 1], [0, 1]])
def test_rows_are_kept_as_often_as_they_are_named_and_go_on_by_themselves(rows):
    own, published = RoomyLayer(), DynamicLayer()
    for layer in (own, published):
        filled(layer, 5, rows=2)
        layer.batch_select_indices(torch.tensor(rows))
    assert torch.equal(own.keys, published.keys)
    assert torch.equal(own.values, published.values)
    before = own.keys.data_ptr()
    for _ in range(3):
        for got, expected in zip(filled(own, 1, rows=len(rows)), filled(published, 1, rows=len(rows)), strict=True):
            assert torch.equal(got, expected)
    assert own.keys.data_ptr() == before  # nothing was copied again


def test_an_empty_layer_has_no_rows_to_keep():
    layer = RoomyLayer()
    layer.batch_select_indices(torch.tensor([0, 0]))
    assert not layer.is_initialized
