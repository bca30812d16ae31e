"""One row of the leaderboard under one protocol: its figures, where its models come from, what an answer costs.

A row's figures are those of all its seeds together; intervals are over patients and hold the seeds fixed, so that the
mIoU of each seed stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from knowmvg.evaluation.intervals import RESAMPLES, Difference, Estimate
from knowmvg.evaluation.localisation import localise
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, values
from knowmvg.evaluation.summary import UNNAMED, identify, scores_of

Kind: TypeAlias = Literal["model", "control"]
NamedBy: TypeAlias = Literal["model", "report parser"]


class Record(BaseModel):
    """A part of the file: strict, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Origin(Record):
    """How the model of a seed came about: its seed, minutes, and the SHA-256 of its files and of its run's recipe.

    ``minutes`` are those of its own training, ``stages`` the same by stage, ``minutes_in_all`` with the parts that it
    shares with other runs; all are empty, and so is ``recipe``, for a model that no run of ours has trained.
    """

    seed: int
    minutes: float | None = Field(default=None, ge=0)
    minutes_in_all: float | None = Field(default=None, ge=0)
    stages: dict[str, float] = Field(default_factory=dict)
    model: str
    recipe: str = ""
    git: str | None = None


class Timing(Record):
    """What one study costs, measured apart from the answers: a fresh process with the model of the first seed alone.

    ``studies`` studies that lie in memory, one after the other, each with all its phrases, after one that is not
    counted. ``seconds`` and ``seconds_p90``: median and 90th percentile of the time from image and report to boxes;
    ``cpu_seconds``: the median of the processor time of all threads, which other programs on the machine change less.
    ``peak_mb``: the most memory that the process ever held (10**6 bytes), interpreter and libraries included;
    ``gpu_peak_mb``: the most that torch held on the GPU.
    """

    studies: int = Field(ge=1)
    threads: int = Field(ge=1)
    device: str
    seconds: float = Field(ge=0)
    seconds_p90: float = Field(ge=0)
    cpu_seconds: float = Field(ge=0)
    peak_mb: float = Field(ge=0)
    gpu_peak_mb: float | None = Field(default=None, ge=0)


class Entry(Record):
    """One row under one protocol.

    ``recipe`` and ``overrides`` are what ``knowmvg train`` takes, ``seed=`` and ``name=`` aside; both are empty for a
    control that is not trained and for a model that was given. ``drawn``: the row was asked on so many studies (or a
    few more, of whole patients) drawn at random from the split, and is only ever shown with rows on the very same ones;
    ``None`` for the whole split. ``n_studies`` counts them. ``named_by``: who names the phrases in ``generate``.
    ``difference``: mIoU minus that of the row ``against``, paired by phrase.
    """

    row: str
    kind: Kind
    system: str | None = None
    recipe: str = ""
    overrides: tuple[str, ...] = ()
    protocol: Protocol
    data: str
    data_fingerprint: str
    split: str
    drawn: int | None = Field(default=None, ge=1)
    origins: tuple[Origin, ...] = ()
    n_studies: int | None = None
    n_phrases: int
    n_patients: int
    acc: dict[str, Estimate | None]
    miou: Estimate
    macro_miou: Estimate | None
    phrase_f1: Estimate | None = None
    false_box_rate: Estimate | None = None
    named_by: NamedBy | None = None
    miou_by_seed: tuple[float, ...]
    against: str | None = None
    difference: Difference | None = None
    timing: Timing | None = None
    knowmvg: str

    @property
    def key(self) -> tuple[str, str, str, str, str, int | None]:
        """What a newer entry takes the place of."""
        return self.row, self.recipe, self.protocol, self.split, self.data_fingerprint, self.drawn


def entry_of(
    row: str,
    results: Sequence[Result],
    *,
    kind: Kind,
    data: str,
    data_fingerprint: str,
    split: str,
    version: str,
    system: str | None = None,
    recipe: str = "",
    overrides: Sequence[str] = (),
    drawn: int | None = None,
    origins: Sequence[Origin] = (),
    named_by: NamedBy | None = None,
    timing: Timing | None = None,
    phrases_given: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Entry:
    """The entry of a row from the results of its seeds, all of one protocol and on the same phrases.

    Raises:
        ValueError: no result, results of two protocols or of different phrases, or none with a boxed phrase.
    """
    if not results or any(result.protocol != results[0].protocol for result in results):
        raise ValueError(f"expected results of one protocol for {row}, got {len(results)}")
    keys = [{sample.key for sample in result.samples} for result in results]
    if any(key != keys[0] for key in keys):
        raise ValueError(f"expected results on the same phrases for {row}, got different ones")
    # Seeds repeat the same phrases of the same patients: pooled, every mean is that over seeds, and resampling patients
    # takes all their repetitions along.
    pooled = Result(
        results[0].protocol,
        tuple(sample for result in results for sample in result.samples),
        tuple(count for result in results for count in result.counts),
    )
    findings = [sample.finding or UNNAMED for sample in pooled.samples]
    micro, macro, _ = localise(scores_of(pooled.samples), findings, resamples=resamples, seed=seed)
    if micro.miou is None:
        raise ValueError(f"expected phrases with boxes for {row}, got none")
    told = phrases_given or pooled.protocol.gives_phrases
    names = None if told else identify(pooled.counts, resamples=resamples, seed=seed)
    return Entry(
        row=row,
        kind=kind,
        system=system,
        recipe=recipe,
        overrides=tuple(overrides),
        protocol=pooled.protocol,
        data=data,
        data_fingerprint=data_fingerprint,
        split=split,
        drawn=drawn,
        origins=tuple(origins),
        n_studies=len(results[0].counts),
        n_phrases=len(results[0].samples),
        n_patients=micro.n_patients,
        acc=micro.acc,
        miou=micro.miou,
        macro_miou=macro.miou,
        phrase_f1=None if names is None else names.f1,
        false_box_rate=None if names is None else names.false_box_rate,
        named_by=named_by,
        miou_by_seed=tuple(round(float(values(result.samples)[:, 0].mean()), 6) for result in results),
        timing=timing,
        knowmvg=version,
    )
