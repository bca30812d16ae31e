"""The stages of a run of a diffusion model, from nothing or from published weights, in order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from knowmvg.grounders.diffusion.origins import Source
from knowmvg.grounders.diffusion.parts import DiffusionParts, load_parts
from knowmvg.grounders.diffusion.store import save_diffusion
from knowmvg.grounders.diffusion.text import TextRecipe
from knowmvg.nn.diffusion.latents import VaeLatents
from knowmvg.sources.manifest import StudyRow
from knowmvg.training.diffusion.canvases import Bytes, read_canvases
from knowmvg.training.diffusion.captions import CaptionDraw, Captioned
from knowmvg.training.diffusion.denoising import DenoisingTask, DrawnLatents, validate
from knowmvg.training.diffusion.latents import LatentCache, cache_latents
from knowmvg.training.diffusion.noise import scheduler_of
from knowmvg.training.diffusion.recipe import BasePart, DiffusionRecipe
from knowmvg.training.diffusion.small_parts import (
    autoencoder,
    autoencoder_folder,
    canvases,
    images_folder,
    text_encoder,
    text_folder,
)
from knowmvg.training.diffusion.unet import add_adapters, merge_adapters, small_unet
from knowmvg.training.diffusion.workplace import Workplace, open_workplace
from knowmvg.training.findings import named_findings
from knowmvg.training.prompted.text_model import file_hash
from knowmvg.training.run_folder import common_facts, seconds_of, timed, write_json
from knowmvg.training.studies import Report
from knowmvg.training.trainer import fit

IMAGES = 16  # that become latents at once; of 512 pixels they take the VAE about 9 GB
VALIDATION_SEED = 2**20  # far from the seeds of training draws


def train_diffusion(recipe: DiffusionRecipe, folder: Path, parts: Path, report: Report) -> None:
    """Train a grounder into ``folder``; ``parts`` holds what runs share.

    It leaves ``model/`` (a grounder folder), ``run.json`` (facts), and ``lora/`` where adapters were trained.

    Raises:
        RecipeError, ManifestError, LeakError, ModelError: see those.
        Stopped: interrupted after saving a checkpoint.
    """
    with timed(folder, "data"):
        work = open_workplace(recipe, parts, report)
    model, stages = _small(work) if recipe.base is None else published(work, recipe.base)
    latents, place = _latents(work, model)
    with timed(folder, "train"):
        figures = _teach(work, model, latents, folder / "train")
    facts = _facts(work, folder, [*stages, place], figures)
    model = _finished(model.to("cpu"), recipe, folder)
    kept = [part for part in ("tokenizer", "text_encoder", "vae") if _is_on_hub(model, part)]
    findings = findings_of(recipe, work.studies.train)
    save_diffusion(model, recipe.read, recipe.name, folder / "model", facts, findings=findings, elsewhere=kept)
    write_json(folder / "run.json", facts)


def findings_of(recipe: DiffusionRecipe, taught: Sequence[StudyRow]) -> list[str] | None:
    """The findings of the phrases that captions are made of; ``None`` where captions are whole texts too."""
    if not recipe.captions.kinds.keys() <= {"phrase", "phrases"}:
        return None
    return named_findings(phrase for row in taught for phrase in row.phrases if phrase.assertion.placed)


def encoding_of(recipe: DiffusionRecipe) -> TextRecipe:
    """How captions are encoded."""
    return TextRecipe(**recipe.encoding.model_dump())


def _small(work: Workplace) -> tuple[DiffusionParts, list[Path]]:
    """A model of CPU size whose UNet has random weights, and the folders of the stages that its frozen parts took."""
    recipe, sizes = work.recipe, work.scratch
    tokenizer, bert = text_encoder(work)
    vae = autoencoder(work)
    torch.manual_seed(recipe.seed)
    parts = DiffusionParts(
        tokenizer,
        bert,
        small_unet(sizes.unet, sizes.cells, sizes.autoencoder.channels, sizes.text.width),
        VaeLatents(vae, sizes.cells),
        scheduler_of(recipe.noise),
        encoding_of(recipe),
    )
    return parts, [text_folder(work), images_folder(work), autoencoder_folder(work)]


def published(work: Workplace, base: BasePart) -> tuple[DiffusionParts, list[Path]]:
    """A published model whose UNet, or adapters on it, is to be trained; no folder of a stage."""
    recipe = work.recipe
    instead: dict[str, Source] = {part: where.source() for part, where in base.instead.items()}
    parts = load_parts(base.name, revision=base.revision, instead=instead, text=encoding_of(recipe))
    torch.manual_seed(recipe.seed)
    if recipe.lora is None:
        parts.unet.requires_grad_(True)
    else:
        add_adapters(parts.unet, recipe.lora)
    return replace(parts, scheduler=scheduler_of(recipe.noise)), []


def _latents(work: Workplace, parts: DiffusionParts) -> tuple[LatentCache, Path]:
    recipe = work.recipe
    images: Callable[[], Iterable[Bytes]]
    if recipe.base is None:
        depends: tuple[object, ...] = (autoencoder_folder(work).name, len(work.studies.valid))
        images = partial(canvases, work)
    else:
        source = parts.sources["vae"]
        files = Path(source.name) / (source.subfolder or "")
        depends = (file_hash(files) if source.local else str(source), recipe.read.fit, len(work.studies.valid))
        images = partial(read_canvases, recipe.data.folder, work.rows, parts.latents.side, recipe.read.fit)
    folder = work.folder("diffusion-latents", *depends)
    with timed(folder, "latents"):
        path, ids = folder / "latents.npy", [row.id for row in work.rows]
        batch = recipe.machine.cache_batch or IMAGES
        return cache_latents(path, ids, images, parts.latents, work.device, work.report, batch), folder


def _teach(work: Workplace, parts: DiffusionParts, latents: LatentCache, folder: Path) -> dict[str, float]:
    recipe = work.recipe
    if recipe.save_memory:
        parts.unet.enable_gradient_checkpointing()
    schedule = recipe.train.model_copy(update={"batch": 1})  # an item of the data set is a batch already
    draw = CaptionDraw(recipe.captions.kinds, recipe.captions.dropout)
    length, batch = schedule.steps * schedule.accumulate, recipe.train.batch
    batches = DrawnLatents(captioned(work.studies.train), latents, draw, recipe.noise, recipe.seed, length, batch)
    told = CaptionDraw(recipe.captions.kinds, 0.0)
    turns = max(1, len(work.studies.valid) // batch)
    held_out = DrawnLatents(captioned(work.studies.valid), latents, told, recipe.noise, VALIDATION_SEED, turns, batch)
    checked = [held_out[i] for i in range(turns)]
    task = DenoisingTask(parts.to(work.device), recipe.noise, recipe.ema.decay).to(work.device)
    count = sum(p.numel() for p in task.unet.parameters() if p.requires_grad)
    work.report(f"train: {count / 1e6:.1f} million weights on {work.device}")
    fit(
        task,
        batches,
        task.collate,
        schedule,
        {"denoising": 1.0},
        folder,
        stage="train",
        seed=recipe.seed,
        report=work.report,
        validate=lambda _: validate(task, checked),
        best="fit",
        machine=recipe.machine,
        after_step=task.mean.update,
        beta2=recipe.train.beta2,
    )
    task.eval()
    figures = validate(task, checked)
    task.mean.put()
    return figures


def captioned(rows: Sequence[StudyRow]) -> list[tuple[str, Captioned]]:
    """Studies by id with what captions are drawn from."""
    return [(row.id, Captioned.of(row)) for row in rows]


def _finished(parts: DiffusionParts, recipe: DiffusionRecipe, folder: Path) -> DiffusionParts:
    """The parts as they are saved: adapters merged, and parts that were trained here in half precision."""
    if recipe.lora is not None:
        merge_adapters(parts.unet, folder / "lora")
    if recipe.base is not None or not isinstance(parts.latents, VaeLatents):
        return parts
    vae = copy.deepcopy(parts.latents.vae).half()
    return replace(parts, text_encoder=parts.text_encoder.half(), latents=VaeLatents(vae, parts.latents.shape[1]))


def _is_on_hub(parts: DiffusionParts, part: str) -> bool:
    source = parts.sources.get(part)
    return source is not None and not source.local and source.revision is not None


def _facts(work: Workplace, folder: Path, stages: Sequence[Path], figures: dict[str, float]) -> dict[str, Any]:
    """What a card says of a run; the seconds of shared stages are those of the run that made them."""
    seconds = seconds_of(folder)
    for stage in stages:
        seconds |= seconds_of(stage)
    facts = common_facts(work.recipe, work.studies.fingerprint, seconds)
    facts["versions"] |= {"diffusers": version("diffusers")}
    return facts | {
        "train_studies": len(work.studies.train),
        "validation": {name: round(value, 4) for name, value in figures.items()},
        "device": torch.cuda.get_device_name() if work.device.type == "cuda" else "cpu",
    }
