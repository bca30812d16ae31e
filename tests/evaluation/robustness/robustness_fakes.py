"""Simulated studies with one bright finding each, and grounders that provably react to one thing and to no other."""

import numpy as np

from knowmvg.core.boxes import of_mask
from knowmvg.core.records import (
    Evidence,
    GroundedPhrase,
    Grounding,
    KnowledgeNode,
    LabelledPhrase,
    Phrase,
    Radiograph,
    Region,
    Side,
    Study,
)
from knowmvg.sources.report import read_report

SIZE = (120, 100)
FINDINGS = ("nodule", "pleural effusion", "pneumothorax")


def bright_study(number, box=None, side=None, finding=None, size=SIZE):
    """A grey image with one white box, in a report's words: the patient's left is the image's right."""
    rng = np.random.default_rng(number)
    side = side or (Side.LEFT, Side.RIGHT)[int(rng.integers(2))]
    finding = finding or FINDINGS[int(rng.integers(3))]
    x = int(rng.integers(5, size[0] // 2 - 25)) + (size[0] // 2 if side is Side.LEFT else 0)
    y = int(rng.integers(5, size[1] - 25))
    box = box if box is not None else [x, y, x + int(rng.integers(10, 20)), y + int(rng.integers(10, 20))]
    pixels = np.full((size[1], size[0]), 0.3, dtype=np.float32)
    pixels[box[1] : box[3], box[0] : box[2]] = 1.0
    words = f"{side} {finding}"
    report = f"Lungs are well expanded. There is a {words}. Normal heart size."
    start = report.index(words)
    phrase = Phrase(text=words, span=(start, start + len(words)), finding=finding, side=side)
    label = LabelledPhrase(phrase, np.array([box], dtype=float))
    return Study(Radiograph(pixels), report, f"s{number}", f"p{number // 2}", (label,))


def bright_studies(n):
    return [bright_study(number) for number in range(n)]


def placed(phrase, study, box, score=0.5, evidence=None):
    """A phrase with a box, cut to the image, or without one."""
    boxes = ()
    if box is not None:
        xyxy = np.clip(np.asarray(box, dtype=float), 0, [*study.image.size] * 2)
        boxes = (Region(xyxy=tuple(xyxy.tolist()), score=score),)
    reason = None if boxes else "nothing to see"
    return GroundedPhrase(**phrase.model_dump(), boxes=boxes, reason=reason, evidence=evidence)


class Fake:
    """Names what the report states, as the package reads it, and places it by ``place``."""

    def place(self, study, phrase):
        raise NotImplementedError

    def ground(self, studies):
        read = [[p for p in read_report(study.report).phrases if p.assertion.placed] for study in studies]
        return [self._answer(study, phrases) for study, phrases in zip(studies, read, strict=True)]

    def ground_phrases(self, studies, queries):
        assert all(study.labels == () for study in studies)
        return [self._answer(s, [query.phrase for query in row]) for s, row in zip(studies, queries, strict=True)]

    def _answer(self, study, phrases):
        found = tuple(self.place(study, phrase) for phrase in phrases)
        return Grounding(image_size=study.image.size, phrases=found, model="fake", study=study.id)


class ReadsSide(Fake):
    """Puts the box into the half that the words name, whatever the image shows."""

    def place(self, study, phrase):
        width, height = study.image.size
        x = 0.6 * width if "left" in phrase.text.casefold() else 0.1 * width
        return placed(phrase, study, [x, 0.3 * height, x + 0.3 * width, 0.7 * height])


class SeesBright(Fake):
    """Puts the box round the bright pixels, whatever the words; no bright pixel, no box. The score is their mean."""

    def place(self, study, phrase):
        bright = study.image.pixels > 0.9
        if not bright.any():
            return placed(phrase, study, None)
        return placed(phrase, study, of_mask(bright)[0], score=float(study.image.pixels[bright].mean().clip(0, 1)))


class Copies(Fake):
    """Has the boxes of all studies by heart and reads nothing but the study's number."""

    def __init__(self, studies):
        self.known = {study.id: study.labels for study in studies}

    def place(self, study, phrase):
        return placed(phrase, study, self.known[study.id.split(" ")[0]][0].boxes[0])

    def ground(self, studies):
        return [self._answer(s, [label.phrase for label in self.known[s.id.split(" ")[0]]]) for s in studies]


class Refuses(SeesBright):
    """Sees, and gives no box for a phrase that the report denies."""

    def place(self, study, phrase):
        found = read_report(study.report).phrases
        stated = any(p.assertion.placed and p.finding == phrase.finding for p in found)
        return super().place(study, phrase) if stated else placed(phrase, study, None)


class Knows(Fake):
    """Cites the node of the phrase's side and puts the box by it, or, ``decorative``, by the word."""

    def __init__(self, decorative=False, nodes=("left", "right", "heart", "rib")):
        self.decorative, self.nodes = decorative, tuple(nodes)

    @property
    def knowledge(self):
        return self.nodes

    def without_knowledge(self, nodes):
        return Knows(self.decorative, [node for node in self.nodes if node not in set(nodes)])

    def place(self, study, phrase):
        side = "left" if "left" in phrase.text.casefold() else "right"
        cited = side if side in self.nodes else next(iter(self.nodes), None)
        nodes = () if cited is None else (KnowledgeNode(text=cited, similarity=1.0),)
        width, height = study.image.size
        told = side if self.decorative else cited
        x = {"left": 0.6, "right": 0.1}.get(told, 0.35) * width
        box = [x, 0.3 * height, x + 0.3 * width, 0.7 * height]
        score = 0.9 if cited == side or self.decorative else 0.4
        return placed(phrase, study, box, score, Evidence(knowledge=nodes))
