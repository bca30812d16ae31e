"""The parts of a PFMVG of CPU size before stage 1, trained once for all recipes that agree in what they depend on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, CLIPVisionConfig, CLIPVisionModel, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.diffusion.text import quietly
from knowmvg.nn.joined_llava import JoinedLlavaConfig, JoinedLlavaForConditionalGeneration, register
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.training.coordinates import language
from knowmvg.training.coordinates.exercises import Exercises
from knowmvg.training.coordinates.first_layer import begin
from knowmvg.training.coordinates.language import WritingTask, number_errors, small_llama
from knowmvg.training.coordinates.masks import MaskedImages, classes_of, keep
from knowmvg.training.coordinates.tokenizer import IMAGE, numbers_of, train_tokenizer
from knowmvg.training.coordinates.vision import (
    DEVIATION,
    MEAN,
    WEIGHTS,
    ImageBatches,
    PatchTask,
    cell_overlap,
    pixels_of,
    small_tower,
    state_spread,
)
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.hardware import made_once
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.run_folder import timed, write_json
from knowmvg.training.trainer import fit

SPREAD = "states.safetensors"  # mean and deviation of the states of patches, beside the tower
FIRST = 512  # images that the first layer begins with
HELD_OUT = 2**20  # a seed far from those of training draws


def vision_folder(work: Workplace) -> Path:
    """Where the small vision encoder lies."""
    return work.folder("coordinates-vision", work.scratch.vision, work.recipe.fit, work.recipe.data.masked)


def language_folder(work: Workplace) -> Path:
    """Where the small language model lies."""
    return work.folder("coordinates-language", work.scratch.language, work.recipe.codec, work.scratch.vision.side)


def base_folder(work: Workplace) -> Path:
    """Where the two are joined by a projection of random weights, as a hub repository is laid out."""
    return work.folder("coordinates-base", vision_folder(work).name, language_folder(work).name)


def base(work: Workplace) -> Path:
    """The untuned model of CPU size, its parts trained first where they are not there yet.

    Raises ``ManifestError`` for studies without masks, ``Stopped`` as ``fit``.
    """
    folder = base_folder(work)
    made_once(folder / "model" / "config.json", lambda: _join(work, folder), folder / ".lock")
    return folder / "model"


def _join(work: Workplace, folder: Path) -> None:
    tower, (tokenizer, llama) = _vision(work), _language(work)
    side = work.scratch.vision.side
    config = JoinedLlavaConfig(
        vision_config=tower.config,
        text_config=llama.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )
    register()
    torch.manual_seed(work.recipe.parts_seed)
    model = JoinedLlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.language_model.load_state_dict(llama.model.state_dict())
    model.lm_head.load_state_dict(llama.lm_head.state_dict())
    _even(model, load_file(vision_folder(work) / "tower" / SPREAD))
    square = {"height": side, "width": side}
    shown = CLIPImageProcessorPil(
        size=square, crop_size=square, do_resize=False, image_mean=[MEAN] * 3, image_std=[DEVIATION] * 3
    )
    save_base(model, tokenizer, shown, folder / "model")


@torch.no_grad()
def _even(model: JoinedLlavaForConditionalGeneration, spread: Mapping[str, Tensor]) -> None:
    """Draw the projection so that image tokens begin as words do: about zero, and no longer than they.

    Drawn as other layers are, image tokens would be forty times as long as words, most of it common to all of them, and
    what the language model's blocks add to them would be lost in it.
    """
    linear = model.model.multi_modal_projector.linear
    joined = model.config.joined_tokens
    mean, deviation = (spread[name].float().repeat(joined) for name in ("mean", "deviation"))
    length = model.get_input_embeddings().weight.float().std()
    linear.weight.copy_(torch.randn(linear.weight.shape) * length / linear.in_features**0.5 / deviation.clamp_min(1e-6))
    linear.bias.copy_(-linear.weight @ mean)


def save_base(model: Any, tokenizer: Any, shown: Any, folder: Path) -> None:
    """Write a model in half precision with its tokenizer and image processor, whole or not at all."""
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    with quietly():
        for part in (model.half(), tokenizer, shown):
            part.save_pretrained(staging)
    for path in staging.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for its owner alone
    staging.rename(folder)


def _vision(work: Workplace) -> CLIPVisionModel:
    folder = vision_folder(work)
    made_once(folder / "tower" / "config.json", lambda: _train_vision(work, folder), folder / ".lock")
    with quietly():
        config = CLIPVisionConfig.from_pretrained(folder / "tower", local_files_only=True)
        tower = CLIPVisionModel.from_pretrained(folder / "tower", config=config, dtype=torch.float32)
    return tower.requires_grad_(False).eval()


def _train_vision(work: Workplace, folder: Path) -> None:
    recipe, part = work.recipe, work.scratch.vision
    place, train, valid = _masked(work)
    classes = classes_of(train)
    with timed(folder, "vision"):
        keep(folder, place, [*train, *valid], classes, part, recipe.fit, work.report)
        images = MaskedImages(folder, classes, part, slice(len(train)))
        torch.manual_seed(recipe.parts_seed)
        tower = small_tower(part)
        begin(tower, pixels_of(images.canvases(np.arange(min(len(images), FIRST)))))
        task = PatchTask(tower, images)
        schedule, length = _by_batches(part.schedule)
        fit(
            task,
            ImageBatches(len(images), recipe.parts_seed, length, part.schedule.batch),
            task.collate,
            schedule,
            WEIGHTS,
            folder,
            stage="vision",
            seed=recipe.parts_seed,
            report=work.report,
            machine=recipe.machine.shared(),
        )
        spread = state_spread(task, images)
        held_out = MaskedImages(folder, classes, part, slice(len(train), None))
        task._images = [held_out]
        overlap = cell_overlap(task, held_out)
    write_json(folder / "overlap.json", overlap)
    work.report("vision: overlap of cells  " + "  ".join(f"{name} {value:.2f}" for name, value in overlap.items()))
    with quietly():
        task.tower.half().save_pretrained(folder / "tower.partial")
    save_file(spread, folder / "tower.partial" / SPREAD)
    (folder / "tower.partial").rename(folder / "tower")
    for name in ("canvases.npy", "masks.npy"):
        (folder / name).unlink()


def _masked(work: Workplace) -> tuple[Path, list[StudyRow], list[StudyRow]]:
    """The data set whose masks are learnt, its rows to learn from and those that it is measured on."""
    data = work.recipe.data
    if data.masked is None:
        train, valid = work.studies.train, work.studies.valid
    else:
        rows = list(read_rows(data.masked))
        train, valid = ([row for row in rows if row.split == split] for split in ("train", "val"))
    found = [[row for row in part if row.masks is not None] for part in (train, valid)]
    return data.masked or data.folder, found[0], found[1]


def _language(work: Workplace) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    folder = language_folder(work)
    made_once(folder / "model" / "config.json", lambda: _train_language(work, folder), folder / ".lock")
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(folder / "model", local_files_only=True)
        llama = LlamaForCausalLM.from_pretrained(folder / "model", local_files_only=True, dtype=torch.float32)
    return tokenizer, llama.eval()


def _train_language(work: Workplace, folder: Path) -> None:
    recipe, part = work.recipe, work.scratch.language
    numbers = numbers_of(recipe.codec, (work.scratch.vision.side, work.scratch.vision.side))
    schedule, length = _by_batches(part.schedule)
    told = (work.studies.train, recipe.codec, pools(), part.reports)
    drawn = Exercises(*told, recipe.parts_seed, length, part.schedule.batch)
    first = [drawn[index] for index in range(min(length, 40))]
    texts = [*drawn.reports, *(f"{one.prompt}{one.answer}" for batch in first for one in batch)]
    tokenizer = train_tokenizer(texts, part.vocabulary, numbers)
    torch.manual_seed(recipe.parts_seed)
    places = tokenizer.convert_tokens_to_ids(numbers[0]), len(numbers)
    task = WritingTask(small_llama(part, tokenizer, *places), tokenizer, part.positions, *places)
    with timed(folder, "language"):
        fit(
            task,
            drawn,
            task.collate,
            schedule,
            language.WEIGHTS,
            folder,
            stage="language",
            seed=recipe.parts_seed,
            report=work.report,
            machine=recipe.machine.shared(),
        )
        held_out = Exercises(*told[:3], 0.0, HELD_OUT, 8, 32)
        found = number_errors(task, (held_out[i] for i in range(8)))
    write_json(folder / "numbers.json", found)
    work.report(f"language: numbers are {found['error']:.1f} off, {found['right']:.0%} right")
    with quietly():
        tokenizer.save_pretrained(folder / "model.partial")
        task.llama.half().save_pretrained(folder / "model.partial")
    (folder / "model.partial").rename(folder / "model")


def _by_batches(schedule: Schedule) -> tuple[Schedule, int]:
    """A schedule for items that are batches already, and how many items it takes."""
    return schedule.model_copy(update={"batch": 1}), schedule.steps * schedule.accumulate
