"""How long a knowledge graph takes to build, and how much memory: ``python benchmarks/knowledge.py --json OUT``.

A data set of ``--reports`` studies is written whose reports the simulator's report grammar makes (no images, no
labelled phrases, so that every report is read), and ``knowmvg kg build`` runs on it. ``build_peak_mb`` is the largest
resident memory of the command and its processes, added up over them. ``build_seconds_200000`` is what 200,000 reports
take by the clock: as measured, or in proportion where fewer were read (``reports``), what every run takes to start
counted once. ``cpu_seconds_200000`` is the same in processor time over all processes, which other work on the machine
disturbs less.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from knowmvg.knowledge.graph import load_graph
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.phantom.report.sampler import sample_findings
from knowmvg.sources.phantom.report.writer import write_report

GOAL = 200_000
SEED = 11
DISTINCT = 20_000  # reports that are written; more studies than that repeat them, which reading does not notice


def write_studies(folder: Path, count: int) -> None:
    """A manifest of ``count`` studies with simulated reports in ``folder``."""
    texts = []
    for index in range(min(count, DISTINCT)):
        rng = np.random.default_rng([SEED, index])
        texts.append(write_report(sample_findings(rng), rng).text)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as out:
        for index in range(count):
            text = texts[index % len(texts)]
            row = StudyRow(
                id=f"s{index}", patient=f"p{index}", split="train", image="x.png", width=8, height=8, report=text
            )
            out.write(row.model_dump_json(by_alias=True) + "\n")


class Run(NamedTuple):
    """What a build took: seconds by the clock, seconds of processors, peak memory in MB over all its processes."""

    seconds: float
    cpu: float
    megabytes: float


def build(data: Path, out: Path, workers: int) -> Run:
    """Run ``knowmvg kg build``."""
    run = "from knowmvg.interfaces.cli.main import run; run()"
    options = ["kg", "build", str(data), "--out", str(out), "--workers", str(workers), "--overwrite"]
    command = [sys.executable, "-c", run, *options]
    used, start = _children_cpu(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = _Peak(process.pid)
    peak.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    peak.join()
    if code:
        sys.exit(f"expected the graph to be built, got exit code {code}")
    return Run(seconds, _children_cpu() - used, peak.megabytes)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scaled(run: Run, start: Run, reports: int) -> tuple[float, float]:
    """Seconds by the clock and of processors for ``GOAL`` reports, from a run over ``reports`` and one over one."""
    if reports == GOAL:
        return run.seconds, run.cpu
    clock, cpu = (
        first + max(all_ - first, 0.0) * GOAL / reports for all_, first in zip(run[:2], start[:2], strict=True)
    )
    return clock, cpu


class _Peak(threading.Thread):
    """Follows the resident memory of a process and its children, from /proc (Linux)."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.megabytes = process, 0.0

    def run(self) -> None:
        while (now := _resident(self.process)) is not None:
            self.megabytes = max(self.megabytes, now / 1024)
            time.sleep(0.1)


def _resident(process: int) -> float | None:
    """Resident memory in KiB of a process with its children; ``None`` once it has ended."""
    root = Path(f"/proc/{process}")
    try:
        status = (root / "status").read_text()
        children = (root / "task" / str(process) / "children").read_text().split()
    except (OSError, ProcessLookupError):
        return None
    if "VmRSS:" not in status:
        return None
    own = float(status.split("VmRSS:")[1].split()[0])
    return own + sum(_resident(int(child)) or 0.0 for child in children)


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description="Time and memory of building a knowledge graph.")
    parser.add_argument("--reports", type=int, default=GOAL)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_studies(folder, 1)
        start = build(folder, folder / "one.json", 1)
        write_studies(folder, arguments.reports)
        run = build(folder, folder / "graph.json", arguments.workers)
        graph = load_graph(folder / "graph.json")
    clock, cpu = scaled(run, start, arguments.reports)
    result = {
        "build_seconds_200000": round(clock, 1),
        "cpu_seconds_200000": round(cpu, 1),
        "build_peak_mb": round(run.megabytes, 1),
        "nodes": len(graph.nodes),
        "facts": len(graph.triplets),
        "reports": arguments.reports,
        "seconds": round(run.seconds, 1),
        "workers": arguments.workers,
    }
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
