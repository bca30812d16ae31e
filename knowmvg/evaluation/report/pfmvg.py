"""Our IoU and Dice by finding beside PFMVG's tables: 1 and 2 of its models, or 3 and 4 of its stages."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.evaluation.evaluate import Evaluation
from knowmvg.evaluation.finding_columns import MS_CXR, FindingColumns, column_table
from knowmvg.evaluation.report.beside import Beside, beside_findings

MODELS, STAGES = ("1", "2"), ("3", "4")
"""The paper's tables of IoU and of Dice."""


def columns_of(evaluation: Evaluation) -> list[FindingColumns]:
    """The model's numbers under each protocol that has boxed phrases."""
    return [evaluation.finding_columns(part) for part in evaluation.parts if part.samples]


def beside_pfmvg(rows: Sequence[FindingColumns], data: str, tables: Sequence[str] = MODELS) -> list[Beside]:
    """Models under one protocol beside tables of the paper. Raises ``ValueError`` for models on other findings."""
    return [beside_findings("pfmvg", table, rows, data) for table in tables]


def pfmvg_blocks(rows: Sequence[FindingColumns], data: str, tables: Sequence[str] = MODELS) -> list[str]:
    """The same as Markdown; data with none of the paper's findings stand alone, with their own.

    Raises ``ValueError`` for models on other findings or of two protocols.
    """
    if set(rows[0].findings) <= set(MS_CXR):
        return [f"{beside.to_grid().to_markdown()}\n" for beside in beside_pfmvg(rows, data, tables)]
    alone = [column_table(rows, "IoU").to_markdown(), column_table(rows, "Dice").to_markdown()]
    return [*alone, f"{rows[0].note()} The data have none of the paper's findings.\n"]
