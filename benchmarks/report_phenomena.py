"""Sentences of our own by phenomenon, with what must be read from each, and a table of how many are.

A collection is YAML: ``phenomena`` maps a phenomenon to sentences, each with the list of what it gives, in the order
of the text, as ``finding assertion [side] [zone]`` (``pleural effusion present left basal``). A text is read only if
every finding, assertion, side and zone in it is right and nothing else is read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from knowmvg.core.records import Assertion, Phrase
from knowmvg.sources.report import read_report

SCHEMA = "knowmvg.report-phenomena/1"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text of a phenomenon, what it must give and what was read."""

    phenomenon: str
    text: str
    expected: tuple[str, ...]
    got: tuple[str, ...]

    @property
    def is_read(self) -> bool:
        """Whether all of it was read as it must be."""
        return self.expected == self.got

    def agrees(self, part: int) -> bool:
        """Whether the first ``part`` parts agree: 1 finding, 2 assertion, 3 side and zone."""
        return [_parts(line)[:part] for line in self.expected] == [_parts(line)[:part] for line in self.got]


def describe(phrase: Phrase) -> str:
    """A phrase as a line of the collection."""
    words = (phrase.finding or "?", phrase.assertion.value, phrase.side and phrase.side.value, phrase.zone)
    return " ".join(word for word in words if word)


def _parts(line: str) -> tuple[str, str, str]:
    words = line.split()
    at = next(number for number, word in enumerate(words) if word in set(Assertion))
    return " ".join(words[:at]), words[at], " ".join(words[at + 1 :])


def load_collection(path: Path) -> dict[str, dict[str, list[str]]]:
    """The collection of a file. Ends the script for one that does not follow the layout."""
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}")
        for sentences in data["phenomena"].values():
            for lines in sentences.values():
                for line in lines:
                    _parts(line)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration, yaml.YAMLError) as error:
        sys.exit(f"expected sentences of schema {SCHEMA}, got {type(error).__name__} ({error}) in {path}")
    return data["phenomena"]


def read_collection(phenomena: Mapping[str, Mapping[str, list[str]]]) -> list[Sentence]:
    """Every sentence, read as the findings of a report."""
    return [
        Sentence(name, text, tuple(lines), tuple(map(describe, read_report(f"FINDINGS: {text}").phrases)))
        for name, sentences in phenomena.items()
        for text, lines in sentences.items()
    ]


def tabulate(sentences: list[Sentence]) -> dict[str, dict[str, float]]:
    """For each phenomenon and for all: the number of sentences and the share whose findings, assertions, all agree."""
    rows: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        rows.setdefault(sentence.phenomenon, []).append(sentence)
    rows["all"] = sentences
    return {name: _row(group) for name, group in rows.items()}


def _row(group: list[Sentence]) -> dict[str, float]:
    return {
        "sentences": len(group),
        "findings": sum(sentence.agrees(1) for sentence in group) / len(group),
        "assertions": sum(sentence.agrees(2) for sentence in group) / len(group),
        "all": sum(sentence.is_read for sentence in group) / len(group),
    }


def show(table: Mapping[str, Mapping[str, float]], sentences: list[Sentence]) -> None:
    """Prints the table, and under it each sentence that is not read as it must be."""
    print(f"{'phenomenon':34}{'n':>5}{'findings':>10}{'+assertion':>12}{'+side, zone':>13}")
    for name, row in table.items():
        print(f"{name:34}{row['sentences']:5.0f}{row['findings']:10.2f}{row['assertions']:12.2f}{row['all']:13.2f}")
    for sentence in sentences:
        if not sentence.is_read:
            print(f"\n[{sentence.phenomenon}] {sentence.text}")
            print(f"  expected  {'; '.join(sentence.expected) or 'nothing'}")
            print(f"  got       {'; '.join(sentence.got) or 'nothing'}")
