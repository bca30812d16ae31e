"""All that is looked at before a run, in the order in which a fault would stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from knowmvg.core.errors import KnowmvgError
from knowmvg.core.records import DISCLAIMER
from knowmvg.training.doctor.data import look_at_data
from knowmvg.training.doctor.expectation import Tried, look_at_cost, look_at_trial, needed_disk
from knowmvg.training.doctor.finding import Finding, Level
from knowmvg.training.doctor.software import look_at_hardware, look_at_software
from knowmvg.training.doctor.trial_result import Trial
from knowmvg.training.doctor.trials import TRIALS
from knowmvg.training.recipe_parts import RunPart

SCHEMA = "knowmvg.diagnosis/1"


@dataclass(slots=True)
class Diagnosis:
    """Findings in order, and the trial behind those on cost where there was one."""

    recipe: str
    findings: list[Finding] = field(default_factory=list)
    trial: Trial | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing was found that would stop or spoil the run."""
        return all(finding.level is not Level.PROBLEM for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        values: dict[str, Any] = {"schema": SCHEMA, "recipe": self.recipe, "disclaimer": DISCLAIMER}
        values["healthy"] = self.healthy
        values["findings"] = [asdict(finding) for finding in self.findings]
        if self.trial is not None:
            values["trial"] = asdict(self.trial) | {"disk": needed_disk(self.trial)}
            del values["trial"]["checks"]  # they are among the findings
        return values


def diagnose(recipe: RunPart, runs: Path, told: Callable[[Finding], None]) -> Diagnosis:
    """Look at everything that a recipe's run depends on; each finding is ``told`` as it is made.

    Nothing of the run is made, but for the result of the leak check, which the run would use.
    """
    diagnosis = Diagnosis(recipe.name)

    def add(findings: Iterator[Finding] | Sequence[Finding]) -> None:
        for finding in findings:
            diagnosis.findings.append(finding)
            told(finding)

    parts = runs / "parts"
    add(look_at_software())
    add(look_at_hardware())
    add(look_at_data(recipe.data, parts))
    if not isinstance(recipe, Tried):
        add([Finding(Level.NOTE, "trial", "not made: recipes of this system are not tried on samples")])
        return diagnosis
    if not diagnosis.healthy or not (recipe.data.folder / "manifest.jsonl").is_file():
        add([Finding(Level.NOTE, "trial", "not made: it needs the data")])
        return diagnosis
    try:
        trial = TRIALS[type(recipe)](recipe, parts)
    except KnowmvgError as error:
        add([Finding(Level.PROBLEM, "trial", f"expected {error.expected}, got {error.got}", error.todo)])
        return diagnosis
    if trial is None:
        add([Finding(Level.NOTE, "trial", "not made: the recipe leaves out every stage of the grounder's own")])
        return diagnosis
    diagnosis.trial = trial
    add(look_at_trial(trial))
    add(look_at_cost(trial, recipe, parts))
    return diagnosis
