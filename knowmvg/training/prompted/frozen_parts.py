"""What is frozen in a run: image encoder with prompt encoder and mask decoder, and what they make of the studies."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.backbones.load import LoadedBackbone, VisionTower
from knowmvg.grounders.prompted.variants import build_segmenter
from knowmvg.grounders.segmenters.load import LoadedSam, load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.image_encoder import ImageEncoderConfig, RadiographEncoder
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.training.cache import FeatureCache, cache_features
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
    classes = sorted({name for row in work.masked.train for name, _ in structures(row)})
    torch.manual_seed(recipe.parts_seed)
    encoder = RadiographEncoder(ImageEncoderConfig(**recipe.image_encoder.model_dump()))
    task = SegmenterTask(encoder, build_segmenter(prompt_config(recipe)), len(classes))
    weights = folder / "segmenter.safetensors"
    if not weights.is_file():
        images = PromptedImages(
            work.masked.folder,
            work.masked.train,
            classes,
            recipe.image_encoder.canvas,
            part.prompts,
            recipe.parts_seed,
            part.schedule.steps * part.schedule.batch * part.schedule.accumulate,
        )
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
            )
        quality = mask_iou_by_class(task, work.masked.folder, work.masked.valid, recipe.image_encoder.canvas)
        write_json(folder / "mask_iou.json", quality)
        told = "  ".join(f"{name} {value:.2f}" for name, value in quality.items())
        work.report(f"segmenter: mask IoU from a reference box  {told}")
        save_weights(task, weights)
    task.load_state_dict(load_file(weights))
    return task


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
    return _cached(work, "features", pretrained.encoder)


def image_tokens(work: Workplace, backbone: LoadedBackbone) -> FeatureCache:
    """What the backbone's frozen vision tower makes of the studies."""
    return _cached(work, "tokens", VisionTower(backbone))


def _cached(work: Workplace, stage: str, encoder: torch.nn.Module) -> FeatureCache:
    folder, studies = work.folder(stage), work.studies
    folder.mkdir(parents=True, exist_ok=True)
    with timed(folder, stage):
        return cache_features(
            folder / f"{stage}.npy",
            studies.folder,
            [*studies.train, *studies.valid],
            encoder,
            work.recipe.image_encoder.canvas,
            work.report,
        )
