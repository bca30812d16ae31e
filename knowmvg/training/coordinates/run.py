"""The stages of a run of PFMVG, from nothing or from a published model, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import Convention
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.grounders.coordinates.store import save
from knowmvg.grounders.coordinates.tuning import projection_of
from knowmvg.sources.manifest import StudyRow
from knowmvg.training.coordinates.both_stages import (
    model_of,
    phrase_lessons,
    published_model,
    report_lessons,
    small_part,
    stage_of,
)
from knowmvg.training.coordinates.drawn_parts import save_base
from knowmvg.training.coordinates.lessons import Lessons
from knowmvg.training.coordinates.recipe import CosinePart, PfmvgRecipe
from knowmvg.training.coordinates.small_parts import base, base_folder, language_folder, vision_folder
from knowmvg.training.coordinates.teaching import Figures, teach
from knowmvg.training.coordinates.tokens import look_of
from knowmvg.training.coordinates.validation import validate
from knowmvg.training.coordinates.workplace import Workplace, open_workplace
from knowmvg.training.findings import named_findings
from knowmvg.training.hardware import made_once
from knowmvg.training.run_folder import common_facts, seconds_of, timed, write_json
from knowmvg.training.studies import Report


def train_coordinates(recipe: PfmvgRecipe, folder: Path, parts: Path, report: Report) -> None:
    """Train a grounder into ``folder``; ``parts`` holds what runs share.

    It leaves ``model/`` (a grounder folder) and ``run.json`` (facts).

    Raises:
        RecipeError, ManifestError, LeakError, ModelError: see those.
        Stopped: interrupted after saving a checkpoint.
    """
    with timed(folder, "data"):
        work = open_workplace(recipe, parts, report)
    loaded, convention = _small(work) if recipe.base is None else _published(work, recipe.base, folder)
    task = task_of(recipe, convention, work.studies.train)
    figures = _ground(work, loaded, task, folder)
    facts = _facts(work, folder, figures)
    trained = recipe.base is not None or recipe.grounding.epochs > 0  # of a small model, stage 1 lies in the base
    projection_of(loaded.vlm).to(loaded.vlm.model.dtype)
    speaker = BackboneSpeaker(loaded, projection=recipe.projection and trained)
    save(CoordinateGrounder(speaker, task, recipe.name), folder / "model", facts, own_base=recipe.base is None)
    write_json(folder / "run.json", facts)


def task_of(recipe: PfmvgRecipe, convention: Convention, taught: Sequence[StudyRow]) -> CoordinatesConfig:
    """How the model is asked: as it is taught with these studies.

    It is taught no phrase without a box, so it always gives one; what it was never taught to place it is not asked.
    """
    question = pools().refer_question("{phrase}")
    own = {"codec": recipe.codec, "question": question, "lowered": True, "fit": recipe.fit, "least": 1, "naming": None}
    known = CoordinatesConfig.of(convention).model_dump()
    findings = named_findings(p for row in taught for p in row.phrases if p.boxes) if recipe.grounding.epochs else None
    return CoordinatesConfig.model_validate(known | own | {"expected": recipe.expected, "findings": findings})


# --- the model that stage 2 begins with ----------------------------------------------------------------------------


def _small(work: Workplace) -> tuple[SpeakingBackbone, Convention]:
    """A model of CPU size after stage 1, with adapters for stage 2; without a stage, without what it trains."""
    recipe = work.recipe
    folder = base(work)
    if recipe.caption.epochs:
        folder = reports_folder(work)
        made_once(folder / "model" / "config.json", lambda: _learn_reports(work), folder / ".lock")
        folder = folder / "model"
    torch.manual_seed(recipe.seed)
    return model_of(small_part(str(folder), work, adapted=recipe.grounding.epochs > 0), work.device)


def reports_folder(work: Workplace) -> Path:
    """Where the model of CPU size after stage 1 lies: one for all runs of a seed that agree in the stage."""
    recipe = work.recipe
    return work.folder("coordinates-reports", base_folder(work).name, recipe.caption, recipe.projection, recipe.seed)


def _learn_reports(work: Workplace) -> None:
    """Stage 1 of a model of CPU size: the whole language model, which has read little, and the projection."""
    folder = reports_folder(work)
    loaded, _ = model_of(small_part(str(base(work)), work, adapted=False), work.device)
    lessons = report_lessons(work, loaded)
    with timed(folder, "reports"):
        _teach(work, loaded, lessons, work.recipe.caption, "reports", folder, language=True)
    save_base(loaded.vlm.model.cpu(), loaded.conversation.backend, loaded.pictures.processor, folder / "model")
    (folder / "state.pt").unlink()


def _published(work: Workplace, part: BackbonePart, folder: Path) -> tuple[SpeakingBackbone, Convention]:
    """A published model after stage 1, which trains the adapters and the projection that stage 2 goes on with."""
    loaded, convention = published_model(work, part)
    if work.recipe.caption.epochs:
        lessons = report_lessons(work, loaded)
        with timed(folder, "reports"):
            _teach(work, loaded, lessons, work.recipe.caption, "reports", folder / "reports")
    return loaded, convention


# --- the stages ------------------------------------------------------------------------------------------------------


def _ground(work: Workplace, loaded: SpeakingBackbone, task: CoordinatesConfig, folder: Path) -> Figures:
    """Stage 2, or without it the figures of the model as it is."""
    recipe, rows = work.recipe, work.studies.valid

    def figures() -> Figures:
        return validate(loaded, task, recipe.data.folder, rows)

    if not recipe.grounding.epochs:
        return figures()
    part, lessons = recipe.grounding, phrase_lessons(work, loaded)
    with timed(folder, "boxes"):
        return _teach(work, loaded, lessons, part, "boxes", folder / "boxes", figures, part.validate_)


def _teach(
    work: Workplace,
    loaded: SpeakingBackbone,
    lessons: Lessons,
    part: CosinePart,
    name: str,
    folder: Path,
    figures: Callable[[], Figures] | None = None,
    every: int = 0,
    *,
    language: bool = False,
) -> Figures:
    recipe = work.recipe
    look = look_of(loaded, lessons.sources(), recipe.fit, work.parts, work.report, keep=recipe.keep_tokens)
    stage = stage_of(work, loaded, lessons, part, look, language=language)
    count = sum(parameter.numel() for parameter in stage.parameters.values())
    work.report(f"{name}: {count / 1e6:.1f} million weights, {len(lessons.lengths)} pairs, {stage.steps} steps")
    return teach(stage, name, folder, work.report, figures, every)


def _facts(work: Workplace, folder: Path, figures: Figures) -> dict[str, Any]:
    """What a card says of a run; the seconds of shared stages are those of the run that made them."""
    recipe, seconds = work.recipe, seconds_of(folder)
    if recipe.scratch is not None:
        stages = [vision_folder(work), language_folder(work), base_folder(work)]
        for stage in [*stages, *([reports_folder(work)] if recipe.caption.epochs else [])]:
            seconds |= seconds_of(stage)
    return common_facts(recipe, work.studies.fingerprint, seconds) | {
        "train_studies": len(work.studies.train),
        "validation": {name: round(value, 4) for name, value in figures.items()},
        "device": torch.cuda.get_device_name() if work.device.type == "cuda" else "cpu",
    }
