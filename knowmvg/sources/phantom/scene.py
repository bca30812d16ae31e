"""What is on a simulated radiograph: the hand-over from the simulator (pixels) to the report grammar (words)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.records import Side

FINDINGS = (
    "cardiomegaly",
    "lung opacity",
    "edema",
    "consolidation",
    "pneumonia",
    "atelectasis",
    "pneumothorax",
    "pleural effusion",
    "nodule",
)

ZONES = ("apical", "upper", "mid", "lower", "basal", "perihilar", "retrocardiac")


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected change of the anatomy; ``mask`` ``[H, W]`` is where it is visible."""

    side: Side | None
    mask: NDArray[np.bool_]
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One diagnosis with its 1 to n lesions, ordered from the image's left to its right.

    ``side`` is the patient's side (``bilateral`` for lesions on both, ``None`` for midline findings), ``zone`` one of
    ``ZONES`` or ``None`` where a zone makes no sense (the heart), ``severity`` runs from 0 (subtle) to 1 (gross), and
    ``mentioned`` says whether the report will name it.
    """

    name: str
    side: Side | None
    zone: str | None
    severity: float
    lesions: tuple[Lesion, ...]
    mentioned: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """A simulated study before its report is written.

    ``pixels`` uint8 ``[H, W]``; ``anatomy`` holds masks ``[H, W]`` of ``right lung``, ``left lung`` and ``heart``.
    """

    pixels: NDArray[np.uint8]
    findings: tuple[Finding, ...]
    anatomy: dict[str, NDArray[np.bool_]]
