"""The parts of a PFMVG of CPU size before stage 1, trained once for all recipes that agree in what they depend on."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPVisionConfig, CLIPVisionModel, LlamaForCausalLM, PreTrainedTokenizerFast

from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.weights import quietly
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.training.coordinates import language
from knowmvg.training.coordinates.drawn_parts import by_batches, drawn_language, drawn_vision, save_joined
from knowmvg.training.coordinates.exercises import Exercises
from knowmvg.training.coordinates.language import number_errors
from knowmvg.training.coordinates.masks import MaskedImages, classes_of, keep
from knowmvg.training.coordinates.vision import WEIGHTS, ImageBatches, cell_overlap, state_spread
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.hardware import made_once
from knowmvg.training.run_folder import timed, write_json
from knowmvg.training.trainer import fit

SPREAD = "states.safetensors"  # mean and deviation of the states of patches, beside the tower
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
    spread = load_file(vision_folder(work) / "tower" / SPREAD)
    save_joined(work, tower, tokenizer, llama, spread, folder / "model")


def _vision(work: Workplace) -> CLIPVisionModel:
    folder = vision_folder(work)
    made_once(folder / "tower" / "config.json", lambda: _train_vision(work, folder), folder / ".lock")
    with quietly():
        config = CLIPVisionConfig.from_pretrained(folder / "tower", local_files_only=True)
        tower = CLIPVisionModel.from_pretrained(folder / "tower", config=config, dtype=torch.float32)
    return tower.requires_grad_(False).eval()


def _train_vision(work: Workplace, folder: Path) -> None:
    recipe, part = work.recipe, work.scratch.vision
    place, train, valid = masked(work)
    classes = classes_of(train)
    with timed(folder, "vision"):
        keep(folder, place, [*train, *valid], classes, part, recipe.fit, work.report)
        images = MaskedImages(folder, classes, part, slice(len(train)))
        task = drawn_vision(work, images)
        schedule, length = by_batches(part.schedule)
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


def masked(work: Workplace) -> tuple[Path, list[StudyRow], list[StudyRow]]:
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
    schedule, _ = by_batches(part.schedule)
    task, tokenizer, drawn = drawn_language(work)
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
        held_out = Exercises(work.studies.train, recipe.codec, pools(), 0.0, HELD_OUT, 8, 32)
        found = number_errors(task, (held_out[i] for i in range(8)))
    write_json(folder / "numbers.json", found)
    work.report(f"language: numbers are {found['error']:.1f} off, {found['right']:.0%} right")
    with quietly():
        tokenizer.save_pretrained(folder / "model.partial")
        task.llama.half().save_pretrained(folder / "model.partial")
    (folder / "model.partial").rename(folder / "model")
