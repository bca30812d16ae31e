"""From a scene and its report to a manifest line: which words go with which boxes and mask planes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from knowmvg.sources.manifest import MANIFEST_SCHEMA, PhraseRow, StudyRow, UnmentionedRow
from knowmvg.sources.phantom.report import WrittenPhrase, WrittenReport, named_lesions
from knowmvg.sources.phantom.scene import Finding, Lesion, Scene

ANATOMY_BITS = {"right lung": 0, "left lung": 1, "heart": 2}
_PLANES = 16
_Marked = Sequence[tuple[Lesion, int]]


def mask_image(scene: Scene) -> NDArray[np.uint16]:
    """All masks of a scene in one image ``[H, W]``: anatomy in bits 0 to 2, lesions from bit 3 in scene order.

    Raises ``ValueError`` for a scene with more lesions than a 16-bit image has planes for.
    """
    lesions = [lesion for finding in scene.findings for lesion in finding.lesions]
    if len(ANATOMY_BITS) + len(lesions) > _PLANES:
        raise ValueError(f"expected at most {_PLANES - len(ANATOMY_BITS)} lesions a scene, got {len(lesions)}")
    planes = np.zeros(scene.pixels.shape, dtype=np.uint16)
    for structure, bit in ANATOMY_BITS.items():
        planes |= scene.anatomy[structure].astype(np.uint16) << np.uint16(bit)
    for bit, lesion in enumerate(lesions, len(ANATOMY_BITS)):
        planes |= lesion.mask.astype(np.uint16) << np.uint16(bit)
    return planes


def study_row(scene: Scene, report: WrittenReport, *, name: str, patient: str, split: str) -> StudyRow:
    """The manifest line of a study whose files are ``images/{name}.png`` and ``masks/{name}.png``."""
    bits = count(len(ANATOMY_BITS))
    marked = [[(lesion, next(bits)) for lesion in finding.lesions] for finding in scene.findings]
    height, width = scene.pixels.shape
    return StudyRow(
        schema=MANIFEST_SCHEMA,
        id=name,
        patient=patient,
        split=split,
        image=f"images/{name}.png",
        width=width,
        height=height,
        report=report.text,
        phrases=tuple(_phrase_row(phrase, scene.findings, marked) for phrase in report.phrases),
        masks=f"masks/{name}.png",
        anatomy_bits=ANATOMY_BITS,
        unmentioned=tuple(
            _unmentioned_row(finding, lesions)
            for finding, lesions in zip(scene.findings, marked, strict=True)
            if not finding.mentioned
        ),
    )


def _phrase_row(phrase: WrittenPhrase, findings: Sequence[Finding], marked: Sequence[_Marked]) -> PhraseRow:
    lesions = [marked[phrase.index][k] for k in named_lesions(phrase, findings)] if phrase.index is not None else []
    return PhraseRow(
        text=phrase.text,
        span=phrase.span,
        section=phrase.section,
        assertion=phrase.assertion,
        finding=phrase.finding,
        side=phrase.side,
        zone=phrase.zone,
        boxes=tuple(lesion.box for lesion, _ in lesions),
        mask_bits=tuple(bit for _, bit in lesions),
    )


def _unmentioned_row(finding: Finding, lesions: _Marked) -> UnmentionedRow:
    order = sorted(lesions, key=lambda pair: pair[0].box)
    return UnmentionedRow(
        finding=finding.name,
        side=finding.side,
        zone=finding.zone,
        boxes=tuple(lesion.box for lesion, _ in order),
        mask_bits=tuple(bit for _, bit in order),
    )
