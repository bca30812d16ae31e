"""What every command writes with: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from knowmvg.core.errors import KnowmvgError
from knowmvg.core.records import DISCLAIMER

MIN_WIDTH = 12  # of a broken column: most of the field's long words stay whole


def out() -> Console:
    """Standard output, as it is now (tests replace it)."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def show_error(error: KnowmvgError) -> None:
    """An expected error in one block: what was expected, what came and what to do. Never report text or headers."""
    block = Text.assemble(("knowmvg: cannot go on\n", "bold red"))
    for label, words in (("expected", error.expected), ("got", error.got), ("what to do", error.todo)):
        block.append(f"  {label:<11}", "bold")
        block.append(f"{words}\n")
    err().print(block, end="")


def show_warnings(warnings: Iterable[str]) -> None:
    """Facts that a reader of the result must know."""
    for warning in warnings:
        err().print(Text.assemble(("warning  ", "bold yellow"), warning))


def show_written(paths: Iterable[Path], next_command: str) -> None:
    """The end of every command that writes: its files, the disclaimer and what to try next."""
    console = out()
    for path in paths:
        console.print(Text.assemble(("wrote  ", "green"), str(path)), soft_wrap=True)
    console.print(Text(DISCLAIMER, "dim"))
    console.print(Text.assemble(("next   ", "cyan"), next_command), soft_wrap=True)


def plain_table(*columns: str, wide: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> Table:
    """A table with little ink; only the columns in ``wide`` are broken over lines where the terminal is narrow.

    The columns in ``numbers`` end at one line, so that their units stand below each other.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(
            name,
            overflow="fold",
            justify="right" if name in numbers else "left",
            no_wrap=name not in wide,
            min_width=MIN_WIDTH if name in wide else None,
        )
    return table


def progress_bar() -> Progress:
    """A bar on standard error, silent where nobody watches."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def stage_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar a stage; call what is yielded with a stage's name, how much is done and of how much, if that is known."""
    with progress_bar() as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield progress


def debugging() -> bool:
    """Whether tracebacks are wanted: ``KNOWMVG_DEBUG=1``."""
    return os.environ.get("KNOWMVG_DEBUG", "") not in ("", "0")
