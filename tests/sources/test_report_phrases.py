"""How far phrases extend and where they lie. All sentences are our own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from knowmvg.core.records import Assertion, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.phantom.scene import FINDINGS, ZONES
from knowmvg.sources.report import read_report

# sentence -> (text, side, zone) of each phrase
PLACES = {
    "There is a small left pleural effusion.": [("small left pleural effusion", "left", None)],
    "There is patchy opacity in the right lower lobe.": [("patchy opacity in the right lower lobe", "right", "lower")],
    "Enlarged cardiac silhouette.": [("Enlarged cardiac silhouette", None, None)],
    "Bibasilar atelectasis.": [("Bibasilar atelectasis", "bilateral", "basal")],
    "Right apical pneumothorax is stable.": [("Right apical pneumothorax", "right", "apical")],
    "Effusions are seen bilaterally.": [("Effusions are seen bilaterally", "bilateral", None)],
    "Opacities in both lung bases.": [("Opacities in both lung bases", "bilateral", "basal")],
    "Opacities at the lung bases.": [("Opacities at the lung bases", "bilateral", "basal")],
    "A 5 mm nodule is noted in the left mid lung.": [
        ("5 mm nodule is noted in the left mid lung", "left", "mid"),
    ],
    "Right middle lobe consolidation.": [("Right middle lobe consolidation", "right", "mid")],
    "Lingular opacity.": [("Lingular opacity", "left", "mid")],
    "Left retrocardiac opacity persists.": [("Left retrocardiac opacity", "left", "retrocardiac")],
    "Right and left lower lobe opacities.": [("Right and left lower lobe opacities", "bilateral", "lower")],
    "Perihilar edema.": [("Perihilar edema", None, "perihilar")],
    # one place for several findings
    "Left lower lobe atelectasis and effusion.": [
        ("Left lower lobe atelectasis", "left", "lower"),
        ("effusion", "left", "lower"),
    ],
    "Scarring or atelectasis at the right base.": [
        ("Scarring", "right", "basal"),
        ("atelectasis at the right base", "right", "basal"),
    ],
    "Left base opacity, likely representing pneumonia.": [
        ("Left base opacity", "left", "basal"),
        ("pneumonia", "left", "basal"),
    ],
    "In the left lower lobe there is consolidation.": [("consolidation", "left", "lower")],
    "Left effusion with overlying atelectasis or pneumonia.": [
        ("Left effusion", "left", None),
        ("atelectasis", "left", None),
        ("pneumonia", "left", None),
    ],
    "Areas of atelectasis in the left base.": [("Areas of atelectasis in the left base", "left", "basal")],
    "LLL consolidation.": [("LLL consolidation", "left", "lower")],
    "Opacity behind the heart on the left.": [("Opacity behind the heart on the left", "left", "retrocardiac")],
    "Atelectasis on the left and cardiomegaly.": [
        ("Atelectasis on the left", "left", None),
        ("cardiomegaly", None, None),
    ],
    # several places
    "Right base atelectasis and left apical scarring.": [
        ("Right base atelectasis", "right", "basal"),
        ("left apical scarring", "left", "apical"),
    ],
    "Nodule in the left lung and 10 mm mass in the right lung.": [
        ("Nodule in the left lung", "left", None),
        ("10 mm mass in the right lung", "right", None),
    ],
    "Left pneumonia and minimal scarring or atelectasis in the right base.": [
        ("Left pneumonia", "left", None),
        ("minimal scarring", "right", "basal"),
        ("atelectasis in the right base", "right", "basal"),
    ],
    "Pleural effusions, right greater than left.": [("Pleural effusions", "bilateral", None)],
    # no place
    "The lungs are well expanded with a small nodule.": [("small nodule", None, None)],
    "The right lung is clear but there is an effusion.": [("effusion", None, None)],
    "Mild cardiomegaly with left effusion.": [("Mild cardiomegaly", None, None), ("left effusion", "left", None)],
    # what is left out of a phrase
    "Stable possible small nodule, unchanged.": [("small nodule", None, None)],
    "Right costophrenic XXXX focal atelectasis.": [("Right costophrenic XXXX focal atelectasis", "right", "basal")],
}


@pytest.mark.parametrize("sentence", PLACES)
def test_extent_side_and_zone(sentence):
    phrases = [phrase for phrase in read_report(f"FINDINGS: {sentence}").phrases if phrase.assertion.placed]
    assert [(phrase.text, phrase.side and phrase.side.value, phrase.zone) for phrase in phrases] == PLACES[sentence]


@pytest.mark.parametrize("sentence", PLACES)
def test_spans_are_verbatim_and_apart(sentence):
    text = f"FINDINGS: {sentence}\nIMPRESSION: {sentence}"
    phrases = read_report(text).phrases
    assert len(phrases) >= 2
    assert all(phrase.span and text[slice(*phrase.span)] == phrase.text for phrase in phrases)
    spans = [phrase.span for phrase in phrases if phrase.span]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_simulated_finding_is_read_by_its_name(finding, side):
    (phrase,) = read_report(f"FINDINGS: Mild {side} {finding}.").phrases
    assert phrase.finding == finding
    assert phrase.assertion is Assertion.PRESENT
    assert phrase.side == (Side(side) if load_lexicon()[finding].sided else None)


@pytest.mark.parametrize("zone", ZONES)
def test_every_simulated_zone_is_read_by_its_name(zone):
    (phrase,) = read_report(f"FINDINGS: Left {zone} opacity.").phrases
    assert (phrase.zone, phrase.side) == (zone, Side.LEFT)


@pytest.mark.parametrize("name", load_lexicon().by_name())
def test_every_lexicon_name_reads_as_itself(name):
    (phrase,) = read_report(f"FINDINGS: There is {name}.").phrases
    assert phrase.finding == name
