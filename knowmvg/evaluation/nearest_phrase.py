"""The control that copies: a phrase gets the boxes of the training phrase with the nearest words, whatever the image.

Texts are compared as bags of words: the cosine of their TF-IDF vectors with smoothed inverse document frequencies, as
``sklearn.feature_extraction.text.TfidfVectorizer`` computes it. A model that memorises phrases does no better.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from knowmvg.core.boxes import FloatArray
from knowmvg.core.grounder import Query
from knowmvg.evaluation.prior import Prior, training_boxes
from knowmvg.evaluation.studies import Studies

_WORD = re.compile(r"\w+")
_TIE = 1e-9


class WordVectors:
    """TF-IDF vectors of unit length for texts; words that the fitted texts never had count for nothing.

    Raises ``ValueError`` without a text.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        if not texts:
            raise ValueError("expected at least one text, got none")
        bags = [_bag(text) for text in texts]
        self._columns = {word: column for column, word in enumerate(sorted({word for bag in bags for word in bag}))}
        held = Counter(word for bag in bags for word in bag)
        frequency = np.array([held[word] for word in self._columns], dtype=np.float64)
        self._weight = np.log((1 + len(texts)) / (1 + frequency)) + 1
        self.matrix = self(texts)

    def __call__(self, texts: Sequence[str]) -> csr_array:
        """Vectors ``[texts, words]``; a text without a known word is all zeros."""
        values, rows, columns = [], [], []
        for row, bag in enumerate(map(_bag, texts)):
            known = {self._columns[word]: times for word, times in bag.items() if word in self._columns}
            weights = np.array([times * self._weight[column] for column, times in known.items()], dtype=np.float64)
            values.append(weights / (np.linalg.norm(weights) or 1.0))
            rows += [row] * len(known)
            columns += list(known)
        return csr_array((np.concatenate([[], *values]), (rows, columns)), shape=(len(texts), len(self._columns)))

    def similarity(self, text: str) -> FloatArray:
        """The cosine of a text with each fitted text, ``[texts]``."""
        return np.asarray((self.matrix @ self([text]).T).toarray()[:, 0], dtype=np.float64)


class NearestPhrase(Prior):
    """A ``Grounder`` that knows the training phrases' words and boxes by heart and sees no image.

    A phrase with n boxes is compared with training phrases of n boxes (with all of them where n is not told, or was
    never seen: such a phrase gets the nearest one's boxes, as many as they are). Of equally near phrases, the mean of
    those with the most usual number of boxes is taken. The score of a box is the cosine.
    """

    name = "nearest training phrase"

    def __init__(self, found: dict[str, list[FloatArray]]) -> None:
        self._texts = list(found)
        self._boxes = list(found.values())
        self._vectors = WordVectors(self._texts)
        self._counts = [{len(boxes) for boxes in sets} for sets in self._boxes]

    @classmethod
    def fit(cls, studies: Studies) -> NearestPhrase:
        """Learn from labelled training studies. Raises ``ValueError`` where none of their phrases has a box."""
        found: defaultdict[str, list[FloatArray]] = defaultdict(list)
        for phrase, boxes in training_boxes(studies):
            found[_words(phrase.text)].append(boxes)
        return cls(dict(found))

    def known(self, query: Query) -> tuple[FloatArray, float]:
        """The nearest training phrase's boxes, and the cosine of the two phrases."""
        return (np.zeros((0, 4)), 0.0) if query.boxes == 0 else self._nearest(query.phrase.text, query.boxes)

    def _nearest(self, text: str, n: int | None) -> tuple[FloatArray, float]:
        similarity = self._vectors.similarity(text)
        allowed = np.array([n in counts for counts in self._counts])
        if n is not None and allowed.any():
            similarity = np.where(allowed, similarity, -1.0)
        best = float(similarity.max())
        sets = [boxes for place in np.flatnonzero(similarity >= best - _TIE) for boxes in self._boxes[place]]
        numbers = Counter(len(boxes) for boxes in sets)
        wanted = n if n is not None and n in numbers else min(numbers, key=lambda count: (-numbers[count], count))
        same = np.stack([boxes for boxes in sets if len(boxes) == wanted])
        return np.asarray(same.mean(axis=0), dtype=np.float64), min(max(best, 0.0), 1.0)


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _bag(text: str) -> Counter[str]:
    return Counter(_words(text).split())
