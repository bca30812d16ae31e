"""The legend of an overlay: numbered phrases, phrases without a box and why, the model and the disclaimer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

from PIL import Image, ImageDraw

from knowmvg.core.records import GroundedPhrase, Grounding
from knowmvg.inference.drawing import BACKGROUND, Colour, Font, Style, draw_number, numbered

INK = (236, 238, 242)
FAINT = (172, 178, 188)
DIM = (128, 134, 145)
RULE = (52, 57, 66)
WIDTH, MARGIN, INDENT = 23, 1.4, 2.1  # in the largest letters
SMALLEST = 0.65  # letters of a long legend, as a share of the usual ones
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the legend: its text, font, colour and the space above it; ``number`` starts a numbered entry."""

    text: str
    font: Font
    colour: Colour
    above: int = 0
    number: int | None = None


@dataclass(frozen=True, slots=True)
class _Panel:
    """The legend set in one style for one width: its entries, its foot and the height that they need."""

    style: Style
    width: int
    body: list[_Line]
    foot: list[_Line]

    @classmethod
    def of(cls, grounding: Grounding, unit: int, width: int) -> _Panel:
        style = Style(unit)
        small, inner = style.font(0.72), width - 2 * round(MARGIN * unit)
        model = _Line(f"Model: {_plain(grounding.model)}", small, DIM)
        foot = [model, _Line(grounding.notice, small, DIM, unit // 4)]
        body = _wrapped(_legend(grounding, style), inner - round(INDENT * unit))
        return cls(style, width, body, _wrapped(foot, inner))

    @property
    def height(self) -> int:
        gaps = 2 * MARGIN + 1.5
        return _height(self.body) + _height(self.foot) + round(gaps * self.style.unit)


def draw_legend(grounding: Grounding, largest: int, height: int) -> Image.Image:
    """The legend in the largest letters that fit ``height``; where the smallest do not, it is made longer."""
    width, unit = WIDTH * largest, largest
    panel = _Panel.of(grounding, unit, width)
    while panel.height > height and unit > SMALLEST * largest:
        unit -= 1
        panel = _Panel.of(grounding, unit, width)
    picture = Image.new("RGB", (width, max(height, panel.height)), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    margin = round(MARGIN * unit)
    y = margin
    for line in panel.body:
        y += line.above
        _draw_line(pen, line, (margin, y), round(INDENT * unit), panel.style)
        y += _line_height(line.font)
    y = picture.height - margin - _height(panel.foot)
    pen.line((margin, y - unit * 0.6, width - margin, y - unit * 0.6), fill=RULE, width=1)
    for line in panel.foot:
        y += line.above
        pen.text((margin, y), line.text, font=line.font, fill=line.colour)
        y += _line_height(line.font)
    return picture


def _draw_line(pen: ImageDraw.ImageDraw, line: _Line, at: tuple[int, int], indent: int, style: Style) -> None:
    x, y = at
    if line.number is not None:
        draw_number(pen, (x, y, x + 1.4 * style.unit, y + 1.3 * style.unit), line.number, style)
    pen.text((x + indent, y), line.text, font=line.font, fill=line.colour)


def _legend(grounding: Grounding, style: Style) -> list[_Line]:
    gap, small = round(0.9 * style.unit), style.font(0.82)
    lines = []
    for number, phrase in numbered(grounding):
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
