"""The results of a folder of studies: a file a part, which appears whole and says by being there that it is done.

::

    OUT/job.json                 what is asked: model, data, phrases; every shard checks that it is the same
    OUT/parts/part-000012.jsonl  the groundings of 64 studies, one a line, in the order of the data
    OUT/parts/part-000012.failed.jsonl  studies of the part that could not be read, each with the reason
    OUT/groundings.jsonl, OUT/failed.jsonl  all of them, once every part is there

The files depend on data and model alone: not on shards, machines, restarts or the order of the work.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from knowmvg.core.errors import KnowmvgError, OutputError
from knowmvg.core.records import DISCLAIMER, Grounding
from knowmvg.inference.answering import PhraseSource
from knowmvg.sources.whole_files import whole_file, write_lines

SCHEMA = "knowmvg.grounded/1"
JOB, GROUNDINGS, FAILED = "job.json", "groundings.jsonl", "failed.jsonl"


@dataclass(frozen=True, slots=True)
class Job:
    """What the results of a folder are of.

    Args:
        model: fingerprint of the model's files.
        data: fingerprint of the studies.
        split: of the data set, or ``None`` for all of it.
        phrases: who names the phrases.
        studies: their number.
        part: studies a part.
        knowmvg: version.
    """

    model: str
    data: str
    split: str | None
    phrases: PhraseSource
    studies: int
    part: int
    knowmvg: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A study without a result, and why; never report text or a DICOM header."""

    study: str
    error: str
    expected: str
    got: str
    todo: str

    @classmethod
    def of(cls, study: str, error: KnowmvgError) -> Failure:
        """The failure of a study."""
        return cls(study, type(error).__name__, error.expected, error.got, error.todo)


class GroundedFolder:
    """Results under ``folder``, which several processes may write at once.

    Raises ``OutputError`` for a folder with the results of another job or with other files, or one that cannot be
    written.
    """

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        text = json.dumps({"schema": SCHEMA, **asdict(job), "note": DISCLAIMER}, indent=2) + "\n"
        try:
            if folder.is_dir() and not (folder / JOB).exists() and any(p.suffix != ".part" for p in folder.iterdir()):
                raise OutputError("a new folder, or one of this job", f"other files in {folder}", "Name another.")
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            _place_first(folder / JOB, text)
            found = json.loads((folder / JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "a damaged job.json"
            raise OutputError("a folder that can be written", f"{reason} at {folder}", "Choose another.") from error
        mine = json.loads(text)
        if other := sorted(key for key in {*mine, *found} if mine.get(key) != found.get(key)):
            todo = "Give another folder, or the same model, data and options."
            raise OutputError(f"results of this job in {folder}", f"another {', '.join(other)}", todo)

    def done(self, number: int, studies: int, *, retry_failed: bool = False) -> bool:
        """Whether a part of so many studies is finished; with ``retry_failed`` only one without failures is."""
        answered, failed = self._part(number), self._part(number, failed=True)
        if not answered.is_file():
            return False
        failures = _lines(failed) if failed.is_file() else 0
        return _lines(answered) + failures == studies and not (retry_failed and failures)

    def write(self, number: int, groundings: Sequence[Grounding], failures: Sequence[Failure]) -> None:
        """Write a finished part: the failures first, then the groundings, which finish it."""
        failed = self._part(number, failed=True)
        if failures:
            write_lines(failed, (json.dumps(asdict(failure)) for failure in failures))
        write_lines(self._part(number), (grounding.model_dump_json() for grounding in groundings))
        if not failures:
            failed.unlink(missing_ok=True)

    def join(self) -> tuple[Path, ...]:
        """All parts as one file each of groundings and failures, or nothing while a part is missing."""
        numbers = range(-(-self.job.studies // self.job.part))
        if not all(self._part(number).is_file() for number in numbers):
            return ()
        written = [self.folder / GROUNDINGS]
        self._join(written[0], [self._part(number) for number in numbers])
        failed = [path for path in (self._part(number, failed=True) for number in numbers) if path.is_file()]
        if failed:
            written.append(self.folder / FAILED)
            self._join(written[1], failed)
        else:
            (self.folder / FAILED).unlink(missing_ok=True)
        return tuple(written)

    def failures(self) -> Iterator[Failure]:
        """The failures of the finished parts, in order."""
        for path in sorted((self.folder / "parts").glob("part-*.failed.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                yield Failure(**json.loads(line))

    def _part(self, number: int, *, failed: bool = False) -> Path:
        return self.folder / "parts" / f"part-{number:06d}{'.failed' if failed else ''}.jsonl"

    @staticmethod
    def _join(path: Path, parts: Sequence[Path]) -> None:
        with whole_file(path) as stream:
            for part in parts:
                with part.open(encoding="utf-8", newline="\n") as lines:
                    stream.writelines(lines)


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in stream)


def _place_first(path: Path, text: str) -> None:
    """Write a file, whole, unless it is there: of several writers the first wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        with suppress(FileExistsError):
            path.hardlink_to(name)
    finally:
        Path(name).unlink(missing_ok=True)
