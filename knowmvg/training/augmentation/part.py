"""What a recipe says of augmentation."""

from __future__ import annotations

from pydantic import Field

from knowmvg.training.recipe_parts import Part


class AugmentPart(Part):
    """Images changed anew in every draw. Their features cannot be cached: each step then runs the frozen encoders."""

    shift: float = Field(default=0.04, ge=0, le=0.3)
    """greatest move along each axis, as a share of the image's side"""
    scale: float = Field(default=0.08, ge=0, le=0.5)
    """greatest change of size, as a share"""
    rotate: float = Field(default=4.0, ge=0, le=20)
    """greatest turn in degrees"""
    brightness: float = Field(default=0.1, ge=0, le=0.5)
    """greatest change of brightness, and of contrast, as a share of the range"""
    flip: float = Field(default=0.0, ge=0, le=1)
    """share of draws that are mirrored, left and right exchanged in report, phrases and sides. A mirrored chest has
    its heart on the right, which no report says: off unless asked for. Studies with words such as lingula never are"""
