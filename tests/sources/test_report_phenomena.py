"""The collection of sentences by phenomenon is read, but for the misses that are known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from knowmvg.core.records import Assertion, Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.report import read_report

PHENOMENA = yaml.safe_load(Path(__file__).with_name("report_phenomena.yaml").read_text(encoding="utf-8"))["phenomena"]
SENTENCES = [(text, lines) for sentences in PHENOMENA.values() for text, lines in sentences.items()]

# One noun with two findings is read as one finding.
KNOWN_MISSES = {"The aorta is tortuous and calcified.", "Normal heart size and pulmonary vascularity."}


def describe(text: str) -> list[str]:
    parts = ((p.finding, p.assertion.value, p.side and p.side.value, p.zone) for p in read_report(text).phrases)
    return [" ".join(part for part in phrase if part) for phrase in parts]


@pytest.mark.parametrize(("text", "lines"), SENTENCES)
def test_sentence(text, lines):
    read = describe(f"FINDINGS: {text}")
    assert (read == lines) == (text not in KNOWN_MISSES), f"expected {lines}, got {read}"


def test_lines_name_findings_assertions_sides_and_zones():
    for text, line in ((text, line) for text, lines in SENTENCES for line in lines):
        at = next(place for place, word in enumerate(line.split()) if word in set(Assertion))
        name, rest = " ".join(line.split()[:at]), line.split()[at + 1 :]
        assert name in load_lexicon().by_name(), text
        assert set(rest) <= set(Side) | load_language().zones.keys(), text


_ONE_SIDED = re.compile(r"lingul|middle|\bR[UML]L\b|\bL[UL]L\b|\b[LR]\b|\b[LR]t\b", re.IGNORECASE)
MIRRORED = [
    (text, lines)
    for text, lines in SENTENCES
    if re.search(r"left|right", text, re.IGNORECASE) and not _ONE_SIDED.search(text) and text not in KNOWN_MISSES
]


def mirror(text: str) -> str:
    """The text with left and right exchanged."""
    turned = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return re.sub("|".join(turned), lambda match: turned[match.group()], text)


def test_sides_mirror():
    assert len(MIRRORED) > 100
    for text, lines in MIRRORED:
        assert describe(f"FINDINGS: {mirror(text)}") == [mirror(line) for line in lines], mirror(text)
