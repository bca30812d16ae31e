"""Who is on the radiograph and how it was taken: a patient's body and one acquisition of it, as numbers.

Patient coordinates are centimetres: x to the image's right (the patient's left), y downwards, z towards the patient's
front; the origin lies in the midline at the carina. Sizes are textbook adult means with the spread of a clinic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Patient:
    """A body. Lengths in cm; ``detail`` seeds what has no parameter of its own (vessel trees, the jitter of ribs)."""

    scale: float
    female: bool
    fat: float
    thorax_half_width: float
    thorax_depth: float
    apex_y: float
    base_y: float
    dome_right_y: float
    dome_left_lower: float
    dome_height: float
    heart_width: float
    heart_tilt: float
    heart_y: float
    knob_radius: float
    pulmonary_trunk: float
    mediastinum_half_width: float
    scoliosis: float
    bone_density: float
    lung_density: float
    vessel_gain: float
    breast: float
    shoulder_y: float
    detail: int


@dataclass(frozen=True, slots=True)
class View:
    """One acquisition: geometry in cm and radians, and what lies on the patient or the image."""

    field_cm: float
    centre_x: float
    centre_y: float
    tilt: float
    yaw: float
    supine: bool
    inspiration: float
    arms: float
    collimated: float
    detail: int


def sample_patient(rng: np.random.Generator) -> Patient:
    """A random adult; the same patient may be examined several times."""
    female = bool(rng.random() < 0.48)
    scale = float(np.clip(rng.normal(0.955 if female else 1.03, 0.05), 0.82, 1.17))
    fat = float(np.clip(rng.beta(2.0, 3.0) * 1.2, 0.0, 1.0))
    return Patient(
        scale=scale,
        female=female,
        fat=fat,
        thorax_half_width=scale * rng.uniform(12.6, 15.2),
        thorax_depth=scale * rng.uniform(14.5, 18.5),
        apex_y=scale * rng.uniform(-9.4, -7.2),
        base_y=scale * rng.uniform(15.0, 19.0),
        dome_right_y=scale * rng.uniform(9.6, 13.0),
        dome_left_lower=rng.uniform(0.2, 2.0),
        dome_height=scale * rng.uniform(3.6, 5.6),
        heart_width=scale * rng.uniform(0.86, 1.05),
        heart_tilt=rng.uniform(-0.3, 0.3),
        heart_y=scale * rng.uniform(6.0, 7.4),
        knob_radius=scale * rng.uniform(1.2, 2.0),
        pulmonary_trunk=rng.uniform(0.0, 1.0),
        mediastinum_half_width=scale * rng.uniform(2.1, 2.9),
        scoliosis=rng.normal(0.0, 0.45),
        bone_density=rng.uniform(0.7, 1.15),
        lung_density=rng.uniform(0.2, 0.32),
        vessel_gain=rng.uniform(0.8, 1.25),
        breast=float(rng.uniform(0.3, 1.0)) if female else 0.0,
        shoulder_y=scale * rng.uniform(-9.5, -7.0),
        detail=int(rng.integers(2**62)),
    )


def sample_view(rng: np.random.Generator, patient: Patient) -> View:
    """A random acquisition: upright from behind, or (one in three) supine from the front with poorer pose."""
    supine = bool(rng.random() < 0.35)
    loose = 1.5 if supine else 1.0
    field = float(np.clip(rng.normal(36.5, 3.0), 30.0, 45.0)) * (0.5 + 0.5 * patient.scale)
    spare = max(field - 26.0, 2.0)
    return View(
        field_cm=field,
        centre_x=float(rng.normal(0.0, 0.085 * spare + 0.9) * loose),
        centre_y=float(rng.normal(4.6, 1.4) + rng.uniform(-0.12, 0.12) * spare),
        tilt=float(np.clip(rng.normal(0.0, 0.028) * loose, -0.1, 0.1)),
        yaw=float(np.clip(rng.normal(0.0, 0.05) * loose, -0.16, 0.16)),
        supine=supine,
        inspiration=float(rng.uniform(-2.6, 0.8) if supine else rng.uniform(-1.2, 1.0)),
        arms=float(rng.uniform(0.0, 1.0)),
        collimated=float(rng.choice([0.0, 0.35, 0.9], p=[0.6, 0.25, 0.15])),
        detail=int(rng.integers(2**62)),
    )
