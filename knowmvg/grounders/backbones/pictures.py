"""Canvases as a family's image processor wants them, and the placeholders that stand for one in a prompt."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from knowmvg.core.errors import ModelError
from knowmvg.nn.backbones.family import Family

_ANY_SIZE = 448  # shown where a family takes any size: 256 image tokens of Qwen2.5-VL, 196 of Qwen3-VL
_FOR_THE_PROMPT = (
    "rows",
    "cols",
    "num_crops",
    "num_patches",
)  # what a processor says for its prompt, and the tower does not read


class Pictures:
    """Makes pictures of canvases; all are squares of one side, so that all take the same number of image tokens.

    Args:
        processor: the image processor of the model.
        family: the family rule.
        config: the model's configuration.
        side: pixels of a side, or ``None`` for the model's own.

    Attributes:
        side: pixels of a side.
        length: image tokens of a picture.
        placeholders: the text that takes the place of the family's marker in a prompt; it has ``length`` tokens with
            the id of the image token.

    Raises ``ModelError`` for a side that the model cannot take.
    """

    def __init__(self, processor: Any, family: Family, config: Any, side: int | None) -> None:
        self.processor = processor
        self.tiled = hasattr(config, "scale_factor")  # Idefics3, SmolVLM: a picture beyond their own size is cut up
        self.options: dict[str, Any] = {}
        if self.tiled:
            self.side = side or _pixels(processor.max_image_size)
            self.options = {
                "size": {"longest_edge": self.side},
                "do_image_splitting": side is not None,
                "return_row_col_info": True,
            }
        elif family.positions == "grid":
            self.side = _on_cells(config.vision_config, family, side)
        else:
            self.side = _pixels(getattr(processor, "crop_size", None) or processor.size)
            if side not in (None, self.side):
                todo = "The vision tower has one position for each patch of that size."
                raise ModelError(f"picture {self.side} or null for this {family.name} model", str(side), todo)
        self.length, self.placeholders = _placeholders(self._process(_blank(self.side)), family, config)

    def __call__(self, canvases: NDArray[np.float32]) -> dict[str, Tensor]:
        """The vision tower's input for canvases ``[B, S, S]`` with values in ``[0, 1]``; grey becomes RGB."""
        return {name: value for name, value in self._process(canvases).items() if name not in _FOR_THE_PROMPT}

    def described(self) -> str:
        """All that a picture depends on beside its canvas, as text that is equal for equal pictures."""
        said = {name: str(value) for name, value in self.processor.to_dict().items() if not name.startswith("_")}
        return json.dumps([self.side, said, self.options], sort_keys=True, default=str)

    def _process(self, canvases: NDArray[np.float32]) -> dict[str, Any]:
        size = (self.side, self.side)
        drawn = [Image.fromarray((canvas * 255).round().astype(np.uint8)) for canvas in canvases]
        rgb = [picture.resize(size, Image.Resampling.BICUBIC).convert("RGB") for picture in drawn]
        images = [[picture] for picture in rgb] if self.tiled else rgb
        return dict(self.processor(images=images, return_tensors="pt", **self.options))


def _blank(side: int) -> NDArray[np.float32]:
    return np.zeros((1, side, side), np.float32)


def _pixels(size: Any) -> int:
    """The side of the square that a processor's ``size`` describes."""
    sides = size if isinstance(size, dict) else vars(size)
    return int(next(sides[key] for key in ("height", "shortest_edge", "longest_edge") if sides.get(key)))


def _on_cells(vision: Any, family: Family, side: int | None) -> int:
    """A side that is a whole number of merged patches."""
    cell = vision.patch_size * vision.spatial_merge_size
    if side is None:
        return int(_ANY_SIZE // cell * cell)
    if side % cell:
        near = max(1, round(side / cell)) * cell
        raise ModelError(f"a multiple of {cell} for {family.name}", f"picture: {side}", f"Set picture: {near}.")
    return side


def _placeholders(made: dict[str, Any], family: Family, config: Any) -> tuple[int, str]:
    """Image tokens of a processed picture, and the text that the family's own processor writes for it.

    Written from the processors of transformers 5.23; the tests hold it against those that run without torchvision.
    """
    vision = config.vision_config
    if "image_grid_thw" in made:
        length = int(made["image_grid_thw"][0].prod()) // vision.spatial_merge_size**2
        return length, family.marker * length
    if hasattr(config, "scale_factor"):
        tile = (vision.image_size // vision.patch_size) ** 2 // config.scale_factor**2
        rows, columns = int(made["rows"][0][0]), int(made["cols"][0][0])
        return tile * (rows * columns + 1), _tiles(rows, columns, family.marker * tile)
    if family.image_block:
        length = int(config.mm_tokens_per_image)
        return length, f"\n\n<start_of_image>{'<image_soft_token>' * length}<end_of_image>\n\n"
    if hasattr(config, "downsample_ratio"):  # InternVL, one tile
        side = int(vision.image_size[0] // vision.patch_size[0] * config.downsample_ratio)
        return side**2, f"<img>{family.marker * side**2}</img>"
    length = (vision.image_size // vision.patch_size) ** 2
    if hasattr(config, "joined_tokens"):
        return length // config.joined_tokens, family.marker * (length // config.joined_tokens)
    if hasattr(config, "vision_feature_select_strategy"):  # CLIP's class token comes first, SigLIP has none
        length += (vision.model_type == "clip_vision_model") - (config.vision_feature_select_strategy == "default")
    return length, family.marker * length


def _tiles(rows: int, columns: int, tokens: str) -> str:
    """The tiles of a picture, row by row, and the whole of it."""
    cut = "".join(
        "".join(f"<fake_token_around_image><row_{r + 1}_col_{c + 1}>{tokens}" for c in range(columns)) + "\n"
        for r in range(rows)
    )
    between = "\n" if rows else ""
    return f"{cut}{between}<fake_token_around_image><global-img>{tokens}<fake_token_around_image>"
