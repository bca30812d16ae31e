"""What a grounder that names no phrases itself is asked: the phrases of a reader of reports that it can place."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.core.grounder import Query, ReportReader
from knowmvg.core.records import Phrase, Study
from knowmvg.knowledge.relatives import nearest


def to_be_placed(
    reader: ReportReader, studies: Sequence[Study], findings: frozenset[str] | None = None
) -> list[list[Query]]:
    """The phrases of each study's report that are stated as present and whose finding can be placed, as queries.

    ``findings`` are the canonical names of those that the grounder has learnt to place; ``None`` for all there are.

    A finding that was never learnt is asked about where its nearest relative was (knowledge/relatives.py), and left out
    otherwise: a model that was only ever taught where lesions lie would put a box around a catheter just as well.
    """
    return [[Query(phrase) for phrase in reader(study.report) if _placeable(phrase, findings)] for study in studies]


def _placeable(phrase: Phrase, findings: frozenset[str] | None) -> bool:
    if not phrase.assertion.placed:
        return False
    return findings is None or not phrase.finding or nearest(phrase.finding, findings) is not None
