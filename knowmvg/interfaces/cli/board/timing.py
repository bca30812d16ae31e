"""Seconds and memory a study: a short pass of its own in a fresh process, kept beside the answers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

import knowmvg
from knowmvg.core.errors import ModelError
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.leaderboard.entry import Timing
from knowmvg.evaluation.samples import Protocol
from knowmvg.interfaces.cli.board.timed_pass import Request
from knowmvg.interfaces.cli.labelled import LabelledStudies

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    data: str
    machine: str
    knowmvg: str
    request: Request
    timing: Timing


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times models on the same studies of a data set, whose fingerprint is ``data``, with so many threads."""

    studies: LabelledStudies
    split: str
    data: str
    asked: Sequence[str]
    threads: int

    def timing(self, model: Path, fingerprint: str, protocol: Protocol, folder: Path) -> Timing:
        """What a model's answers cost, as measured before if model, data, studies, threads and machine are the same.

        Args:
            model: a run, a model's folder or a hub id.
            fingerprint: of the model.
            protocol: how it is asked.
            folder: where the measurement is kept.

        Raises ``ModelError`` where the process does not end well.
        """
        request = Request(
            model=model,
            data=self.studies.folder,
            split=self.split,
            studies=tuple(self.asked),
            protocol=protocol,
            threads=self.threads,
        )
        path = folder / f"timing-{protocol}.json"
        facts = {"fingerprint": fingerprint, "data": self.data, "machine": _machine(), "knowmvg": knowmvg.__version__}
        before = _read(path)
        if before is not None:
            wanted = _Kept(**facts, request=request, timing=before.timing)
            if before == wanted:
                return before.timing
        kept = _Kept(**facts, request=request, timing=_measured(request))
        write_text(path, kept.model_dump_json() + "\n")
        return kept.timing


def timed_studies(studies: LabelledStudies, order: Sequence[str], n: int) -> list[str]:
    """The first ``n`` studies of ``order`` in which a phrase is to be placed, so that every pass has work to do."""
    placed = {row.id for row in studies.rows if any(p.boxes and p.assertion.placed for p in row.phrases)}
    return [study for study in order if study in placed][:n]


def _measured(request: Request) -> Timing:
    package = str(Path(knowmvg.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(THREAD_VARIABLES, str(request.threads))
    done = subprocess.run(
        [sys.executable, "-m", "knowmvg.interfaces.cli.board.timed_pass"],
        input=request.model_dump_json(),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | threads | {"PYTHONPATH": path},
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        todo = "Free memory, or leave the measurement out: --timing 0; all answers are kept."
        raise ModelError("a model that answers in a process of its own", f"its end with {done.returncode}", todo)
    return Timing.model_validate_json(lines[-1])


def _machine() -> str:
    """What tells machines apart whose times must not be taken for one another's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.machine()} {os.cpu_count()} {name}"


def _read(path: Path) -> _Kept | None:
    try:
        return _Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # none, or of another version: measuring again loses nothing
        return None
