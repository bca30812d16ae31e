"""``knowmvg leaderboard``: rows of the family and the controls on one data set, several seeds each, by one command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import knowmvg
from knowmvg.core.errors import RecipeError
from knowmvg.core.records import Study
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.ablate import BoxHead, trained_run
from knowmvg.interfaces.cli.ablation_rows import ROWS, chosen_rows, row_overrides
from knowmvg.interfaces.cli.evaluate import finding_and_side
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.narrow_tables import show_markdown
from knowmvg.interfaces.cli.runs import data_folder, model_folder
from knowmvg.interfaces.cli.train import tell

if TYPE_CHECKING:
    from knowmvg.evaluation.leaderboard import Entry, Origin
    from knowmvg.evaluation.protocol import Result, View
    from knowmvg.evaluation.samples import Protocol

LOOKED_INTO = "knowmvg"  # the row whose own controls (shuffled report, blank image) are listed too
PROTOCOLS = "teacher_forced,phrase_given,generate"


def leaderboard(
    recipe: Annotated[Path, typer.Argument(help="The recipe that all rows share.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace the recipe's.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of leaderboard.json and its page.")] = Path(
        "results"
    ),
    rows: Annotated[str, typer.Option(help="Rows, separated by commas.")] = "baseline,kps,gla,knowmvg,lisa",
    head: Annotated[BoxHead, typer.Option(help="Box head; token is the published one.")] = "extent",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each row.")] = 3,
    protocols: Annotated[str, typer.Option(help="Protocols, separated by commas; each has its own table.")] = PROTOCOLS,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
    runs: Annotated[Path, typer.Option(help="Folder of all runs and of the parts that they share.")] = Path("runs"),
) -> None:
    """Train and evaluate every row with several seeds and fill the leaderboard.

    Rows are those of `knowmvg ablate`, whose finished runs are used. Controls that need no training are listed beside
    them; the shuffled report and the blank image are asked of the full model. The same command goes on where it was
    broken off; entries of other recipes and data sets stay in the file.
    """
    chosen = chosen_rows(rows)
    from knowmvg.evaluation.kept_result import samples_path
    from knowmvg.evaluation.leaderboard import read_leaderboard, write_leaderboard
    from knowmvg.training.prompted.recipe import Recipe
    from knowmvg.training.recipe import read_recipe_of

    board = read_leaderboard(out / "leaderboard.json")  # before the work: a damaged file is told now
    asked = _protocols(protocols)
    shared = read_recipe_of(Recipe, recipe, overrides or [])
    command = " ".join(["knowmvg leaderboard", str(recipe), *(overrides or []), f"--head {head} --seeds {seeds}"])
    exam: _Exam | None = None
    shown: list[Path] = []
    for name in chosen:
        keys = [*(overrides or []), *row_overrides(ROWS[name], head, shared.variant.knowledge is not None)]
        made = [trained_run(recipe, keys, runs, f"{shared.name}-{name}-{head}", seed) for seed in range(seeds)]
        if exam is None:
            exam = _Exam(LabelledStudies(data_folder(made[0], None), split), split, asked)
            board = board.joined(exam.priors())
        row = _Row(name if name == "lisa" else f"{name} ({head} head)", str(recipe), keys, made)
        board = board.joined(entry for protocol in asked for entry in exam.of(row, protocol))
        if name == LOOKED_INTO:
            board = board.joined(entry for protocol in asked for entry in exam.controls_of(row, protocol))
        files = write_leaderboard(out, board, command)  # after each row: a broken-off run leaves what it has
        shown.append(samples_path(exam.folder(made[0], ""), asked[0]))
    show_markdown(board.to_markdown(command), console.out())
    console.show_written(files, f"knowmvg compare {' '.join(map(str, shown[:2]))}")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's name, the recipe and overrides of its training, and its runs, one a seed."""

    title: str
    recipe: str
    overrides: Sequence[str]
    runs: Sequence[Path]


