"""The rows of the robustness tables as plain numbers; every estimate is ``None`` where no phrase is left for it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from knowmvg.evaluation.intervals import Difference, Estimate
from knowmvg.evaluation.samples import Protocol


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    protocol: Protocol
    name: str
    n_phrases: int
    n_patients: int


class ChangeRow(_Row):
    """An image or a wording changed in a way that should not matter; every number is of the same phrases.

    ``n_left_out`` phrases could not be compared (a box left the image; no other words were found) and ``boxes_lost``
    boxes left the image. ``drop`` is the changed mIoU minus the plain one, ``hit_drop`` the same for acc@0.5, and
    ``same_place`` the IoU with the model's own plain answer, carried along with the image, of those that had one.
    ``old_size`` is the IoU that the reference boxes themselves would have in their new places at their old size.
    """

    strength: str | None
    n_left_out: int
    boxes_lost: int
    plain: Estimate | None
    changed: Estimate | None
    drop: Difference | None
    hit_drop: Difference | None
    same_place: Estimate | None
    old_size: Estimate | None


class SideRow(_Row):
    """Left and right exchanged in the words. ``n_left_out`` phrases say no side; ``n_without_box`` lost their box.

    ``crossed`` is the share of phrases whose box centre went over the image's middle, of those with a box before and
    after. ``plain`` is the mIoU before; ``original`` and ``mirrored`` that of the new answer with the reference as it
    is and as it would lie on the other side; ``mirrored_gain`` is the second minus the first.
    """

    n_left_out: int
    n_without_box: int
    crossed: Estimate | None
    plain: Estimate | None
    original: Estimate | None
    mirrored: Estimate | None
    mirrored_gain: Difference | None


class DenialRow(_Row):
    """Findings denied in the report: share of phrases with a box when ``stated`` and when ``denied``.

    ``n_left_out`` phrases belong to studies whose report could not be rewritten.
    """

    n_left_out: int
    stated: Estimate | None
    denied: Estimate | None
    change: Difference | None


class EvidenceRow(_Row):
    """Evidence taken away: ``same_place`` is the IoU with the model's own answer before.

    ``score_change`` and ``iou_change`` are after minus before; ``minus_comparison`` is ``same_place`` minus that of the
    row ``comparison`` on the same phrases: clearly below 0 where the box hangs on what was taken away.
    """

    n_left_out: int
    same_place: Estimate | None
    score_change: Difference | None
    iou_change: Difference | None
    comparison: str | None
    minus_comparison: Difference | None
