"""Findings without an image: enough to write any number of reports for a language model to learn from."""

from __future__ import annotations

import numpy as np

from knowmvg.core.records import Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.scene import FINDINGS, Finding

_ZONES: dict[str, tuple[str | None, ...]] = {
    "cardiomegaly": (None,),
    "lung opacity": ("upper", "mid", "lower", "basal", "perihilar", "apical", "retrocardiac"),
    "edema": ("perihilar", None, "basal"),
    "consolidation": ("upper", "mid", "lower", "lower", "basal", "retrocardiac"),
    "pneumonia": ("upper", "mid", "lower", "lower", "basal", "perihilar", "retrocardiac"),
    "atelectasis": ("basal", "basal", "lower", "mid", "upper", "retrocardiac"),
    "pneumothorax": ("apical", "apical", "apical", None, "basal"),
    "pleural effusion": ("basal", None),
    "nodule": ("apical", "upper", "mid", "lower", "basal", "perihilar"),
}
_BOTH_SIDES = {"edema": 0.85, "pleural effusion": 0.3, "lung opacity": 0.2, "atelectasis": 0.2, "pneumonia": 0.12}
_COUNTS = (0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4)


def sample_findings(rng: np.random.Generator) -> list[Finding]:
    """0 to 4 plausible findings without lesions; now and then two of one class, told apart by side or zone."""
    dice = Dice(rng)
    findings: list[Finding] = []
    for _ in range(dice.pick(_COUNTS)):
        finding = _sample_one(dice)
        if all(_apart(finding, other) for other in findings):
            findings.append(finding)
    return findings


def _sample_one(dice: Dice) -> Finding:
    name = dice.pick(FINDINGS)
    zone = dice.pick(_ZONES[name])
    side: Side | None = Side.RIGHT if dice.chance(0.5) else Side.LEFT
    if name == "cardiomegaly":
        side = None
    elif zone == "retrocardiac":
        side = Side.LEFT
    elif dice.chance(_BOTH_SIDES.get(name, 0.05)):
        side = Side.BILATERAL
    return Finding(name, side, zone, dice.uniform(), (), mentioned=dice.chance(0.9))


def _apart(one: Finding, other: Finding) -> bool:
    """Whether words can tell two findings apart."""
    if one.name != other.name:
        return True
    return (
        Side.BILATERAL not in (one.side, other.side) and None not in (one.side, other.side) and one.side != other.side
    )
