"""The README's table of figures, written from ``results/*.json``: ``python benchmarks/readme_figures.py``.

The block between the two markers in README.md is replaced; a figure whose file is missing has no row, and no figure is
ever typed by hand. ``make figures`` measures first and runs this last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START, END = "<!-- figures -->", "<!-- /figures -->"
NOTHING = "No figures yet: `make figures` measures them."


def rows(results: Path) -> list[tuple[str, str, str]]:
    """What was measured, the figure and the file that it comes from."""
    found: list[tuple[str, str, str]] = []
    metrics = read(results / "evaluation" / "metrics.json")
    for protocol, table in (metrics or {}).get("protocols", {}).items():
        for place, label in ((0, "model"), (-2, None), (-1, None)):  # the last controls take report or image away
            summary = table[place]
            name = label or summary["row"]
            found.append((f"mIoU, {protocol}, {name}", estimate(summary["micro"]["miou"]), "evaluation/metrics.json"))
            accuracy = summary["micro"]["acc"]["0.5"]
            found.append((f"acc@0.5, {protocol}, {name}", estimate(accuracy), "evaluation/metrics.json"))
    for folder in ("evaluation", "evaluation-both"):
        if metrics := read(results / folder / "metrics.json"):
            model = metrics["protocols"]["generate"][0]
            named, file = model["identification"], f"{folder}/metrics.json"
            who = "model and parser" if folder.endswith("both") else "model alone"
            found.append((f"phrase F1, {who}", estimate(named["f1"]), file))
            found.append((f"absent phrases given a box, {who}", estimate(named["false_box_rate"]), file))
    if metrics := read(results / "metrics.json"):
        what = "scoring a million boxes with intervals, one thread"
        found.append((what, f"{metrics['seconds_million_boxes']:.0f} s, {metrics['peak_gb']:.1f} GB", "metrics.json"))
    if coverage := read(results / "coverage.json"):
        found.append(("coverage of the 95 % intervals", f"{coverage['coverage']:.3f}", "coverage.json"))
    if ground := read(results / "ground.json"):
        found.append(("grounding a 512 px PNG, one thread", f"{ground['ms_512']:.0f} ms", "ground.json"))
        found.append(("grounding a 2,000 px DICOM, one thread", f"{ground['s_dicom_2000']:.2f} s", "ground.json"))
        found.append(("loading the model, imports included", f"{ground['s_load']:.1f} s", "ground.json"))
    if phantom := read(results / "phantom.json"):
        found.append(("simulating a radiograph", f"{phantom['ms_per_image']:.0f} ms", "phantom.json"))
        found.append(("mIoU of the class-mean box, simulated", f"{phantom['class_mean_box_miou']:.3f}", "phantom.json"))
    if images := read(results / "images.json"):
        name = "synthetic_2000_16_bit"
        found.append(("reading a 2,000 px DICOM", f"{images[name]['median_ms']:.0f} ms", "images.json"))
    if reports := read(results / "reports.json"):
        what = f"macro F1 of findings read in {reports['reports']} Open-i reports"
        found.append((what, f"{reports['macro_f1']:.3f}", "reports.json"))
        found.append(("side of findings read in them", f"{reports['laterality_accuracy']:.3f}", "reports.json"))
        share = f"{reports['normal_false_findings']:.3f}"
        found.append(("normal ones with a finding read in them", share, "reports.json"))
        found.append(("reports read in a second", f"{reports['reports_per_second']:.0f}", "reports.json"))
    for name, row in (read(results / "real.json") or {}).items():
        if row["phrases"]:
            what = f"mIoU on real radiographs, {name} ({row['phrases']} phrases)"
            found.append((what, f"{row['miou']:.3f}", "real.json"))
    return found


def estimate(number: dict[str, float] | None) -> str:
    """A value with its 95 % interval."""
    if number is None:
        return "-"
    if number.get("low") is None or number.get("high") is None:
        return f"{number['value']:.3f}"
    return f"{number['value']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"


def read(path: Path) -> dict[str, Any] | None:
    """A file of figures, ``None`` where it has not been measured."""
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def block(results: Path) -> str:
    """The text between the markers, both of them included."""
    lines = [f"| {what} | {figure} | `results/{file}` |" for what, figure, file in rows(results)]
    table = ["| what | figure | from |", "|---|---|---|", *lines] if lines else [NOTHING]
    return "\n".join([START, *table, END])


def updated(readme: str, results: Path) -> str:
    """The README with its block written anew. Raises ``ValueError`` where it has not one pair of markers, in order."""
    if readme.count(START) != 1 or readme.count(END) != 1 or readme.index(START) > readme.index(END):
        raise ValueError(f"expected {START} and {END} once each, in this order")
    before, rest = readme.split(START)
    return before + block(results) + rest.split(END)[1]


def main() -> None:
    """Rewrite the README's block, whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    try:
        text = updated(arguments.readme.read_text(encoding="utf-8"), arguments.results)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        sys.exit(f"expected a README with markers and figures of this version, got {type(error).__name__}: {error}")
    part = arguments.readme.with_name(arguments.readme.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, arguments.readme)


if __name__ == "__main__":
    main()
