"""Layouts of other people's tables on the terminal: `knowmvg evaluate --layout`, `knowmvg compare --layout`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.narrow_tables import show_markdown

if TYPE_CHECKING:
    from knowmvg.evaluation.evaluate import Evaluation


class Layout(StrEnum):
    """Findings in columns, IoU and Dice apart, the published rows beside: of PFMVG's models, or of its stages."""

    PFMVG = "pfmvg"
    PFMVG_STAGES = "pfmvg-stages"


def tables_of(layout: Layout) -> Sequence[str]:
    """The paper's tables of IoU and of Dice in a layout."""
    from knowmvg.evaluation.report.pfmvg import MODELS, STAGES

    return MODELS if layout is Layout.PFMVG else STAGES


def lead_of(layout: Layout) -> int:
    """How many columns name a line of these tables."""
    from knowmvg.evaluation.report.published import papers

    return len(papers()["pfmvg"].table(tables_of(layout)[0]).lead)


def show_layout(result: Evaluation, layout: Layout | None, data: str) -> None:
    """Print all tables, or those of a layout; ``data`` names the data set."""
    if layout is None:
        show_markdown(result.to_markdown(), console.out())
        return
    from knowmvg.evaluation.report.pfmvg import columns_of, pfmvg_blocks

    tables = tables_of(layout)
    blocks = [f"# {result.name} in the layout of PFMVG's Tables {' and '.join(tables)}\n"]
    blocks += [block for columns in columns_of(result) for block in pfmvg_blocks([columns], data, tables)]
    show_markdown("\n".join([*blocks, *(f"Note: {note}\n" for note in result.notes)]), console.out(), lead_of(layout))
