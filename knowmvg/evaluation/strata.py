"""Where a model is strong and where weak: its numbers by kinds of phrases, each with its patients and interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from knowmvg.evaluation.intervals import RESAMPLES
from knowmvg.evaluation.localisation import Localisation, localise
from knowmvg.evaluation.metrics import THRESHOLD_NAMES
from knowmvg.evaluation.samples import Sample, protocol_of
from knowmvg.evaluation.summary import UNNAMED, scores_of
from knowmvg.evaluation.tables import Table, TableRow

ENOUGH_PATIENTS = 20
"""Below, an interval of a share is wide and covers less surely: benchmarks/coverage.py, ``by_patients``."""

SMALL, LARGE = 0.03, 0.10  # shares of the image: the same in every test set, unlike terciles of one
SEEN = "phrase in training"
SIZES = (f"small (under {SMALL:.0%} of the image)", "medium", f"large ({LARGE:.0%} or more)")

Family: TypeAlias = Callable[[Sample], str | None]
"""The stratum of a phrase, ``None`` where the samples do not say."""


class Stratum(BaseModel):
    """The numbers of the phrases of one kind. ``too_small``: too few patients to be read as a figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    name: str
    too_small: bool
    numbers: Localisation


def by_size(sample: Sample) -> str:
    """By the share of the image that the reference boxes cover together."""
    return SIZES[(sample.area >= SMALL) + (sample.area >= LARGE)]


def _by_boxes(sample: Sample) -> str:
    return ("1", "2", "3 or more")[min(len(sample.reference), 3) - 1]


def _by_words(sample: Sample) -> str | None:
    return None if sample.located is None else "named" if sample.located else "not named"


def _by_training(sample: Sample) -> str | None:
    return None if sample.seen is None else "seen" if sample.seen else "unseen"


FAMILIES: dict[str, tuple[Family, tuple[str, ...]]] = {
    "finding": (lambda sample: sample.finding or UNNAMED, ()),
    "box size": (by_size, SIZES),
    "side": (lambda sample: sample.side.value if sample.side else "none", ("left", "right", "bilateral", "none")),
    "reference boxes": (_by_boxes, ("1", "2", "3 or more")),
    "place in the phrase": (_by_words, ("named", "not named")),
    SEEN: (_by_training, ("seen", "unseen")),
}
"""The stratum of a phrase in each family, and the order in which its strata are shown (else the largest first)."""


def stratify(samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Stratum, ...]:
    """The numbers of each stratum of each family. A family that the samples say nothing of is left out."""
    found: list[Stratum] = []
    for family, (kind, order) in FAMILIES.items():
        told = [(sample, name) for sample in samples if (name := kind(sample)) is not None]
        parts = localise(
            scores_of([sample for sample, _ in told]), [name for _, name in told], resamples=resamples, seed=seed
        )[2]
        ranked = sorted(parts, key=lambda name: -parts[name].n_phrases)
        for name in (name for name in order or ranked if name in parts):
            small = parts[name].n_patients < ENOUGH_PATIENTS
            found.append(Stratum(family=family, name=name, too_small=small, numbers=parts[name]))
    return tuple(found)


def strata_table(name: str, samples: Sequence[Sample], strata: Sequence[Stratum]) -> Table:
    """A line a stratum of a model's samples. Findings are left to their own table."""
    header = ("by", "stratum", *(f"acc@{t}" for t in THRESHOLD_NAMES), "mIoU", "phrases", "patients", "note")
    protocol = protocol_of(samples)
    lines = []
    for part in strata:
        numbers, note = part.numbers, "too few patients" if part.too_small else ""
        cells = (*numbers.acc.values(), numbers.miou, numbers.n_phrases, numbers.n_patients, note)
        if part.family != "finding":
            lines.append(TableRow(protocol, (part.family, part.name, *cells)))
    return Table(f"{name}, by kind of phrase", protocol, header, tuple(lines))


def strata_note(strata: Sequence[Stratum]) -> str:
    """What the table's strata are, and which are too small to be read, findings included."""
    small = [f"{part.family} {part.name} ({part.numbers.n_patients})" for part in strata if part.too_small]
    words = (
        f"Box size: share of the image under the reference boxes, cut at {SMALL:.0%} and {LARGE:.0%}. Place: whether "
        "the phrase's words name a side or zone."
    )
    if any(part.family == SEEN for part in strata):
        words += " Seen: the same words occur in the training split."
    few = f" Too few patients (under {ENOUGH_PATIENTS}) to be read as figures: {', '.join(small)}." if small else ""
    return words + few
