"""Findings without an image: enough to write any number of reports for a language model to learn from."""

from __future__ import annotations

import numpy as np

from knowmvg.core.records import Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.scene import FINDINGS, Finding, Lesion

_LUNG_ZONES = ("apical", "upper", "upper", "mid", "mid", "lower", "lower", "basal", "perihilar")
_ZONES: dict[str, tuple[str | None, ...]] = {
    "cardiomegaly": (None,),
    "edema": (None,),
    "pneumothorax": ("apical", "apical", "upper", "mid", None),
    "pleural effusion": ("basal", "basal", "lower", None),
    "atelectasis": ("mid", "lower", "lower", "basal", "basal", "perihilar"),
}
_BOTH_SIDES = {"edema": 1.0, "pleural effusion": 0.3, "lung opacity": 0.14, "atelectasis": 0.14, "pneumonia": 0.14}
_RETROCARDIAC = 0.12
_COUNTS = (0, *(1,) * 4, *(2,) * 4, *(3,) * 3, 4, 4, 5)
_UNMENTIONED, _TWIN, _PAIR = 0.17, 0.1, 0.08
_EMPTY = np.zeros((1, 1), dtype=np.bool_)
# On a frontal image the patient's right lies to the left; the boxes tell no more than that order.
_RIGHT, _LEFT = Lesion(Side.RIGHT, _EMPTY, (0.0, 0.0, 1.0, 1.0)), Lesion(Side.LEFT, _EMPTY, (1.0, 0.0, 2.0, 1.0))
_MIDLINE = Lesion(None, _EMPTY, (0.0, 0.0, 2.0, 1.0))
_LESIONS = {Side.RIGHT: (_RIGHT,), Side.LEFT: (_LEFT,), Side.BILATERAL: (_RIGHT, _LEFT), None: (_MIDLINE,)}


def sample_findings(rng: np.random.Generator) -> list[Finding]:
    """0 to 5 plausible findings of different classes, some of them not to be mentioned.

    Their lesions have no extent and only say how many there are and on which side: one a side, and two for a pair of
    nodules in one lung. Some one-sided findings have an unmentioned twin on the other side, so that the report must
    tell the side.
    """
    dice = Dice(rng)
    findings: list[Finding] = []
    for name in dice.shuffled(FINDINGS)[: dice.pick(_COUNTS)]:
        finding = _sample_one(name, dice)
        findings.append(finding)
        if finding.side in (Side.LEFT, Side.RIGHT) and dice.chance(_TWIN):
            other = Side.LEFT if finding.side is Side.RIGHT else Side.RIGHT
            zone = _zone(name, other, dice)
            findings.append(Finding(name, other, zone, dice.uniform(), _LESIONS[other], mentioned=False))
    return findings


def _sample_one(name: str, dice: Dice) -> Finding:
    side: Side | None = Side.RIGHT if dice.chance(0.5) else Side.LEFT
    if name == "cardiomegaly":
        side = None
    elif dice.chance(_BOTH_SIDES.get(name, 0.03)):
        side = Side.BILATERAL
    pair = name == "nodule" and side is not Side.BILATERAL and dice.chance(_PAIR)
    return Finding(
        name,
        side,
        _zone(name, side, dice),
        dice.uniform(),
        _LESIONS[side] * (1 + pair),
        mentioned=not dice.chance(_UNMENTIONED),
    )


def _zone(name: str, side: Side | None, dice: Dice) -> str | None:
    if name not in _ZONES and side is Side.LEFT and dice.chance(_RETROCARDIAC):
        return "retrocardiac"
    return dice.pick(_ZONES.get(name, _LUNG_ZONES))
