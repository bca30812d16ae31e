"""What picture and legend of an overlay share: colours, letters, and the number that ties a box to its phrase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from PIL import ImageDraw, ImageFont

from knowmvg.core.records import GroundedPhrase, Grounding

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour: TypeAlias = tuple[int, int, int]
Rectangle: TypeAlias = tuple[float, float, float, float]

BACKGROUND = (18, 20, 24)
# Distinct on grey and for colour-blind eyes (after Okabe and Ito, brightened for a dark ground).
PALETTE = (
    (86, 190, 255),
    (255, 176, 46),
    (64, 214, 156),
    (255, 122, 92),
    (250, 232, 80),
    (233, 140, 214),
    (150, 160, 255),
    (190, 226, 120),
)


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes that follow the picture's: ``unit`` is the body font's size in pixels."""

    unit: int

    def font(self, scale: float = 1.0) -> Font:
        """The letters at ``scale`` times the body size, 10 px at least."""
        return ImageFont.load_default(max(10, round(self.unit * scale)))

    @property
    def line(self) -> int:
        """Width of a box's line in pixels."""
        return max(2, round(self.unit / 7))


def numbered(grounding: Grounding) -> Iterator[tuple[int, GroundedPhrase]]:
    """The phrases with boxes, counted from 1."""
    return enumerate((phrase for phrase in grounding.phrases if phrase.boxes), 1)


def colour(number: int) -> Colour:
    """The colour of a phrase's boxes and number."""
    return PALETTE[(number - 1) % len(PALETTE)]


def draw_number(pen: ImageDraw.ImageDraw, place: Rectangle, number: int, style: Style) -> None:
    """A phrase's number on a plate of its colour."""
    pen.rounded_rectangle(place, radius=style.unit / 4, fill=colour(number))
    centre = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
    pen.text(centre, str(number), font=style.font(0.95), fill=BACKGROUND, anchor="mm")
