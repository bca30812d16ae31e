"""Which phrases a model named: matching of predicted to reference phrases, and boxes given to absent findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from knowmvg.core.records import GroundedPhrase, Phrase, Side, normalised

Reader: TypeAlias = Callable[[str], tuple[str | None, Side | None]]
"""Finding and side of a phrase's text, for models that answer in words alone."""


def named(
    phrases: Sequence[GroundedPhrase], reader: Reader | None = None, labelled: Collection[str] | None = None
) -> list[GroundedPhrase]:
    """The answered phrases that count as named findings: stated as present or possible, or given a box.

    Those without a finding get the ``reader``'s finding and side. One that is listed without a box does not count
    where its finding is none of those that the data set has labels for (``labelled``): a reference without devices can
    neither confirm nor refute that the report names one.
    """
    read = [_read(phrase, reader) for phrase in phrases if phrase.assertion.placed or phrase.boxes]
    return [phrase for phrase in read if phrase.boxes or _can_be_judged(phrase, labelled)]


def match_phrases(predicted: Sequence[Phrase], reference: Sequence[Phrase]) -> list[int | None]:
    """For each reference phrase the index of the predicted phrase that names it, or ``None``.

    A phrase is named by an equal text (see ``normalised``); each predicted phrase names at most one reference phrase.
    Where a text occurs more than once, equal spans go together first and the rest in order.
    """
    partners: dict[int, int] = {}
    free = list(range(len(predicted)))
    for same in (_same_place, _same_text):
        for place, wanted in enumerate(reference):
            partner = next((i for i in free if same(predicted[i], wanted)), None)
            if place not in partners and partner is not None:
                partners[place] = partner
                free.remove(partner)
    return [partners.get(place) for place in range(len(reference))]


def false_boxes(predicted: Sequence[GroundedPhrase], reference: Sequence[Phrase]) -> list[bool]:
    """For each reference phrase that is absent, resolved or prior, in order: was it given a box?

    It was, if a predicted phrase that names no placed reference phrase has a box and

    * has the text of the unplaced phrase (see ``normalised``), or
    * has a span that overlaps the unplaced phrase's, or
    * has its finding on a side that the unplaced phrase denies, while no placed reference phrase has that finding
      there. A phrase without a side, and a bilateral one, speaks of both sides.
    """
    placed = [phrase for phrase in reference if phrase.assertion.placed]
    taken = set(match_phrases(predicted, placed))
    surplus = [phrase for i, phrase in enumerate(predicted) if phrase.boxes and i not in taken]
    return [
        any(
            _same_text(answer, denied) or _overlaps(answer, denied) or _contradicts(answer, denied, placed)
            for answer in surplus
        )
        for denied in reference
        if not denied.assertion.placed
    ]


def _can_be_judged(phrase: Phrase, labelled: Collection[str] | None) -> bool:
    return labelled is None or phrase.finding is None or phrase.finding in labelled


def _read(phrase: GroundedPhrase, reader: Reader | None) -> GroundedPhrase:
    if reader is None or phrase.finding is not None:
        return phrase
    finding, side = reader(phrase.text)
    return phrase.model_copy(update={"finding": finding, "side": phrase.side or side})


def _same_text(a: Phrase, b: Phrase) -> bool:
    return normalised(a.text) == normalised(b.text)


def _same_place(a: Phrase, b: Phrase) -> bool:
    return a.span is not None and a.span == b.span and _same_text(a, b)


def _overlaps(a: Phrase, b: Phrase) -> bool:
    return a.span is not None and b.span is not None and max(a.span[0], b.span[0]) < min(a.span[1], b.span[1])


def _contradicts(answer: Phrase, denied: Phrase, placed: Sequence[Phrase]) -> bool:
    if answer.finding is None or answer.finding != denied.finding or not _speaks_of(denied, answer.side):
        return False
    both = answer.side in (None, Side.BILATERAL)
    return not any(p.finding == answer.finding and (both or _speaks_of(p, answer.side)) for p in placed)


def _speaks_of(phrase: Phrase, side: Side | None) -> bool:
    return phrase.side in (None, Side.BILATERAL) or phrase.side == side
