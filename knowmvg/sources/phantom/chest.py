"""A patient in one view, taken apart: every organ's line integral on the grid, ready for findings to change them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import Patient, View
from knowmvg.sources.phantom.canvas import Canvas, Image
from knowmvg.sources.phantom.cavity import Lung, body_depth, heart_chord, make_lungs, mediastinum_chord
from knowmvg.sources.phantom.devices import aperture, foreign_bodies
from knowmvg.sources.phantom.skeleton import skeleton
from knowmvg.sources.phantom.softs import abdominal_gas, breasts, muscle_folds
from knowmvg.sources.phantom.vessels import airways, pulmonary_vessels

#: Attenuation per cm at the effective energy of a 120 kV exposure (about 60 keV): water, and compact bone beyond it.
WATER = 0.195
BONE = 0.4


@dataclass(slots=True)
class Chest:
    """Line integrals ``[H, W]`` in cm, in the order from the body to what findings change.

    ``fill`` is lung air replaced by fluid or cells, ``pocket`` air outside the lung and ``room`` the aerated lung that
    a finding may still fill. ``lung_area`` and ``heart_area`` are where a reader sees these organs, and ``beam`` is the
    share of the radiation that the collimator lets through.
    """

    canvas: Canvas
    patient: Patient
    view: View
    lungs: dict[Side, Lung]
    heart_area: NDArray[np.bool_]
    lung_area: dict[Side, NDArray[np.bool_]]
    body: Image
    bone: Image
    metal: Image
    beam: Image
    vessels: dict[Side, Image]
    airway: Image
    room: dict[Side, Image]
    fill: Image
    pocket: Image
    texture: Image

    def line_integral(self) -> Image:
        """Attenuation along every ray, the exponent of Beer-Lambert."""
        patient = self.patient
        tissue = 1.0 - patient.lung_density
        air = sum((lung.air for lung in self.lungs.values()), np.zeros_like(self.fill))
        soft = self.body - tissue * air * (1.0 + self.texture) - np.float32(0.8) * self.airway
        soft = soft + tissue * (sum(self.vessels.values(), np.zeros_like(self.fill)) + self.fill)
        soft = soft - 0.7 * patient.lung_density * self.pocket
        bone = BONE * (patient.bone_density * self.bone + self.metal)
        result: Image = np.maximum(WATER * soft + bone, 0.0).astype(np.float32)
        return result


def build_chest(patient: Patient, view: View, size: int, enlargement: float = 1.0) -> Chest:
    """The chest of ``patient`` without lung findings; ``enlargement`` widens the heart (1 is its healthy size)."""
    canvas = Canvas(view, size)
    lungs = make_lungs(canvas, patient, view)
    heart, radius = heart_chord(canvas, patient, lungs[Side.LEFT].dome, enlargement)
    middle = mediastinum_chord(canvas, patient)
    # Organs overlap along the ray: the root of squares joins their outlines without a crease.
    between = np.sqrt(heart * heart + middle * middle)
    for lung in lungs.values():
        lung.air = np.maximum(lung.air - between, 0.0).astype(np.float32)
    vessels = pulmonary_vessels(canvas, patient, lungs)
    rng = np.random.default_rng(patient.detail + 20)
    texture = 0.03 * canvas.noise(rng, 2.5) + 0.025 * canvas.noise(rng, 0.8)
    beam = aperture(size, view)
    seen = beam > 0.5
    body = body_depth(canvas, patient, view)
    extra = breasts(canvas, patient, view) + muscle_folds(canvas, patient)
    body += extra * np.clip(body / np.float32(5.0), 0.0, 1.0)
    body -= np.minimum(abdominal_gas(canvas, patient, view, lungs[Side.LEFT].dome), 0.5 * body)
    zero = np.zeros((size, size), np.float32)
    above = canvas.y < lungs[Side.LEFT].dome + 1.6
    return Chest(
        canvas=canvas,
        patient=patient,
        view=view,
        lungs=lungs,
        heart_area=(radius < 0.985) & above & seen,
        lung_area={side: (lung.air > 2.2) & seen for side, lung in lungs.items()},
        body=body,
        bone=skeleton(canvas, patient, view),
        metal=foreign_bodies(canvas, patient, view),
        beam=beam,
        vessels=vessels,
        airway=airways(canvas, patient),
        room={side: lung.air.copy() for side, lung in lungs.items()},
        fill=zero,
        pocket=zero.copy(),
        texture=texture,
    )
