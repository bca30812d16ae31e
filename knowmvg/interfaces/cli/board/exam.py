"""What every row of a leaderboard is asked: the same studies under the same protocols, its answers kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import knowmvg
from knowmvg.core.errors import RecipeError
from knowmvg.core.records import Study
from knowmvg.evaluation import protocol as protocols
from knowmvg.evaluation.controls import Shuffled, blank
from knowmvg.evaluation.evaluate import BLANK, SHUFFLED, priors_of
from knowmvg.evaluation.kept_result import keep, kept
from knowmvg.evaluation.leaderboard.differences import PhraseIous
from knowmvg.evaluation.leaderboard.entry import Entry, Kind, NamedBy, entry_of
from knowmvg.evaluation.leaderboard.part import SEED, drawn_studies, only
from knowmvg.evaluation.protocol import Result, View, as_is
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.studies import labels_of
from knowmvg.evaluation.wording import findings_in
from knowmvg.inference.model_facts import ModelFacts, model_facts
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.board.origins import facts_of, origin_of
from knowmvg.interfaces.cli.board.rows import Row, SeedRun
from knowmvg.interfaces.cli.board.timing import Stopwatch, timed_studies
from knowmvg.interfaces.cli.evaluate import finding_and_side
from knowmvg.interfaces.cli.labelled import LabelledStudies, training_studies
from knowmvg.interfaces.cli.models import load_local
from knowmvg.interfaces.cli.runs import model_folder
from knowmvg.interfaces.cli.train import tell


@dataclass(frozen=True)
class Exam:
    """The studies and protocols, the same for all rows.

    ``drawn`` names rows that are asked on so many drawn studies only. Every row that was asked on all of a part has an
    entry on that part too, so that a row of the part meets the others on the very same studies. ``timed`` studies are
    timed with ``threads``; 0 times nothing.
    """

    studies: LabelledStudies
    split: str
    protocols: Sequence[Protocol]
    drawn: Mapping[str, int]
    timed: int = 0
    threads: int = 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the data set's manifest, as training records it."""
        return hashlib.sha256((self.studies.folder / "manifest.jsonl").read_bytes()).hexdigest()

    @cached_property
    def learned(self) -> list[Study] | None:
        """The training studies without their pixels; ``None`` for a data set that has none with boxes."""
        training = training_studies(self.studies.folder)
        return None if training is None else labels_of(training)

    @cached_property
    def order(self) -> list[str]:
        """All studies in the order of the draw."""
        return drawn_studies([(row.id, row.patient) for row in self.studies.rows], len(self.studies))

    @cached_property
    def parts(self) -> dict[int, list[str]]:
        """The studies of each part that a row is asked on; a part as large as the split is the split."""
        rows = [(row.id, row.patient) for row in self.studies.rows]
        wanted = {n: drawn_studies(rows, n) for n in sorted(set(self.drawn.values()))}
        return {n: found for n, found in wanted.items() if len(found) < len(rows)}

    @cached_property
    def stopwatch(self) -> Stopwatch | None:
        """What times the rows, if they are to be timed."""
        asked = timed_studies(self.studies, self.order, self.timed)
        return Stopwatch(self.studies, self.split, self.fingerprint, asked, self.threads) if asked else None

    def folder(self, run: SeedRun, control: str = "", part: int | None = None) -> Path:
        """Where the answers of a run are kept."""
        names = ("asked", self.split, control, "" if part is None else f"n{part}")
        return run.kept / "-".join(filter(None, names))

    def priors(self) -> Iterator[tuple[Entry, PhraseIous]]:
        """The controls that look at no image and are told the phrases; none without studies to learn from."""
        if self.learned is None:
            tell(f"no rows of mean boxes: {self.studies.folder} has no training studies with boxes")
            return
        for name, prior in priors_of(self.learned).items():
            for protocol in self.protocols:
                tell(f"{name}: {protocol}")
                found = protocols.run(protocol, prior, self.studies, oracle=True)
                yield from self._entries(name, "control", [found], None, phrases_given=True)

    def of(self, row: Row) -> Iterator[tuple[Entry, PhraseIous]]:
        """A row under every protocol, with what its answers cost."""
        yield from self._asked(row, row.title, "model", as_is, "")

    def controls_of(self, row: Row) -> Iterator[tuple[Entry, PhraseIous]]:
        """The same models with another study's report, and without the image."""
        views: list[tuple[str, View, str]] = [
            (SHUFFLED, Shuffled(self.studies, 0), "shuffled"),
            (BLANK, blank, "blank"),
        ]
        for name, view, key in views:
            yield from self._asked(row, f"{row.title}, {name}", "control", view, key)

    def part_of(self, row: Row) -> int | None:
        """The part that a row is asked on; ``None`` for the whole split."""
        part = self.drawn.get(row.name, self.drawn.get(row.title))
        return part if part in self.parts else None

    def _asked(self, row: Row, title: str, kind: Kind, view: View, control: str) -> Iterator[tuple[Entry, PhraseIous]]:
        facts = [model_facts(model_folder(run.model)) for run in row.runs]
        origins = [origin_of(run, model.fingerprint) for run, model in zip(row.runs, facts, strict=True)]
        if row.recipe:
            self._refuse_other_data(row)
        part = self.part_of(row)
        for protocol in self.protocols:
            pairs = zip(row.runs, facts, strict=True)
            results = [self._result(run, model, protocol, view, control, part) for run, model in pairs]
            timing = None
            if kind == "model" and self.stopwatch is not None:
                tell(f"{row.title}: timing of {protocol}")
                first = row.runs[0]
                timing = self.stopwatch.timing(first.model, facts[0].fingerprint, protocol, self.folder(first))
            named: NamedBy = "model" if facts[0].names_phrases else "report parser"
            yield from self._entries(
                title,
                kind,
                results,
                part,
                system=facts[0].system,
                recipe=row.recipe,
                overrides=row.overrides,
                origins=origins,
                named_by=None if protocol.gives_phrases else named,
                timing=timing,
            )

    def _result(
        self, run: SeedRun, model: ModelFacts, protocol: Protocol, view: View, control: str, part: int | None
    ) -> Result:
        """What a run answered, asked if that is not kept; answers on the whole split answer for a part of it."""
        print_ = model.fingerprint
        found = kept(self.folder(run, control), protocol, model=print_, data=self.fingerprint)
        if part is None and found is not None:
            return found
        if part is not None and found is not None:
            return only(found, set(self.parts[part]))
        data = self.fingerprint if part is None else f"{self.fingerprint} {part} {SEED}"
        found = None if part is None else kept(self.folder(run, control, part), protocol, model=print_, data=data)
        if found is None:
            tell(f"{run.model.name}: {protocol} {control}".rstrip())
            asked = self.studies if part is None else self.studies.only(self.parts[part])
            grounder = load_local(run.model)
            known = None if self.learned is None else findings_in(self.learned)
            with console.stage_bars() as bars:
                found = protocols.run(
                    protocol, grounder, asked, view=view, reader=finding_and_side, labelled=known, progress=bars
                )
            keep(self.folder(run, control, part), found, model=print_, data=data)
        return found

    def _entries(
        self, title: str, kind: Kind, results: Sequence[Result], part: int | None, **facts: Any
    ) -> Iterator[tuple[Entry, PhraseIous]]:
        """The row on what it was asked on, and on every part within that."""
        within = [n for n in self.parts if part is None or n <= part]
        for n in ([None] if part is None else []) + within:
            own = results if n is None else [only(result, set(self.parts[n])) for result in results]
            entry = entry_of(
                title,
                own,
                kind=kind,
                data=self.studies.folder.name,
                data_fingerprint=self.fingerprint,
                split=self.split,
                drawn=n,
                version=knowmvg.__version__,
                **facts,
            )
            yield entry, PhraseIous.of(own)

    def _refuse_other_data(self, row: Row) -> None:
        """A run that was trained on other data may have learnt from the studies that it is to be asked on."""
        for run in row.runs:
            trained = facts_of(run).get("data_fingerprint")
            if trained is not None and trained != self.fingerprint:
                got = f"{run.model} trained on another one than {self.studies.folder}"
                raise RecipeError("rows of one data set", got, "Correct data.folder, or give the model with --run.")
