"""A grounding drawn for people: the radiograph with numbered boxes, and beside it the phrases that they belong to."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from knowmvg.core.records import GroundedPhrase, Grounding, Radiograph

MAX_SIDE = 1600
MIN_SIDE = 960
NO_BREAK = "\N{NO-BREAK SPACE}"
BACKGROUND = (18, 20, 24)
INK = (236, 238, 242)
FAINT = (172, 178, 188)
DIM = (128, 134, 145)
RULE = (52, 57, 66)
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

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the legend: its text, font, colour and the space above it; ``number`` starts a numbered entry."""

    text: str
    font: Font
    colour: Colour
    above: int = 0
    number: int | None = None


@dataclass(frozen=True, slots=True)
class _Style:
    """Sizes that follow the picture's: ``unit`` is the body font's size in pixels."""

    unit: int

    def font(self, scale: float = 1.0) -> Font:
        return ImageFont.load_default(max(10, round(self.unit * scale)))

    @property
    def line(self) -> int:
        return max(2, round(self.unit / 7))


def draw(image: Radiograph, grounding: Grounding) -> Image.Image:
    """The overlay as an RGB picture: the radiograph left, its longest side between 960 and 1600 px, the legend right.

    Raises ``ValueError`` when the grounding was made for an image of another size.
    """
    if image.size != grounding.image_size:
        raise ValueError(f"expected an image of size {grounding.image_size}, got {image.size}")
    picture, scale = _display(image)
    style = _Style(round(max(picture.size) / 52))
    _draw_boxes(picture, grounding, scale, style)
    panel = _draw_panel(grounding, style, round(style.unit * 23), picture.height)
    canvas = Image.new("RGB", (picture.width + panel.width, panel.height), BACKGROUND)
    canvas.paste(picture, (0, (canvas.height - picture.height) // 2))
    canvas.paste(panel, (picture.width, 0))
    return canvas


def png(image: Radiograph, grounding: Grounding) -> bytes:
    """The overlay as the content of a PNG file."""
    stream = io.BytesIO()
    draw(image, grounding).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _display(image: Radiograph) -> tuple[Image.Image, tuple[float, float]]:
    """The radiograph as RGB with square pixels, and display pixels per stored pixel ``(x, y)``."""
    width, height = image.size[0], image.size[1] * image.pixel_aspect
    longest = max(width, height)
    unit = min(max(longest, MIN_SIDE), MAX_SIDE) / longest
    size = max(1, round(width * unit)), max(1, round(height * unit))
    grey = Image.fromarray((np.clip(image.pixels, 0, 1) * 255).round().astype(np.uint8))
    picture = grey.resize(size, Image.Resampling.LANCZOS).convert("RGB")
    return picture, (size[0] / image.size[0], size[1] / image.size[1])


def _numbered(grounding: Grounding) -> Iterator[tuple[int, GroundedPhrase]]:
    """The phrases with boxes, counted from 1."""
    return enumerate((phrase for phrase in grounding.phrases if phrase.boxes), 1)


def _colour(number: int) -> Colour:
    return PALETTE[(number - 1) % len(PALETTE)]


def _draw_boxes(picture: Image.Image, grounding: Grounding, scale: tuple[float, float], style: _Style) -> None:
    pen = ImageDraw.Draw(picture)
    taken: list[tuple[float, float, float, float]] = []
    for number, phrase in _numbered(grounding):
        for region in phrase.boxes:
            x1, y1, x2, y2 = (value * scale[k % 2] for k, value in enumerate(region.xyxy))
            halo = style.line // 2 + 1
            pen.rectangle((x1 - halo, y1 - halo, x2 + halo, y2 + halo), outline=BACKGROUND, width=style.line + 2 * halo)
            pen.rectangle((x1, y1, x2, y2), outline=_colour(number), width=style.line)
            _draw_tag(pen, picture.size, (x1, y1, x2, y2), number, style, taken)


def _draw_tag(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    number: int,
    style: _Style,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """The number at a corner of its box, where no other number lies yet."""
    font, text = style.font(0.95), str(number)
    width = pen.textlength(text, font=font) + 0.8 * style.unit
    height = 1.3 * style.unit
    x1, y1, x2, y2 = box
    corners = [(x1, y1 - height), (x2 - width, y1 - height), (x1, y2), (x2 - width, y2), (x1, y1), (x2 - width, y1)]
    spots = []
    for x, y in corners:
        left, top = min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height)
        spots.append((left, top, left + width, top + height))
    spot = next((s for s in spots if not any(_overlap(s, other) for other in taken)), spots[0])
    taken.append(spot)
    pen.rounded_rectangle(spot, radius=style.unit / 4, fill=_colour(number))
    centre = ((spot[0] + spot[2]) / 2, (spot[1] + spot[3]) / 2)
    pen.text(centre, text, font=font, fill=BACKGROUND, anchor="mm")


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_panel(grounding: Grounding, style: _Style, width: int, height: int) -> Image.Image:
    """The legend, at least ``height`` high and as much higher as its lines need."""
    margin, indent = round(1.4 * style.unit), round(2.1 * style.unit)
    body = _wrapped(_legend(grounding, style), width - 2 * margin - indent)
    small = style.font(0.72)
    foot = _wrapped(
        [_Line(f"Model: {_plain(grounding.model)}", small, DIM), _Line(grounding.notice, small, DIM, style.unit // 4)],
        width - 2 * margin,
    )
    needed = 2 * margin + _height(body) + round(1.5 * style.unit) + _height(foot)
    panel = Image.new("RGB", (width, max(height, needed)), BACKGROUND)
    pen = ImageDraw.Draw(panel)
    y = margin
    for line in body:
        y += line.above
        _draw_line(pen, line, (margin, y), indent, style)
        y += _line_height(line.font)
    y = panel.height - margin - _height(foot)
    pen.line((margin, y - style.unit * 0.6, width - margin, y - style.unit * 0.6), fill=RULE, width=1)
    for line in foot:
        y += line.above
        pen.text((margin, y), line.text, font=line.font, fill=line.colour)
        y += _line_height(line.font)
    return panel


def _draw_line(pen: ImageDraw.ImageDraw, line: _Line, at: tuple[int, int], indent: int, style: _Style) -> None:
    x, y = at
    if line.number is not None:
        chip = (x, y, x + 1.4 * style.unit, y + 1.3 * style.unit)
        pen.rounded_rectangle(chip, radius=style.unit / 4, fill=_colour(line.number))
        centre = ((chip[0] + chip[2]) / 2, (chip[1] + chip[3]) / 2)
        pen.text(centre, str(line.number), font=style.font(0.95), fill=BACKGROUND, anchor="mm")
    pen.text((x + indent, y), line.text, font=line.font, fill=line.colour)


def _legend(grounding: Grounding, style: _Style) -> list[_Line]:
    gap, small = round(0.9 * style.unit), style.font(0.82)
    lines = []
    for number, phrase in _numbered(grounding):
        lines.append(_Line(_plain(phrase.text), style.font(1.05), INK, gap, number))
        lines.append(_Line(_facts(phrase), small, DIM, round(style.unit / 6)))
    without = [phrase for phrase in grounding.phrases if not phrase.boxes]
    if without:
        lines.append(_Line("Without a box", style.font(0.82), INK, 2 * gap))
    for phrase in without:
        lines.append(_Line(_plain(phrase.text), style.font(0.95), FAINT, gap))
        lines.append(_Line(_plain(phrase.reason or ""), small, DIM, round(style.unit / 6)))
    if not lines:
        lines.append(_Line("No diagnostic phrase was found in the report.", style.font(), FAINT))
    return [replace(lines[0], above=0), *lines[1:]]


def _facts(phrase: GroundedPhrase) -> str:
    scores = ", ".join(f"{region.score:.2f}" for region in phrase.boxes)
    named = phrase.evidence.source if phrase.evidence else "model"
    words = [phrase.finding, phrase.assertion.value, f"score {scores}", f"named by {named}"]
    return " · ".join(_unbroken(word) for word in words if word)


def _unbroken(text: str) -> str:
    """The text with spaces at which ``_wrapped`` breaks no line; the font has no glyph for them."""
    return text.replace(" ", NO_BREAK)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _wrapped(lines: list[_Line], width: int) -> list[_Line]:
    """The lines broken at words to fit ``width`` pixels; a word longer than that is cut."""
    out = []
    for line in lines:
        above, number = line.above, line.number
        for text in _broken(line.text, line.font, width):
            out.append(_Line(text.replace(NO_BREAK, " "), line.font, line.colour, above, number))
            above, number = 0, None
    return out


def _broken(text: str, font: Font, width: int) -> Iterator[str]:
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if font.getlength(longer) <= width:
            current = longer
            continue
        if current:
            yield current
        while font.getlength(word) > width:
            cut = max(1, bisect_right(range(1, len(word)), width, key=partial(_width, font, word)))
            yield word[:cut]
            word = word[cut:]
        current = word
    yield current


def _width(font: Font, word: str, letters: int) -> int:
    return ceil(font.getlength(word[:letters]))


def _line_height(font: Font) -> int:
    return round((font.getbbox("Ág")[3]) * 1.22)


def _height(lines: list[_Line]) -> int:
    return sum(line.above + _line_height(line.font) for line in lines)
