"""The lineage's leak: test scripts that feed the answer.

uMedGround's test script puts the reference answer, "<phrase>. It is [BOX].", into the conversation and reads the box at
that place; LISA's does the same with its mask. What such a score rewards then stands in the prompt: which findings
there are, how many boxes each has, and, as findings lie where they usually lie, mostly where. ``Copier`` is that
shortcut and nothing else: it never looks at the image.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from evaluation_fakes import Deaf, label, study

from knowmvg.core.records import GroundedPhrase, Grounding, Region
from knowmvg.evaluation.controls import Shuffled
from knowmvg.evaluation.evaluate import SHUFFLED, evaluate
from knowmvg.evaluation.protocol import run
from knowmvg.evaluation.samples import Protocol

ZONES = {  # where a finding lies, as shares of the image: the prompt's words tell it
    "left effusion": [[0.6, 0.6, 0.9, 0.9]],
    "right effusion": [[0.1, 0.6, 0.4, 0.9]],
    "enlarged heart": [[0.35, 0.5, 0.75, 0.85]],
    "bilateral edema": [[0.1, 0.3, 0.4, 0.7], [0.6, 0.3, 0.9, 0.7]],
    "apical pneumothorax": [[0.6, 0.05, 0.85, 0.25]],
}
SIZE = (200, 100)


def cohort(n=60, seed=0):
    """Patients with one or two of the findings, near their usual places; half of the reports name them otherwise."""
    rng = np.random.default_rng(seed)
    studies = []
    for i in range(n):
        names = rng.choice(list(ZONES), 1 + int(rng.integers(2)), replace=False)
        labels = [
            label(name, (np.array(ZONES[name]) + rng.normal(0, 0.01, (len(ZONES[name]), 4))) * [*SIZE, *SIZE])
            for name in names
        ]
        studies.append(study(*labels, id=f"s{i}", patient=f"p{i}", report="No words of the labels."))
    return studies


class Copier:
    """A box for every phrase of its prompt, where that phrase usually lies; without a prompt, nothing."""

    def ground(self, studies):
        return [Grounding(image_size=s.image.size, model="copier", study=s.id) for s in studies]

    def ground_phrases(self, studies, queries):
        return [
            Grounding(
                image_size=s.image.size,
                phrases=tuple(self._copy(query) for query in row),
                model="copier",
                study=s.id,
            )
            for s, row in zip(studies, queries, strict=True)
        ]

    @staticmethod
    def _copy(query):
        boxes = np.array(ZONES[query.phrase.text][: query.boxes]) * [*SIZE, *SIZE]
        regions = tuple(Region(xyxy=tuple(map(float, box)), score=0.9) for box in boxes)
        return GroundedPhrase(**query.phrase.model_dump(), boxes=regions)


class Smuggler(Copier):
    """The leak in full: a harness that forgot to take the labels off. It gives back what stands on the study."""

    def ground(self, studies):
        return [
            Grounding(
                image_size=s.image.size,
                phrases=tuple(
                    GroundedPhrase(
                        **item.phrase.model_dump(),
                        boxes=tuple(Region(xyxy=tuple(map(float, box)), score=1.0) for box in item.boxes),
                    )
                    for item in s.labels
                ),
                model="smuggler",
            )
            for s in studies
        ]

    def ground_phrases(self, studies, queries):
        given = self.ground(studies)
        empty = [
            tuple(GroundedPhrase(**q.phrase.model_dump(), reason="nothing to copy") for q in row) for row in queries
        ]
        return [
            g if g.phrases else g.model_copy(update={"phrases": phrases})
            for g, phrases in zip(given, empty, strict=True)
        ]


@pytest.fixture(scope="module")
def copied():
    studies = cohort()
    return evaluate(Copier(), studies, training_studies=cohort(seed=1), resamples=200)


def means(found, protocol):
    return {row.name: row.summary.micro.miou.value for row in found.part(protocol).rows}


def test_copying_the_prompt_scores_high_when_the_answer_is_in_it(copied):
    row = copied.part("teacher_forced").rows[0].summary
    assert row.micro.miou.value > 0.75
    assert row.micro.acc["0.5"].value > 0.95
    assert row.identification is None  # no naming figure: the phrases were given


def test_generate_catches_it(copied):
    row = copied.part("generate").rows[0].summary
    assert row.micro.miou.value == 0.0
    assert row.identification.f1.value == 0.0


def test_the_priors_and_the_blank_image_tell_why(copied):
    found = means(copied, "teacher_forced")
    assert found["blank image"] == found["model"]  # the image is not looked at
    assert found["mean box"] < 0.5 * found["model"]  # and words are all that it has over a fixed box


def test_the_shuffled_phrase_catches_it(copied):
    """Another patient's phrases take the boxes with them: they stood in the prompt.

    What is left is what two patients have in common. A model that reads the image alone keeps its score, so that the
    row tells the two apart.
    """
    found = means(copied, "teacher_forced")
    assert found[SHUFFLED] < 0.4 * found["model"]
    row = next(row for row in copied.part("teacher_forced").rows if row.name == SHUFFLED)
    assert row.difference.high < -0.3
    assert row.difference.p < 0.01
    places = {tuple((np.array(box) * [*SIZE, *SIZE]).round(6)) for boxes in ZONES.values() for box in boxes}
    shown = run(Protocol.TEACHER_FORCED, Copier(), cohort(), view=Shuffled(cohort()))
    assert {tuple(np.round(box, 6)) for sample in shown.samples for box in sample.predicted} == places
    deaf = evaluate(Deaf(cohort()), cohort(), training_studies=None, protocols=["teacher_forced"], resamples=20)
    assert means(deaf, "teacher_forced")[SHUFFLED] == 1.0


def test_labels_that_are_left_on_a_study_never_reach_the_model():
    found = evaluate(Smuggler(), cohort(20), training_studies=None, resamples=20)
    for protocol in ("teacher_forced", "generate"):
        assert set(means(found, protocol).values()) == {0.0}
    (given,) = Smuggler().ground(cohort(1))
    assert given.phrases  # with its labels on, the same model answers perfectly
    bare = dataclasses.replace(cohort(1)[0], labels=())
    assert Smuggler().ground([bare])[0].phrases == ()
