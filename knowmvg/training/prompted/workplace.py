"""Where a run of the prompted family works: its studies, and the folders of the parts that runs share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.training.deepspeed import in_parts
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.shared_parts import shared_folder
from knowmvg.training.studies import Report, TrainingStudies, divided, open_studies

SHARED_STAGES = ("language", "segmenter", "features", "tokens")


@dataclass(frozen=True, slots=True)
class Workplace:
    """The recipe, the folder of shared parts, the studies, and those that the frozen parts learn from."""

    recipe: Recipe
    parts: Path
    studies: TrainingStudies
    masked: TrainingStudies
    report: Report

    def folder(self, stage: str) -> Path:
        """The folder of a shared stage, named by a hash of what it depends on."""
        recipe = self.recipe
        depends: tuple[object, ...] = {
            "words": (recipe.language.vocabulary, _atlas_fingerprint()),
            "language": (
                recipe.language,
                recipe.image_encoder.channels,
                recipe.image_encoder.canvas,
                _atlas_fingerprint(),  # whose words the tokenizer knows
            ),
            "segmenter": (recipe.image_encoder, recipe.segmenter),
            "features": (recipe.image_encoder, recipe.segmenter),
            "tokens": (recipe.language_model, recipe.image_encoder.canvas),
        }[stage]
        data = self.studies.fingerprint
        if recipe.data.masked is not None and stage == "segmenter":
            data = self.masked.fingerprint  # runs on other data share what these taught
        elif recipe.data.masked is not None and stage == "features":
            depends += (self.masked.fingerprint,)
        if recipe.sam is not None and stage in ("language", "features"):
            depends += (recipe.sam,)
        return shared_folder(self.parts, stage, data, recipe.parts_seed, *depends)


def open_workplace(recipe: Recipe, parts: Path, report: Report) -> Workplace:
    """The workplace of a recipe.

    Raises:
        RecipeError: ZeRO-3 for a model that cannot be divided.
        ManifestError: an empty split, or no masks where the frozen parts are to learn from some.
        LeakError: patients or images are in two splits, and the recipe does not allow it.
    """
    _check_division(recipe)
    studies = open_studies(recipe.data, recipe.validation_studies, parts, report)
    masked = studies if recipe.data.masked is None else divided(recipe.data.masked, recipe.validation_studies)
    if recipe.sam is None and not any(row.masks for row in masked.train):
        todo = "Name a simulated data set for the frozen parts: knowmvg phantom FOLDER, then data.masked=FOLDER."
        raise ManifestError("masks in the training split", f"none in {masked.folder}", todo)
    return Workplace(recipe, parts, studies, masked, report)


def _check_division(recipe: Recipe) -> None:
    """Weights in four bits are not divided, and a tower that each batch needs would run outside the engine."""
    if recipe.language_model is None or not in_parts(recipe.machine):
        return
    todo = "Use recipes/deepspeed/zero2.json."
    if recipe.language_model.four_bit:
        raise RecipeError("weights of 16 or 32 bits for ZeRO-3", "language_model.four_bit", todo)
    if recipe.augment is not None:
        raise RecipeError("features from the cache for ZeRO-3", "augment with a language_model", todo)


@cache
def _atlas_fingerprint() -> str:
    return sha256_of(load_atlas())


def sha256_of(knowledge: BaseModel) -> str:
    """The SHA-256 of an atlas or a graph, equal for equal content."""
    return hashlib.sha256(knowledge.model_dump_json(by_alias=True).encode()).hexdigest()
