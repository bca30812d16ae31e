"""The parts of a PFMVG of CPU size as they are drawn, before they have learnt: two models, and the two joined."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPVisionModel, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.weights import quietly
from knowmvg.nn.joined_llava import JoinedLlavaConfig, JoinedLlavaForConditionalGeneration, register
from knowmvg.training.coordinates.exercises import Exercises
from knowmvg.training.coordinates.first_layer import begin
from knowmvg.training.coordinates.language import WritingTask, small_llama
from knowmvg.training.coordinates.masks import MaskedImages
from knowmvg.training.coordinates.tokenizer import IMAGE, numbers_of, train_tokenizer
from knowmvg.training.coordinates.vision import DEVIATION, MEAN, PatchTask, pixels_of, small_tower
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.recipe_parts import Schedule

FIRST = 512  # images that the first layer begins with


class Writing(NamedTuple):
    """A small language model with its tokenizer and what it is to learn from, batch by batch."""

    task: WritingTask
    tokenizer: PreTrainedTokenizerFast
    drawn: Exercises


def drawn_vision(work: Workplace, images: MaskedImages) -> PatchTask:
    """The small vision encoder; its first layer begins with the first of the images."""
    torch.manual_seed(work.recipe.parts_seed)
    tower = small_tower(work.scratch.vision)
    begin(tower, pixels_of(images.canvases(np.arange(min(len(images), FIRST)))))
    return PatchTask(tower, images)


def drawn_language(work: Workplace) -> Writing:
    """The small language model; its tokenizer is that of the training studies' texts."""
    recipe, part = work.recipe, work.scratch.language
    numbers = numbers_of(recipe.codec, (work.scratch.vision.side, work.scratch.vision.side))
    _, length = by_batches(part.schedule)
    told = (work.studies.train, recipe.codec, pools(), part.reports)
    drawn = Exercises(*told, recipe.parts_seed, length, part.schedule.batch)
    first = [drawn[index] for index in range(min(length, 40))]
    texts = [*drawn.reports, *(f"{one.prompt}{one.answer}" for batch in first for one in batch)]
    tokenizer = train_tokenizer(texts, part.vocabulary, numbers)
    torch.manual_seed(recipe.parts_seed)
    places = tokenizer.convert_tokens_to_ids(numbers[0]), len(numbers)
    task = WritingTask(small_llama(part, tokenizer, *places), tokenizer, part.positions, *places)
    return Writing(task, tokenizer, drawn)


def by_batches(schedule: Schedule) -> tuple[Schedule, int]:
    """A schedule for items that are batches already, and how many items it takes."""
    return schedule.model_copy(update={"batch": 1}), schedule.steps * schedule.accumulate


def save_joined(
    work: Workplace,
    tower: CLIPVisionModel,
    tokenizer: PreTrainedTokenizerFast,
    llama: LlamaForCausalLM,
    spread: Mapping[str, Tensor],
    folder: Path,
) -> None:
    """Write both joined by a projection of random weights, as a hub repository is laid out.

    Args:
        work: whose recipe says the seed and the side of a picture.
        tower: the vision encoder.
        tokenizer: of the language model.
        llama: the language model.
        spread: ``mean`` and ``deviation`` of the states of patches (``state_spread``).
        folder: where it is written, whole or not at all.
    """
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
    _even(model, spread)
    square = {"height": side, "width": side}
    shown = CLIPImageProcessorPil(
        size=square, crop_size=square, do_resize=False, image_mean=[MEAN] * 3, image_std=[DEVIATION] * 3
    )
    save_base(model, tokenizer, shown, folder)


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
