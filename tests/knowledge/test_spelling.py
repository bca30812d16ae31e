"""Misspelt words are put right, right words are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.patterns import expand
from knowmvg.knowledge.spelling import Speller, edits

TARGETS = ("pneumothorax", "effusion", "pneumonia", "atelectasis", "resolved", "nodule", "calcified", "calcification")
SPELLER = Speller(TARGETS, familiar=("infusion", "diffusion"))
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=14)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("pnemothorax", "pneumothorax"),
        ("pneumothroax", "pneumothorax"),
        ("pnuemothroax", "pneumothorax"),  # two edits in a long word
        ("effussion", "effusion"),
        ("efusion", "effusion"),
        ("neumonia", "pneumonia"),  # the first letter is missing
        ("pnuemonia", "pneumonia"),
        ("atelectesis", "atelectasis"),
        # left alone
        ("infusion", "infusion"),
        ("diffusion", "diffusion"),
        ("module", "module"),  # short words have too many neighbours
        ("resolve", "resolve"),  # another ending, not a misspelling
        ("effusions", "effusions"),
        ("fusion", "fusion"),
        ("affusion", "affusion"),  # another first letter
        ("calcifixed", "calcified"),
        ("x" * 30, "x" * 30),
        ("", ""),
    ],
)
def test_correct(word, meant):
    assert SPELLER.correct(word) == meant


@pytest.mark.parametrize(
    ("word", "other", "distance"),
    [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "abd", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_edits(word, other, distance):
    assert edits(word, other) == distance
    assert edits(other, word) == distance


@given(WORDS, WORDS)
def test_edits_are_a_bounded_symmetric_distance(word, other):
    distance = edits(word, other)
    assert distance == edits(other, word)
    assert (distance == 0) == (word == other)
    assert abs(len(word) - len(other)) <= distance <= max(len(word), len(other))


def test_two_targets_equally_near_are_none():
    assert Speller(["granulomas", "granulomat"]).correct("granulomab") == "granulomab"


@given(WORDS)
def test_a_correction_is_near_and_is_itself_right(word):
    meant = SPELLER.correct(word)
    assert meant == word or (meant in TARGETS and edits(word, meant) <= 2)
    assert SPELLER.correct(meant) == meant


def test_no_word_of_the_lexicon_is_taken_for_another():
    lexicon = load_lexicon()
    words = {word for entry in lexicon.findings for p in entry.patterns for line in expand(p) for word in line}
    speller = Speller(words)
    assert all(speller.correct(word) == word for word in words)
