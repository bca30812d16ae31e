"""What a file of predictions answered: how many questions, how many readably, and what was wrong with the rest."""

from __future__ import annotations

import json
from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from knowmvg.core.boxtext.reading import tally
from knowmvg.evaluation.recorded import Outcome, Recorded
from knowmvg.evaluation.samples import Protocol
from knowmvg.sources.predictions.answers import Predictions

SHOWN = 20


class Answered(BaseModel):
    """Counts of questions: a phrase each where the phrases were given, a study each where the model named them.

    ``valid_rate`` is the share of questions with a readable answer, boxes or a clear none. Questions that are invalid
    or missing are scored as boxes that were not found. ``faults`` counts what was wrong in all answers, of questions
    that count as boxed too. Lists of studies hold the first 20.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_: Literal["knowmvg.answered/1"] = Field(default="knowmvg.answered/1", alias="schema")
    protocol: Protocol
    unit: Literal["phrase", "study"]
    asked: int
    boxed: int
    empty: int
    invalid: int
    missing: int
    valid_rate: float | None
    scored: bool = Field(description="whether any box came with a score")
    faults: dict[str, int]
    n_unknown: int = Field(description="studies of the file that the data set has not")
    unknown: tuple[str, ...]
    n_unanswered: int = Field(description="studies without any answer")
    unanswered: tuple[str, ...]

    def to_json(self) -> str:
        """The counts as strict, indented JSON, the content of ``answers.json``."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"

    def notes(self) -> list[str]:
        """The counts in sentences, for a page of tables."""
        units = "phrases" if self.unit == "phrase" else "studies"
        rate = "-" if self.valid_rate is None else f"{100 * self.valid_rate:.1f} %"
        text = (
            f"Valid rate {rate}: of {self.asked} {units} asked, {self.boxed} were answered with boxes and {self.empty} "
            f"with a clear none; {self.invalid} answers could not be read and {self.missing} are missing. "
            "Those two score 0."
        )
        found = [text]
        if self.faults:
            found.append("Faults in answers: " + ", ".join(f"{name} {n}" for name, n in self.faults.items()) + ".")
        if self.n_unanswered:
            found.append(f"{self.n_unanswered} studies have no answer: {_some(self.unanswered, self.n_unanswered)}.")
        if self.n_unknown:
            found.append(f"{self.n_unknown} studies of the file are unknown: {_some(self.unknown, self.n_unknown)}.")
        if not self.scored and self.boxed:
            found.append("The boxes have no scores: each counts as certain, and the calibration line means nothing.")
        return found


def answered(recorded: Recorded, predictions: Predictions, protocol: Protocol) -> Answered:
    """The counts of the questions that ``recorded`` was asked since it was made."""
    given = protocol is not Protocol.GENERATE
    outcomes = {key: outcome for key, outcome in recorded.outcomes.items() if (key[1] is not None) == given}
    counts = Counter(outcomes.values())
    heard = {study for (study, _), outcome in outcomes.items() if outcome is not Outcome.MISSING}
    silent = tuple(sorted({study for study, _ in outcomes} - heard))
    readable = counts[Outcome.BOXED] + counts[Outcome.EMPTY]
    return Answered(
        protocol=protocol,
        unit="phrase" if given else "study",
        asked=len(outcomes),
        boxed=counts[Outcome.BOXED],
        empty=counts[Outcome.EMPTY],
        invalid=counts[Outcome.INVALID],
        missing=counts[Outcome.MISSING],
        valid_rate=readable / len(outcomes) if outcomes else None,
        scored=predictions.scored,
        faults=tally(fault for answer in predictions.answers for fault in answer.faults),
        n_unknown=len(predictions.unknown),
        unknown=predictions.unknown[:SHOWN],
        n_unanswered=len(silent),
        unanswered=silent[:SHOWN],
    )


def _some(names: tuple[str, ...], n: int) -> str:
    return ", ".join(names) + (", ..." if n > len(names) else "")
