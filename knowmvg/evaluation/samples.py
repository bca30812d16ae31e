"""One scored phrase, the atom of every table, and its file: JSON lines, one sample a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowmvg.core.boxes import FloatArray
from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Side
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.metrics import THRESHOLD_NAMES

Box = tuple[float, float, float, float]
LINE_LIMIT = 1_000_000


class Protocol(StrEnum):
    """How a model is asked.

    ``teacher_forced``: the reference phrases are given, each with its number of boxes; ``phrase_given``: the phrases
    without the number; ``generate``: the model names them.
    """

    TEACHER_FORCED = "teacher_forced"
    PHRASE_GIVEN = "phrase_given"
    GENERATE = "generate"

    @property
    def gives_phrases(self) -> bool:
        """Whether the model is told the reference phrases, so that naming them means nothing."""
        return self is not Protocol.GENERATE


class Sample(BaseModel):
    """One reference phrase and what the model gave for it. It holds no report text.

    ``index`` counts the study's labels, ``reference`` and ``predicted`` are xyxy in stored pixels, ``area`` is the
    share of the image that the reference covers, ``produced`` says whether the model named the phrase, ``matched`` is
    the IoU of each reference box and ``scores`` has one number a predicted box. ``located``: the phrase's words name a
    side or zone; ``seen``: they occur in the training split; both ``None`` where nobody looked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    protocol: Protocol
    study: str
    patient: str
    index: int = Field(ge=0)
    finding: str | None
    side: Side | None
    zone: str | None
    produced: bool
    reference: tuple[Box, ...] = Field(min_length=1)
    area: float = Field(ge=0, le=1)
    predicted: tuple[Box, ...]
    scores: tuple[float, ...]
    matched: tuple[float, ...]
    iou: float = Field(ge=0, le=1)
    union_iou: float = Field(ge=0, le=1)
    hits: dict[str, bool]
    gate: float | None = None
    located: bool | None = None
    seen: bool | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What names the same reference phrase in the samples of another model."""
        return self.study, self.index


class StudyCount(BaseModel):
    """How a study's phrases were named: by the model, by the reference, both; absent phrases, and those with a box.

    ``words`` is the sum of the matched phrases' token F1, ``findings`` the number of findings that both name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    patient: str
    named: int = Field(ge=0)
    expected: int = Field(ge=0)
    correct: int = Field(ge=0)
    words: float = Field(default=0.0, ge=0)
    findings: int = Field(default=0, ge=0)
    absent: int = Field(ge=0)
    false: int = Field(ge=0)


def as_box(values: Sequence[float] | FloatArray) -> Box:
    """Four numbers as a tuple."""
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2


def protocol_of(samples: Sequence[Sample]) -> Protocol:
    """The one protocol of samples that are to be scored together. Raises ``ValueError`` for none or for two."""
    found = {sample.protocol for sample in samples}
    if len(found) != 1:
        raise ValueError(f"expected samples of one protocol, got {sorted(found) or 'no samples'}")
    return found.pop()


def values(samples: Sequence[Sample]) -> FloatArray:
    """IoU and the hit at each threshold as numbers ``[n, 1 + thresholds]``, the columns of every table."""
    rows = [[sample.iou, *(sample.hits[name] for name in THRESHOLD_NAMES)] for sample in samples]
    return np.array(rows, dtype=np.float64).reshape(len(samples), 1 + len(THRESHOLD_NAMES))


def in_order_of(samples: Sequence[Sample], other: Sequence[Sample]) -> list[Sample]:
    """``samples`` in the order of ``other``. Raises ``ValueError`` where they are not of the same phrases."""
    by_key = {sample.key: sample for sample in samples}
    wanted = [sample.key for sample in other]
    if len(by_key) != len(samples) or len(set(wanted)) != len(wanted):
        raise ValueError("expected each phrase once in the samples, got one more often")
    if by_key.keys() != set(wanted):
        raise ValueError(
            f"expected samples of the same phrases, got {len(by_key.keys() ^ set(wanted))} without partner"
        )
    if samples and other and protocol_of(samples) != protocol_of(other):
        raise ValueError("expected samples of one protocol, got two")
    return [by_key[key] for key in wanted]


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples as JSON lines, whole or not at all."""
    lines = (json.dumps(sample.model_dump(mode="json"), allow_nan=False) for sample in samples)
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_samples(path: Path) -> list[Sample]:
    """Samples from a file of ``write_samples``.

    Raises ``ManifestError`` for a missing file or a line that is no sample.
    """
    if not path.is_file():
        if not path.is_dir():
            raise ManifestError("a file of samples", f"none at {path}", "Write one with `knowmvg evaluate`.")
        inside = sorted(path.glob("**/samples-*.jsonl"))
        todo = f"Name a file in it: {inside[0]}" if inside else "Write one with `knowmvg evaluate`."
        raise ManifestError("a file of samples", f"a folder at {path}", todo)
    found = []
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(LINE_LIMIT):
            number += 1
            try:
                found.append(Sample.model_validate_json(line))
            except ValidationError as error:
                todo = "Name a file samples-PROTOCOL.jsonl that `knowmvg evaluate` wrote, or evaluate the model again."
                raise ManifestError(f"a sample in line {number} of {path}", "another content", todo) from error
    return found
