"""Studies and grounders whose right scores are known."""

from collections.abc import Callable

import numpy as np

from knowmvg.core.records import (
    Assertion,
    GroundedPhrase,
    Grounding,
    LabelledPhrase,
    Phrase,
    Radiograph,
    Region,
    Side,
    Study,
)

Moved = Callable[[np.ndarray], np.ndarray]


def label(text, boxes=(), *, finding=None, side=None, zone=None, assertion=Assertion.PRESENT, span=None):
    phrase = Phrase(text=text, finding=finding, side=side, zone=zone, assertion=assertion, span=span)
    return LabelledPhrase(phrase, np.array(boxes, dtype=float))


def study(*labels, id="s", patient=None, size=(200, 100), report="report"):
    rng = np.random.default_rng(len(id))
    pixels = rng.uniform(0, 1, (size[1], size[0])).astype(np.float32)
    return Study(Radiograph(pixels), report, id, patient, tuple(labels))


def random_boxes(rng, n, size=(200, 100)):
    corners = rng.uniform(0, [0.6 * size[0], 0.6 * size[1]], (n, 2))
    return np.concatenate([corners, corners + rng.uniform(5, [0.4 * size[0], 0.4 * size[1]], (n, 2))], axis=1)


def random_studies(n, seed=0, per_patient=2):
    """``n`` studies with one to three boxed phrases (one of two boxes) and an absent one each."""
    rng = np.random.default_rng(seed)
    studies = []
    for i in range(n):
        labels = [
            label(f"finding {j} of {i}", random_boxes(rng, 1 + (j == 1)), finding=f"f{rng.integers(3)}", side=Side.LEFT)
            for j in range(1 + int(rng.integers(3)))
        ]
        labels.append(label(f"absent {i}", finding="absent", assertion=Assertion.ABSENT))
        studies.append(study(*labels, id=f"s{i}", patient=f"p{i // per_patient}"))
    return studies


def answer(study, labels, move: Moved = lambda boxes: boxes, score=0.5):
    """The labels' boxes, moved, as the answer to a study."""
    phrases = [
        GroundedPhrase(
            **item.phrase.model_dump(),
            boxes=tuple(Region(xyxy=tuple(map(float, box)), score=score) for box in move(item.boxes)),
            reason=None if len(move(item.boxes)) else "nothing to see",
        )
        for item in labels
    ]
    return Grounding(image_size=study.image.size, phrases=tuple(phrases), model="fake", study=study.id)


class Knowing:
    """Knows the labels of the studies by heart; ``move`` changes the boxes, ``order`` the order of the answers."""

    def __init__(self, studies, move: Moved = lambda boxes: boxes, order=list):
        self.labels = {s.id: s.labels for s in studies}
        self.move, self.order = move, order
        self.asked = []

    def _known(self, study):
        return self.labels[study.id.split(" ")[0]]

    def ground(self, studies):
        self.asked += studies
        return [answer(s, self.order(self._known(s)), self.move) for s in studies]

    def ground_phrases(self, studies, queries):
        self.asked += studies
        known = [{item.phrase.text: item for item in self._known(s)} for s in studies]
        wanted = [[by_text[q.phrase.text] for q in row] for by_text, row in zip(known, queries, strict=True)]
        return [answer(s, self.order(row), self.move) for s, row in zip(studies, wanted, strict=True)]


class Deaf:
    """Has the boxes of the study by heart, whatever phrase it is asked for; does not look at the image."""

    def __init__(self, studies):
        self.labels = {s.id: s.labels for s in studies}

    def ground(self, studies):
        return [answer(s, self.labels[s.id.split(" ")[0]]) for s in studies]

    def ground_phrases(self, studies, queries):
        found = []
        for s, row in zip(studies, queries, strict=True):
            known = self.labels[s.id.split(" ")[0]]
            asked = [LabelledPhrase(q.phrase, item.boxes) for q, item in zip(row, known, strict=False)]
            found.append(answer(s, asked))
        return found


class Silent:
    """Names nothing and places nothing."""

    def ground(self, studies):
        return [answer(s, []) for s in studies]

    def ground_phrases(self, studies, queries):
        return [
            answer(s, [LabelledPhrase(q.phrase, np.zeros((0, 4))) for q in row])
            for s, row in zip(studies, queries, strict=True)
        ]
