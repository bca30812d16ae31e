"""All files of an evaluation that people read: the page, the plots, the tables as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from knowmvg.evaluation.evaluate import Evaluation, Part
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.report.beside import Beside, beside_rows, beside_table
from knowmvg.evaluation.report.cases import MAX_CASES, Case, StudyOf, best, case, worst
from knowmvg.evaluation.report.csv_text import csv_text
from knowmvg.evaluation.report.grid import grid_of
from knowmvg.evaluation.report.latex import latex
from knowmvg.evaluation.report.page import page, section
from knowmvg.evaluation.report.pfmvg import beside_pfmvg, columns_of
from knowmvg.evaluation.report.plots import plots
from knowmvg.evaluation.report.run_card import RunCard
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Table, finding_table, main_table

ON_PAGE = (
    ("knowmvg", "I"),
    ("pfmvg", "1"),
    ("pfmvg", "2"),
)  # Table II asks by questions and classes, which an evaluation here does not


def write_report(
    folder: Path,
    evaluation: Evaluation,
    *,
    data: str,
    tables: Sequence[Table] = (),
    card: RunCard | None = None,
    study_of: StudyOf | None = None,
    cases: int = 0,
    texts: bool = False,
) -> list[Path]:
    """Write ``report.html``, ``plots/``, ``tables/`` (CSV, LaTeX) and, last, the published tables with ours beside.

    Args:
        folder: where to write; it is made where it is missing.
        evaluation: what was measured.
        data: the data set in a few words, for headings.
        tables: more tables (strata, say), each set under its protocol.
        card: what the run says of itself.
        study_of: gives the study of an identifier; needed for cases.
        cases: so many worst and best phrases of each protocol are shown with their radiographs, 50 at most.
        texts: show phrase and report of the cases too.

    Returns the files in the order of writing.

    Raises:
        ManifestError: a case's study is not there.
        ValueError: cases without ``study_of``, or more than 50.
    """
    if not 0 <= cases <= MAX_CASES or (cases and study_of is None):
        raise ValueError(f"expected 0 to {MAX_CASES} cases and a way to their studies, got {cases}")
    files: dict[Path, str] = {}
    sections = []
    for part in evaluation.parts:
        own = [main_table(part.rows), finding_table(part.rows[0])]
        own += [table for table in tables if table.protocol == part.protocol]
        shown = _cases(part, study_of, cases, texts) if study_of is not None else []
        drawn = plots(part.rows[0].summary, part.samples, resamples=evaluation.resamples, seed=evaluation.seed)
        sections.append(section(part, own, drawn, shown))
        files |= {folder / "plots" / f"{part.protocol}-{plot.name}.svg": plot.svg for plot in drawn}
        files |= table_files(folder / "tables", own)
    published = _published(evaluation, data)
    for beside in (*published.values(), *_pfmvg(evaluation, data)):
        files |= beside_files(folder / "tables", beside)
    own_inputs = [published[key] for key in ON_PAGE if key in published]
    files[folder / "report.html"] = page(evaluation, sections, data=data, published=own_inputs, card=card)
    for path, content in files.items():
        write_text(path, content)
    return list(files)


def table_files(folder: Path, tables: Sequence[Table]) -> dict[Path, str]:
    """Each table as CSV and LaTeX; tables of the same title get a number."""
    files: dict[Path, str] = {}
    for table in tables:
        grid = grid_of(table)
        name, number = grid.name, 2
        while folder / f"{name}.csv" in files:
            name, number = f"{grid.name}-{number}", number + 1
        files[folder / f"{name}.csv"] = csv_text(table)
        files[folder / f"{name}.tex"] = latex(grid)
    return files


def beside_files(folder: Path, beside: Beside, stem: str | None = None) -> dict[Path, str]:
    """A published table with ours beside, as Markdown, CSV and LaTeX; ``stem`` names the files otherwise."""
    grid = beside.to_grid()
    grid = grid if stem is None else replace(grid, name=stem)
    return {
        folder / f"{grid.name}.md": grid.to_markdown(),
        folder / f"{grid.name}.csv": beside.to_csv(),
        folder / f"{grid.name}.tex": latex(grid),
    }


def ablation_files(folder: Path, stem: str, table: Table, data: str) -> dict[Path, str]:
    """An ablation as Markdown, CSV and LaTeX, and the same beside KnowMVG's Table III (``STEM-published``)."""
    beside = beside_table("knowmvg", "III", table, data)
    return {
        folder / f"{stem}.md": table.to_markdown(),
        folder / f"{stem}.csv": csv_text(table),
        folder / f"{stem}.tex": latex(grid_of(table, stem)),
        **beside_files(folder, beside, f"{stem}-published"),
    }


def _published(evaluation: Evaluation, data: str) -> dict[tuple[str, str], Beside]:
    """The tables that hold one model's numbers, beside the protocol that the papers probably used, if it is there."""
    if not evaluation.parts:
        return {}
    parts = {part.protocol: part for part in evaluation.parts}
    part = parts.get(Protocol.TEACHER_FORCED, evaluation.parts[0])
    found = {("knowmvg", table): beside_rows("knowmvg", table, part.rows, data) for table in ("I", "II")}
    own = [beside for beside in _pfmvg(evaluation, data) if beside.protocol == part.protocol]
    return found | {(beside.paper, beside.table): beside for beside in own}


def _pfmvg(evaluation: Evaluation, data: str) -> list[Beside]:
    return [beside for columns in columns_of(evaluation) for beside in beside_pfmvg([columns], data)]


def _cases(part: Part, study_of: StudyOf, n: int, texts: bool) -> list[tuple[str, list[Case]]]:
    chosen = (
        ("Worst cases, findings in turn", worst(part.samples, n)),
        ("Best cases, findings in turn", best(part.samples, n)),
    )
    return [(title, [case(sample, study_of, texts=texts) for sample in samples]) for title, samples in chosen]
