"""The reports of Open-i with what their indexers and the parser say of them."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.report import ReportReading

# The heading of the benchmark and the spellings under which an index may hold it.
HEADINGS = {
    name: {name}
    for name in (
        "Cardiomegaly",
        "Pulmonary Atelectasis",
        "Pleural Effusion",
        "Opacity",
        "Calcified Granuloma",
        "Nodule",
        "Airspace Disease",
        "Infiltrate",
        "Emphysema",
        "Pneumothorax",
        "Pneumonia",
        "Pulmonary Edema",
        "Consolidation",
        "Scoliosis",
        "Cicatrix",
        "Pulmonary Congestion",
        "Mass",
    )
} | {"Hernia Hiatal": {"Hernia, Hiatal", "Hernia Hiatal"}, "Fractures Bone": {"Fractures, Bone", "Fractures Bone"}}
SECTIONS = ("indication", "comparison", "findings", "impression")
SPLIT_SEED, DEVELOP_SHARE = 7, 0.6
JUDGED = Path(__file__).with_name("report_index_errors.yaml")
JUDGED_SCHEMA = "knowmvg.index-errors/1"


@dataclass(frozen=True, slots=True)
class Case:
    """What the index and the parser say of one report: heading to sides named (an empty set where none is)."""

    uid: str
    normal: bool
    indexed: dict[str, set[Side]]
    placed: dict[str, set[Side]]
    present: dict[str, set[Side]]


def assemble(row: dict[str, Any]) -> str:
    """The report as one text with headings."""
    return "\n".join(f"{name.upper()}: {row[name]}" for name in SECTIONS if row.get(name))


def read_index(terms: Sequence[str]) -> dict[str, set[Side]]:
    """The benchmark's headings among MeSH terms, with the sides that they name."""
    found: dict[str, set[Side]] = {}
    for term in terms:
        head, *places = (part.strip() for part in term.split("/"))
        for heading, spellings in HEADINGS.items():
            if head in spellings:
                found.setdefault(heading, set()).update(side for side in Side if side.value in places)
    return found


def gather(phrases: Sequence[Phrase], kinds: Collection[Assertion]) -> dict[str, set[Side]]:
    """The benchmark's headings among phrases with one of the assertions, with the sides that they name."""
    names = load_lexicon().by_name()
    found: dict[str, set[Side]] = {}
    for phrase in phrases:
        if phrase.finding is None or phrase.assertion not in kinds:
            continue
        for heading, spellings in HEADINGS.items():
            if spellings & set(names[phrase.finding].mesh):
                found.setdefault(heading, set()).update({phrase.side} - {None})
    return found


def one_side(sides: set[Side]) -> Side | None:
    """Left and right together are bilateral."""
    return Side.BILATERAL if len(sides) > 1 else next(iter(sides), None)


def load_rows(path: Path, part: str) -> list[dict[str, Any]]:
    """The reports of a part of the data. Ends the script for a file that is no JSON lines."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        sys.exit(f"expected reports as JSON lines, got {error} in {path}")
    if part == "all":
        return rows
    random.Random(SPLIT_SEED).shuffle(rows)
    cut = round(DEVELOP_SHARE * len(rows))
    return rows[:cut] if part == "develop" else rows[cut:]


def case_of(row: dict[str, Any], reading: ReportReading, number: int) -> Case:
    """What the index says of a row and the parser of its report."""
    return Case(
        str(row.get("uid", number)),
        "normal" in row["mesh_major"],
        read_index(row["mesh_major"]),
        gather(reading.phrases, [kind for kind in Assertion if kind.placed]),
        gather(reading.phrases, [Assertion.PRESENT]),
    )


def load_judged() -> dict[tuple[str, str], str]:
    """Report and heading to why the index is wrong there, from report_index_errors.yaml."""
    data = yaml.safe_load(JUDGED.read_text(encoding="utf-8"))
    if data["schema"] != JUDGED_SCHEMA:
        sys.exit(f"expected judgements of schema {JUDGED_SCHEMA}, got {data['schema']!r} in {JUDGED}")
    return {(row["uid"], row["heading"]): row["reason"] for row in data["errors"]}


def without_judged(cases: Sequence[Case], judged: Collection[tuple[str, str]]) -> list[Case]:
    """The cases without the headings for which the index is wrong, neither right nor wrong for the parser."""
    return [
        Case(
            case.uid,
            case.normal and not any(uid == case.uid for uid, _ in judged),
            *(
                {heading: sides for heading, sides in found.items() if (case.uid, heading) not in judged}
                for found in (case.indexed, case.placed, case.present)
            ),
        )
        for case in cases
    ]
