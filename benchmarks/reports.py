"""How well reports are read, measured against the MeSH terms by which people indexed them (Open-i).

    python benchmarks/reports.py --data reports.jsonl --json out.json

Each line of the data has ``uid``, the sections ``indication``, ``comparison``, ``findings`` and ``impression``, and
``mesh_major`` such as ``["Opacity/lung/upper lobe/right"]`` or ``["normal"]``. The parser is given one text with the
usual headings. A finding counts as predicted where any phrase of it is present; the same figures with possible phrases
counted too stand under ``with_possible`` (indexers leave out about half of the hedged findings: those that interpret an
opacity, as in "may represent atelectasis"). ``laterality_accuracy`` counts the findings that are indexed with a side
and predicted; under ``laterality_accuracy_missed_wrong`` those not predicted count as wrong. The reading rules were
developed on a random 60 % of 1,000 reports; ``--part develop`` and ``--part check`` repeat that split.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.report import read_report

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
MIN_INDEXED = 10
SPLIT_SEED, DEVELOP_SHARE = 7, 0.6


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


def score(cases: Sequence[Case], predicted: str) -> dict[str, Any]:
    """All measures; ``predicted`` is ``placed`` or ``present``."""
    per_finding = {heading: _score_heading(cases, heading, predicted) for heading in HEADINGS}
    counted = [row["f1"] for row in per_finding.values() if row["n"] >= MIN_INDEXED]
    normal = [case for case in cases if case.normal]
    sides = [
        (one_side(sides), one_side(getattr(case, predicted)[heading]) if heading in getattr(case, predicted) else None)
        for case in cases
        for heading, sides in case.indexed.items()
        if sides
    ]
    found = [
        (one_side(sides), one_side(getattr(case, predicted)[heading]))
        for case in cases
        for heading, sides in case.indexed.items()
        if sides and heading in getattr(case, predicted)
    ]
    return {
        "macro_f1": _mean(counted),
        "laterality_accuracy": _mean([truth == guess for truth, guess in found]),
        "laterality_accuracy_missed_wrong": _mean([truth == guess for truth, guess in sides]),
        "laterality_n": len(found),
        "normal_false_findings": _mean([bool(getattr(case, predicted)) for case in normal]),
        "normal_n": len(normal),
        "per_finding": per_finding,
    }


def _score_heading(cases: Sequence[Case], heading: str, predicted: str) -> dict[str, float]:
    indexed = {case.uid for case in cases if heading in case.indexed}
    named = {case.uid for case in cases if heading in getattr(case, predicted)}
    hits = len(indexed & named)
    precision, recall = hits / max(len(named), 1), hits / max(len(indexed), 1)
    f1 = 2 * hits / max(len(indexed) + len(named), 1)
    return {"n": len(indexed), "precision": precision, "recall": recall, "f1": f1}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


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


def measure(rows: Sequence[dict[str, Any]]) -> tuple[list[Case], float]:
    """The cases of all reports, and the reports read in a second (one process; the rules are loaded before)."""
    texts = [assemble(row) for row in rows]
    read_report("")
    start = time.perf_counter()
    readings = [read_report(text) for text in texts]
    seconds = time.perf_counter() - start
    placed_kinds = [kind for kind in Assertion if kind.placed]
    cases = [
        Case(
            str(row.get("uid", number)),
            "normal" in row["mesh_major"],
            read_index(row["mesh_major"]),
            gather(reading.phrases, placed_kinds),
            gather(reading.phrases, [Assertion.PRESENT]),
        )
        for number, (row, reading) in enumerate(zip(rows, readings, strict=True))
    ]
    return cases, len(rows) / seconds


def show(result: dict[str, Any]) -> None:
    """Prints the table."""
    print(f"{'finding':24}{'n':>5}{'precision':>11}{'recall':>9}{'f1':>8}")
    for heading, row in result["per_finding"].items():
        print(f"{heading:24}{row['n']:5d}{row['precision']:11.3f}{row['recall']:9.3f}{row['f1']:8.3f}")
    for name in ("macro_f1", "laterality_accuracy", "normal_false_findings"):
        print(f"{name:24}{_show(result[name]):>8}   with possible {_show(result['with_possible'][name])}")
    print(f"{'reports_per_second':24}{result['reports_per_second']:8.0f}   reports {result['reports']}")


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description="Measure report reading against indexed MeSH terms.")
    parser.add_argument("--data", type=Path, required=True, help="reports as JSON lines")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--part", choices=("all", "develop", "check"), default="all")
    arguments = parser.parse_args()
    cases, speed = measure(load_rows(arguments.data, arguments.part))
    result = {**score(cases, "present"), "with_possible": score(cases, "placed"), "reports_per_second": speed}
    result |= {"reports": len(cases), "part": arguments.part}
    show(result)
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
