"""``knowmvg ground FOLDER``: many studies to JSON lines, in shards or on Ray, restartable."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.text import Text

from knowmvg.core.errors import ManifestError
from knowmvg.inference.answering import PhraseSource
from knowmvg.interfaces.cli import console


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """The options of ``ground`` that only a folder has."""

    split: str | None
    shards: int
    shard: int
    readers: int
    device: str | None
    retry_failed: bool
    ray: str | None
    ray_workers: int


def ground_folder(folder: Path, out: Path, phrases: PhraseSource, model: str | None, options: FolderOptions) -> None:
    """Ground the studies of a folder (docs/scale_out.md) and tell how many were answered, failed and skipped."""
    from knowmvg.inference.worklist import WorkList

    work = WorkList(folder, options.split)  # before the model is loaded: it takes seconds
    from knowmvg.grounders.hub import model_path
    from knowmvg.grounders.shipped import DEMO_MODEL
    from knowmvg.grounders.store import fingerprint
    from knowmvg.inference import many, session

    place = DEMO_MODEL if model is None else model_path(model)
    with _terminated_as_interrupted(), console.stage_bars() as bars:

        def progress(done: int, total: int) -> None:
            bars("studies", done, total)

        results = many.open_results(out, work, fingerprint(place), phrases)
        if options.ray is None:
            counts = many.ground_shard(
                session.load(place, device=options.device),
                work,
                results,
                shard=options.shard,
                shards=options.shards,
                reading=many.Reading(options.readers),
                retry_failed=options.retry_failed,
                progress=progress,
            )
        else:
            from knowmvg.inference.on_ray import Workers, ground_on_ray

            device = options.device or "cpu"
            counts = ground_on_ray(
                place,
                work,
                results,
                address=options.ray,
                workers=Workers(options.ray_workers, gpus=float(device != "cpu"), device=device),
                readers=options.readers,
                retry_failed=options.retry_failed,
                progress=progress,
            )
    console.out().print(f"{counts.answered} answered, {counts.failed} failed, {counts.skipped} there before")
    reasons = defaultdict[str, list[str]](list)
    for each in results.failures():
        reasons[f"{each.error}: expected {each.expected}"].append(each.got)
    for reason, got in sorted(reasons.items(), key=lambda item: -len(item[1]))[:5]:
        told = f"{len(got)} x {reason}; got {'' if len(set(got)) == 1 else 'for one '}{got[0]}"
        console.err().print(Text.assemble(("failed  ", "bold yellow"), told), soft_wrap=True)
    written = results.join()
    if not written:
        console.out().print("other shards are not finished: the last one joins the parts")
    score = f"knowmvg evaluate --predictions {out / 'groundings.jsonl'} --format grounding --data {folder}"
    console.show_written(written, score)
    if options.shards == 1 and counts.failed and not counts.answered and not counts.skipped:
        todo = f"The failures in {out} say why; mend them and run again with --retry-failed."
        raise ManifestError("a study that can be grounded", f"{counts.failed}, none of which could be", todo)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A polite kill (SIGTERM, as schedulers send it) ends the work as Ctrl-C does: threads waited for, parts whole."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: somebody else looks after signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
