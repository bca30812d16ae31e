"""Sizes and schedules of a PFMVG of CPU size, all parts of which are trained here."""

from __future__ import annotations

from pydantic import Field, model_validator

from knowmvg.grounders.backbones.record import LoraPart
from knowmvg.training.recipe_parts import Part, Schedule


class VisionPart(Part):
    """A small CLIP vision transformer that learns which findings its patches show, and is then frozen."""

    side: int = Field(default=256, ge=16, le=1024)
    """side of the square picture in pixels"""
    patch: int = Field(default=16, ge=4)
    """side of a patch in pixels; four patches of a row become one token of the language model"""
    cells: int = Field(default=4, ge=1)
    """cells to the side of a patch whose findings are told apart while it learns"""
    width: int = Field(default=128, ge=16, multiple_of=16)
    """hidden size; there is a head for every 32 of it"""
    layers: int = Field(default=4, ge=1)
    """transformer blocks"""
    schedule: Schedule = Schedule(steps=2000, batch=16, lr=1e-3, weight_decay=0.05)

    @property
    def grid(self) -> int:
        """Patches to a side."""
        return self.side // self.patch

    @model_validator(mode="after")
    def _possible(self) -> VisionPart:
        if self.side % self.patch or self.grid % 4:
            raise ValueError(f"side {self.side} is no multiple of four patches of {self.patch}")
        if self.patch % self.cells:
            raise ValueError(f"patch {self.patch} is no multiple of {self.cells} cells")
        return self


class LanguagePart(Part):
    """A small LLaMA that learns words and numbers from text alone: the training split's reports, and exercises."""

    width: int = Field(default=192, ge=16, multiple_of=16)
    """hidden size; there is a head for every 32 of it"""
    layers: int = Field(default=4, ge=1)
    """transformer blocks"""
    vocabulary: int = Field(default=1500, ge=200)
    """greatest number of word pieces, special tokens and the numbers among them"""
    positions: int = Field(default=512, ge=64)
    """greatest length of a conversation in tokens, those of the image included"""
    reports: float = Field(default=0.3, ge=0, le=1)
    """share of reports among the texts; the others are exercises with numbers (training/coordinates/exercises.py)"""
    schedule: Schedule = Schedule(steps=2000, batch=32, lr=1e-3, weight_decay=0.01)


class ScratchPart(Part):
    """A model of CPU size, all parts of it trained here."""

    vision: VisionPart = VisionPart()
    language: LanguagePart = LanguagePart()
    lora: LoraPart = LoraPart(r=64, alpha=16, dropout=0.05, targets=("q_proj", "v_proj"))
    """adapters of stage 2, as in the released code; stage 1 trains the whole small language model"""

    @model_validator(mode="after")
    def _fits(self) -> ScratchPart:
        image = self.vision.grid**2 // 4
        if image + 32 > self.language.positions:
            raise ValueError(f"positions {self.language.positions} are too few for {image} image tokens and a question")
        return self
