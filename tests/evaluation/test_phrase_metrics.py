"""Names of phrases: exact, by words, by finding; against SQuAD's rule rewritten here and by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from knowmvg.core.records import Phrase
from knowmvg.evaluation.metrics import NameCount, exact_names, finding_names, token_f1, token_names

WORDS = st.lists(st.sampled_from(["small", "left", "right", "pleural", "effusion", "opacity"]), min_size=1, max_size=6)


def phrase(text, finding=None):
    return Phrase(text=text, finding=finding)


def squad_f1(predicted, reference):
    """Rajpurkar et al. 2016: F1 of the bags of words."""
    a, b = predicted.split(), reference.split()
    shared = sum((Counter(a) & Counter(b)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(a), shared / len(b)
    return 2 * precision * recall / (precision + recall)


@settings(max_examples=40, deadline=None)
@given(WORDS, WORDS)
def test_token_f1_is_squads(a, b):
    first, second = " ".join(a), " ".join(b)
    assert token_f1(first, second) == pytest.approx(squad_f1(first, second))
    assert token_f1(first, second) == token_f1(second, first)


def test_words_are_compared_without_case_and_marks():
    assert token_f1("Small LEFT effusion.", "small left, effusion") == 1
    assert token_f1("Pleuraerguß links", "PLEURAERGUSS LINKS") == 1
    assert token_f1("left left effusion", "left effusion") == pytest.approx(0.8)  # repetition counts
    assert token_f1("...", "effusion") == 0
    assert token_f1("...", "!") == 1


def test_counts_by_hand():
    reference = [phrase("small left effusion", "effusion"), phrase("right opacity", "opacity")]
    predicted = [phrase("left effusion", "effusion"), phrase("Right  Opacity", "opacity"), phrase("edema", "edema")]
    exact, tokens = exact_names(predicted, reference), token_names(predicted, reference)
    assert exact == NameCount(1, 3, 2)
    assert (exact.precision, exact.recall, exact.f1) == (pytest.approx(1 / 3), 0.5, pytest.approx(0.4))
    assert (tokens.correct, tokens.named, tokens.expected) == (pytest.approx(1.8), 3, 2)
    findings = finding_names(predicted, reference)
    assert findings["effusion"].f1 == findings["opacity"].f1 == 1
    assert findings["edema"] == NameCount(0, 1, 0)
    assert np.isnan(findings["edema"].recall)
    assert sum(findings.values(), NameCount()) == NameCount(2, 3, 2)


def test_each_phrase_names_at_most_one():
    reference = [phrase("effusion", "effusion")]
    twice = reference * 2
    for count in (exact_names(twice, reference), token_names(twice, reference)):
        assert count == NameCount(1, 2, 1)
    assert finding_names(twice, reference) == {"effusion": NameCount(1, 2, 1)}
    assert token_names(reference, twice).f1 == pytest.approx(2 / 3)


def test_the_matching_by_words_is_the_best_one():
    reference = [phrase("left effusion"), phrase("small left effusion")]
    predicted = [phrase("small left effusion"), phrase("effusion")]
    assert token_names(predicted, reference).correct == pytest.approx(1 + 2 / 3)


def test_phrases_without_a_finding_are_never_right():
    assert finding_names([phrase("a")], [phrase("a")]) == {"": NameCount(0, 1, 1)}


def test_nothing_named_and_nothing_expected():
    some = [phrase("effusion", "effusion")]
    for metric in (exact_names, token_names):
        assert metric([], some) == NameCount(0, 0, 1)
        assert metric(some, []) == NameCount(0, 1, 0)
        assert metric([], []) == NameCount(0, 0, 0)
    assert finding_names([], []) == {}
    assert np.isnan([NameCount().precision, NameCount().recall, NameCount().f1]).all()
    assert (NameCount(0, 0, 1).f1, NameCount(0, 1, 0).f1) == (0, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc"))), min_size=1, max_size=8))
def test_findings_named_once_a_study_are_a_multi_label_task(studies):
    """Against scikit-learn's micro F1 and F1 by class on the table of study and finding."""
    total, by_finding = NameCount(), {}
    for predicted, reference in studies:
        for name, count in finding_names(
            [phrase(f, f) for f in sorted(predicted)], [phrase(f, f) for f in sorted(reference)]
        ).items():
            total, by_finding[name] = total + count, by_finding.get(name, NameCount()) + count
    named, truth = (np.array([[f in study[k] for f in "abc"] for study in studies]) for k in (0, 1))
    if total.named + total.expected:
        assert total.f1 == pytest.approx(f1_score(truth, named, average="micro", zero_division=0))
    for name, score in zip("abc", f1_score(truth, named, average=None, zero_division=0), strict=True):
        if name in by_finding:
            assert by_finding[name].f1 == pytest.approx(score)
