"""Where the stages that runs share are kept: a folder each, named by all that the stage depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from knowmvg.core.errors import RecipeError
from knowmvg.training.studies import Report, TrainingStudies


class SharingRecipe(Protocol):
    """A recipe of a model that is trained from nothing or begins with a base."""

    @property
    def parts_seed(self) -> int:
        """Of the parts that runs share."""
        ...

    @property
    def scratch(self) -> Any:
        """The sizes of a model that is trained from nothing, or ``None``."""
        ...


R = TypeVar("R", bound=SharingRecipe)
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class SharingWorkplace(Generic[R, S]):
    """Where a run works whose recipe is an ``R`` with sizes ``S``: its shared parts, studies, device and progress."""

    recipe: R
    parts: Path
    studies: TrainingStudies
    device: torch.device
    report: Report

    @property
    def scratch(self) -> S:
        """The sizes of a model that is trained from nothing. Raises ``RecipeError`` for a recipe with a base."""
        sizes: S | None = self.recipe.scratch
        if sizes is None:
            raise RecipeError("scratch", "a recipe with a base", "Leave the base out.")
        return sizes

    def folder(self, stage: str, *depends: object) -> Path:
        """The folder of a shared stage, named by a hash of the data set and of what the stage depends on."""
        folder = shared_folder(self.parts, stage, self.studies.fingerprint, self.recipe.parts_seed, *depends)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def shared_folder(parts: Path, stage: str, *depends: object) -> Path:
    """``parts/STAGE-KEY``, where the key is a hash of the stage and of what it depends on, the data set foremost."""
    text = json.dumps([stage, *depends], sort_keys=True, default=str)
    return parts / f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
