"""``knowmvg kg``: the knowledge graph and the atlas that it is made of."""

from __future__ import annotations

import typer

from knowmvg.interfaces.cli.kg.atlas import atlas
from knowmvg.interfaces.cli.kg.build import build
from knowmvg.interfaces.cli.kg.diff import diff
from knowmvg.interfaces.cli.kg.export import export
from knowmvg.interfaces.cli.kg.inspect import inspect
from knowmvg.interfaces.cli.kg_umls import umls

kg = typer.Typer(no_args_is_help=True, help="Build the knowledge graph and look into it.", add_completion=False)


@kg.callback()
def _commands() -> None:
    """Build the knowledge graph and look into it."""


kg.command("build")(build)
kg.command("inspect")(inspect)
kg.command("diff")(diff)
kg.command("export")(export)
kg.command("atlas")(atlas)
kg.add_typer(umls, name="umls")
