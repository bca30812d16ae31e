"""What an answer must be to be taken: it says what the labels say, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.records import Phrase
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.patterns import split_words
from knowmvg.sources.manifest import PhraseRow
from knowmvg.sources.report import read_report
from knowmvg.sources.texts.endpoint.client import Completion
from knowmvg.sources.texts.places import place_stretches

MIN_CHARACTERS, MAX_CHARACTERS, MAX_DESCRIPTION = 8, 1200, 240
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_HEADING = re.compile(r"\A(?:findings|report|answer|description)\s*:\s*", re.IGNORECASE)
_MARKUP = re.compile(r"[\[\]{}<>|`#*_\\]")
_NUMBER = re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\s+(?:mm|cm|millimet|centimet)", re.I)


class Unusable(Exception):
    """An answer that is not taken; the message is a short kind that is counted, and never quotes the answer."""


def plain_answer(completion: Completion, most: int = MAX_CHARACTERS) -> str:
    """The answer as one line of text, without a thought before it, a code fence or a heading.

    Raises ``Unusable`` for one that is empty, cut short, too long, or holds markup or numbers: coordinates, sizes and
    dates are in no label.
    """
    text = _THOUGHT.sub("", completion.text).strip()
    text = _HEADING.sub("", _FENCE.sub(r"\1", text)).strip().strip('"').strip()
    text = " ".join(text.split())
    if not text:
        raise Unusable("empty")
    if completion.finish == "length":
        raise Unusable("cut short")
    if not MIN_CHARACTERS <= len(text) <= most:
        raise Unusable("too short or too long")
    if _MARKUP.search(text) or not text.isprintable():
        raise Unusable("markup")
    if _NUMBER.search(text):
        raise Unusable("a number")
    return text


def labelled_answer(text: str, labels: Sequence[PhraseRow], *, places: bool) -> list[PhraseRow]:
    """The labels with their words and spans in the answer, read as any report is.

    Args:
        text: of ``plain_answer``.
        labels: what the report must say.
        places: whether it was told sides and zones; otherwise it may say none.

    Raises:
        Unusable: a label is missing or said otherwise, another finding is stated, or a place is invented.
    """
    words = split_words(text)
    if not places and place_stretches(words):
        raise Unusable("an invented place")
    left = list(read_report(text).phrases)
    found = [_found(text, label, left, places=places) for label in labels]
    if any(phrase.assertion.placed for phrase in left if not _repeats(phrase, found)):
        raise Unusable("another finding")
    return found


def description(completion: Completion, category: str) -> str:
    """A category's description without a full stop at its end, to follow the category's name.

    Raises ``Unusable`` as ``plain_answer`` does, and for several sentences or words for a side.
    """
    text = plain_answer(completion, MAX_DESCRIPTION).rstrip(".").strip()
    text = re.sub(rf"\A(?:an?\s+)?{re.escape(category)}\s*(?::|,|is|means|-)\s*", "", text, flags=re.IGNORECASE)
    if re.search(r"[.!?]\s", text):
        raise Unusable("several sentences")
    if re.search(r"\b(?:left|right)\b", text, re.IGNORECASE):
        raise Unusable("an invented place")
    if len(text) < MIN_CHARACTERS:
        raise Unusable("too short or too long")
    first = text.split()[0]
    return text if len(first) > 1 and first.isupper() else text[0].lower() + text[1:]


def _found(text: str, label: PhraseRow, left: list[Phrase], *, places: bool) -> PhraseRow:
    """The label as the answer says it; what was read of it is taken from ``left``."""
    known = label.finding in load_lexicon().by_name()
    for place, phrase in enumerate(left):
        same = phrase.finding == label.finding and phrase.assertion is label.assertion
        if known and same and (not places or label.side is None or phrase.side is label.side):
            del left[place]
            return label.model_copy(
                update={"text": phrase.text, "span": phrase.span, "side": phrase.side, "zone": phrase.zone}
            )
    name = label.finding or label.text
    at = -1 if known else text.casefold().find(name.casefold())
    if at < 0:
        raise Unusable("a missing label")
    return label.model_copy(update={"text": text[at : at + len(name)], "span": (at, at + len(name))})


def _repeats(phrase: Phrase, found: Sequence[PhraseRow]) -> bool:
    """Whether a phrase says once more what a label says."""
    return any(
        phrase.finding == label.finding and (phrase.side is None or phrase.side == label.side) for label in found
    )
