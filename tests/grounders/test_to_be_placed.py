"""Which phrases of a report a grounder is asked about that names none itself."""

import numpy as np
import pytest

from knowmvg.core.records import Assertion, Phrase, Radiograph, Study
from knowmvg.grounders.naming import to_be_placed

PHRASES = (
    Phrase(text="nodule", finding="nodule"),
    Phrase(text="PICC line", finding="central venous catheter"),
    Phrase(text="mass", finding="mass"),
    Phrase(text="something odd"),
    Phrase(text="no effusion", finding="pleural effusion", assertion=Assertion.ABSENT),
)


@pytest.mark.parametrize(
    ("findings", "asked"),
    [
        (None, ["nodule", "PICC line", "mass", "something odd"]),
        ({"nodule"}, ["nodule", "mass", "something odd"]),  # a mass is placed as its relative is
        ({"central venous catheter", "pleural effusion"}, ["PICC line", "something odd"]),
        (set(), ["something odd"]),
    ],
)
def test_a_finding_that_was_never_learnt_is_not_asked_about(findings, asked):
    study = Study(Radiograph(np.zeros((4, 4), dtype=np.float32)), "a report", "s")
    learnt = None if findings is None else frozenset(findings)
    (queries,) = to_be_placed(lambda report: PHRASES, [study], learnt)
    assert [query.phrase.text for query in queries] == asked
