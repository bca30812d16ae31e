"""What a file of predictions says: for each study, or each phrase that a model was asked for, what it answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from knowmvg.core.boxtext.reading import Fault, Item
from knowmvg.core.frames import Size
from knowmvg.core.records import normalised


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a model about one study.

    ``asked`` is the phrase that the model was given; without one it named its phrases itself. The boxes of ``items``
    are xyxy in stored pixels; ``faults`` says what in the answer could not be taken.
    """

    study: str
    items: tuple[Item, ...] = ()
    faults: tuple[Fault, ...] = ()
    asked: str | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers of a file about the studies of a data set; ``unknown`` are the studies that the data set has not."""

    answers: tuple[Answer, ...]
    unknown: tuple[str, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether any box has a score."""
        return any(item.scores for answer in self.answers for item in answer.items)

    def at_least(self, score: float) -> Predictions:
        """The predictions without the boxes whose score is lower; boxes without a score stay."""
        answers = (replace(a, items=tuple(_at_least(item, score) for item in a.items)) for a in self.answers)
        return replace(self, answers=tuple(answers))


@dataclass(frozen=True, slots=True)
class Listed:
    """A study of a data set: its identifier, its image's file, relative to the folder, and size in stored pixels."""

    study: str
    file: str
    size: Size


class Listing:
    """The studies of a data set by identifier and by image file."""

    def __init__(self, studies: Iterable[Listed]) -> None:
        self.by_study = {listed.study: listed for listed in studies}
        self._by_file: dict[str, list[Listed]] = {}
        for listed in self.by_study.values():
            names = {listed.file, listed.file.rpartition("/")[2]}
            for name in names:
                self._by_file.setdefault(name, []).append(listed)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self.by_study.values())

    def find(self, word: object) -> Listed | None:
        """The study with this identifier, or else the only one whose image has this path or file name."""
        listed = self.by_study.get(str(word))
        if listed is not None:
            return listed
        named = self._by_file.get(str(word)) or self._by_file.get(str(word).rpartition("/")[2]) or []
        return named[0] if len(named) == 1 else None


def _at_least(item: Item, least: float) -> Item:
    kept = [(box, score) for box, score in item.scored() if score is None or score >= least]
    return Item(item.phrase, tuple(box for box, _ in kept), tuple(score for _, score in kept) if item.scores else ())


def without_repeats(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """The answers, each question answered once. Two different answers to one question are none, with a fault."""
    found: dict[tuple[str, str | None], Answer] = {}
    for answer in answers:
        key = answer.study, None if answer.asked is None else normalised(answer.asked)
        if found.setdefault(key, answer) != answer:
            found[key] = Answer(answer.study, (), (*answer.faults, Fault.DUPLICATE), answer.asked)
    return tuple(found.values())
