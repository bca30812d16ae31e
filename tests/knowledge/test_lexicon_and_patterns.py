"""Word patterns, the finding lexicon and the report language."""

from __future__ import annotations

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.language import load_language, parse_language
from knowmvg.knowledge.lexicon import load_lexicon, parse_lexicon
from knowmvg.knowledge.patterns import PatternTrie, expand, lemma, split_words, without_overlap
from knowmvg.sources.phantom.scene import FINDINGS, ZONES

HEADINGS = """
Cardiomegaly
Pulmonary Atelectasis
Pleural Effusion
Opacity
Calcified Granuloma
Nodule
Airspace Disease
Infiltrate
Emphysema
Pneumothorax
Pneumonia
Pulmonary Edema
Consolidation
Hernia, Hiatal
Scoliosis
Fractures, Bone
Cicatrix
Pulmonary Congestion
Mass
"""


def find(pattern: str, text: str) -> list[str]:
    words = split_words(text)
    matches = PatternTrie([(pattern, 1)]).find_longest(words)
    return [text[words[match.first].start : words[match.last - 1].end] for match in matches]


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("pleural effusion", "Small Pleural Effusions.", ["Pleural Effusions"]),
        ("(pleural|) effusion", "pleural effusion, effusion", ["pleural effusion", "effusion"]),
        ("air space disease", "air-space disease", ["air-space disease"]),
        ("mass-like", "mass like, mass-like", ["mass like", "mass-like"]),
        ("heart * enlarged", "heart size is mildly enlarged", ["heart size is mildly enlarged"]),
        ("heart * enlarged", "heart enlarged", ["heart enlarged"]),
        ("heart * enlarged", "heart one two three four five six seven enlarged", []),
        ("heart * enlarged", "heart. Liver enlarged", []),
        ("heart * enlarged", "heart is normal but liver enlarged", []),
        ("effusion : none", "Effusion: none", ["Effusion: none"]),
        ("effusion", "effusionist", []),
        ("4.5 mm", "of 4.5 mm", ["4.5 mm"]),
    ],
)
def test_patterns(pattern, text, found):
    assert find(pattern, text) == found


@pytest.mark.parametrize("pattern", ["", "* heart", "heart *", "(a|b", "a|b", "a)", "((a|b)|c)", "(a|)"])
def test_bad_patterns(pattern):
    with pytest.raises(ValueError, match="expected"):
        expand(pattern)


def test_a_pattern_with_too_many_alternatives():
    with pytest.raises(ValueError, match="at most 4096"):
        expand("(a|b|c|d|e|f|g|h) " * 5)


def test_values_of_equal_patterns_are_all_kept():
    trie = PatternTrie([("versus", "forward"), ("versus", "backward"), ("versus", "forward")])
    (match,) = trie.find(split_words("mass versus nodule"))
    assert match.values == ("forward", "backward")
    assert (match.first, match.last, len(match)) == (1, 2, 1)


def test_the_longest_of_overlapping_matches_counts():
    trie = PatternTrie([("no", "short"), ("no change in", "long"), ("in", "short")])
    assert [match.values for match in without_overlap(trie.find(split_words("no change in no")))] == [
        ("long",),
        ("short",),
    ]


@pytest.mark.parametrize(
    ("word", "singular"),
    [
        ("opacities", "opacity"),
        ("atelectases", "atelectasis"),
        ("atelectasis", "atelectasis"),
        ("pneumothoraces", "pneumothorax"),
        ("masses", "mass"),
        ("mass", "mass"),
        ("bases", "base"),
        ("apices", "apex"),
        ("is", "is"),
        ("granulomata", "granuloma"),
        ("hiatus", "hiatus"),
    ],
)
def test_lemma(word, singular):
    assert lemma(word) == singular


def test_words_keep_their_places():
    text = "A 4.5 mm right-sided nodule/mass."
    words = split_words(text)
    assert [text[word.start : word.end].lower() for word in words] == [word.raw for word in words]
    assert [word.raw for word in words] == ["a", "4.5", "mm", "right", "sided", "nodule", "/", "mass", "."]
    assert [word.raw for word in words if word.is_mark] == ["/", "."]


def test_the_lexicon_holds_the_simulated_and_the_benchmark_findings():
    lexicon = load_lexicon()
    assert set(FINDINGS) <= set(lexicon.by_name())
    assert set(HEADINGS.strip().splitlines()) <= set(lexicon.by_mesh())
    assert lexicon["pleural effusion"].sided
    assert not lexicon["cardiomegaly"].sided


def test_zones_are_the_simulated_ones():
    assert set(load_language().zones) == set(ZONES)


def test_no_two_findings_claim_a_heading_or_a_pattern():
    entries = load_lexicon().findings
    headings = [heading for entry in entries for heading in entry.mesh]
    assert len(headings) == len(set(headings))
    lines = [(line, entry.name) for entry in entries for p in entry.patterns + entry.normal for line in expand(p)]
    owners: dict[tuple[str, ...], str] = {}
    for line, name in lines:
        assert owners.setdefault(line, name) == name


ENTRY = {"name": "mass", "patterns": ["mass"], "sided": True, "source": "Fleischner glossary 2008"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patterns": ["(mass"]}, "balanced groups"),
        ({"patterns": []}, "at least 1"),
        ({"name": "Mass"}, "pattern"),
        ({"colour": "red"}, "colour"),
        ({"sided": None}, "sided"),
    ],
)
def test_a_malformed_lexicon_is_refused(change, message):
    with pytest.raises(KnowledgeError, match=message):
        parse_lexicon({"schema": "knowmvg.findings/1", "findings": [{**ENTRY, **change}]})


def test_a_lexicon_of_another_schema_or_with_a_name_twice_is_refused():
    with pytest.raises(KnowledgeError, match="schema"):
        parse_lexicon({"schema": "other/1", "findings": [ENTRY]})
    with pytest.raises(KnowledgeError, match="each name once"):
        parse_lexicon({"schema": "knowmvg.findings/1", "findings": [ENTRY, ENTRY]})
    with pytest.raises(KnowledgeError):
        parse_lexicon(None)


def test_malformed_rules_are_refused():
    rules = load_language().model_dump(by_alias=True)
    assert parse_language(rules) == load_language()
    cue = {"kind": "absent", "direction": "forward", "reach": 99, "patterns": ["no"]}
    with pytest.raises(KnowledgeError, match=r"cues\.0\.reach"):
        parse_language({**rules, "cues": [cue]})
