"""Fast repeatable choices: one numpy draw seeds them, so that a report costs the caller's generator one number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Choices made of ``random.Random.random`` alone, whose sequence Python promises to keep between versions."""

    __slots__ = ("_roll",)

    def __init__(self, rng: np.random.Generator) -> None:
        self._roll = random.Random(int(rng.integers(2**63))).random

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._roll() < probability

    def between(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return low + int(self._roll() * (high - low + 1))

    def uniform(self) -> float:
        """A number in ``[0, 1)``."""
        return self._roll()

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, each as likely as its share of the sequence."""
        return choices[int(self._roll() * len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order (Fisher-Yates)."""
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = int(self._roll() * (last + 1))
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed
