"""Draws planned findings into a chest and records what became visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from knowmvg.core.records import Side
from knowmvg.sources.phantom.canvas import Image
from knowmvg.sources.phantom.chest import Chest
from knowmvg.sources.phantom.findings import lung, pleura
from knowmvg.sources.phantom.findings.lesion import make_lesion, visible, zone_of
from knowmvg.sources.phantom.findings.plan import Planned
from knowmvg.sources.phantom.scene import Finding, Lesion

Draw = Callable[[Chest, Side, float, np.random.Generator], Image]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a finding that fills lung air is drawn, and what of it counts as visible.

    ``share`` is the part of the change's peak that still shows after smoothing by ``smooth`` pixels, parts within
    ``gap`` pixels get one box (pixels of a 256-pixel image), ``area`` is the least visible share of the image, and
    ``over_heart`` the most of a lesion that may lie over the heart, where there is little air to replace.
    """

    draw: Draw
    share: float
    smooth: float
    area: float
    gap: int = 0
    over_heart: float = 1.0


FILLS = {
    "lung opacity": Rule(lung.lung_opacity, 0.38, 2.0, 0.0016, over_heart=0.35),
    "consolidation": Rule(lung.consolidation, 0.38, 1.0, 0.0020),
    "pneumonia": Rule(lung.pneumonia, 0.34, 4.0, 0.0020, gap=6, over_heart=0.45),
    "nodule": Rule(lung.nodule, 0.30, 0.0, 0.0007, over_heart=0.2),
    "atelectasis": Rule(lung.atelectasis, 0.34, 0.5, 0.0012, gap=12, over_heart=0.45),
    "edema": Rule(lung.edema, 0.42, 3.5, 0.0080),
    "pleural effusion": Rule(pleura.effusion, 0.30, 0.6, 0.0016),
}
#: Fluid and air of the pleural space come before what changes the lung between them.
ORDER = ("cardiomegaly", "pleural effusion", "pneumothorax", "edema")
#: Findings that may cover others, and that others may not avoid.
SPREAD = ("edema", "pleural effusion")
TRIES = 6
SIDES: dict[Side | None, tuple[Side, ...]] = {
    Side.BILATERAL: (Side.RIGHT, Side.LEFT),
    Side.RIGHT: (Side.RIGHT,),
    Side.LEFT: (Side.LEFT,),
}


def draw_findings(chest: Chest, plan: Sequence[Planned], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Changes ``chest`` by every planned finding that finds a visible place; the others are left out."""
    order = sorted(plan, key=lambda p: ORDER.index(p.name) if p.name in ORDER else len(ORDER))
    findings: list[Finding] = []
    taken: list[Lesion] = []
    for planned, child in zip(order, rng.spawn(len(order)), strict=True):
        if planned.name == "cardiomegaly":
            heart = make_lesion(None, chest.heart_area, 0.02)
            lesions = [heart] if heart else []
        else:
            lesions = _draw(chest, planned, taken, child)
        if lesions:
            taken += lesions
            findings.append(_finding(chest, planned, lesions))
    return tuple(findings)


def _finding(chest: Chest, planned: Planned, lesions: list[Lesion]) -> Finding:
    """The record of a finding: its side and zone as the lesions that became visible have them."""
    lesions = sorted(lesions, key=lambda lesion: lesion.box[0] + lesion.box[2])
    sides = {lesion.side for lesion in lesions}
    side = Side.BILATERAL if len(sides) == 2 else lesions[0].side
    zones = {zone_of(chest, lesion.side, lesion.mask) for lesion in lesions if lesion.side}
    zone = zones.pop() if len(zones) == 1 and planned.name != "edema" else None
    return Finding(planned.name, side, zone, planned.severity, tuple(lesions), planned.mentioned)


def _draw(chest: Chest, planned: Planned, taken: list[Lesion], rng: np.random.Generator) -> list[Lesion]:
    """Draws the lesions of one finding of the lungs or the pleura; those that cannot be seen are left out."""
    before = chest.fill.copy(), dict(chest.room)
    lesions: list[Lesion] = []
    for side in SIDES[planned.side]:
        for _ in range(2 if planned.pair else 1):
            if planned.name == "pneumothorax":
                lesion = _retract(chest, side, planned.severity, rng)
            else:
                lesion = _fill(chest, planned.name, side, planned.severity, [*taken, *lesions], rng)
            if lesion:
                lesions.append(lesion)
    if planned.name == "edema" and len(lesions) < 2:
        # Haze in one lung only is no edema: it is taken back.
        chest.fill, chest.room = before
        return []
    return lesions


def _fill(
    chest: Chest, name: str, side: Side, severity: float, taken: list[Lesion], rng: np.random.Generator
) -> Lesion | None:
    """Fills lung air by a finding at the first of a few random places that is visible and not yet taken."""
    rule, scale = FILLS[name], chest.canvas.size / 256
    for _ in range(TRIES):
        change = rule.draw(chest, side, severity, rng)
        mask = visible(change, rule.share, 0.6, rule.smooth * scale, round(rule.gap * scale))
        mask &= (chest.lungs[side].air > 0.4) & (chest.beam > 0.5)
        lesion = make_lesion(side, mask, rule.area)
        if lesion is None or (name not in SPREAD and _crowded(lesion, taken)):
            continue
        if (mask & chest.heart_area).sum() > rule.over_heart * mask.sum():
            continue
        chest.fill = chest.fill + change
        chest.room[side] = np.maximum(chest.room[side] - change, 0.0)
        return lesion
    return None


def _crowded(lesion: Lesion, taken: list[Lesion]) -> bool:
    """Whether a quarter of the lesion, or of another one of its side, would lie in the other."""
    for other in taken:
        shared = (lesion.mask & other.mask).sum() if other.side is lesion.side else 0
        if shared > 0.25 * min(lesion.mask.sum(), other.mask.sum()):
            return True
    return False


def _retract(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Lesion | None:
    """Lets one lung retract from the chest wall: air without vessels beside it, and its pleural line."""
    for _ in range(TRIES):
        shrunk, line = pleura.pneumothorax(chest, side, severity, rng)
        pocket = np.minimum(chest.lungs[side].air - shrunk, chest.room[side])
        mask = visible(pocket, 0.0, 1.5, 0.5) & (chest.beam > 0.5)
        lesion = make_lesion(side, mask, 0.004)
        if lesion is None:
            continue
        keep = ndimage.gaussian_filter((shrunk > 0).astype(np.float32), 0.4 * chest.canvas.size / 256)
        chest.pocket = chest.pocket + pocket
        chest.fill = chest.fill + np.minimum(line, chest.room[side])
        chest.vessels[side] = chest.vessels[side] * keep
        chest.room[side] = np.minimum(chest.room[side], shrunk)
        return lesion
    return None
