"""How well reports are read, measured against the MeSH terms by which people indexed them (Open-i).

    python benchmarks/reports.py --data reports.jsonl --json out.json [--errors errors.md] [--phenomena]

Each line of the data has ``uid``, the sections ``indication``, ``comparison``, ``findings`` and ``impression``, and
``mesh_major`` such as ``["Opacity/lung/upper lobe/right"]`` or ``["normal"]``. The parser is given one text with the
usual headings. A finding counts as predicted where any phrase of it is present; the same figures with possible phrases
counted too stand under ``with_possible`` (indexers leave out about half of the hedged findings: those that interpret an
opacity, as in "may represent atelectasis"). ``laterality_accuracy`` counts the findings that are indexed with a side
and predicted; under ``laterality_accuracy_missed_wrong`` those not predicted count as wrong. The reading rules were
developed on a random 60 % of 1,000 reports; ``--part develop`` and ``--part check`` repeat that split.

``index_judged`` gives the same figures without the headings of single reports for which we hold the index to be wrong
(report_index_errors.yaml, with reasons); ``--errors`` lists all disagreements with their sentences. ``--phenomena``
reads sentences of our own by phenomenon (tests/sources/report_phenomena.yaml) and prints how many of each are read
right; it needs no data. ``reports_per_second`` counts processor time of one process, ``reports_per_second_wall`` the
time on the clock.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The other files of this benchmark.
from report_errors import list_errors, write_errors
from report_index import HEADINGS, Case, assemble, case_of, load_judged, load_rows, one_side, without_judged
from report_phenomena import load_collection, read_collection, tabulate
from report_phenomena import show as show_phenomena

from knowmvg.sources.report import ReportReading, read_report

MIN_INDEXED = 10
PHENOMENA = Path(__file__).parents[1] / "tests" / "sources" / "report_phenomena.yaml"


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


def measure(rows: Sequence[dict[str, Any]]) -> tuple[list[Case], list[ReportReading], dict[str, float]]:
    """The cases and readings of all reports, and the reports read in a second (one process; rules loaded before)."""
    texts = [assemble(row) for row in rows]
    read_report("No effusion.")
    wall, busy = time.perf_counter(), time.process_time()
    readings = [read_report(text) for text in texts]
    busy, wall = time.process_time() - busy, time.perf_counter() - wall
    cases = [case_of(row, reading, number) for number, (row, reading) in enumerate(zip(rows, readings, strict=True))]
    speed = {"reports_per_second": len(rows) / busy, "reports_per_second_wall": len(rows) / wall}
    return cases, readings, speed


def show(result: dict[str, Any]) -> None:
    """Prints the table."""
    print(f"{'finding':24}{'n':>5}{'precision':>11}{'recall':>9}{'f1':>8}")
    for heading, row in result["per_finding"].items():
        print(f"{heading:24}{row['n']:5d}{row['precision']:11.3f}{row['recall']:9.3f}{row['f1']:8.3f}")
    for name in ("macro_f1", "laterality_accuracy", "normal_false_findings"):
        print(
            f"{name:24}{_show(result[name]):>8}   with possible {_show(result['with_possible'][name])}"
            f"   index judged {_show(result['index_judged'][name])}"
        )
    speed, clock = result["reports_per_second"], result["reports_per_second_wall"]
    print(f"{'reports_per_second':24}{speed:8.0f}   on the clock {clock:.0f}   reports {result['reports']}")


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description="Measure report reading against indexed MeSH terms.")
    parser.add_argument("--data", type=Path, help="reports as JSON lines")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--part", choices=("all", "develop", "check"), default="all")
    parser.add_argument(
        "--errors", type=Path, help="where to list disagreements: .jsonl or .md, outside the repository"
    )
    parser.add_argument("--phenomena", type=Path, nargs="?", const=PHENOMENA, help="read sentences by phenomenon")
    arguments = parser.parse_args()
    if arguments.data is None and arguments.phenomena is None:
        parser.error("expected --data, --phenomena or both")
    result: dict[str, Any] = {}
    if arguments.data is not None:
        judged = load_judged()
        cases, readings, speed = measure(load_rows(arguments.data, arguments.part))
        result = {**score(cases, "present"), "with_possible": score(cases, "placed")}
        result |= {"index_judged": score(without_judged(cases, judged), "present"), **speed}
        result |= {"reports": len(cases), "part": arguments.part}
        show(result)
        if arguments.errors is not None:
            write_errors(arguments.errors, list(list_errors(cases, readings, judged)))
    if arguments.phenomena is not None:
        sentences = read_collection(load_collection(arguments.phenomena))
        result["phenomena"] = tabulate(sentences)
        show_phenomena(result["phenomena"], sentences)
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
