"""What both stages are made of: the model that is taught, the lessons of each stage, and what is trained in it."""

from __future__ import annotations

import torch

from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import RecipeError
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.conventions import Convention
from knowmvg.grounders.coordinates.load import load_speaker
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.grounders.coordinates.tuning import projection_of
from knowmvg.grounders.weights import quietly
from knowmvg.training.coordinates.lessons import Lessons, PhraseLessons, ReportLessons, Teacher, caption_rows
from knowmvg.training.coordinates.recipe import CosinePart, PfmvgRecipe
from knowmvg.training.coordinates.stage import Stage
from knowmvg.training.coordinates.tokens import Look
from knowmvg.training.coordinates.workplace import Workplace


def small_part(folder: str, work: Workplace, *, adapted: bool) -> BackbonePart:
    """A model of CPU size by its folder, with the adapters of stage 2 or without."""
    return BackbonePart(id=folder, dtype="float32", lora=work.scratch.lora if adapted else None)


def model_of(part: BackbonePart, device: torch.device) -> tuple[SpeakingBackbone, Convention]:
    """Raises ``ModelError`` as ``load_speaker``, and ``RecipeError`` for a model that cannot be taught so."""
    with quietly():
        speaker, convention = load_speaker(part, str(device))
    if not isinstance(speaker, BackboneSpeaker):
        raise RecipeError("a base that can be trained", f"{part.id}, which is asked only", "Name a LLaVA, say.")
    try:
        projection_of(speaker.loaded.vlm)
    except ValueError as error:
        todo = "Name a model in LLaVA's layout: llava, joined_llava, gemma3, paligemma or internvl."
        raise RecipeError("a base with a projection to train", str(error), todo) from error
    return speaker.loaded, convention


def published_model(work: Workplace, part: BackbonePart) -> tuple[SpeakingBackbone, Convention]:
    """A published model with new adapters, drawn by the recipe's seed. Raises as ``model_of``."""
    torch.manual_seed(work.recipe.seed)
    loaded, convention = model_of(part, work.device)
    projection_of(loaded.vlm).float()  # what is trained is single precision
    return loaded, convention


def report_lessons(work: Workplace, loaded: SpeakingBackbone) -> ReportLessons:
    """Stage 1. Raises ``ManifestError`` for a data set without training studies, and where none has words."""
    recipe = work.recipe
    data = []
    for part in recipe.caption.data:
        own = part.folder or recipe.data.folder
        rows, left_out = caption_rows(own, work.held_out())
        if left_out:
            work.report(f"reports: {left_out} studies of {own} left out: their patients are validated or tested on")
        data.append((part, own, rows))
    return ReportLessons(data, recipe.caption.most_words, _view(recipe, loaded), recipe.seed)


def phrase_lessons(work: Workplace, loaded: SpeakingBackbone) -> PhraseLessons:
    """Stage 2. Raises ``ManifestError`` where no phrase has a box."""
    recipe = work.recipe
    least = recipe.grounding.least_side
    return PhraseLessons(recipe.data.folder, work.studies.train, recipe.codec, _view(recipe, loaded), least)


def stage_of(
    work: Workplace, loaded: SpeakingBackbone, lessons: Lessons, part: CosinePart, look: Look, *, language: bool = False
) -> Stage:
    """A stage of the recipe before its first step; what it trains holds gradients from now on."""
    recipe = work.recipe
    return Stage(
        loaded,
        part,
        len(lessons.lengths),
        Teacher(loaded, lessons, look),
        projection=recipe.projection,
        language=language,
        seed=recipe.seed,
        lengths=lessons.lengths,
    )


def _view(recipe: PfmvgRecipe, loaded: SpeakingBackbone) -> View:
    return View(recipe.fit, (loaded.pictures.side, loaded.pictures.side))
