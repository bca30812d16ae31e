"""Which findings occur on one image, where, how bad, and whether the report will tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowmvg.core.records import Side
from knowmvg.sources.phantom.scene import FINDINGS

MAX_FINDINGS = 6

COUNT_SHARES = (0.075, 0.25, 0.30, 0.215, 0.11, 0.05)
WEIGHTS = {
    "cardiomegaly": 1.15,
    "lung opacity": 1.0,
    "edema": 0.9,
    "consolidation": 1.0,
    "pneumonia": 1.0,
    "atelectasis": 0.95,
    "pneumothorax": 1.0,
    "pleural effusion": 1.1,
    "nodule": 0.95,
}
BILATERAL = {"pleural effusion": 0.3, "pneumonia": 0.14, "atelectasis": 0.14, "lung opacity": 0.14, "nodule": 0.14}
UNMENTIONED = 0.17
OTHER_SIDE = 0.10


@dataclass(frozen=True, slots=True)
class Planned:
    """One finding to draw: ``side`` is ``None`` for the heart; ``pair`` asks for two lesions in the same lung.

    Raises:
        ValueError: an unknown name, a heart with a side, a lung finding without, or a severity outside ``[0, 1]``.
    """

    name: str
    side: Side | None
    severity: float
    mentioned: bool = True
    pair: bool = False

    def __post_init__(self) -> None:
        if self.name not in FINDINGS:
            raise ValueError(f"expected a finding among {', '.join(FINDINGS)}, got {self.name!r}")
        if (self.side is None) != (self.name == "cardiomegaly"):
            raise ValueError(f"expected a side for every finding but cardiomegaly, got {self.name} with {self.side}")
        if not 0.0 <= self.severity <= 1.0:
            raise ValueError(f"expected a severity from 0 to 1, got {self.severity}")


def sample_plan(rng: np.random.Generator) -> tuple[Planned, ...]:
    """A random set of findings of different kinds; some one-sided ones have an unmentioned twin on the other side."""
    count = int(rng.choice(len(COUNT_SHARES), p=np.array(COUNT_SHARES) / sum(COUNT_SHARES)))
    weights = np.array([WEIGHTS[name] for name in FINDINGS])
    names = rng.choice(len(FINDINGS), size=count, replace=False, p=weights / weights.sum())
    plan: list[Planned] = []
    for index in sorted(int(n) for n in names):
        name = FINDINGS[index]
        severity = float(rng.beta(1.5, 1.5))
        mentioned = bool(rng.random() >= UNMENTIONED)
        side: Side | None = Side.LEFT if rng.random() < 0.5 else Side.RIGHT
        both, pair, twin = rng.random(), bool(rng.random() < 0.08), rng.random()
        if name == "cardiomegaly":
            side = None
        elif name == "edema" or both < BILATERAL.get(name, 0.0):
            side = Side.BILATERAL
        plan.append(Planned(name, side, severity, mentioned, pair and name == "nodule" and side is not Side.BILATERAL))
        if side in (Side.LEFT, Side.RIGHT) and twin < OTHER_SIDE and len(plan) + 1 < MAX_FINDINGS:
            other = Side.LEFT if side is Side.RIGHT else Side.RIGHT
            plan.append(Planned(name, other, float(rng.beta(1.5, 1.5)), mentioned=False))
    return tuple(plan[:MAX_FINDINGS])
