"""The patients of a simulated data set: who is in it, in which split, and the files of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from knowmvg.sources.phantom.report import write_report
from knowmvg.sources.phantom.rows import mask_image, study_row
from knowmvg.sources.phantom.scene import Scene

SPLITS = ("train", "val", "test")
NOT_SIMULATED = {"view", "source"}  # left out of the lines: the same seed gives the same manifest as before they came
_STUDIES_OF_A_PATIENT = (1, 1, 1, 1, 1, 2, 2, 3)

ScenesOf = Callable[[np.random.Generator, int, int], Iterable[Scene]]


@dataclass(frozen=True, slots=True)
class Member:
    """A patient, the unit of work. ``studies`` may be lower than the patient's own number, at the end of a data set."""

    number: int
    studies: int
    split: str
    seed: int
    size: int
    folder: Path
    scenes_of: ScenesOf

    @property
    def name(self) -> str:
        """Identifier in the manifest."""
        return f"p{self.number:06d}"

    @property
    def done(self) -> Path:
        """The file that says that this patient is finished, with the manifest lines."""
        return self.folder / "done" / f"{self.name}.json"


def simulate_patient(rng: np.random.Generator, studies: int, size: int) -> list[Scene]:
    """The studies of one patient: the same body each time, other findings and another exposure."""
    from knowmvg.sources.phantom.simulate import sample_patient, simulate

    patient = sample_patient(rng)
    return [simulate(rng, size=size, patient=patient) for _ in range(studies)]


def _generator(seed: int, patient: int) -> tuple[np.random.Generator, int]:
    """A patient's own generator, and how many studies there are of the patient."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(patient,)))
    return rng, _STUDIES_OF_A_PATIENT[rng.integers(len(_STUDIES_OF_A_PATIENT))]


def sample_cohort(
    folder: Path, studies: int, seed: int, size: int, shares: Sequence[float], scenes_of: ScenesOf
) -> Iterator[Member]:
    """Patients until there are enough studies; each goes to the split that is furthest below its share."""
    given = dict.fromkeys(SPLITS, 0)
    total = number = 0
    while total < studies:
        mine = min(_generator(seed, number)[1], studies - total)
        total += mine
        split = max(SPLITS, key=lambda name: shares[SPLITS.index(name)] * total - given[name])
        given[split] += mine
        yield Member(number, mine, split, seed, size, folder, scenes_of)
        number += 1


def write_member(member: Member) -> int:
    """Images and masks of a patient, then, as the last file and in one step, the manifest lines."""
    rng, _ = _generator(member.seed, member.number)
    lines = []
    for place, scene in enumerate(member.scenes_of(rng, member.studies, member.size)):
        row = study_row(
            scene,
            write_report(scene.findings, rng),
            name=f"{member.name}-{place}",
            patient=member.name,
            split=member.split,
        )
        planes = mask_image(scene)
        Image.fromarray(scene.pixels).save(member.folder / row.image)
        Image.fromarray(planes).save(member.folder / str(row.masks))
        line = row.model_dump_json(by_alias=True, exclude=NOT_SIMULATED)
        lines.append({"row": line, "pixels": _digest(scene.pixels, planes)})
    draft = member.done.with_suffix(".tmp")
    draft.write_text(json.dumps(lines), encoding="utf-8")
    draft.replace(member.done)
    return member.studies


def _digest(*images: NDArray[Any]) -> str:
    """A hash of pixel values, which, unlike that of PNG files, does not depend on the compressor."""
    state = hashlib.sha256()
    for image in images:
        state.update(image.astype(image.dtype.newbyteorder("<")).tobytes())
    return state.hexdigest()
