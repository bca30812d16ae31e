"""Which phrases a model named: exact texts, shared words, and findings.

Each function counts one study; counts of studies are added, and the sum gives precision, recall and F1 (micro). False
boxes on absent phrases are in ``evaluation.naming.false_boxes``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knowmvg.core.records import Phrase
from knowmvg.evaluation.metrics.assignment import matched
from knowmvg.evaluation.naming import match_phrases

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class NameCount:
    """How much of ``expected`` phrases ``named`` phrases match; ``correct`` is a number of phrases, or a sum of F1."""

    correct: float = 0.0
    named: int = 0
    expected: int = 0

    def __add__(self, other: NameCount) -> NameCount:
        return NameCount(self.correct + other.correct, self.named + other.named, self.expected + other.expected)

    @property
    def precision(self) -> float:
        """Share of the named phrases that are right; NaN where none was named."""
        return self.correct / self.named if self.named else float("nan")

    @property
    def recall(self) -> float:
        """Share of the expected phrases that were named; NaN where none was expected."""
        return self.correct / self.expected if self.expected else float("nan")

    @property
    def f1(self) -> float:
        """``2 correct / (named + expected)``; NaN where both are 0."""
        both = self.named + self.expected
        return 2 * self.correct / both if both else float("nan")


def exact_names(predicted: Sequence[Phrase], reference: Sequence[Phrase]) -> NameCount:
    """``phrase_f1``: a phrase is named by one with its text (case and white space aside), one to one."""
    partners = match_phrases(predicted, reference)
    return NameCount(sum(partner is not None for partner in partners), len(predicted), len(reference))


def token_names(predicted: Sequence[Phrase], reference: Sequence[Phrase]) -> NameCount:
    """``phrase_token_f1``: phrases matched one to one for the greatest total ``token_f1``, each counting that much."""
    bags = [[Counter(words(phrase.text)) for phrase in phrases] for phrases in (predicted, reference)]
    likeness = np.array([[_overlap(a, b) for b in bags[1]] for a in bags[0]], dtype=np.float64)
    total = matched(likeness.reshape(1, len(predicted), len(reference))).sum()
    return NameCount(float(total), len(predicted), len(reference))


def finding_names(predicted: Sequence[Phrase], reference: Sequence[Phrase]) -> dict[str, NameCount]:
    """``finding_f1``: for each finding how many phrases speak of it on both sides, whatever the words.

    Phrases without a finding are under ``""`` and are never correct: they cannot be compared.
    """
    named = Counter(phrase.finding or "" for phrase in predicted)
    expected = Counter(phrase.finding or "" for phrase in reference)
    return {
        finding: NameCount(min(named[finding], expected[finding]) if finding else 0, named[finding], expected[finding])
        for finding in sorted(named | expected)
    }


def token_f1(predicted: str, reference: str) -> float:
    """F1 of the words that two texts share, counted with repetition (as SQuAD's); two texts without a word have 1."""
    return _overlap(Counter(words(predicted)), Counter(words(reference)))


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded."""
    return _WORD.findall(text.casefold())


def _overlap(a: Counter[str], b: Counter[str]) -> float:
    size = a.total() + b.total()
    return 2 * (a & b).total() / size if size else 1.0
