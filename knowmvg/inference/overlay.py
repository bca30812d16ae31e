"""A grounding drawn for people: the radiograph with numbered boxes, and beside it the phrases that they belong to."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from knowmvg.core.records import Grounding, Radiograph
from knowmvg.inference.drawing import BACKGROUND, Rectangle, Style, colour, draw_number, numbered
from knowmvg.inference.legend import draw_legend
from knowmvg.inference.map_files import tint

MAX_SIDE = 1600
MIN_SIDE = 960


def draw(image: Radiograph, grounding: Grounding, *, maps: bool = False) -> Image.Image:
    """The overlay as an RGB picture: the radiograph left, its longest side between 960 and 1600 px, the legend right.

    With ``maps`` the maps that the evidence holds lie over the radiograph (inference/map_files.py).

    Raises ``ValueError`` when the grounding was made for an image of another size.
    """
    if image.size != grounding.image_size:
        raise ValueError(f"expected an image of size {grounding.image_size}, got {image.size}")
    picture, scale = _display(image)
    if maps:
        picture = tint(picture, grounding)
    largest = round(max(picture.size) / 52)
    _draw_boxes(picture, grounding, scale, Style(largest))
    panel = draw_legend(grounding, largest, picture.height)
    canvas = Image.new("RGB", (picture.width + panel.width, panel.height), BACKGROUND)
    canvas.paste(picture, (0, 0))
    canvas.paste(panel, (picture.width, 0))
    return canvas


def png(image: Radiograph, grounding: Grounding, *, maps: bool = False) -> bytes:
    """The overlay as the content of a PNG file."""
    stream = io.BytesIO()
    draw(image, grounding, maps=maps).save(stream, "PNG", compress_level=4)  # twenty times as fast as the smallest file
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


def _draw_boxes(picture: Image.Image, grounding: Grounding, scale: tuple[float, float], style: Style) -> None:
    """All boxes, then all numbers, so that no box crosses out a number."""
    pen = ImageDraw.Draw(picture)
    placed: list[tuple[int, Rectangle]] = []
    for number, phrase in numbered(grounding):
        for region in phrase.boxes:
            x1, y1, x2, y2 = (value * scale[k % 2] for k, value in enumerate(region.xyxy))
            halo = style.line // 2 + 1
            pen.rectangle((x1 - halo, y1 - halo, x2 + halo, y2 + halo), outline=BACKGROUND, width=style.line + 2 * halo)
            pen.rectangle((x1, y1, x2, y2), outline=colour(number), width=style.line)
            placed.append((number, (x1, y1, x2, y2)))
    taken: list[Rectangle] = []
    for number, box in placed:
        _draw_tag(pen, picture.size, box, number, style, taken)


def _draw_tag(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: Rectangle,
    number: int,
    style: Style,
    taken: list[Rectangle],
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
    draw_number(pen, spot, number, style)


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
