"""JSON inside an answer: fenced, after reasoning, among prose, cut off in the middle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FALSE_STARTS = 64

_END_OF_THOUGHT = re.compile(r"</think>|<unused95>|final answer:", re.IGNORECASE)
_START = re.compile(r"[\[{]")


class Pairs(dict[str, object]):
    """A JSON object that remembers how often each of its keys was written."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.written = [key for key, _ in pairs]


@dataclass(frozen=True, slots=True)
class Found:
    """The JSON values of a text in order; where a value began that never ended well, the text from there."""

    text: str
    values: tuple[object, ...]
    broken: tuple[str, ...]


_DECODER = json.JSONDecoder(object_pairs_hook=Pairs)


def find_json(text: str) -> Found:
    """All JSON lists and objects of the answer.

    What stands before the last ``</think>``, ``<unused95>`` (MedGemma's end of thought) or ``Final Answer:`` is
    reasoning and not searched. Complete values inside a value that was cut off are found as well. The search ends after
    ``MAX_FALSE_STARTS`` brackets that begin no JSON.
    """
    for mark in list(_END_OF_THOUGHT.finditer(text))[-1:]:
        text = text[mark.end() :]
    values: list[object] = []
    broken: list[str] = []
    place = 0
    while (start := _START.search(text, place)) and len(broken) < MAX_FALSE_STARTS:
        try:
            value, place = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            broken.append(text[start.start() : start.start() + 40])
            place = start.end()
        else:
            values.append(value)
    return Found(text, tuple(values), tuple(broken))


def objects_with(key: str, values: tuple[object, ...]) -> Iterator[Pairs]:
    """The objects that have ``key``, at any depth, in order; what lies inside such an object is not searched."""
    for value in _walk(values):
        if isinstance(value, Pairs) and key in value:
            yield value


def leaf_lists(values: tuple[object, ...]) -> Iterator[list[object]]:
    """The lists that hold no list or object, at any depth, in order."""
    for value in _walk(values):
        if isinstance(value, list) and not any(isinstance(part, (list, dict)) for part in value):
            yield value


def _walk(values: tuple[object, ...]) -> Iterator[object]:
    """Every container, parents before children. No recursion: the nesting is the model's choice."""
    waiting = list(reversed(values))
    while waiting:
        value = waiting.pop()
        yield value
        parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        waiting += [part for part in reversed(list(parts)) if isinstance(part, (list, dict))]
