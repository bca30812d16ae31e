"""How `knowmvg evaluate` shows its numbers on the terminal."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.narrow_tables import show_markdown

if TYPE_CHECKING:
    from knowmvg.evaluation.evaluate import Evaluation


class Layout(StrEnum):
    """A layout that is not our own: ``pfmvg``, findings in columns, IoU and Dice apart, the published rows beside."""

    PFMVG = "pfmvg"


def show_layout(result: Evaluation, layout: Layout | None, data: str) -> None:
    """Print all tables, or those of a layout; ``data`` names the data set."""
    if layout is None:
        text = result.to_markdown()
    else:
        from knowmvg.evaluation.report.write import pfmvg_markdown

        text = pfmvg_markdown(result, data)
    show_markdown(text, console.out())
