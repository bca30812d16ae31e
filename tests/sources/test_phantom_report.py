"""What the report grammar writes is true of the findings, exact in its spans, and says nothing that it must not."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.phantom.report import named_lesions, sample_findings, write_report
from knowmvg.sources.phantom.report.grammar import grammar
from knowmvg.sources.phantom.report.writer import MAX_WORDS
from knowmvg.sources.phantom.report.written import Draft, NounPhrase
from knowmvg.sources.phantom.scene import FINDINGS, ZONES, Finding

SIDES = {Side.LEFT: {Side.LEFT}, Side.RIGHT: {Side.RIGHT}, Side.BILATERAL: {Side.LEFT, Side.RIGHT}, None: set()}
TEXT_OF_SIDE = {
    Side.LEFT: r"\bleft|lingul|\bLUL|\bLLL",
    Side.RIGHT: r"\bright|\bRUL|\bRML|\bRLL",
    Side.BILATERAL: r"\bbi|\bboth|in the lung|in the \w+ lungs|in the peri",
}


def written(count, seed=0):
    """(findings, report) pairs."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        findings = sample_findings(rng)
        yield findings, write_report(findings, rng)


PAIRS = list(written(2500))


def test_spans_are_exact_and_in_reading_order():
    for _, report in PAIRS:
        starts = [phrase.span[0] for phrase in report.phrases]
        assert starts == sorted(starts)
        for phrase in report.phrases:
            assert report.text[slice(*phrase.span)] == phrase.text
            assert phrase.text == phrase.text.strip() != ""


def test_every_mentioned_finding_is_named_and_placed():
    for findings, report in PAIRS:
        named = {phrase.index for phrase in report.phrases if phrase.index is not None}
        assert named == {index for index, finding in enumerate(findings) if finding.mentioned}
        for phrase in report.phrases:
            assert phrase.assertion.placed == (phrase.index is not None)


def test_a_phrase_tells_nothing_that_is_not_so():
    for findings, report in PAIRS:
        for phrase in (p for p in report.phrases if p.index is not None):
            finding = findings[phrase.index]
            assert phrase.finding == finding.name
            assert phrase.zone in (None, finding.zone)
            assert SIDES[phrase.side] <= SIDES[finding.side]


def test_what_is_absent_or_gone_is_not_on_the_image_on_that_side():
    kinds = Counter()
    for findings, report in PAIRS:
        for phrase in (p for p in report.phrases if p.index is None):
            kinds[phrase.assertion] += 1
            on_image = [finding for finding in findings if finding.name == phrase.finding]
            for finding in on_image:
                assert phrase.side is not None
                assert not SIDES[phrase.side] & SIDES[finding.side]
    assert {Assertion.ABSENT, Assertion.RESOLVED, Assertion.PRIOR} == set(kinds)


def test_the_unmentioned_is_never_named_nor_denied():
    checked = 0
    for findings, report in PAIRS:
        mentioned = {finding.name for finding in findings if finding.mentioned}
        for name in {finding.name for finding in findings} - mentioned:
            checked += 1
            match = grammar().stems[name].search(report.text)
            assert match is None, (name, match, report.text)
    assert checked > 300


def test_only_the_named_findings_have_their_words_in_the_text():
    for findings, report in PAIRS:
        body = re.split(r"(?i)(?:findings|report|chest|impression|conclusion|opinion)(?::| -)", report.text, maxsplit=1)
        told = {phrase.finding for phrase in report.phrases}
        for name in {finding.name for finding in findings} - told:
            assert grammar().stems[name].search(body[-1]) is None


def test_twins_are_told_apart():
    found = 0
    for findings, report in PAIRS:
        for phrase in (p for p in report.phrases if p.index is not None):
            finding = findings[phrase.index]
            twins = [other for other in findings if other.name == finding.name and other is not finding]
            for twin in twins:
                found += 1
                assert phrase.side is not None
                assert (phrase.side, phrase.zone) != (twin.side, twin.zone)
                if twin.side == finding.side:
                    assert phrase.zone is not None
    assert found > 50


def test_twins_on_one_side_are_told_apart_by_zone():
    nodules = [Finding("nodule", Side.LEFT, zone, 0.5, ()) for zone in ("upper", "lower")]
    for seed in range(100):
        for phrase in write_report(nodules, np.random.default_rng(seed)).phrases:
            if phrase.index is not None:
                assert (phrase.side, phrase.zone) == (Side.LEFT, nodules[phrase.index].zone)


