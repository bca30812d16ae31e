"""PFMVG's recipe: two stages, with the values of the paper and where they do not come from it (arXiv 2410.23822).

What the paper does not say is taken from the code that its authors released for their earlier work (jinlHe/PeFoMed,
MiniGPT-v2) and marked so. docs/deviations.md lists what is done otherwise and why.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec
from knowmvg.core.boxtext.views import Fit
from knowmvg.grounders.backbones.record import BackbonePart, LoraPart


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class CosinePart(_Part):
    """Optimizer and pace of a stage: AdamW, from `lr` down to `last_lr` along half a cosine."""

    epochs: int = Field(ge=1)
    """passes over the data"""
    batch: int = Field(ge=1)
    """pairs of a question and its answer a step; the paper does not say whether for each of its four cards"""
    lr: float = Field(gt=0)
    """learning rate at the beginning, after the warm-up"""
    last_lr: float = Field(ge=0)
    """learning rate at the end"""
    weight_decay: float = Field(default=0.05, ge=0)
    """of AdamW; said of stage 1 alone (section 3.1)"""
    warmup: int = Field(default=0, ge=0)
    """steps of linear rise; the paper names none (the released code: 1,000)"""
    clip: float = Field(default=1.0, gt=0)
    """greatest norm of the gradient; the paper names none"""

    @model_validator(mode="after")
    def _falls(self) -> CosinePart:
        if self.last_lr > self.lr:
            raise ValueError(f"expected a learning rate that falls from {self.lr}, got {self.last_lr} at the end")
        return self

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of ``steps``."""
        from math import cos, pi

        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, steps - self.warmup - 1)
        return self.last_lr + (self.lr - self.last_lr) * (1 + cos(pi * min(1.0, share))) / 2


class CaptionData(_Part):
    """A set of images with captions or reports, of the user's own copy (stage 1)."""

    folder: str = Field(min_length=1)
    """prepared data set folder"""
    text: Literal["caption", "report"] = "caption"
    """which pool of instructions is asked: of captions, or of radiographs' reports"""
    share: float = Field(default=1.0, gt=0)
    """how often it is drawn, relative to the others (the released code: 60 of 200 each for CLEF, ROCO and MIMIC-CXR)"""


class CaptionStage(CosinePart):
    """Stage 1: medical knowledge from images with words (sections 2.2 and 3.1)."""

    epochs: int = Field(default=3, ge=1)
    """passes over the data (section 3.1)"""
    batch: int = Field(default=2, ge=1)
    """pairs a step (section 3.1)"""
    lr: float = Field(default=1e-4, gt=0)
    """(section 3.1)"""
    last_lr: float = Field(default=8e-5, ge=0)
    """(section 3.1)"""
    data: tuple[CaptionData, ...] = ()
    """ROCO, CLEF2022 and MIMIC-CXR in the paper (section 2.2); none skips the stage"""
    most_words: int = Field(default=50, ge=1)
    """words of a caption or report that are learnt (the released code)"""


class GroundingStage(CosinePart):
    """Stage 2: boxes of phrases (sections 2.2 and 3.1)."""

    epochs: int = Field(default=50, ge=1)
    """passes over the data (section 3.1)"""
    batch: int = Field(default=4, ge=1)
    """pairs a step (section 3.1)"""
    lr: float = Field(default=3e-5, gt=0)
    """(section 3.1)"""
    last_lr: float = Field(default=1e-5, ge=0)
    """(section 3.1)"""
    folder: str = "data/ms-cxr"
    """prepared data set folder: MS-CXR in the paper, 7:1:2 by patient (section 3.1; `knowmvg splits --ratio 7:1:2`)"""
    least_side: float = Field(default=1.0, gt=0, le=1)
    """least share of each side that a random crop keeps; a crop keeps every box whole, and 1 is the whole image. The
    paper's "randomly cropped" is not said further; its released code crops and flips and leaves box and words behind"""


class PfmvgRecipe(_Part):
    """A run of PFMVG."""

    system: Literal["coordinates"] = "coordinates"
    """what is trained"""
    name: str = "pfmvg"
    """what results call the model"""
    seed: int = Field(default=2026, ge=0)
    """of weights, order, instructions and crops"""
    base: BackbonePart = BackbonePart(
        id="base", lora=LoraPart(r=64, alpha=16, dropout=0.05, targets=("q_proj", "v_proj"))
    )
    """the model that is tuned: MiniGPT-v2's layout in a folder, or any chat model with a projection; LoRA of rank 64,
    alpha 16, dropout 0.05 on q and v (the released code: the paper gives no numbers)"""
    projection: bool = True
    """whether the projection is trained beside the adapters (section 2.1)"""
    side: int = Field(default=448, ge=28)
    """pixels of a side of the picture (section 3.1)"""
    fit: Fit = Fit.SQUASH
    """of the image to the square: stretched, as in MiniGPT-v2"""
    codec: BoxCodec = PFMVG
    """of the boxes: hundredths, truncated"""
    caption: CaptionStage = CaptionStage()
    """stage 1"""
    grounding: GroundingStage = GroundingStage()
    """stage 2"""

    @model_validator(mode="after")
    def _trains_something(self) -> PfmvgRecipe:
        if self.base.lora is None and not self.projection:
            raise ValueError("expected adapters or a projection to train, got neither")
        return self
