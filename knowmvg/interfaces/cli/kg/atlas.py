"""``knowmvg kg atlas``: an atlas of one's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.errors import OutputError
from knowmvg.interfaces.cli import console


def atlas(
    folder: Annotated[
        Path, typer.Argument(help="Folder of your atlas; made if it does not exist.", show_default=False)
    ],
) -> None:
    """Copy the open atlas into a new folder to edit it, or check one that is there.

    The copy is four YAML files with comments that explain them. A mistake is told with its file, line and entry.
    """
    from knowmvg.knowledge.ontology import ATLAS_PATH, load_atlas

    written = []
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            shutil.copytree(ATLAS_PATH, draft)
            draft.rename(folder)
        except OSError as error:
            got = str(error.strerror or error)
            raise OutputError(f"a folder that can be made at {folder}", got, "Give another place.") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        written = sorted(folder.iterdir())
    known = load_atlas(folder)
    devices = sum(entry.kind == "device" for entry in known.findings)
    parts = (
        f"{len(known.findings) - devices} findings, {devices} devices, {len(known.sites)} sites, "
        f"{len(known.zones)} zones, {len(known.sources)} sources; licence {known.licence}"
    )
    console.out().print(f"{folder}: all is well: {parts}", soft_wrap=True, markup=False)
    console.show_written(written, f"knowmvg kg build DATA --atlas {folder} --out graph.json")
