"""The wordings as data: findings.yaml, places.yaml, sentences.yaml and fillers.yaml, compiled once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from knowmvg.sources.phantom.scene import FINDINGS

LUNG_FINDINGS = frozenset({"lung opacity", "edema", "consolidation", "pneumonia", "atelectasis", "nodule"})
_NUMBER = re.compile(r"(\w*)\[(\w*)\|(\w*)\]")
Places = dict[str, dict[str, dict[str, list[str]]]]
Frame = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to name a finding.

    ``words`` are pairs (singular, plural), or (slot, "") for a slot such as ``{sev}``; ``names`` are the other findings
    whose words occur in it, so that a report never names one of those by accident.
    """

    words: tuple[tuple[str, str], ...]
    number: str
    level: str | None
    names: frozenset[str]
    placed: bool
    sided: bool
    has_plural: bool


@dataclass(frozen=True, slots=True)
class Naming:
    """All the ways to name one finding."""

    wordings: tuple[Wording, ...]
    hedged: tuple[Wording, ...]
    absent: tuple[tuple[str, frozenset[str]], ...]
    severities: dict[str, list[str]]
    textures: list[str]
    places: Places
    hides: frozenset[str]


@dataclass(frozen=True, slots=True)
class Filler:
    """A statement about something else; ``denies`` lists the (finding, side or None) it rules out or names."""

    text: str
    denies: frozenset[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Everything a writer needs."""

    findings: dict[str, Naming]
    stems: dict[str, re.Pattern[str]]
    adverbs: dict[str, list[str]]
    frames: dict[str, list[Frame]]
    joins: dict[str, dict[str, list[str]]]
    links: dict[str, list[str]]
    headers: dict[str, list[str]]
    fillers: dict[str, list[Filler]]
    topics: dict[str, list[Filler]]


def _read(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def _named(text: str, stems: dict[str, re.Pattern[str]], own: str | None = None) -> frozenset[str]:
    return frozenset(name for name, stem in stems.items() if name != own and stem.search(text))


def _word(word: str) -> tuple[str, str]:
    if word.startswith("{"):
        return word, ""
    match = _NUMBER.fullmatch(word)
    return (word, word) if match is None else (match[1] + match[2], match[1] + match[3])


def _wording(raw: str, number: str, own: str, stems: dict[str, re.Pattern[str]]) -> Wording:
    head, *rest = raw.split()
    level, parts = (head[1:], rest) if head.startswith("@") else (None, [head, *rest])
    words = tuple(map(_word, parts))
    slots = {word for word, plural in words if not plural}
    plain = " ".join(word for word, plural in words if plural)
    return Wording(
        words,
        number,
        level,
        _named(plain, stems, own),
        placed=bool(slots & {"{pre}", "{post}"}),
        sided="{the}" in slots,
        has_plural=any(plural and plural != word for word, plural in words),
    )


def _frames(raw: list[str]) -> list[Frame]:
    return [tuple(part for part in re.split(r"(\{\w+\})", frame) if part) for frame in raw]


def _denied(names: list[str]) -> frozenset[tuple[str, str | None]]:
    groups: dict[str, list[tuple[str, str | None]]] = {
        "all": [(name, None) for name in FINDINGS],
        "lungs": [(name, None) for name in LUNG_FINDINGS],
        "left lung": [(name, side) for name in LUNG_FINDINGS for side in ("left", "bilateral")],
        "right lung": [(name, side) for name in LUNG_FINDINGS for side in ("right", "bilateral")],
    }
    return frozenset(pair for name in names for pair in groups.get(name, [(name, None)]))


def _fillers(raw: list[dict[str, Any]]) -> list[Filler]:
    return [Filler(entry["text"], _denied(entry.get("denies", []))) for entry in raw]


@cache
def grammar() -> Grammar:
    """The compiled grammar."""
    words, places, sentences, fillers = map(_read, ("findings.yaml", "places.yaml", "sentences.yaml", "fillers.yaml"))
    entries = words["findings"]
    stems = {name: re.compile("|".join(entries[name]["stems"]), re.IGNORECASE) for name in FINDINGS}
    findings = {}
    for name in FINDINGS:
        entry = entries[name]
        findings[name] = Naming(
            tuple(
                _wording(raw, number, name, stems)
                for number in ("count", "mass", "plural", "clause")
                for raw in entry[number]
            ),
            tuple(_wording(raw, "hedged", name, stems) for raw in entry["hedged"]),
            tuple((text, _named(text, stems, name)) for text in entry["absent"]),
            words["scales"][entry["scale"]],
            entry["tex"],
            places["pleura" if entry.get("pleural") else "lung"],
            frozenset(entry["hides"]),
        )
    frames = {f"present {kind}": _frames(raw) for kind, raw in sentences["present"].items()}
    kinds = ("possible", "hedged", "absent", "absent_one", "resolved", "prior")
    frames |= {kind: _frames(sentences[kind]) for kind in kinds}
    return Grammar(
        findings,
        stems,
        words["adverbs"],
        frames,
        {kind: sentences[kind] for kind in ("joins", "denials")},
        {kind: sentences[kind] for kind in ("with_possible", "with_absent")},
        fillers["headers"],
        {part: _fillers(fillers[part]) for part in ("indication", "comparison", "technique", "impression")},
        {topic: _fillers(raw) for topic, raw in fillers["findings"].items()},
    )