def test_indistinguishable_twins_are_refused():
    twin = Finding("nodule", Side.LEFT, "upper", 0.5, ())
    with pytest.raises(ValueError, match="differ in side or zone"):
        write_report([twin, twin], np.random.default_rng(0))


def test_side_words_match_the_label():
    told = Counter()
    for _, report in PAIRS:
        for phrase in report.phrases:
            for side, pattern in TEXT_OF_SIDE.items():
                if phrase.finding == "cardiomegaly":
                    continue
                said = re.search(pattern, phrase.text, re.IGNORECASE) is not None
                if side is phrase.side:
                    told[side] += 1
                    assert said, phrase
                elif side is not Side.BILATERAL:
                    assert not said, phrase
    assert min(told.values()) > 100


def test_severity_words_fit_the_severity():
    def words(name, severity):
        findings = [Finding(name, None if name == "cardiomegaly" else Side.LEFT, None, severity, ())]
        texts = [write_report(findings, np.random.default_rng(seed)).phrases for seed in range(200)]
        return " ".join(p.text.lower() for phrases in texts for p in phrases if p.index == 0).split()

    for name in FINDINGS:
        low, high = Counter(words(name, 0.1)), Counter(words(name, 0.9))
        scale = grammar().findings[name].severities
        assert sum(low[word] for word in scale["low"]) > 0
        assert sum(high[word] for word in scale["high"]) > 0
        assert not any(low[word] for word in scale["high"])
        assert not any(high[word] for word in scale["low"])


def test_a_bilateral_finding_is_at_times_told_side_by_side():
    finding = Finding("pleural effusion", Side.BILATERAL, "basal", 0.5, ())
    sides = Counter()
    for seed in range(200):
        report = write_report([finding], np.random.default_rng(seed))
        sides[frozenset(p.side for p in report.phrases if p.index == 0)] += 1
    assert sides[frozenset({Side.LEFT, Side.RIGHT})] > 5
    assert sides[frozenset({Side.BILATERAL})] > 50


def test_a_repeat_in_the_impression_has_the_same_index():
    repeated = 0
    for _, report in PAIRS:
        where = {(phrase.index, phrase.section) for phrase in report.phrases if phrase.index is not None}
        both = {i for i, s in where if s is Section.FINDINGS} & {i for i, s in where if s is Section.IMPRESSION}
        repeated += bool(both)
    assert repeated > 200


def test_indication_and_comparison_give_no_phrase():
    seen = Counter(phrase.section for _, report in PAIRS for phrase in report.phrases)
    assert set(seen) == {Section.FINDINGS, Section.IMPRESSION, Section.UNHEADED}
    assert any("rule out pneumonia" in report.text for _, report in PAIRS)


def test_length_vocabulary_and_variety():
    lengths = [len(report.text.split()) for _, report in PAIRS]
    vocabulary = {word for _, report in PAIRS for word in re.findall(r"[a-z0-9-]+", report.text.lower())}
    assert max(lengths) <= MAX_WORDS
    assert 50 <= np.mean(lengths) <= 70
    assert 500 <= len(vocabulary) <= 900
    assert len({report.text for _, report in PAIRS}) == len(PAIRS)
    for name in FINDINGS:
        assert len(grammar().findings[name].wordings) >= 12
        bare = {p.text.lower() for _, r in PAIRS for p in r.phrases if p.finding == name and p.assertion.placed}
        assert len(bare) > 60 or name == "cardiomegaly"


def test_about_a_fifth_of_phrase_wordings_is_new_to_a_reader_of_the_training_split():
    seen = {p.text.lower() for _, report in written(2500, seed=1) for p in report.phrases}
    fresh = [p.text.lower() not in seen for _, report in PAIRS[:700] for p in report.phrases]
    assert 0.1 <= np.mean(fresh) <= 0.4


def test_the_same_generator_state_writes_the_same_report():
    assert list(written(50, seed=7)) == list(written(50, seed=7))
    assert list(written(50, seed=7)) != list(written(50, seed=8))