@dataclass(frozen=True)
class _Exam:
    """The studies that every row is asked on, and the protocols."""

    studies: LabelledStudies
    split: str
    protocols: Sequence[Protocol]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the data set's manifest, as training records it."""
        return hashlib.sha256((self.studies.folder / "manifest.jsonl").read_bytes()).hexdigest()

    @cached_property
    def learned(self) -> list[Study]:
        """The training studies without their pixels."""
        from knowmvg.evaluation.studies import labels_of

        return labels_of(LabelledStudies(self.studies.folder, "train"))

    def folder(self, run: Path, control: str) -> Path:
        """Where the answers of a run are kept."""
        return run / "-".join(filter(None, ("asked", self.split, control)))

    def priors(self) -> list[Entry]:
        """The controls that look at no image and are told the phrases."""
        from knowmvg.evaluation.evaluate import priors_of
        from knowmvg.evaluation.protocol import run

        entries = []
        for name, prior in priors_of(self.learned).items():
            for protocol in self.protocols:
                tell(f"{name}: {protocol}")
                found = run(protocol, prior, self.studies, oracle=True)
                entries.append(self._entry(name, "control", [found], phrases_given=True))
        return entries

    def of(self, row: _Row, protocol: Protocol) -> list[Entry]:
        """A row under a protocol."""
        from knowmvg.evaluation.protocol import as_is

        return [self._asked(row, row.title, "model", protocol, as_is, "")]

    def controls_of(self, row: _Row, protocol: Protocol) -> list[Entry]:
        """The same models with another study's report, and without the image."""
        from knowmvg.evaluation.controls import Shuffled, blank
        from knowmvg.evaluation.evaluate import BLANK, SHUFFLED

        views: list[tuple[str, View, str]] = [
            (SHUFFLED, Shuffled(self.studies, 0), "shuffled"),
            (BLANK, blank, "blank"),
        ]
        return [self._asked(row, f"{row.title}, {name}", "control", protocol, view, key) for name, view, key in views]

    def _asked(
        self, row: _Row, title: str, kind: Literal["model", "control"], protocol: Protocol, view: View, control: str
    ) -> Entry:
        from knowmvg.grounders.store import fingerprint

        results, origins = [], []
        for seed, run in enumerate(row.runs):
            model = fingerprint(model_folder(run))
            results.append(self._result(run, model, protocol, view, control))
            origins.append(_origin(run, seed, model))
        return self._entry(title, kind, results, recipe=row.recipe, overrides=row.overrides, origins=origins)

    def _result(self, run: Path, model: str, protocol: Protocol, view: View, control: str) -> Result:
        """What a run answered, asked if that is not kept."""
        from knowmvg.evaluation import protocol as protocols
        from knowmvg.evaluation.kept_result import keep, kept
        from knowmvg.evaluation.wording import findings_in
        from knowmvg.inference.loading import load_grounder

        folder = self.folder(run, control)
        found = kept(folder, protocol, model=model, data=self.fingerprint)
        if found is None:
            tell(f"{run.name}: {protocol} {control}".rstrip())
            grounder = load_grounder(model_folder(run))
            known, reader = findings_in(self.learned), finding_and_side
            with console.stage_bars() as bars:
                found = protocols.run(
                    protocol, grounder, self.studies, view=view, reader=reader, labelled=known, progress=bars
                )
            keep(folder, found, model=model, data=self.fingerprint)
        return found

    def _entry(self, title: str, kind: Literal["model", "control"], results: Sequence[Result], **facts: Any) -> Entry:
        from knowmvg.evaluation.leaderboard import entry_of

        return entry_of(
            title,
            results,
            kind=kind,
            data=self.studies.folder.name,
            data_fingerprint=self.fingerprint,
            split=self.split,
            version=knowmvg.__version__,
            **facts,
        )


def _origin(run: Path, seed: int, model: str) -> Origin:
    """How the model of a run came about, from its ``run.json``."""
    from knowmvg.evaluation.leaderboard import Origin

    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    seconds = facts["seconds"]
    return Origin(
        seed=seed,
        minutes=round(seconds["train"] / 60, 2),
        minutes_in_all=round(sum(seconds.values()) / 60, 2),
        model=model,
        recipe=hashlib.sha256(json.dumps(facts["recipe"], sort_keys=True).encode()).hexdigest(),
        git=facts["git"],
    )


def _protocols(names: str) -> tuple[Protocol, ...]:
    """Protocols in an option's value; raises ``RecipeError`` for none, an unknown one or one twice."""
    from knowmvg.evaluation.samples import Protocol

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [protocol.value for protocol in Protocol]
    if not wanted or not set(wanted) <= set(known) or len(set(wanted)) < len(wanted):
        raise RecipeError(f"different protocols among {', '.join(known)}", repr(names), "Separate them by commas.")
    return tuple(Protocol(name) for name in wanted)
