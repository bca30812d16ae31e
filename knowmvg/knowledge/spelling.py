"""Misspelt words to the words of a lexicon: long words only, a bounded number of edits, one look-up a word.

Every word that is known is left alone, whatever it is close to. For an unknown one the index holds each known word with
up to two letters taken out; two words within two edits of each other share such a form (symmetric deletion, W. Garbe,
SymSpell, 2012). Edits are a letter more, less or other and two neighbours exchanged (Damerau 1964, optimal string
alignment).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import combinations

MIN_LETTERS, MAX_LETTERS = 7, 24
TWO_EDITS_FROM = 10


class Speller:
    """Corrects words to ``targets``; ``familiar`` words are right although no target."""

    def __init__(self, targets: Iterable[str], familiar: Collection[str] = ()) -> None:
        """All words in lower case. Targets that are shorter than ``MIN_LETTERS`` are never corrected to."""
        words = set(targets)
        self._right = words | set(familiar)
        self._index: dict[str, list[str]] = defaultdict(list)
        for word in sorted(words):
            if MIN_LETTERS <= len(word) <= MAX_LETTERS and word.isalpha():
                for form in _shortened(word, _allowed(len(word))):
                    self._index[form].append(word)
        self._known: dict[str, str] = {}

    def correct(self, word: str) -> str:
        """The target that ``word`` is meant to be, or ``word`` itself where none or more than one is nearest.

        A word is never taken for one that only ends otherwise (``resolve`` and ``resolved``) and begins with the same
        letter as its target, unless that letter was left out or exchanged with the next.
        """
        if len(word) < MIN_LETTERS - 1 or len(word) > MAX_LETTERS or word in self._right:
            return word
        if word not in self._known:
            if len(self._known) >= 1 << 16:
                self._known.clear()
            self._known[word] = self._nearest(word)
        return self._known[word]

    def _nearest(self, word: str) -> str:
        found: dict[str, int] = {}
        for form in _shortened(word, _allowed(len(word))):
            for target in self._index.get(form, ()):
                if target not in found and _starts_alike(word, target) and not _differs_in_ending(word, target):
                    distance = edits(word, target)
                    if distance <= min(_allowed(len(target)), _allowed(len(word))):
                        found[target] = distance
        if not found:
            return word
        least = min(found.values())
        nearest = [target for target, distance in found.items() if distance == least]
        return nearest[0] if len(nearest) == 1 else word


def edits(word: str, other: str) -> int:
    """How many edits turn one word into another: insert, delete, replace, or exchange two neighbours."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]


def _allowed(letters: int) -> int:
    return 2 if letters >= TWO_EDITS_FROM else 1


def _shortened(word: str, most: int) -> Iterator[str]:
    """The word without any 0 to ``most`` of its letters, each form once."""
    forms = {word}
    for count in range(1, most + 1):
        for places in combinations(range(len(word)), count):
            forms.add("".join(letter for place, letter in enumerate(word) if place not in places))
    yield from forms


def _starts_alike(word: str, target: str) -> bool:
    return word[0] == target[0] or word == target[1:] or word[:2] == target[1::-1]


def _differs_in_ending(word: str, target: str) -> bool:
    return word.startswith(target) or target.startswith(word)
