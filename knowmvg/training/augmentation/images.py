"""A labelled study changed as a whole: pixels, boxes, masks and, where it is mirrored, words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from knowmvg.core.boxes import FloatArray, of_mask
from knowmvg.core.records import LabelledPhrase, Study
from knowmvg.training.augmentation.mirrored_words import can_be_mirrored, mirrored_words
from knowmvg.training.augmentation.part import AugmentPart

KEPT = 0.7  # least share of each box that stays within the image; a move that would lose more is halved
HALVINGS = 4

Matrix = NDArray[np.float64]


def augmented(study: Study, part: AugmentPart, rng: np.random.Generator) -> Study:
    """The study as one draw shows it.

    Boxes follow their masks where there are any; else a box becomes the hull of its moved corners, within the image.
    """
    width, height = study.image.size
    flips = rng.random() < part.flip and can_be_mirrored(study)
    drawn = rng.uniform(-1, 1, 6)
    strength = 1.0
    for _ in range(HALVINGS):
        matrix = _matrix(part, drawn * strength, (width, height), study.image.pixel_aspect, flips)
        if all(_stays(label.boxes, matrix, (width, height)) for label in study.labels):
            break
        strength /= 2
    else:
        matrix = _matrix(part, drawn * 0, (width, height), study.image.pixel_aspect, flips)
    dark = float(np.percentile(study.image.pixels, 1))
    pixels = _warped(study.image.pixels, matrix, dark)
    pixels = (pixels - 0.5) * (1 + part.brightness * drawn[4]) + 0.5 + part.brightness * drawn[5] / 2
    image = replace(study.image, pixels=pixels.clip(0, 1).astype(np.float32))
    labels = tuple(_label(label, matrix, (width, height)) for label in study.labels)
    changed = replace(study, image=image, labels=labels)
    return mirrored_words(changed) if flips else changed


def _matrix(part: AugmentPart, drawn: FloatArray, size: tuple[int, int], aspect: float, flips: bool) -> Matrix:
    """Old stored pixels to new ones, ``[3, 3]``, about the image's centre; turned in physical space."""
    width, height = size
    angle, scale = np.deg2rad(part.rotate * drawn[0]), 1 + part.scale * drawn[1]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin * aspect], [sin / aspect, cos]])
    if flips:
        turn = turn @ np.diag([-1.0, 1.0])
    centre = np.array([width / 2, height / 2])
    moved = centre + part.shift * drawn[2:4] * (width, height) - turn @ centre
    return np.block([[turn, moved[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])


def _corners(boxes: FloatArray, matrix: Matrix) -> FloatArray:
    """The hull ``[n, 4]`` of the moved corners of boxes, not yet cut to the image."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ matrix[:2, :2].T + matrix[:2, 2]
    hull: FloatArray = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return hull


def _cut(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    return boxes.clip(0, [*size, *size])


def _stays(boxes: FloatArray, matrix: Matrix, size: tuple[int, int]) -> bool:
    hull = _corners(boxes, matrix)
    whole, left = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (hull, _cut(hull, size)))
    return bool((left >= KEPT * whole).all())


def _warped(pixels: NDArray[np.float32], matrix: Matrix, fill: float) -> NDArray[np.float32]:
    back = np.linalg.inv(matrix)
    image = Image.fromarray(pixels)
    moved = image.transform(
        image.size, Image.Transform.AFFINE, tuple(back[:2].ravel()), Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(moved, dtype=np.float32)


def _label(label: LabelledPhrase, matrix: Matrix, size: tuple[int, int]) -> LabelledPhrase:
    boxes, masks = _cut(_corners(label.boxes, matrix), size), None
    if label.masks is not None and len(label.masks):
        masks = np.stack([_warped(mask.astype(np.float32), matrix, 0.0) > 0.5 for mask in label.masks])
        found = [of_mask(mask) for mask in masks]
        boxes = np.stack([own[0] if len(own) else box for own, box in zip(found, boxes, strict=True)])
    order = np.argsort(boxes[:, 0], kind="stable")  # from the image's left, as labels are
    return replace(label, boxes=boxes[order], masks=None if masks is None else masks[order])
