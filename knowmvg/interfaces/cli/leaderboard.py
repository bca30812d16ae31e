"""``knowmvg leaderboard``: models of every system and their controls on one data set, several seeds each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowmvg.core.errors import RecipeError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.ablate import BoxHead
from knowmvg.interfaces.cli.board.rows import Planned, check_titles, family_rows, given_rows, recipe_row
from knowmvg.interfaces.cli.labelled import boxed_studies
from knowmvg.interfaces.cli.narrow_tables import show_markdown
from knowmvg.interfaces.cli.protocols import PROTOCOLS, read_protocols
from knowmvg.interfaces.cli.runs import check_folder, data_folder

if TYPE_CHECKING:
    from knowmvg.evaluation.leaderboard.differences import Key, PhraseIous
    from knowmvg.evaluation.leaderboard.entry import Entry

LOOKED_INTO = "knowmvg"  # the row whose own controls (shuffled report, blank image) are listed too


def leaderboard(
    recipe: Annotated[
        Path | None, typer.Argument(help="The recipe that the rows of --rows share.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace that recipe's.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of leaderboard.json and its page.")] = Path(
        "results"
    ),
    rows: Annotated[str, typer.Option(help="Rows, separated by commas.")] = "baseline,kps,gla,knowmvg,lisa",
    head: Annotated[BoxHead, typer.Option(help="Box head; token is the published one.")] = "extent",
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]RECIPE", help="A further row, of any system; repeat it.", show_default=False),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="A row of a model that is there: a run, or what `ground --model` takes; repeat it, for its seeds too.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each row that is trained.")] = 3,
    protocols: Annotated[str, typer.Option(help="Protocols, separated by commas; each has its own table.")] = PROTOCOLS,
    data: Annotated[
        Path | None, typer.Option(help="Data set folder with manifest.jsonl.", show_default="the first row's own")
    ] = None,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
    studies: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N",
            help="Ask a slow row on N studies only, drawn by patients; all rows are shown on them too. Repeat it.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The row that others are compared with.", show_default="the best of each table")
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option(help="Rows that are asked blind too, separated by commas.", show_default=LOOKED_INTO),
    ] = None,
    timing: Annotated[int, typer.Option(min=0, help="Studies to time each row on; 0 times nothing.")] = 32,
    threads: Annotated[int, typer.Option(min=1, help="Threads while a row is timed.")] = 1,
    runs: Annotated[Path, typer.Option(help="Folder of all runs and of the parts that they share.")] = Path("runs"),
) -> None:
    """Train and evaluate every row with several seeds and fill the leaderboard.

    Rows of RECIPE are those of `knowmvg ablate`, whose finished runs are used. Controls that need no training are
    listed beside them. Differences are paired by phrase; time and memory a study are measured in a pass of their own.
    The same command goes on where it was broken off; entries of other recipes and data sets stay in the file.
    """
    planned = family_rows(recipe, overrides or [], rows, head, seeds, runs) if recipe is not None else []
    planned += [recipe_row(named, seeds, runs) for named in also or []] + given_rows(run or [], runs)
    check_titles(planned)
    check_folder(out)
    drawn = _drawn(studies or [], planned)
    looked_into = _looked_into(controls, planned)
    asked = read_protocols(protocols)
    from knowmvg.evaluation.evaluate import NEAREST, PRIORS
    from knowmvg.evaluation.kept_result import samples_path
    from knowmvg.evaluation.leaderboard.board import read_leaderboard, write_leaderboard
    from knowmvg.evaluation.leaderboard.differences import with_differences
    from knowmvg.interfaces.cli.board.exam import Exam

    compared = _title(against, planned, (*PRIORS, NEAREST)) if against is not None else None
    board = read_leaderboard(out / "leaderboard.json")  # before the work: a damaged file is told now
    if data is not None:
        boxed_studies(data, split)  # so is a wrong data set
    command = _command(recipe, overrides, head, also, run, seeds, studies)
    exam: Exam | None = None
    entries: list[Entry] = []
    ious: dict[Key, PhraseIous] = {}
    shown: list[Path] = []
    for plan in planned:
        row = plan.made()
        found: list[tuple[Entry, PhraseIous]] = []
        if exam is None:
            folder = data_folder(row.runs[0].model, data)
            exam = Exam(boxed_studies(folder, split), split, asked, drawn, timing, threads)
            found += exam.priors()
        found += exam.of(row)
        if row.name in looked_into:
            found += exam.controls_of(row)
        entries += [entry for entry, _ in found]
        ious |= {entry.key: own for entry, own in found}
        board = board.joined(with_differences(entries, ious, compared))
        files = write_leaderboard(out, board, command)  # after each row: a broken-off run leaves what it has
        shown.append(samples_path(exam.folder(row.runs[0], part=exam.part_of(row)), asked[0]))
    show_markdown(board.to_markdown(command), console.out())
    console.show_written(files, f"knowmvg compare {' '.join(map(str, shown[:2]))}")


def _drawn(named: Sequence[str], rows: Sequence[Planned]) -> dict[str, int]:
    """Studies by the row that is asked on so many; raises ``RecipeError`` for another row or no number."""
    found = {}
    for text in named:
        name, _, number = text.rpartition("=")
        if not number.isdecimal() or int(number) < 1:
            raise RecipeError("NAME=N for --studies", repr(text), "For example --studies diffusion-demo=300.")
        found[_title(name, rows, ())] = int(number)
    return found


def _looked_into(named: str | None, rows: Sequence[Planned]) -> set[str]:
    """Names of the rows whose own controls are asked; raises ``RecipeError`` for an unknown one."""
    wanted = [LOOKED_INTO] if named is None else [name.strip() for name in named.split(",") if name.strip()]
    known = {row.name for row in rows}
    if named is not None:
        wanted = [next(row.name for row in rows if row.title == _title(name, rows, ())) for name in wanted]
    return known & set(wanted)


def _title(name: str, rows: Sequence[Planned], others: Sequence[str]) -> str:
    """The title of a row that is named by name or title; raises ``RecipeError`` for an unknown one."""
    titles = [
        *(row.title for row in rows if name in (row.name, row.title)),
        *(other for other in others if other == name),
    ]
    if not titles:
        known = ", ".join([*(row.name for row in rows), *others])
        raise RecipeError(f"a row among {known}", repr(name), "Name a row of this command.")
    return titles[0]


def _command(
    recipe: Path | None,
    overrides: Sequence[str] | None,
    head: str,
    also: Sequence[str] | None,
    run: Sequence[str] | None,
    seeds: int,
    studies: Sequence[str] | None,
) -> str:
    """What the page says that it was filled by."""
    words = ["knowmvg leaderboard", *([str(recipe), *(overrides or []), f"--head {head}"] if recipe else [])]
    for option, values in (("--also", also), ("--run", run), ("--studies", studies)):
        words += [f"{option} {value}" for value in values or []]
    return " ".join([*words, f"--seeds {seeds}"])
