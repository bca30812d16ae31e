"""What a language model that has read English brings: ``python benchmarks/small.py --train DIR --json OUT``.

Compares how models read reports, beside the demo model the one of ``recipes/small.yaml``: ``--model NAME=DIR``, as
often as needed. Boxes are not looked at here (``knowmvg evaluate`` does that); every report is asked with one simulated
radiograph, and the model itself is asked, without the parser that stands in for it in use.

* ``wordings``: names and synonyms of the atlas's findings, ``seen`` in a training report of ``DIR`` and ``unseen`` in
  all of them: ``found``, the share of reports "There is X." of which a phrase with X is named, and
  ``absent_left_alone``, the share of reports "There is no X." of which none is.
* ``open_i`` (``--data reports.jsonl``, as in benchmarks/reports.py): ``found``, the share of the findings indexed by
  people that are among the named phrases, as the parser reads these; ``right``, the share of the findings among them
  that are indexed; ``absent_left_alone``, the share of the phrases that the parser reads as absent of which no letter
  is named; ``normal_left_alone``, the share of the reports indexed as normal of which no phrase is named;
  ``standing_in_report``, the share of named phrases that are the report's own words. ``parser`` is the same for it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report_index import assemble, gather, load_rows, read_index  # benchmarks/report_index.py

from knowmvg.core.errors import KnowmvgError
from knowmvg.core.grounder import Grounder
from knowmvg.core.records import Assertion, Phrase, Radiograph, Study, normalised
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.grounders.store import load_grounder
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.phantom.simulate import simulate
from knowmvg.sources.report import read_report

SEED, BATCH = 7, 16
PLACED = [kind for kind in Assertion if kind.placed]


def wordings(reports: Iterable[str]) -> dict[str, list[str]]:
    """The names and synonyms of findings, by whether a report holds them."""
    padded = [f" {' '.join(_words(report))} " for report in reports]
    known = [w for entry in load_atlas().findings if entry.kind == "finding" for w in (entry.name, *entry.synonyms)]
    found: dict[str, list[str]] = {"seen": [], "unseen": []}
    for wording in sorted(set(known)):
        inside = any(f" {' '.join(_words(wording))} " in report for report in padded)
        found["seen" if inside else "unseen"].append(wording)
    return found


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.casefold()).split()


def named(grounder: Grounder, reports: Sequence[str]) -> list[list[Phrase]]:
    """The phrases that a grounder names in each report."""
    image = Radiograph(simulate(np.random.default_rng(SEED)).pixels.astype(np.float32) / 255)
    answers: list[list[Phrase]] = []
    for start in range(0, len(reports), BATCH):
        studies = [Study(image, report) for report in reports[start : start + BATCH]]
        answers += [list(grounding.phrases) for grounding in grounder.ground(studies)]
        print(f"{len(answers)}/{len(reports)} reports", file=sys.stderr, flush=True)
    return answers


def on_wordings(grounder: Grounder, words: Sequence[str]) -> dict[str, Any]:
    """How many wordings are found, and how many left alone where they are denied."""
    present = named(grounder, [f"There is {word}." for word in words])
    absent = named(grounder, [f"There is no {word}." for word in words])
    hits = [
        any(normalised(word) in normalised(phrase.text) for phrase in phrases)
        for word, phrases in zip(words, present, strict=True)
    ]
    return {"n": len(words), "found": _mean(hits), "absent_left_alone": _mean([not phrases for phrases in absent])}


def on_open_i(rows: Sequence[dict[str, Any]], phrases: Sequence[Sequence[Phrase]]) -> dict[str, Any]:
    """Phrases named in reports, against what people indexed and what the parser reads as absent."""
    found = asked = right = claimed = 0
    alone, normal, own = [], [], []
    for row, answer in zip(rows, phrases, strict=True):
        read = [part for phrase in answer for part in read_report(phrase.text).phrases]
        ours, indexed = set(gather(read, PLACED)), set(read_index(row["mesh_major"]))
        found, asked = found + len(ours & indexed), asked + len(indexed)
        right, claimed = right + len(ours & indexed), claimed + len(ours)
        spans = [phrase.span for phrase in answer if phrase.span is not None]
        own += [phrase.span is not None for phrase in answer]
        for phrase in read_report(assemble(row)).phrases:
            if phrase.assertion is Assertion.ABSENT and phrase.span is not None:
                first, last = phrase.span
                alone.append(not any(a < last and first < b for a, b in spans))
        if "normal" in row["mesh_major"]:
            normal.append(not answer)
    return {
        "reports": len(rows),
        "found": found / max(asked, 1),
        "right": right / max(claimed, 1),
        "absent_left_alone": _mean(alone),
        "normal_left_alone": _mean(normal),
        "standing_in_report": _mean(own),
        "named": len(own),
        "n": {"indexed": asked, "absent": len(alone), "normal": len(normal)},
    }


def _mean(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def measure(models: dict[str, Grounder], train: Path, rows: Sequence[dict[str, Any]], most: int) -> dict[str, Any]:
    """Every figure by model; of each kind of wording at most so many, drawn by a seed."""
    known = wordings(row.report for row in read_rows(train, "train"))
    groups = {group: random.Random(SEED).sample(words, min(most, len(words))) for group, words in known.items()}
    figures: dict[str, Any] = {}
    for name, grounder in models.items():
        start = time.process_time()
        figures[name] = {"wordings": {group: on_wordings(grounder, words) for group, words in groups.items()}}
        if rows:
            figures[name]["open_i"] = on_open_i(rows, named(grounder, [assemble(row) for row in rows]))
        figures[name]["processor_s"] = time.process_time() - start
    if rows:
        read = [[p for p in read_report(assemble(row)).phrases if p.assertion.placed] for row in rows]
        figures["parser"] = {"open_i": on_open_i(rows, read)}
    return _rounded(figures)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="the data set that the models were trained on")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="reports of Open-i as JSON lines")
    parser.add_argument("--reports", type=int, default=200, help="how many of them, drawn by a seed")
    parser.add_argument("--wordings", type=int, default=150, help="how many seen and unseen ones")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=DIR", help="beside the demo model")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folders = {"demo": DEMO_MODEL} | dict(_named(text) for text in given.model)
    rows = [] if given.data is None else load_rows(given.data, "all")
    random.Random(SEED).shuffle(rows)
    try:
        models = {name: load_grounder(folder, given.device) for name, folder in folders.items()}
        figures = measure(models, given.train, rows[: given.reports], given.wordings)
    except KnowmvgError as error:
        sys.exit(str(error))
    given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(given.json.read_text(encoding="utf-8"))


def _named(text: str) -> tuple[str, Path]:
    name, found, folder = text.partition("=")
    if not (name and found and folder):
        sys.exit(f"expected --model NAME=DIR, got {text!r}")
    return name, Path(folder)


if __name__ == "__main__":
    main()
