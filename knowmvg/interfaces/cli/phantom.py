"""``knowmvg phantom``: simulated radiographs with reports, boxes and masks, as a data set folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.interfaces.cli import console
from knowmvg.sources.whole_folder import check_free


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty.", show_default=False)],
    studies: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of studies.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data set, whatever the workers.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side of the square images in pixels.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Processes.", show_default="one a core")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier data set.")] = False,
) -> None:
    """Write a data set of simulated chest radiographs with reports, boxes and masks.

    Patients are disjoint between the splits train, val and test. See docs/ for what is simulated and what is not.
    """
    check_free(out, overwrite=overwrite)
    from knowmvg.sources.phantom.dataset import write_dataset  # after the check: it takes a second to import

    with console.progress_bar() as bar:
        task = bar.add_task("radiographs", total=studies)
        write_dataset(
            out,
            studies=studies,
            seed=seed,
            size=size,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            overwrite=overwrite,
        )
    console.show_written([out / "manifest.jsonl"], f"knowmvg train recipes/demo.yaml data.folder={out}")
