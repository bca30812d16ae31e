"""Labelled studies as the evaluation takes them: loaded when they are needed and gone when they are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import numpy as np

from knowmvg.core.records import Study

Studies: TypeAlias = Sequence[Study] | Callable[[], Iterable[Study]]
"""A sequence, which may load a study at each access, or a function that starts a new pass over the studies."""

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the stage's name, the studies done in it and, where it is known, their number."""


def each(studies: Studies) -> Iterator[Study]:
    """One pass over the studies."""
    return iter(studies() if callable(studies) else studies)


def batches(studies: Studies, size: int) -> Iterator[list[Study]]:
    """One pass over the studies in lists of ``size``, the last one shorter."""
    if size < 1:
        raise ValueError(f"expected a batch of at least 1 study, got {size}")
    source = each(studies)
    while batch := list(islice(source, size)):
        yield batch


def labels_of(studies: Studies) -> list[Study]:
    """All studies without their pixels and masks, in memory: what a prior learns from, read in one pass.

    The images keep their sizes and hold zeros that take no room.
    """
    return [_without_pixels(study) for study in each(studies)]


def _without_pixels(study: Study) -> Study:
    nothing = np.broadcast_to(np.float32(0), study.image.pixels.shape)
    labels = tuple(replace(label, masks=None) for label in study.labels)
    return replace(study, image=replace(study.image, pixels=nothing), labels=labels)


def count(studies: Studies) -> int | None:
    """Number of studies, or ``None`` where only a pass over them would tell."""
    return None if callable(studies) else len(studies)


def patient_of(study: Study) -> str:
    """The patient of a study; a study without one stands for its own."""
    return study.patient if study.patient is not None else study.id
