"""How a phrase is read: finding, side and zone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.vocabulary import TermTable, words_of

VOCABULARY = load_atlas().vocabulary


def read(text, **fields):
    return [(m.finding, m.side, m.zone) for m in VOCABULARY.read(Phrase(text=text, **fields))]


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("small left pleural effusion", ("pleural effusion", Side.LEFT, None)),
        ("Bibasilar atelectasis.", ("atelectasis", Side.BILATERAL, "basal")),
        ("effusions on the left and right", ("pleural effusion", Side.BILATERAL, None)),
        ("right lower lobe consolidation", ("consolidation", Side.RIGHT, "lower lobe")),
        ("lingular pneumonia", ("pneumonia", Side.LEFT, "lingula")),
        ("RML collapse", ("lobar collapse", Side.RIGHT, "middle lobe")),
        ("nodule in both apices", ("nodule", Side.BILATERAL, "apical")),
        ("hazy retrocardiac opacity", ("lung opacity", None, "retrocardiac")),
        ("pneumothoraces", ("pneumothorax", None, None)),
        ("left hilar adenopathy", ("lymphadenopathy", Side.LEFT, None)),
    ],
)
def test_text_alone(text, mention):
    assert read(text) == [mention]


def test_a_place_that_makes_no_sense_is_left_out():
    assert read("cardiomegaly with left ventricular shape") == [("cardiomegaly", None, None)]
    assert read("right upper extremity picc") == [("peripherally inserted central catheter", Side.RIGHT, None)]


def test_fields_count_more_than_words():
    assert read("density", finding="nodule", side=Side.LEFT, zone="apical") == [("nodule", Side.LEFT, "apical")]
    assert read("left effusion", finding="pleural effusion", side=Side.RIGHT) == [
        ("pleural effusion", Side.RIGHT, None)
    ]


def test_the_text_makes_a_stated_zone_more_exact_but_never_another_one():
    assert read("left lower lobe pneumonia", zone="lower") == [("pneumonia", Side.LEFT, "lower lobe")]
    assert read("left upper lobe pneumonia", zone="basal") == [("pneumonia", Side.LEFT, "basal")]


def test_an_unknown_finding_is_read_from_the_text():
    assert read("mass", finding="lesion of unknown kind") == [("mass", None, None)]
    assert read("something else", finding="lesion of unknown kind") == []


def test_several_findings():
    assert [m[0] for m in read("left effusion with atelectasis")] == ["atelectasis", "pleural effusion"]


def test_the_longest_term_wins():
    table = TermTable([("a", ["lung"]), ("b", ["lung base"])])
    assert [m.name for m in table.find(words_of("lung bases, lung"))] == ["b", "a"]


@given(st.text(min_size=1, max_size=60))
def test_any_text_is_read_without_error(text):
    for mention in VOCABULARY.read(Phrase(text=text, zone=text, finding=text)):
        assert mention.finding in VOCABULARY.findings
        assert mention.zone is None or mention.zone in VOCABULARY.zones
