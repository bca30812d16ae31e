"""A random study: patient, view, findings, exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import Patient, sample_patient, sample_view
from knowmvg.sources.phantom.chest import build_chest
from knowmvg.sources.phantom.detector import display, expose, sample_device
from knowmvg.sources.phantom.findings.draw import draw_findings
from knowmvg.sources.phantom.findings.plan import Planned, sample_plan
from knowmvg.sources.phantom.scene import Scene

__all__ = ["Patient", "sample_patient", "simulate"]


def simulate(
    rng: np.random.Generator,
    *,
    size: int = 256,
    patient: Patient | None = None,
    plan: Sequence[Planned] | None = None,
) -> Scene:
    """A simulated frontal chest radiograph with what is on it.

    Every stage draws from a generator of its own, seeded by one number from ``rng``: the same ``rng`` state gives the
    same study in any process, with the same anatomy and view at every ``size`` and whatever the ``plan``.

    Args:
        rng: source of the study's one seed.
        size: height and width in pixels, at least 64.
        patient: who is examined; a random adult by default.
        plan: findings to draw; random by default. Those that find no visible place are left out.

    Raises:
        ValueError: ``size`` is under 64.
    """
    if size < 64:
        raise ValueError(f"expected a size of at least 64 pixels, got {size}")
    streams = np.random.default_rng(int(rng.integers(2**63))).spawn(5)
    patient = patient or sample_patient(streams[0])
    view = sample_view(streams[1], patient)
    plan = sample_plan(streams[2]) if plan is None else plan
    enlargement = max((1.14 + 0.3 * p.severity for p in plan if p.name == "cardiomegaly"), default=1.0)
    chest = build_chest(patient, view, size, enlargement)
    findings = draw_findings(chest, plan, streams[3])
    device = sample_device(streams[4])
    pixels = display(expose(chest.line_integral(), chest.beam, device, streams[4]), chest.beam, device)
    anatomy = {f"{side} lung": chest.lung_area[side] for side in (Side.RIGHT, Side.LEFT)}
    return Scene(pixels, findings, {**anatomy, "heart": chest.heart_area})
