from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from knowmvg.core.records import Phrase, Side
from knowmvg.inference.restate import plain_report, restate
from knowmvg.sources.phantom.report.sampler import sample_findings
from knowmvg.sources.phantom.report.writer import write_report
from knowmvg.sources.phantom.scene import FINDINGS, ZONES
from knowmvg.sources.report import read_report

PLACES = list(product((None, *Side), (None, *ZONES)))


@pytest.fixture(scope="module")
def written_words() -> set[str]:
    """The words of many reports, as the grammar writes them."""
    rng = np.random.default_rng(0)
    return {word for _ in range(600) for word in words(write_report(sample_findings(rng), rng).text)}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def restated(finding: str, side: Side | None = None, zone: str | None = None) -> Phrase:
    phrase = restate(Phrase(text="some real words", span=(3, 18), finding=finding, side=side, zone=zone))
    assert phrase is not None
    return phrase


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_form_is_of_words_that_the_grammar_writes(finding, written_words):
    phrases = [restated(finding, side, zone) for side, zone in PLACES]
    assert set(words(plain_report(phrases))) <= written_words


@pytest.mark.parametrize("finding", [name for name in FINDINGS if name != "cardiomegaly"])
def test_what_is_said_is_what_was_meant(finding):
    for side, zone in PLACES:
        (read,) = read_report(plain_report([restated(finding, side, zone)])).phrases
        assert (read.finding, read.side) == (finding, side)
        pleural = finding in ("pneumothorax", "pleural effusion")
        assert read.zone == (zone if not pleural or zone in ("apical", "basal") else None)


@pytest.mark.parametrize(
    ("finding", "side", "zone", "text"),
    [
        ("consolidation", "left", "lower", "left lower lobe consolidation"),
        ("lung opacity", "right", "perihilar", "right perihilar opacity"),
        ("pleural effusion", "bilateral", None, "bilateral pleural effusions"),
        ("pleural effusion", "left", "lower", "left pleural effusion"),
        ("edema", None, None, "edema"),
        ("cardiomegaly", None, None, "cardiomegaly"),
        ("mass", "right", "mid", "right mid lung nodule"),
        ("pulmonary congestion", None, None, "edema"),
    ],
)
def test_plain_words(finding, side, zone, text):
    phrase = restated(finding, side, zone)
    assert phrase.text == text
    assert phrase.span is None


@pytest.mark.parametrize("finding", [None, "scoliosis", "fracture", "catheter", "hiatal hernia", "emphysema"])
def test_what_the_grammar_does_not_name_is_not_restated(finding):
    assert restate(Phrase(text="x", finding=finding)) is None


def test_a_finding_that_is_learnt_but_not_of_the_grammar_keeps_its_words():
    assert restate(Phrase(text="large mass", finding="mass"), {"mass", "nodule"}) is None


def test_a_plain_report():
    phrases = [restated("consolidation", Side.LEFT, "lower"), restated("pleural effusion", Side.RIGHT)]
    assert plain_report(phrases) == "FINDINGS: Left lower lobe consolidation. Right pleural effusion."
