"""The radiograph encoder of laptop size: convolutions to a coarse grid, attention there, back up to a fine grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class ImageEncoderConfig:
    """Sizes of the encoder; the feature grid has ``canvas / 8`` cells a side.

    Args:
        canvas: side of the square canvas in pixels, a multiple of 16.
        channels: width of the feature map (SAM's ``hidden_size``).
        widths: channels at strides 4, 8 and 16.
        blocks: residual blocks at strides 4, 8 and 16.
        attention: transformer blocks at stride 16.
        heads: attention heads of those.
    """

    canvas: int = 256
    channels: int = 64
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)
    attention: int = 2
    heads: int = 4

    @property
    def grid(self) -> int:
        """Cells a side of the feature map."""
        return self.canvas // 8


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class RadiographEncoder(nn.Module):
    """Canvas ``[B, 1, S, S]`` in ``[0, 1]`` to features ``[B, channels, S/8, S/8]``.

    Stands where SAM's image encoder stands in the paper; its features are what the prompts are decoded against. Once
    pre-trained (training/prompted/segmenter.py) it stays frozen.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, fine, 7, stride=4, padding=3, bias=False), nn.BatchNorm2d(fine), nn.ReLU(inplace=True)
        )
        self.fine = nn.Sequential(*(_Residual(fine) for _ in range(config.blocks[0])))
        self.middle = nn.Sequential(_down(fine, middle), *(_Residual(middle) for _ in range(config.blocks[1])))
        self.coarse = nn.Sequential(_down(middle, coarse), *(_Residual(coarse) for _ in range(config.blocks[2])))
        side = config.canvas // 16
        self.positions = nn.Parameter(torch.zeros(1, side * side, coarse))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.context = nn.ModuleList(
            nn.TransformerEncoderLayer(
                coarse, config.heads, 2 * coarse, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.attention)
        )
        self.from_fine = nn.Conv2d(fine, config.channels, 2, stride=2)
        self.from_middle = nn.Conv2d(middle, config.channels, 1)
        self.from_coarse = nn.Conv2d(coarse, config.channels, 1)
        self.neck = nn.Conv2d(config.channels, config.channels, 3, padding=1)
        self.norm = nn.GroupNorm(1, config.channels)

    def forward(self, canvas: Tensor) -> Tensor:
        """Features ``[B, channels, S/8, S/8]`` of canvases ``[B, 1, S, S]``."""
        fine = self.fine(self.stem((canvas - 0.5) * 4))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        tokens = coarse.flatten(2).transpose(1, 2) + self.positions
        for block in self.context:
            tokens = block(tokens)
        coarse = tokens.transpose(1, 2).reshape(coarse.shape)
        up = F.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        merged = F.relu(up + self.from_middle(middle) + self.from_fine(fine))
        features: Tensor = self.norm(self.neck(merged))
        return features
