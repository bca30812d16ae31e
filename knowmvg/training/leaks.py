"""The leak check before training, once for a data set: its result is kept under the manifest's fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from knowmvg.core.errors import LeakError
from knowmvg.sources.leaks import Kind, Leak, find_leaks, pairs_within
from knowmvg.sources.leaks.wording import leak_line, refusal
from knowmvg.sources.whole_files import write_lines


def refuse_leaks(folder: Path, kept: Path, report: Callable[[str], None], *, allowed: bool) -> tuple[Leak, ...]:
    """What the splits of a data set share, told to ``report``.

    Shared report text is told only: simulated reports repeat sentences by design. Near images are not looked for.

    Args:
        folder: the data set.
        kept: file for the result, named after the manifest's fingerprint.
        report: takes a line of progress.
        allowed: whether to train all the same.

    Raises:
        LeakError: shared patients or images that are not ``allowed``.
    """
    leaks = _read(kept)
    if leaks is None:
        leaks = find_leaks(pairs_within(folder)).found
        write_lines(kept, [json.dumps([asdict(leak) for leak in leaks], indent=2)])
    for leak in leaks:
        report(f"leaks: {leak_line(leak)}")
    severe = [leak for leak in leaks if leak.kind.severe]
    if not severe:
        report("leaks: no patient and no image is in two splits")
    elif not allowed:
        raise LeakError(*refusal(severe, f"Divide {folder} anew (knowmvg splits), or set data.allow_leaks=true."))
    return leaks


def _read(kept: Path) -> tuple[Leak, ...] | None:
    """An earlier result; a file that does not hold one counts for nothing."""
    try:
        entries = json.loads(kept.read_text(encoding="utf-8"))
        return tuple(
            Leak(**{**entry, "kind": Kind(entry["kind"]), "examples": tuple(entry["examples"])}) for entry in entries
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