def test_sampled_findings_can_always_be_written():
    for findings, _ in PAIRS:
        assert {finding.name for finding in findings} <= set(FINDINGS)
        for finding in findings:
            assert {lesion.side for lesion in finding.lesions} == (SIDES[finding.side] or {None})
    assert any(not findings for findings, _ in PAIRS)
    pairs = [f for findings, _ in PAIRS for f in findings if f.side is not Side.BILATERAL and len(f.lesions) == 2]
    assert {finding.name for finding in pairs} == {"nodule"}


def test_named_lesions_follow_the_words():
    counts = Counter()
    for findings, report in PAIRS:
        for phrase in report.phrases:
            meant = named_lesions(phrase, findings)
            assert bool(meant) == phrase.assertion.placed
            if phrase.index is None:
                continue
            lesions = [findings[phrase.index].lesions[k] for k in meant]
            assert [lesion.box for lesion in lesions] == sorted(lesion.box for lesion in lesions)
            counts[len(meant)] += 1
            if phrase.side is not None:
                assert {lesion.side for lesion in lesions} == SIDES[phrase.side]
    assert counts[1] > counts[2] > 100


def test_a_draft_marks_the_capital_letter_too():
    draft = Draft()
    phrase = NounPhrase("edema", "mass", "edema", None, None, Assertion.PRESENT, 0)
    draft.write("IMPRESSION: ")
    draft.sentence([phrase, " is seen"], Section.IMPRESSION)
    report = draft.report()
    assert report.text == "IMPRESSION: Edema is seen."
    assert (report.phrases[0].text, report.phrases[0].span) == ("Edema", (12, 17))


def _sentences(text):
    for sentence in re.split(r"(?<=[.?!])\s+|\n|\d\.\s", text):
        plain = re.sub(r"[^a-z0-9 ]", "", re.sub(r"^[A-Za-z ]+(?::| -)", "", sentence).lower()).strip()
        if plain:
            yield plain


def test_no_sentence_is_copied_from_real_reports():
    shared = Path(os.environ.get("KNOWMVG_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    source = shared / "openi_reports" / "reports.jsonl"
    if not source.is_file():
        pytest.skip("the Open-i reports are not on this machine (KNOWMVG_SHARED_DATA)")
    real = set()
    for line in source.read_text(encoding="utf-8").splitlines():
        report = json.loads(line)
        real |= {
            s for part in ("findings", "impression", "indication", "comparison") for s in _sentences(report[part] or "")
        }
    copied = {s for _, report in PAIRS for s in _sentences(report.text) if s in real}
    # Stock sentences such as 'there is no focal consolidation or pneumothorax' are nobody's.
    named = re.compile("|".join(stem.pattern for stem in grammar().stems.values()))
    assert not [s for s in copied if len(s.split()) > 4 and not named.search(s)]
    assert not [s for s in copied if len(s.split()) > 9]


def test_findings_that_share_a_sentence_tell_their_sides():
    shared = 0
    for findings, report in PAIRS:
        for sentence in re.finditer(r"[^.\n]+", report.text):
            here = [p for p in report.phrases if p.index is not None and sentence.start() <= p.span[0] < sentence.end()]
            if len(here) > 1:
                shared += 1
                assert all(p.side is not None or findings[p.index].side is None for p in here), report.text
    assert shared > 300


def test_any_finding_of_the_contract_can_be_written():
    sides, zones = (None, *Side), (None, *ZONES)
    for number, (name, side, zone) in enumerate(itertools.product(FINDINGS, sides, zones)):
        for seed in range(6):
            finding = Finding(name, side, zone, seed / 5, ())
            report = write_report([finding], np.random.default_rng([number, seed]))
            told = [p for p in report.phrases if p.index == 0]
            assert told
            for phrase in told:
                assert report.text[slice(*phrase.span)] == phrase.text
                assert phrase.zone in (None, zone)
                assert SIDES[phrase.side] <= SIDES[side]


def test_verbs_agree_with_short_names():
    texts = [report.text.lower() for _, report in PAIRS]
    for wrong in (
        r"(process|mass|atelectasis|pneumothorax) are not",
        r"(effusions|opacities|pneumothoraces) is\b",
        "there is no effusions",
    ):
        assert not [text for text in texts if re.search(r"\. " + wrong, text)]
    assert any("pneumothoraces are" in text for text in texts)
