"""The worst and best phrases of a model, each with its radiograph: for people to look at, and only when asked for.

Images and phrases of credentialed data must not leave their place, so that no page holds them unasked. Boxes are drawn
by the page in stored pixels over the image; nothing is converted.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Radiograph, Study
from knowmvg.evaluation.report.curves import score_of
from knowmvg.evaluation.samples import Box, Sample

MAX_SIDE = 512
MAX_BYTES = 200_000  # of one image; a larger one is made smaller
MAX_CASES = 50  # of either kind: 100 images and 20 MB at most for a protocol

StudyOf: TypeAlias = Callable[[str], Study]
"""The study of an identifier."""


@dataclass(frozen=True, slots=True)
class Case:
    """One phrase to look at. ``image`` is a data URI, ``size`` the stored image's (width, height), ``aspect`` the
    height of a pixel over its width; ``text`` and ``report`` are ``None`` unless they were asked for.
    """

    title: str
    facts: str
    words: str
    image: str
    size: tuple[int, int]
    aspect: float
    reference: tuple[Box, ...]
    predicted: tuple[Box, ...]
    text: str | None = None
    report: str | None = None


def worst(samples: Sequence[Sample], n: int) -> list[Sample]:
    """``n`` phrases of least IoU: one a study, findings in turn, the most confident first among equals."""
    return _in_turn(sorted(samples, key=lambda s: (s.iou, -(score_of(s) if s.scores else -1.0), s.key)), n)


def best(samples: Sequence[Sample], n: int) -> list[Sample]:
    """``n`` phrases of greatest IoU: one a study, findings in turn."""
    return _in_turn(sorted(samples, key=lambda s: (-s.iou, s.key)), n)


def case(sample: Sample, study_of: StudyOf, *, texts: bool = False) -> Case:
    """A sample as it is shown. ``texts``: with the phrase and the report.

    Raises:
        ManifestError: the study is not there, or has other labels than those that the sample was scored by.
    """
    study = study_of(sample.study)
    if sample.index >= len(study.labels):
        raise ManifestError(
            f"the phrase {sample.index} of study {sample.study}",
            f"{len(study.labels)} phrases",
            "Show the cases of the data set that the predictions were scored on.",
        )
    name = ", ".join(word for word in (sample.finding or "no finding", sample.side, sample.zone) if word)
    score = f"score {score_of(sample):.2f}" if sample.scores else "no box"
    counts = f"{_boxes(len(sample.reference), 'reference')}, {_boxes(len(sample.predicted), 'predicted')}"
    return Case(
        title=f"{name}: IoU {sample.iou:.2f}",
        facts=f"study {sample.study}, phrase {sample.index}; {score}; {counts}",
        words=f"Radiograph with {counts}, IoU {sample.iou:.2f}.",
        image=data_uri(study.image),
        size=study.image.size,
        aspect=study.image.pixel_aspect,
        reference=sample.reference,
        predicted=sample.predicted,
        text=study.labels[sample.index].phrase.text if texts else None,
        report=study.report if texts else None,
    )


def data_uri(image: Radiograph) -> str:
    """The radiograph as an inline grey PNG: at most 512 pixels a side and 200 kB, whatever the stored size."""
    grey = Image.fromarray((np.clip(image.pixels, 0, 1) * 255).round().astype(np.uint8))
    side = min(MAX_SIDE, max(grey.size))
    while True:
        scale = side / max(grey.size)
        small = grey.resize(
            (max(1, round(grey.width * scale)), max(1, round(grey.height * scale))), Image.Resampling.LANCZOS
        )
        stream = io.BytesIO()
        small.save(stream, "PNG", optimize=True)
        if stream.tell() <= MAX_BYTES:
            return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
        side = side * 3 // 4


def _in_turn(ranked: Sequence[Sample], n: int) -> list[Sample]:
    """The first of each finding, then the second of each, ``n`` in all: one easy finding must not fill the page."""
    rounds: Counter[str | None] = Counter()
    studies: set[str] = set()
    found: list[tuple[int, Sample]] = []
    for sample in ranked:
        if sample.study not in studies and rounds[sample.finding] < n:
            studies.add(sample.study)
            found.append((rounds[sample.finding], sample))
            rounds[sample.finding] += 1
    return [sample for _, sample in sorted(found, key=lambda item: item[0])][:n]


def _boxes(n: int, kind: str) -> str:
    return f"{n or 'no'} {kind} box{'' if n == 1 else 'es'}"
