"""Attention summed while it is computed: over layers and timesteps, a map a resolution and a phrase."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from knowmvg.core.boxes import FloatArray
from knowmvg.grounders.diffusion.settings import Merge, ReadSettings
from knowmvg.grounders.diffusion.text_bias import TextBias

CONTENT, FIRST = 0, 1  # groups of tokens: the content words, and the first token ([CLS])


class Resolutions:
    """Sums of maps ``[P, h, h]`` for each ``h``: what is summed coarse need not be enlarged before."""

    def __init__(self, phrases: int) -> None:
        self._phrases = phrases
        self._sums: dict[int, Tensor] = {}

    def add(self, phrases: Tensor, maps: Tensor) -> None:
        """Add maps ``[R, h, h]`` to those of their phrases ``[R]``."""
        side = maps.shape[-1]
        if side not in self._sums:
            self._sums[side] = maps.new_zeros(self._phrases, side, side)
        self._sums[side].index_add_(0, phrases, maps)

    def total(self, phrase: int, side: int, mode: str) -> FloatArray:
        """The sum ``[side, side]`` of one phrase over all resolutions, the coarse ones enlarged."""
        added = sum(_enlarged(one[phrase], side, mode).double() for one in self._sums.values())
        assert isinstance(added, Tensor)
        return added.cpu().numpy()

    @property
    def nbytes(self) -> int:
        """Bytes of what is held."""
        return sum(one.nbytes for one in self._sums.values())


class AttentionSums:
    """Takes the attention of passes over noised images (nn.diffusion.attention.AttentionSink).

    Memory does not grow with steps or layers. The matrix product of two maps that were enlarged ``k`` times by
    repetition is ``k`` times the enlarged product, so that bias maps are multiplied as coarse as they are.

    Args:
        settings: which layers and steps count, and how.
        layers: the layers that count for the attention; for the biases all do.
        content: weights ``[P, T]`` of the phrases' content tokens.
        side: of the finest map.
        biases: of each phrase, where biases are merged.
    """

    groups: Tensor

    def __init__(
        self,
        settings: ReadSettings,
        layers: Collection[int],
        content: Tensor,
        side: int,
        biases: Sequence[TextBias] | None,
    ) -> None:
        self._settings, self._layers, self._side, self._biases = settings, frozenset(layers), side, biases
        first = torch.zeros_like(content)
        first[:, 0] = 1
        self._weights = torch.stack([content, first], dim=2) if biases is not None else content.unsqueeze(2)
        self.attention, self.image_bias, self.product = (Resolutions(len(content)) for _ in range(3))
        self._coming = 0
        self._phrases: Tensor
        self._steps: list[int]
        self._rows: Tensor
        self._counted: Tensor

    def expect(self, phrases: Sequence[int], steps: Sequence[int]) -> None:
        """Say which phrase and step each row of the next pass belongs to; -1 for a pass without phrase."""
        device = self._weights.device
        found = torch.tensor(phrases, device=device)
        self.groups = self._weights[found.clamp_min(0)] * (found >= 0).view(-1, 1, 1)
        self._rows = (found >= 0).nonzero().flatten()
        self._phrases = found[self._rows]
        self._steps = [step for step, phrase in zip(steps, phrases, strict=True) if phrase >= 0]
        inside = [float(self._settings.in_window(step)) for step in self._steps]
        self._counted = torch.tensor(inside, device=device).view(-1, 1, 1)

    def add(self, layer: int, maps: Tensor) -> None:
        """Sum the maps of one layer."""
        self._coming = max(self._coming, maps.nbytes)
        if not len(self._rows):
            return
        read = maps[self._rows]
        if layer in self._layers:
            own = read[:, CONTENT]
            self.attention.add(self._phrases, (_spread(own) if self._settings.normalise else own) * self._counted)
        if self._biases is not None:
            first = read[:, FIRST]
            of_text = torch.stack(
                [self._biases[p].maps[layer][s] for p, s in zip(self._phrases.tolist(), self._steps, strict=True)]
            )
            self.image_bias.add(self._phrases, first)
            self.product.add(self._phrases, _product(first, of_text, self._settings.merge, self._side))

    @property
    def nbytes(self) -> int:
        """Bytes of the sums, with the largest maps that came in at once."""
        return self.attention.nbytes + self.image_bias.nbytes + self.product.nbytes + self._coming


def _product(first: Tensor, second: Tensor, merge: Merge, side: int) -> Tensor:
    return torch.bmm(first, second) * (side / first.shape[-1]) if merge == "matmul" else first * second


def _spread(maps: Tensor) -> Tensor:
    """Each map from 0 to 1; a flat one is 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


def _enlarged(one: Tensor, side: int, mode: str) -> Tensor:
    if len(one) == side:
        return one
    return functional.interpolate(one[None, None], (side, side), mode=mode)[0, 0]
