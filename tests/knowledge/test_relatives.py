from __future__ import annotations

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.relatives import load_relatives, nearest, parse_relatives
from knowmvg.sources.phantom.scene import FINDINGS

ROW = {"finding": "mass", "placed_as": ["nodule"], "source": "a book of radiology"}


@pytest.mark.parametrize(
    ("finding", "placed_as"),
    [
        ("mass", "nodule"),
        ("calcified granuloma", "nodule"),
        ("airspace disease", "consolidation"),
        ("infiltrate", "lung opacity"),
        ("pulmonary congestion", "edema"),
        ("scar", "lung opacity"),
        ("pneumonia", "pneumonia"),
        *((name, None) for name in ("scoliosis", "fracture", "hiatal hernia", "catheter", "emphysema", "no finding")),
    ],
)
def test_the_nearest_learnt_finding(finding, placed_as):
    assert nearest(finding, FINDINGS) == placed_as


def test_nearest_skips_what_is_not_learnt():
    assert nearest("airspace disease", {"lung opacity"}) == "lung opacity"
    assert nearest("mass", {"mass", "nodule"}) == "mass"
    assert nearest("mass", {"edema"}) is None


def test_relatives_lie_where_the_finding_lies():
    lexicon = load_lexicon()
    for finding, relatives in load_relatives().items():
        assert not lexicon[finding].sided or all(lexicon[name].sided for name in relatives)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([ROW, ROW], "'mass'"),
        ([{**ROW, "placed_as": ["mass"]}], "each finding once"),
        ([{**ROW, "placed_as": ["blob"]}], "'blob'"),
        ([{**ROW, "placed_as": []}], "placed_as"),
        ([{**ROW, "source": ""}], "source"),
    ],
)
def test_a_broken_table_is_refused(rows, problem):
    with pytest.raises(KnowledgeError, match=problem):
        parse_relatives({"schema": "knowmvg.relatives/1", "relatives": rows})
