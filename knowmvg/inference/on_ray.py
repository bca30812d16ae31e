"""The parts of a folder grounded on Ray Data: on the cores of one machine, or on a cluster by its address.

Every machine reads the images and writes the results by the same paths (a shared file system); the files are those
that one process writes. Needs the extra ``ray``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.inference.grounded_folder import GroundedFolder, Job
from knowmvg.inference.many import Counts, Progress, Reading, answer_part
from knowmvg.inference.worklist import Item, WorkList

LOCAL = "local"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workers:
    """Actors that hold a model each.

    Args:
        number: of actors.
        cpus: cores that each is given, which its torch uses as threads.
        gpus: graphics cards, or shares of one, that each is given.
        device: where each runs its model, in the words of torch.
    """

    number: int = 1
    cpus: float = 1
    gpus: float = 0
    device: str = "cpu"


class _Worker:
    """An actor: loads the model once, then turns a part after the other into its files."""

    def __init__(self, model: str, out: str, job: dict[str, Any], workers: dict[str, Any], readers: int) -> None:
        import torch

        from knowmvg.grounders.store import fingerprint
        from knowmvg.inference.session import load

        torch.set_num_threads(max(1, int(workers["cpus"])))
        self.job = Job(**job)
        if fingerprint(Path(model)) != self.job.model:
            raise ModelError("the driver's model on every machine", "another one", "Put it where all can read it.")
        self.results, self.readers = GroundedFolder(Path(out), self.job), readers
        self.session = load(model, device=workers["device"])

    def __call__(self, row: Row) -> Row:
        from contextlib import closing

        from knowmvg.inference.ahead import ahead

        items = [Item(**{**item, "size": item["size"] and tuple(item["size"])}) for item in row["items"]]
        with closing(
            ahead(lambda item: self.session.ready(item.read()), items, workers=self.readers, depth=Reading().depth)
        ) as tasks:
            groundings, failures = answer_part(self.session, items, tasks, self.job.phrases)
        self.results.write(int(row["part"]), groundings, failures)
        return {"answered": len(groundings), "failed": len(failures)}


def ground_on_ray(
    model: Path,
    work: WorkList,
    results: GroundedFolder,
    *,
    address: str = LOCAL,
    workers: Workers | None = None,
    readers: int = 1,
    retry_failed: bool = False,
    progress: Progress = lambda done, total: None,
) -> Counts:
    """Ground a folder on Ray; parts that are there are skipped.

    Args:
        model: folder of the model, readable on every machine.
        work: the studies.
        results: where the results go, writable on every machine.
        address: ``local`` starts Ray on this machine and ends it again; else a running cluster (``auto``,
            ``ray://HOST:10001``), which is left running.
        workers: the actors.
        readers: threads that read ahead in each.
        retry_failed: whether parts with failures are done again.
        progress: called with studies done and in all.

    Raises ``ModelError`` without the extra ``ray``; ``OutputError`` where Ray cannot be reached or its work fails.
    """
    how = workers or Workers()
    rows: list[Row] = []
    skipped = 0
    for number, items in work.parts():
        if results.done(number, len(items), retry_failed=retry_failed):
            skipped += len(items)
        else:
            rows.append(Row(part=number, items=[item.to_dict() for item in items]))
    answered = failed = 0
    progress(skipped, work.studies)
    if not rows:
        return Counts(skipped=skipped)
    told: dict[str, Any] = {
        "model": str(model.resolve()),
        "out": str(results.folder.resolve()),
        "job": asdict(results.job),
    }
    told |= {"workers": asdict(how), "readers": readers}
    with _connected(address, how) as data:
        done = data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,
            fn_constructor_kwargs=told,
            compute=data.ActorPoolStrategy(size=how.number),
            num_cpus=how.cpus,
            num_gpus=how.gpus,
        )
        for row in done.iter_rows():
            answered, failed = answered + int(row["answered"]), failed + int(row["failed"])
            progress(skipped + answered + failed, work.studies)
    return Counts(answered, failed, skipped)


@contextmanager
def _connected(address: str, how: Workers) -> Iterator[Any]:
    """``ray.data`` while Ray is there; what fails on it is told in one line."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    try:
        import ray
        import ray.data
        from ray.exceptions import RayError
    except ImportError as error:
        raise ModelError("Ray", "none installed", "pip install 'knowmvg[ray]'") from error
    try:
        if address == LOCAL:
            cores = max(1, -(-int(how.number * how.cpus) // 1)) + 1  # one for the reading of rows
            ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray.data
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        cause = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
        todo = "Run it again, finished parts are kept; without --ray it tells more."
        raise OutputError("work on Ray that ends well", cause[-1][:200], todo) from error
    finally:
        ray.shutdown()
