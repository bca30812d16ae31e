"""Draws planned findings into a chest and records what became visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from knowmvg.core.boxes import pairwise_iou
from knowmvg.core.records import Side
from knowmvg.sources.phantom.canvas import Image
from knowmvg.sources.phantom.chest import Chest
from knowmvg.sources.phantom.findings import lung, pleura
from knowmvg.sources.phantom.findings.lesion import make_lesion, visible, zone_of
from knowmvg.sources.phantom.findings.plan import Planned
from knowmvg.sources.phantom.scene import Finding, Lesion

Draw = Callable[[Chest, Side, float, np.random.Generator], Image]

#: Parts of one lesion that lie this near to each other (pixels of 256) get one box: the plates of an atelectasis.
GAP = {"atelectasis": 12, "pneumonia": 6}

#: The share of a lesion that may lie over the heart, where there is little air to replace and little contrast.
OVER_HEART = {"nodule": 0.2, "lung opacity": 0.35, "atelectasis": 0.45, "pneumonia": 0.45}

#: How a finding is drawn, the share of its peak that still counts as visible, smoothing (pixels of 256), least area.
LUNG: dict[str, tuple[Draw, float, float, float]] = {
    "lung opacity": (lung.lung_opacity, 0.38, 2.0, 0.0016),
    "consolidation": (lung.consolidation, 0.38, 1.0, 0.0020),
    "pneumonia": (lung.pneumonia, 0.34, 4.0, 0.0020),
    "nodule": (lung.nodule, 0.30, 0.0, 0.0007),
    "atelectasis": (lung.atelectasis, 0.34, 0.5, 0.0012),
    "edema": (lung.edema, 0.42, 3.5, 0.0080),
    "pleural effusion": (pleura.effusion, 0.30, 0.6, 0.0016),
}
#: Fluid and air of the pleural space come before what changes the lung between them.
ORDER = ("cardiomegaly", "pleural effusion", "pneumothorax", "edema")
TRIES = 6
SIDES = {Side.BILATERAL: (Side.RIGHT, Side.LEFT), Side.RIGHT: (Side.RIGHT,), Side.LEFT: (Side.LEFT,)}


def draw_findings(chest: Chest, plan: Sequence[Planned], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Changes ``chest`` by every planned finding that finds a visible place; the others are left out."""
    order = sorted(plan, key=lambda p: ORDER.index(p.name) if p.name in ORDER else len(ORDER))
    findings: list[Finding] = []
    taken: list[Lesion] = []
    for planned, child in zip(order, rng.spawn(len(order)), strict=True):
        lesions = _draw(chest, planned, taken, child)
        if not lesions:
            continue
        taken += lesions
        findings.append(_finding(chest, planned, lesions))
    return tuple(findings)


def _finding(chest: Chest, planned: Planned, lesions: list[Lesion]) -> Finding:
    lesions = sorted(lesions, key=lambda lesion: lesion.box[0] + lesion.box[2])
    sides = {lesion.side for lesion in lesions}
    side = Side.BILATERAL if len(sides) == 2 else lesions[0].side
    zone = None
    if planned.name not in ("cardiomegaly", "edema"):
        zones = {zone_of(chest, lesion) for lesion in lesions}
        zone = zones.pop() if len(zones) == 1 else None
    return Finding(planned.name, side, zone, planned.severity, tuple(lesions), planned.mentioned)


def _draw(chest: Chest, planned: Planned, taken: list[Lesion], rng: np.random.Generator) -> list[Lesion]:
    if planned.name == "cardiomegaly":
        lesion = make_lesion(None, chest.heart_area, 0.02)
        return [lesion] if lesion else []
    assert planned.side is not None
    lesions: list[Lesion] = []
    for side in SIDES[planned.side]:
        for _ in range(2 if planned.pair else 1):
            if planned.name == "pneumothorax":
                lesion = _pneumothorax(chest, side, planned.severity, rng)
            else:
                lesion = _fill(chest, planned.name, side, planned.severity, [*taken, *lesions], rng)
            if lesion:
                lesions.append(lesion)
    # An edema that shows in one lung only would contradict its name: it is then a one-sided haze, and is left out.
    return lesions if planned.name != "edema" or len(lesions) == 2 else []


def _fill(
    chest: Chest, name: str, side: Side, severity: float, taken: list[Lesion], rng: np.random.Generator
) -> Lesion | None:
    """Fills lung air by a finding at the first of a few random places that is visible and not yet taken."""
    draw, share, smooth, least_area = LUNG[name]
    scale = chest.canvas.size / 256
    for _ in range(TRIES):
        change = draw(chest, side, severity, rng)
        mask = visible(change, share, 0.6, smooth * scale, round(GAP.get(name, 0) * scale))
        mask &= (chest.lungs[side].air > 0.4) & (chest.beam > 0.5)
        lesion = make_lesion(side, mask, least_area)
        if lesion is None or _crowded(lesion, name, taken):
            continue
        if (mask & chest.heart_area).sum() > OVER_HEART.get(name, 1.0) * mask.sum():
            continue
        chest.fill += change
        chest.room[side] = np.maximum(chest.room[side] - change, 0.0)
        return lesion
    return None


def _crowded(lesion: Lesion, name: str, taken: list[Lesion]) -> bool:
    """Whether the lesion would hide in or cover another one of its side."""
    if name in ("edema", "pleural effusion"):
        return False
    for other in taken:
        if other.side is not lesion.side:
            continue
        shared = (lesion.mask & other.mask).sum()
        if shared > 0.25 * min(lesion.mask.sum(), other.mask.sum()) and not (
            pairwise_iou([lesion.box], [other.box])[0, 0] < 0.02
        ):
            return True
    return False


def _pneumothorax(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Lesion | None:
    least = 0.004
    for _ in range(TRIES):
        shrunk, line = pleura.pneumothorax(chest, side, severity, rng)
        pocket = np.minimum(chest.lungs[side].air - shrunk, chest.room[side])
        mask = visible(pocket, 0.0, 1.5, 0.5) & (chest.beam > 0.5)
        lesion = make_lesion(side, mask, least)
        if lesion is None:
            continue
        keep = ndimage.gaussian_filter((shrunk > 0).astype(np.float32), 0.4 * chest.canvas.size / 256)
        chest.pocket += pocket
        chest.fill += np.minimum(line, chest.room[side])
        chest.vessels[side] = chest.vessels[side] * keep
        chest.room[side] = np.minimum(chest.room[side], shrunk)
        return lesion
    return None
