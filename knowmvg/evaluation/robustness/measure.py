"""From pairs of answers to rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.evaluation.metrics import phrase_iou
from knowmvg.evaluation.robustness.changed_studies import Moved
from knowmvg.evaluation.robustness.denial import Boxed
from knowmvg.evaluation.robustness.evidence import COMPARISON, Again, Evidence
from knowmvg.evaluation.robustness.pairs import Bootstrap, Pair, centre_x, paired
from knowmvg.evaluation.robustness.rows import ChangeRow, DenialRow, EvidenceRow, SideRow
from knowmvg.evaluation.samples import Protocol, Sample


@dataclass(frozen=True, slots=True)
class Title:
    """What a row is called."""

    protocol: Protocol
    name: str
    strength: str | None = None


def change_row(
    title: Title,
    plain: Sequence[Sample],
    changed: Sequence[Sample],
    draw: Bootstrap,
    *,
    moved: Mapping[str, Moved] | None = None,
    only: Callable[[Sample], bool] = lambda sample: True,
) -> ChangeRow:
    """The row of a change; ``moved`` is what became of the studies' images, ``only`` says which phrases count."""
    pairs = [pair for pair in paired(plain, changed) if only(pair.plain)]
    patients = [pair.plain.patient for pair in pairs]
    before, after = [pair.plain.iou for pair in pairs], [pair.changed.iou for pair in pairs]
    hits = [float(pair.changed.hits["0.5"]) for pair in pairs]
    hits_before = [float(pair.plain.hits["0.5"]) for pair in pairs]
    alike = [(pair, score) for pair in pairs if (score := _same_place(pair, moved)) is not None]
    return ChangeRow(
        protocol=title.protocol,
        name=title.name,
        strength=title.strength,
        n_phrases=len(pairs),
        n_patients=len(set(patients)),
        n_left_out=len(plain) - len(pairs),
        boxes_lost=sum(study.boxes_lost for study in moved.values()) if moved else 0,
        plain=draw.mean(before, patients),
        changed=draw.mean(after, patients),
        drop=draw.difference(after, before, patients),
        hit_drop=draw.difference(hits, hits_before, patients),
        same_place=draw.mean([score for _, score in alike], [pair.plain.patient for pair, _ in alike]),
        old_size=draw.mean([moved[p.plain.study].old_size[p.plain.index] for p in pairs], patients) if moved else None,
    )


def side_row(
    title: Title,
    plain: Sequence[Sample],
    changed: Sequence[Sample],
    draw: Bootstrap,
    *,
    swapped: Mapping[str, frozenset[int]],
    widths: Mapping[str, int],
) -> SideRow:
    """The row of the exchange of left and right; ``swapped`` are the labels that say a side, ``widths`` in pixels."""
    pairs = [pair for pair in paired(plain, changed) if pair.plain.index in swapped.get(pair.plain.study, ())]
    patients = [pair.plain.patient for pair in pairs]
    original = [pair.changed.iou for pair in pairs]
    mirrored = [
        phrase_iou(pair.changed.predicted, mirror(pair.plain.reference, widths[pair.plain.study])) for pair in pairs
    ]
    both = [pair for pair in pairs if pair.plain.predicted and pair.changed.predicted]
    crossed = [_crossed(pair, widths[pair.plain.study]) for pair in both]
    return SideRow(
        protocol=title.protocol,
        name=title.name,
        n_phrases=len(pairs),
        n_patients=len(set(patients)),
        n_left_out=len(plain) - len(pairs),
        n_without_box=sum(bool(pair.plain.predicted) and not pair.changed.predicted for pair in pairs),
        crossed=draw.mean(crossed, [pair.plain.patient for pair in both]),
        plain=draw.mean([pair.plain.iou for pair in pairs], patients),
        original=draw.mean(original, patients),
        mirrored=draw.mean(mirrored, patients),
        mirrored_gain=draw.difference(mirrored, original, patients),
    )


def denial_row(title: Title, found: Sequence[Boxed], left_out: int, draw: Bootstrap) -> DenialRow:
    """The row of denied phrases; ``left_out`` counts those that could not be denied."""
    patients = [phrase.patient for phrase in found]
    stated, denied = [float(phrase.stated) for phrase in found], [float(phrase.denied) for phrase in found]
    return DenialRow(
        protocol=title.protocol,
        name=title.name,
        n_phrases=len(found),
        n_patients=len(set(patients)),
        n_left_out=left_out,
        stated=draw.mean(stated, patients),
        denied=draw.mean(denied, patients),
        change=draw.difference(denied, stated, patients),
    )


def evidence_rows(protocol: Protocol, found: Evidence, draw: Bootstrap) -> list[EvidenceRow]:
    """A row for each thing that was taken away, each beside its comparison."""
    return [_evidence_row(protocol, name, found, draw) for name in found.rows]


def _evidence_row(protocol: Protocol, name: str, found: Evidence, draw: Bootstrap) -> EvidenceRow:
    phrases = found.rows[name]
    again = list(phrases.values())
    patients = [phrase.patient for phrase in again]
    other = COMPARISON.get(name)
    against: dict[tuple[str, int], Again] = found.rows.get(other, {}) if other is not None else {}
    common = [key for key in phrases if key in against]
    return EvidenceRow(
        protocol=protocol,
        name=name,
        n_phrases=len(again),
        n_patients=len(set(patients)),
        n_left_out=found.n_asked - len(again),
        same_place=draw.mean([phrase.same_place for phrase in again], patients),
        score_change=draw.difference([p.score for p in again], [p.score_before for p in again], patients),
        iou_change=draw.difference([p.iou for p in again], [p.iou_before for p in again], patients),
        comparison=other,
        minus_comparison=draw.difference(
            [phrases[key].same_place for key in common],
            [against[key].same_place for key in common],
            [phrases[key].patient for key in common],
        ),
    )


def mirror(boxes: Sequence[Sequence[float]], width: int) -> FloatArray:
    """Boxes ``[n, 4]`` as they would lie on the other side of an image of ``width`` pixels."""
    array = as_boxes(boxes)
    return np.stack([width - array[:, 2], array[:, 1], width - array[:, 0], array[:, 3]], axis=1)


def _crossed(pair: Pair, width: int) -> float:
    before, after = (centre_x(sample.predicted) - width / 2 for sample in (pair.plain, pair.changed))
    return float(before * after < 0)


def _same_place(pair: Pair, moved: Mapping[str, Moved] | None) -> float | None:
    """Agreement with the plain answer where it would be now; ``None`` where there was none, or it left the image."""
    if not pair.plain.predicted:
        return None
    if moved is None:
        return phrase_iou(pair.changed.predicted, pair.plain.predicted)
    kept = moved[pair.plain.study].keep(pair.plain.predicted)
    return None if kept.lost else phrase_iou(pair.changed.predicted, kept.boxes)
