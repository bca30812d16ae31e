"""The frozen parts of a model from scratch, each trained once for all recipes that agree in what it depends on."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerFast

from knowmvg.grounders.weights import quietly
from knowmvg.training.diffusion.autoencoder import AutoencoderTask, reconstruction, small_autoencoder, standardise
from knowmvg.training.diffusion.canvases import Bytes, CanvasBatches, cache_canvases
from knowmvg.training.diffusion.reading import Labels, ReadingBatches
from knowmvg.training.diffusion.text_encoder import TERMS, ReadingTask, reading_accuracy, small_bert, train_tokenizer
from knowmvg.training.diffusion.workplace import Workplace
from knowmvg.training.run_folder import timed, write_json
from knowmvg.training.trainer import fit


def text_folder(work: Workplace) -> Path:
    """Where the text encoder of a recipe lies."""
    return work.folder("diffusion-text", work.scratch.text, work.recipe.encoding.max_tokens)


def text_encoder(work: Workplace) -> tuple[PreTrainedTokenizerFast, BertModel]:
    """The small text encoder with its tokenizer, trained first where it is not there yet."""
    folder, part, recipe = text_folder(work), work.scratch.text, work.recipe
    if not (folder / "encoder" / "config.json").is_file():
        texts = [text for row in work.studies.train for text in (row.report, *(phrase.text for phrase in row.phrases))]
        tokenizer = train_tokenizer(texts, part.vocabulary, recipe.encoding.max_tokens)
        torch.manual_seed(recipe.parts_seed)
        bert = small_bert(part, len(tokenizer), recipe.encoding.max_tokens)
        task = ReadingTask(bert, tokenizer, Labels.of(work.studies.train), recipe.parts_seed)
        schedule = part.schedule.model_copy(update={"batch": 1})  # an item of the data set is a batch already
        length = schedule.steps * schedule.accumulate
        with timed(folder, "text"):
            fit(
                task,
                ReadingBatches(work.studies.train, recipe.parts_seed, length, part.schedule.batch),
                task.collate,
                schedule,
                TERMS,
                folder,
                stage="text",
                seed=recipe.parts_seed,
                report=work.report,
                machine=recipe.machine.shared(),
            )
        held_out = ReadingBatches(work.studies.valid, recipe.parts_seed + 1, 8, 64)
        accuracy = reading_accuracy(task, (held_out[i] for i in range(len(held_out))))
        write_json(folder / "accuracy.json", accuracy)
        work.report("text: tokens of phrases told right  " + "  ".join(f"{k} {v:.3f}" for k, v in accuracy.items()))
        with quietly():
            tokenizer.save_pretrained(folder / "tokenizer")
            bert.half().save_pretrained(folder / "encoder.partial")
        (folder / "encoder.partial").rename(folder / "encoder")
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        bert = BertModel.from_pretrained(folder / "encoder", dtype=torch.float32, add_pooling_layer=False)
    return tokenizer, bert.requires_grad_(False).eval()


def images_folder(work: Workplace) -> Path:
    """Where the images of a recipe lie."""
    return work.folder("diffusion-images", work.scratch.side, work.recipe.read.fit, len(work.studies.valid))


def canvases(work: Workplace) -> Bytes:
    """The data set's images at the recipe's side, those of training first."""
    recipe, folder = work.recipe, images_folder(work)
    with timed(folder, "images"):
        return cache_canvases(
            folder / "images.npy", recipe.data.folder, work.rows, work.scratch.side, recipe.read.fit, work.report
        )


def autoencoder_folder(work: Workplace) -> Path:
    """Where the autoencoder of a recipe lies."""
    return work.folder("diffusion-autoencoder", work.scratch.autoencoder, work.scratch.side, work.recipe.read.fit)


def autoencoder(work: Workplace) -> AutoencoderKL:
    """The small autoencoder, trained first where it is not there yet."""
    folder, part, recipe = autoencoder_folder(work), work.scratch.autoencoder, work.recipe
    if not (folder / "vae" / "config.json").is_file():
        images = canvases(work)
        learnt, held_out = images[: len(work.studies.train)], images[len(work.studies.train) :]
        torch.manual_seed(recipe.parts_seed)
        task = AutoencoderTask(small_autoencoder(part, work.scratch.side))
        schedule = part.schedule.model_copy(update={"batch": 1})
        length = schedule.steps * schedule.accumulate
        with timed(folder, "autoencoder"):
            fit(
                task,
                CanvasBatches(learnt, recipe.parts_seed, length, part.schedule.batch),
                task.collate,
                schedule,
                {"image": 1.0, "kl": part.kl},
                folder,
                stage="autoencoder",
                seed=recipe.parts_seed,
                report=work.report,
                machine=recipe.machine.shared(),
            )
        task.eval()
        standardise(task.autoencoder, learnt[:1024])
        quality = reconstruction(task.autoencoder, held_out)
        write_json(folder / "reconstruction.json", quality)
        work.report(f"autoencoder: held-out images come back with {quality['psnr']:.1f} dB")
        with quietly():
            task.autoencoder.half().save_pretrained(folder / "vae.partial", safe_serialization=True)
        (folder / "vae.partial").rename(folder / "vae")
    vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True, torch_dtype=torch.float32)
    return vae.requires_grad_(False).eval()
