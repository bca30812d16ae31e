"""The process that is timed: one model, some studies, one after the other. ``timing`` starts it.

It reads a ``Request`` from standard input and writes a ``Timing`` to standard output, both as one line of JSON.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from knowmvg.core.errors import KnowmvgError
from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import Grounding, Study
from knowmvg.evaluation.leaderboard.entry import Timing
from knowmvg.evaluation.samples import Protocol
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.models import load_local

T = TypeVar("T")
_KIB, _MB = 1024, 10**6


class Request(BaseModel):
    """What is to be timed: a model's folder or hub id on these ``studies`` of a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    data: Path
    split: str
    studies: tuple[str, ...]
    protocol: Protocol
    threads: int


class Clocked:
    """A grounder whose answers are timed: ``seconds`` by the clock and ``cpu`` of all threads, one a batch."""

    def __init__(self, grounder: Grounder) -> None:
        self._grounder = grounder
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """As the grounder does."""
        return self._timed(lambda: self._grounder.ground(studies))

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """As the grounder does."""
        return self._timed(lambda: self._grounder.ground_phrases(studies, queries))

    def _timed(self, asked: Callable[[], T]) -> T:
        started, worked = time.perf_counter(), time.process_time()
        answer = asked()
        self.seconds.append(time.perf_counter() - started)
        self.cpu.append(time.process_time() - worked)
        return answer


def measured(request: Request) -> Timing:
    """Load the model, ask it once uncounted, then study by study."""
    import torch

    from knowmvg.evaluation.protocol import run
    from knowmvg.grounders.device import device_or_best

    torch.set_num_threads(request.threads)
    device = device_or_best(None)
    grounder = load_local(request.model, device)
    studies = list(LabelledStudies(request.data, request.split).only(request.studies))
    run(request.protocol, grounder, studies[:1])
    clocked = Clocked(grounder)
    run(request.protocol, clocked, studies, batch_size=1)
    on_gpu = torch.cuda.max_memory_allocated() / _MB if device.startswith("cuda") else None
    return Timing(
        studies=len(studies),
        threads=request.threads,
        device=device,
        seconds=round(float(np.median(clocked.seconds)), 4),
        seconds_p90=round(float(np.quantile(clocked.seconds, 0.9)), 4),
        cpu_seconds=round(float(np.median(clocked.cpu)), 4),
        peak_mb=round(peak_bytes() / _MB, 1),
        gpu_peak_mb=None if on_gpu is None else round(on_gpu, 1),
    )


def peak_bytes() -> int:
    """The most memory that this process ever held.

    Linux says it of the program alone; ``getrusage`` there still counts what the process that started it held.
    """
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * _KIB
    import resource  # of Unix

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


if __name__ == "__main__":
    try:
        print(measured(Request.model_validate_json(sys.stdin.read())).model_dump_json())
    except KnowmvgError as error:
        console.show_error(error)
        sys.exit(error.exit_code)
