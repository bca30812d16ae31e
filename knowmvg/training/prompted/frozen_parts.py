"""What is frozen in a run: image encoder with prompt encoder and mask decoder, and what they make of the studies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors.torch import load_file

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.backbones.load import LoadedBackbone, VisionTower
from knowmvg.grounders.prompted.variants import build_segmenter
from knowmvg.grounders.segmenters.load import LoadedSam, load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.image_encoder import ImageEncoderConfig, RadiographEncoder
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.training.cache import FeatureCache, cached_features
from knowmvg.training.hardware import device_of, made_once
from knowmvg.training.prompted.node_vectors import weights_hash
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.segmenter import (
    WEIGHTS,
    PromptedImages,
    SegmenterTask,
    collate_prompted,
    mask_iou_by_class,
    structures,
)
from knowmvg.training.prompted.workplace import Workplace
from knowmvg.training.run_folder import save_weights, timed, write_json
from knowmvg.training.trainer import fit


def pretrained_segmenter(work: Workplace) -> SegmenterTask | LoadedSam:
    """The recipe's SAM, or the CPU-size segmenter taught on simulated masks."""
    recipe, part = work.recipe, work.recipe.segmenter
    if recipe.sam is not None:
        return fitting_sam(recipe, recipe.sam)
    folder = work.folder("segmenter")
    folder.mkdir(parents=True, exist_ok=True)
    classes = classes_of(work)
    task = blank_segmenter(recipe, classes)
    weights, device = folder / "segmenter.safetensors", device_of(recipe.machine)

    def learn() -> None:
        images = prompted_images(work, classes)
        with timed(folder, "segmenter"):
            fit(
                task,
                images,
                collate_prompted,
                part.schedule,
                WEIGHTS,
                folder,
                stage="segmenter",
                seed=recipe.parts_seed,
                report=work.report,
                machine=recipe.machine.shared(),
            )
        side = recipe.image_encoder.canvas
        quality = mask_iou_by_class(task.to(device), work.masked.folder, work.masked.valid, side)
        write_json(folder / "mask_iou.json", quality)
        told = "  ".join(f"{name} {value:.2f}" for name, value in quality.items())
        work.report(f"segmenter: mask IoU from a reference box  {told}")
        save_weights(task, weights)

    made_once(weights, learn)
    task.load_state_dict(load_file(weights))
    return task.cpu()  # training has left it where it was trained


def classes_of(work: Workplace) -> list[str]:
    """The classes of all structures with masks."""
    return sorted({name for row in work.masked.train for name, _ in structures(row)})


def blank_segmenter(recipe: Recipe, classes: Sequence[str]) -> SegmenterTask:
    """The CPU-size image encoder, prompt encoder and mask decoder before they have seen anything."""
    torch.manual_seed(recipe.parts_seed)
    encoder = RadiographEncoder(ImageEncoderConfig(**recipe.image_encoder.model_dump()))
    return SegmenterTask(encoder, build_segmenter(prompt_config(recipe)), len(classes))


def prompted_images(work: Workplace, classes: Sequence[str]) -> PromptedImages:
    """What they learn from, in the order of the run."""
    recipe, schedule = work.recipe, work.recipe.segmenter.schedule
    return PromptedImages(
        work.masked.folder,
        work.masked.train,
        classes,
        recipe.image_encoder.canvas,
        recipe.segmenter.prompts,
        recipe.parts_seed,
        schedule.steps * schedule.batch * schedule.accumulate,
    )


def fitting_sam(recipe: Recipe, part: SamPart) -> LoadedSam:
    """The recipe's SAM. Raises ``RecipeError`` where the image encoder's sizes are others."""
    sam, said = load_sam(part), recipe.image_encoder
    if (said.canvas, said.channels) != (sam.prompts.canvas, sam.prompts.channels):
        todo = f"Set image_encoder.canvas={sam.prompts.canvas} image_encoder.channels={sam.prompts.channels}."
        raise RecipeError("the sizes of the SAM", f"canvas {said.canvas} and channels {said.channels}", todo)
    return sam


def prompt_config(recipe: Recipe) -> PromptConfig:
    """The sizes of the CPU-size prompt encoder and mask decoder."""
    side = recipe.image_encoder.canvas
    return PromptConfig(
        channels=recipe.image_encoder.channels,
        canvas=side,
        grid=side // 8,
        mlp=recipe.segmenter.mlp,
        heads=recipe.segmenter.heads,
    )


def image_features(work: Workplace, pretrained: SegmenterTask | LoadedSam) -> FeatureCache:
    """What the frozen image encoder makes of the studies."""
    return _cached(work, "features", pretrained.encoder, weights_hash(pretrained.encoder.state_dict()))


def image_tokens(work: Workplace, backbone: LoadedBackbone) -> FeatureCache:
    """What the backbone's frozen vision tower makes of the studies."""
    tower = VisionTower(backbone)
    assert backbone.pictures is not None  # asked of models with a vision tower alone
    return _cached(work, "tokens", tower, f"{weights_hash(tower.frozen())} {backbone.pictures.described()}")


def _cached(work: Workplace, stage: str, encoder: torch.nn.Module, identity: str) -> FeatureCache:
    folder, studies, machine = work.folder(stage), work.studies, work.recipe.machine
    folder.mkdir(parents=True, exist_ok=True)
    with timed(folder, stage):
        return cached_features(
            machine.cache or work.parts / "frozen",
            folder / "images.json",
            studies.folder,
            [*(studies.train if work.recipe.augment is None else ()), *studies.valid],
            encoder,
            identity,
            work.recipe.image_encoder.canvas,
            work.report,
            device=device_of(machine),
            workers=machine.workers,
            batch=machine.cache_batch,
        )
