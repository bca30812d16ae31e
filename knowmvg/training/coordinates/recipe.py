"""PFMVG's recipe: two stages, with the values of the paper and where they do not come from it (arXiv 2410.23822).

What the paper does not say is taken from the code that its authors released for their earlier work (jinlHe/PeFoMed,
MiniGPT-v2) and marked so. docs/deviations.md lists what is done otherwise and why.
"""

from __future__ import annotations

from math import cos, pi
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec
from knowmvg.core.boxtext.views import Fit
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.training.coordinates.sizes import ScratchPart
from knowmvg.training.recipe_parts import Part, RunPart


class CosinePart(Part):
    """Optimizer and pace of a stage: AdamW, from `lr` down to `last_lr` along half a cosine."""

    epochs: int = Field(ge=0)
    """passes over the data; 0 leaves the stage out"""
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
    checkpoint: int = Field(default=250, ge=1)
    """steps between checkpoints"""

    @model_validator(mode="after")
    def _falls(self) -> CosinePart:
        if self.last_lr > self.lr:
            raise ValueError(f"expected a learning rate that falls from {self.lr}, got {self.last_lr} at the end")
        return self

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of ``steps``."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, steps - self.warmup - 1)
        return self.last_lr + (self.lr - self.last_lr) * (1 + cos(pi * min(1.0, share))) / 2


class CaptionData(Part):
    """A set of images with captions or reports, of the user's own copy (stage 1)."""

    folder: Path | None = None
    """prepared data set folder, of which the split train is read; null is the recipe's own `data`"""
    text: Literal["caption", "report"] = "report"
    """which pool of instructions is asked: of captions, or of radiographs' reports"""
    share: float = Field(default=1.0, gt=0)
    """how often it is drawn, relative to the others (the released code: 60 of 200 each for CLEF, ROCO and MIMIC-CXR)"""


class CaptionStage(CosinePart):
    """Stage 1: medical knowledge from images with words (sections 2.2 and 3.1)."""

    epochs: int = Field(default=3, ge=0)
    """passes over the data (section 3.1)"""
    batch: int = Field(default=2, ge=1)
    """pairs a step (section 3.1)"""
    lr: float = Field(default=1e-4, gt=0)
    """(section 3.1)"""
    last_lr: float = Field(default=8e-5, ge=0)
    """(section 3.1)"""
    data: tuple[CaptionData, ...] = Field(default=(CaptionData(),), min_length=1)
    """ROCO, CLEF2022 and MIMIC-CXR in the paper (section 2.2). Whoever is a patient of the splits val or test of
    `data` is left out"""
    most_words: int = Field(default=50, ge=1)
    """words of a caption or report that are learnt (the released code)"""


class GroundingStage(CosinePart):
    """Stage 2: boxes of phrases (sections 2.2 and 3.1)."""

    epochs: int = Field(default=50, ge=0)
    """passes over the data (section 3.1)"""
    batch: int = Field(default=4, ge=1)
    """pairs a step (section 3.1)"""
    lr: float = Field(default=3e-5, gt=0)
    """(section 3.1)"""
    last_lr: float = Field(default=1e-5, ge=0)
    """(section 3.1)"""
    least_side: float = Field(default=1.0, gt=0, le=1)
    """least share of each side that a random crop keeps; a crop keeps every box whole, and 1 is the whole image. The
    paper's "randomly cropped" is not said further; its released code crops and flips and leaves box and words behind"""
    validate_: int = Field(default=0, ge=0, alias="validate")
    """steps between validations, of which the best state is kept (0: only the last one, which is validated too)"""


class PfmvgRecipe(RunPart):
    """Everything that a run of PFMVG depends on; `data` are the phrases with boxes of stage 2."""

    system: Literal["coordinates"]
    """the kind of grounding system"""
    parts_seed: int = Field(default=0, ge=0)
    """of the parts that runs share: vision encoder and language model"""
    base: BackbonePart | None = None
    """the model that is tuned: MiniGPT-v2's layout in a folder, or any chat model with a projection; null trains one of
    CPU size by `scratch`"""
    scratch: ScratchPart | None = None
    """sizes and schedules of a model of CPU size; only without `base`"""
    projection: bool = True
    """whether the projection is trained beside the adapters (section 2.1)"""
    fit: Fit = Fit.SQUASH
    """of the image to the square: stretched, as in MiniGPT-v2"""
    codec: BoxCodec = PFMVG
    """of the boxes: hundredths, truncated"""
    expected: bool = False
    """whether the trained model gives expected coordinates instead of the likeliest ones; saved with it"""
    keep_tokens: bool = True
    """whether the frozen vision encoder sees each image once, its tokens kept on disk in half precision; without, it
    looks anew in every step"""
    caption: CaptionStage = CaptionStage()
    """stage 1"""
    grounding: GroundingStage = GroundingStage()
    """stage 2"""
    validation_studies: int = Field(default=200, ge=1)
    """studies of the split val that are validated on"""

    @model_validator(mode="after")
    def _possible(self) -> PfmvgRecipe:
        if (self.base is None) == (self.scratch is None):
            raise ValueError("a recipe needs one of base and scratch")
        if self.base is not None and self.base.lora is None and not self.projection:
            raise ValueError("expected adapters or a projection to train, got neither")
        if self.keep_tokens and self.grounding.least_side < 1:
            raise ValueError("grounding.least_side below 1 shows another part in each step: set keep_tokens to false")
        return self
