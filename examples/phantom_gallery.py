"""Draws the gallery: ``python examples/phantom_gallery.py --out docs/images/phantom-gallery.png``.

One row a finding, from subtle to gross, each with its boxes; the last row is whole studies as the data set has them,
where red boxes are named in the report and blue ones are not. Everything is simulated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from knowmvg.core.records import Side
from knowmvg.sources.phantom.findings.plan import Planned
from knowmvg.sources.phantom.scene import FINDINGS, Scene
from knowmvg.sources.phantom.simulate import simulate

TILE, COLUMNS, CAPTION, GREYS = 208, 6, 15, 96
RED, BLUE, GREY = (235, 64, 52), (66, 135, 245), (200, 200, 200)


def tile(scene: Scene, caption: str, boxes: bool) -> Image.Image:
    """One radiograph with its caption above and, where asked, the corners of its boxes."""
    sheet = Image.new("RGB", (TILE, TILE + CAPTION))
    image = Image.fromarray(scene.pixels).convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    scale = TILE / scene.pixels.shape[0]
    for finding in scene.findings if boxes else ():
        for lesion in finding.lesions:
            x1, y1, x2, y2 = (edge * scale for edge in lesion.box)
            for x, y, dx, dy in ((x1, y1, 1, 1), (x2, y1, -1, 1), (x1, y2, 1, -1), (x2, y2, -1, -1)):
                colour = RED if finding.mentioned else BLUE
                draw.line([x + 9 * dx, y, x, y, x, y + 9 * dy], fill=colour, width=2)
    sheet.paste(image, (0, CAPTION))
    ImageDraw.Draw(sheet).text((3, 2), caption, fill=GREY)
    return sheet


def row_of(name: str, seed: int) -> list[Image.Image]:
    """The finding at rising severity: alternately on either side, the first one also without its box."""
    tiles = []
    for column, severity in enumerate((0.1, 0.1, 0.3, 0.5, 0.75, 1.0)):
        side = {"cardiomegaly": None, "edema": Side.BILATERAL}.get(name, (Side.LEFT, Side.RIGHT)[column // 2 % 2])
        rng = np.random.default_rng([seed, max(column, 1)])
        scene = simulate(rng, plan=[Planned(name, side, severity)])
        zone = scene.findings[0].zone if scene.findings else None
        place = " ".join(str(word) for word in (side, zone) if word)
        tiles.append(tile(scene, f"{name}, {place}" if place else name, boxes=column > 0))
    return tiles


def gallery(seed: int) -> Image.Image:
    """The whole sheet."""
    rows = [row_of(name, seed + 100 * k) for k, name in enumerate(FINDINGS)]
    studies = [simulate(np.random.default_rng([seed, 7, k])) for k in range(COLUMNS)]
    rows.append([tile(scene, "a study with its findings", boxes=True) for scene in studies])
    sheet = Image.new("RGB", (COLUMNS * TILE, len(rows) * (TILE + CAPTION)))
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            sheet.paste(picture, (j * TILE, i * (TILE + CAPTION)))
    return sheet


def few_colours(sheet: Image.Image) -> Image.Image:
    """The sheet in a palette of greys and the two colours of boxes, which keeps its PNG small."""
    palette = Image.new("P", (1, 1))
    greys = [round(255 * k / (GREYS - 1)) for k in range(GREYS) for _ in range(3)]
    palette.putpalette([*greys, *RED, *BLUE])
    return sheet.quantize(palette=palette, dither=Image.Dither.NONE)


def main() -> int:
    """Writes the sheet as a PNG."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/phantom-gallery.png"))
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet = few_colours(gallery(options.seed))
    part = options.out.with_suffix(".part")
    sheet.save(part, format="PNG", optimize=True)
    part.replace(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
