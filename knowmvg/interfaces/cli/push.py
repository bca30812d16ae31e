"""``knowmvg push``: a trained model to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from knowmvg.interfaces.cli import console


def push(
    run: Annotated[Path, typer.Argument(help="A run folder with its card, or a model folder.", show_default=False)],
    repository: Annotated[str, typer.Argument(help="owner/name on the hub.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to write to.", show_default="the main one")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List files and sizes; send nothing.")] = False,
    allow_licensed: Annotated[
        bool, typer.Option("--allow-licensed", help="Share knowledge under closed licences; you answer for it.")
    ] = False,
    allow_data: Annotated[
        bool,
        typer.Option("--allow-data", help="Share a model of credentialed or unknown data; you answer for it."),
    ] = False,
) -> None:
    """Publish a model with its card and figures, in one commit.

    Models with licensed knowledge, and models of data that not everybody may have, are refused unless confirmed. The
    copy is loaded once before it is sent. `knowmvg ground --model owner/name` fetches it.
    """
    from knowmvg.training.release import publish, refuse, release_of  # torch takes seconds to import

    release = release_of(run)
    table = console.plain_table("file", "bytes")
    for name, size in release.sizes.items():
        table.add_row(Text(name), f"{size:,}")
    table.add_row("all", f"{sum(release.sizes.values()):,}")
    console.out().print(table)
    console.out().print(Text(f"trained on {release.origin.name} ({release.origin.kind})"))
    refuse(release, allow_licensed=allow_licensed, allow_data=allow_data)
    if dry_run:
        console.out().print("dry run: nothing was sent")
        return
    address = publish(
        run,
        repository,
        private=private,
        revision=revision,
        allow_licensed=allow_licensed,
        allow_data=allow_data,
    )
    console.out().print(Text.assemble(("sent   ", "green"), address), soft_wrap=True)
    console.show_written([], f"knowmvg ground IMAGE --report FILE --model {repository} --out out")
