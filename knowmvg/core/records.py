"""What flows through the package: a study goes in, a grounding comes out.

``Study`` and ``Radiograph`` hold data in memory and are plain frozen dataclasses. ``Grounding`` and its parts are the
published result: a versioned schema that is validated on the way in and out (docs/grounding.schema.json).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, model_validator

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.core.maps import EvidenceMap, MapKind

SCHEMA_VERSION: Literal["1.0"] = "1.0"

DISCLAIMER = "Research software, not a medical device: its results are not for clinical decisions."


class Assertion(StrEnum):
    """What a report says of a finding. Only ``present`` and ``possible`` findings are placed on the image."""

    PRESENT = "present"
    ABSENT = "absent"
    POSSIBLE = "possible"
    RESOLVED = "resolved"
    PRIOR = "prior"

    @property
    def placed(self) -> bool:
        """Whether a finding with this assertion is expected to be visible and gets boxes."""
        return self in (Assertion.PRESENT, Assertion.POSSIBLE)


class Section(StrEnum):
    """The part of a report that a phrase comes from. ``indication`` and ``comparison`` never give findings."""

    FINDINGS = "findings"
    IMPRESSION = "impression"
    INDICATION = "indication"
    COMPARISON = "comparison"
    TECHNIQUE = "technique"
    UNHEADED = "unheaded"


class Side(StrEnum):
    """The patient's side. On a frontal radiograph the patient's right lies at the image's left."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)  # JSON knows no NaN


class Phrase(_Record):
    """A diagnostic phrase of a report.

    ``span`` is ``(start, end)`` in characters of the report, or ``None`` for a phrase that is not verbatim in it;
    ``finding`` is the canonical name (knowledge/data/findings.yaml); ``zone`` is a place word such as ``lower``,
    ``perihilar`` or ``apical``.
    """

    text: str = Field(min_length=1)
    span: tuple[int, int] | None = None
    section: Section = Section.UNHEADED
    assertion: Assertion = Assertion.PRESENT
    finding: str | None = None
    side: Side | None = None
    zone: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Phrase:
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"expected a span with 0 <= start < end, got {self.span}")
        return self


class Region(_Record):
    """A box in stored-image pixels, ``(x1, y1, x2, y2)``, with a score in ``[0, 1]`` that estimates its IoU."""

    xyxy: tuple[float, float, float, float]
    score: float = Field(ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Region:
        x1, y1, x2, y2 = self.xyxy
        if not (np.isfinite(self.xyxy).all() and x1 <= x2 and y1 <= y2):
            raise ValueError(f"expected finite x1 <= x2 and y1 <= y2, got {self.xyxy}")
        return self


class KnowledgeNode(_Record):
    """A node of the knowledge graph that was used as a prompt, with its cosine similarity to the phrase (eq. 8)."""

    text: str
    similarity: float
    neighbours: tuple[str, ...] = ()


class MapFile(_Record):
    """A map of a phrase as a grey PNG of the stored image's size: ``white`` is the quantity that its white stands for.

    ``file`` is a path relative to the result. docs/evidence.md says what each kind is, and what it is not.
    """

    kind: MapKind
    file: str = Field(min_length=1)
    white: float = Field(gt=0)


class Evidence(_Record):
    """Why the boxes lie where they lie: the parts of the model's computation that a reader can check.

    ``local_boxes`` are the coarse boxes of equation 10, ``global_box`` the extent of the frozen decoder's mask of
    equation 13, ``gate`` the weight of the global branch in equation 15; all in stored-image pixels. ``map_files`` are
    maps that were written beside the result. ``box_deviations`` are standard deviations of a box's edges x1, y1, x2, y2
    in stored-image pixels, one a box and in the order of ``boxes``, from models that answer with several hypotheses.
    """

    knowledge: tuple[KnowledgeNode, ...] = ()
    local_boxes: tuple[tuple[float, float, float, float], ...] = ()
    global_box: tuple[float, float, float, float] | None = None
    gate: float | None = Field(default=None, ge=0.0, le=1.0)
    box_deviations: tuple[tuple[float, float, float, float], ...] = ()
    source: str = Field(default="model", description="who named the phrase: model, parser or both")
    map_files: tuple[MapFile, ...] = ()
    maps: tuple[InstanceOf[EvidenceMap], ...] = Field(default=(), exclude=True, repr=False)  # in memory, never in JSON


class GroundedPhrase(Phrase):
    """A phrase with its boxes; one without boxes says why in ``reason``."""

    boxes: tuple[Region, ...] = ()
    evidence: Evidence | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _explained(self) -> GroundedPhrase:
        if not self.boxes and not self.reason:
            raise ValueError(f"expected a reason for the phrase without a box, got none: {self.text!r}")
        return self


class Grounding(_Record):
    """The answer for one study: 0 to n phrases, each with 0 to n boxes."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    image_size: tuple[int, int] = Field(description="[width, height] of the stored image in pixels")
    phrases: tuple[GroundedPhrase, ...] = ()
    model: str = Field(description="name of the model that answered")
    versions: dict[str, str] = Field(default_factory=dict, description="software versions behind the answer")
    warnings: tuple[str, ...] = ()
    study: str | None = Field(default=None, description="identifier given by the caller")
    notice: str = DISCLAIMER

    @model_validator(mode="after")
    def _inside(self) -> Grounding:
        width, height = self.image_size
        if width < 1 or height < 1:
            raise ValueError(f"expected an image size of at least 1 x 1, got {self.image_size}")
        for phrase in self.phrases:
            for region in phrase.boxes:
                x1, y1, x2, y2 = region.xyxy
                if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
                    raise ValueError(f"expected boxes inside {width} x {height}, got {region.xyxy}")
        return self

    def to_json(self) -> str:
        """The grounding as indented JSON, the content of ``grounding.json``."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A radiograph ready for display: ``pixels`` float32 ``[H, W]`` in ``[0, 1]``, bone bright, air dark.

    ``pixel_aspect`` is the physical height of a pixel divided by its width. ``warnings`` are facts that a reader of a
    result must know (a missing window, a rotated file, burned-in annotation).
    """

    pixels: NDArray[np.float32]
    pixel_aspect: float = 1.0
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or 0 in self.pixels.shape:
            raise ValueError(f"expected pixels of shape [H, W], got {self.pixels.shape}")
        if self.pixels.dtype != np.float32:
            raise ValueError(f"expected float32 pixels in [0, 1], got {self.pixels.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class LabelledPhrase:
    """A phrase with its reference boxes ``[n, 4]`` (xyxy, stored pixels) and, where known, their masks ``[n, H, W]``.

    Boxes are ordered from the image's left to its right. Absent, resolved and prior phrases have no box.
    """

    phrase: Phrase
    boxes: FloatArray
    masks: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        if self.masks is not None and len(self.masks) != len(self.boxes):
            raise ValueError(f"expected one mask a box, got {len(self.masks)} masks for {len(self.boxes)} boxes")


@dataclass(frozen=True, slots=True)
class Study:
    """An image with its report, and, in labelled data, the phrases that the report's findings should give."""

    image: Radiograph
    report: str
    id: str = "study"
    patient: str | None = None
    labels: tuple[LabelledPhrase, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def normalised(text: str) -> str:
    """A phrase's text for comparison: case folded, every run of white space one blank, none at the ends."""
    return " ".join(text.casefold().split())
