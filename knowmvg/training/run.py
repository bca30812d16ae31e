"""``knowmvg train``: a recipe from nothing to a saved grounder, one stage after the other, each kept and resumable.

``runs/parts/<stage>-<key>`` holds what runs share: the key is a hash of everything that the stage depends on, so an
ablation's rows use one image encoder and one language model. ``runs/<name>`` holds the run itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import nn

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.grounders.backbones.load import LoadedBackbone, VisionTower, load_backbone
from knowmvg.grounders.prompted.batch import Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import ModelConfig, Variant, adjacency_of, build_model, build_segmenter
from knowmvg.grounders.segmenters.load import LoadedSam, load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.grounders.store import save_grounder
from knowmvg.grounders.versions import software_versions
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.controls import permuted_texts, random_graph
from knowmvg.knowledge.graph import KnowledgeGraph, load_graph, save_graph
from knowmvg.knowledge.licences import refuse_sharing
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.global_local_attention import GlobalLocalAttention
from knowmvg.nn.image_encoder import ImageEncoderConfig, RadiographEncoder
from knowmvg.nn.knowledge_prompts import KnowledgeConfig
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.cache import FeatureCache, cache_features
from knowmvg.training.grounding import DrawnBatches, GroundingTask, validate
from knowmvg.training.language import LanguageTask, SpokenBatches, speak
from knowmvg.training.leaks import refuse_leaks
from knowmvg.training.node_vectors import node_vectors
from knowmvg.training.recipe import Recipe, read_recipe, write_recipe
from knowmvg.training.segmenter import (
    WEIGHTS,
    PromptedImages,
    SegmenterTask,
    collate_prompted,
    mask_iou_by_class,
    structures,
)
from knowmvg.training.trainer import fit

Report = Callable[[str], None]

CONTROLS: dict[str, Callable[[KnowledgeGraph, int], KnowledgeGraph]] = {
    "none": lambda graph, _: graph,
    "random-graph": random_graph,
    "permuted-texts": permuted_texts,
}
"""What a recipe's `variant.knowledge.control` makes of the graph, before anything of the model has seen it."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a run works: the recipe, the folder of shared parts and the rows of its data set."""

    recipe: Recipe
    parts: Path
    train: list[StudyRow]
    valid: list[StudyRow]
    fingerprint: str
    report: Report
    masked: tuple[Path, list[StudyRow], list[StudyRow]]
    """The data set of the frozen parts: its folder and its rows for training and validation."""

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
        data = self.fingerprint
        if recipe.data.masked is not None and stage == "segmenter":
            data = _manifest_sha256(recipe.data.masked)  # runs on other data share what these taught
        elif recipe.data.masked is not None and stage == "features":
            depends += (_manifest_sha256(recipe.data.masked),)
        if recipe.sam is not None and stage in ("language", "features"):
            depends += (recipe.sam,)
        text = json.dumps([stage, data, recipe.parts_seed, *depends], sort_keys=True, default=str)
        return self.parts / f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@cache
def _atlas_fingerprint() -> str:
    return sha256_of(load_atlas())


def sha256_of(knowledge: BaseModel) -> str:
    """The SHA-256 of an atlas or a graph, equal for equal content."""
    return hashlib.sha256(knowledge.model_dump_json(by_alias=True).encode()).hexdigest()


def train(recipe_path: Path, overrides: Sequence[str] = (), runs: Path = Path("runs"), report: Report = print) -> Path:
    """Run a recipe; a run that was interrupted goes on where it stopped.

    Returns the run's folder: ``model/`` (a grounder folder), ``recipe.yaml`` (resolved), ``run.json`` (facts).

    Raises:
        RecipeError, ManifestError: see those.
        Stopped: interrupted after saving a checkpoint.
    """
    recipe = read_recipe(recipe_path, overrides)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder = runs / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, folder / "recipe.yaml")
    own_graph = _own_graph(recipe, folder)
    with _timed(folder, "data"):
        work = _open_data(recipe, runs / "parts", report)
    _need_masks(work)
    tokenizer, graph = _words(work)
    graph = own_graph or graph
    language = _language(work, tokenizer)
    encoder_task = _segmenter(work)
    cache = _features(work, encoder_task)
    backbone = _backbone(recipe)
    tokens = None if backbone is None else _tokens(work, backbone)
    with _timed(folder, "train"):
        grounder = _assemble(work, tokenizer, graph, language, encoder_task, backbone)
        best = _teach(work, grounder, cache, tokens, folder)
    facts = _facts(recipe, work, folder, grounder.graph, best)
    save_grounder(grounder, folder / "model", facts, allow_licensed=_may_share(recipe))
    _write_json(folder / "run.json", facts)
    report(f"saved {folder / 'model'}")
    return folder


def _own_graph(recipe: Recipe, folder: Path) -> KnowledgeGraph | None:
    """The graph that the recipe names, if it does; one that may not be saved with the model is refused now."""
    knowledge = recipe.variant.knowledge
    if knowledge is None or knowledge.graph is None:
        return None
    graph = load_graph(knowledge.graph)
    refuse_sharing(graph, folder, allow_licensed=_may_share(recipe))
    return graph


def _may_share(recipe: Recipe) -> bool:
    return recipe.variant.knowledge is not None and recipe.variant.knowledge.allow_licensed


@contextmanager
def _timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds that a stage takes to ``folder/seconds.json``, those of interrupted attempts included."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = _seconds(folder)
        seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - started, 1)
        _write_json(folder / "seconds.json", seconds)


def _seconds(folder: Path) -> dict[str, float]:
    path = folder / "seconds.json"
    seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return seconds


def _write_json(path: Path, values: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _open_data(recipe: Recipe, parts: Path, report: Report) -> Workplace:
    data = recipe.data
    if not (data.folder / "manifest.jsonl").is_file():
        report(f"data: simulating {data.studies} studies into {data.folder}")
        write_dataset(
            data.folder,
            studies=data.studies,
            seed=data.seed,
            size=data.size,
            splits=data.splits,
            progress=_every(report, 1000),
        )
    train_rows, valid_rows = _divided(data.folder)
    valid_rows = valid_rows[: recipe.validation_studies]
    masked = (data.folder, train_rows, valid_rows)
    if data.masked is not None:
        learnt, checked = _divided(data.masked)
        masked = (data.masked, learnt, checked[: recipe.validation_studies])
    fingerprint = _manifest_sha256(data.folder)
    refuse_leaks(data.folder, parts / f"leaks-{fingerprint[:12]}.json", report, allowed=data.allow_leaks)
    return Workplace(recipe, parts, train_rows, valid_rows, fingerprint, report, masked)


def _need_masks(work: Workplace) -> None:
    folder, rows, _ = work.masked
    if not any(row.masks for row in rows):
        todo = "Name a simulated data set for the frozen parts: knowmvg phantom FOLDER, then data.masked=FOLDER."
        raise ManifestError("masks in the training split", f"none in {folder}", todo)


def _divided(folder: Path) -> tuple[list[StudyRow], list[StudyRow]]:
    """The rows of a data set for training and for validation. Raises ``ManifestError`` where a split is empty."""
    rows = list(read_rows(folder))
    train_rows = [row for row in rows if row.split == "train"]
    valid_rows = [row for row in rows if row.split == "val"]
    if not train_rows or not valid_rows:
        found = f"{len(train_rows)} and {len(valid_rows)} in {folder}"
        raise ManifestError("studies in the splits train and val", found, "Divide them: knowmvg splits FOLDER.")
    return train_rows, valid_rows


def _manifest_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.jsonl").read_bytes()).hexdigest()


def _every(report: Report, step: int) -> Callable[[int, int], None]:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done - told >= step or done == total:
            told = done
            report(f"data: {done}/{total}")

    return progress


def _words(work: Workplace) -> tuple[GroundingTokenizer, KnowledgeGraph]:
    """Tokenizer and knowledge graph, from the training split alone."""
    recipe = work.recipe
    image_length = recipe.language.image_tokens**2
    folder = work.folder("words")
    if not (folder / "knowledge.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        graph = build_graph((phrase.phrase() for row in work.train for phrase in row.phrases), load_atlas())
        spoken = (speak(recipe.parts_seed, index)[0] for index in range(4000))
        texts = [*(row.report for row in work.train), *spoken, *graph.texts]
        GroundingTokenizer.train(texts, image_length, recipe.language.vocabulary).save(folder / "tokenizer.json")
        save_graph(graph, folder / "knowledge.json")
        work.report(f"words: {len(graph.texts)} knowledge nodes from {len(work.train)} training reports")
    return GroundingTokenizer.load(folder / "tokenizer.json", image_length), load_graph(folder / "knowledge.json")


def _language_config(recipe: Recipe, tokenizer: GroundingTokenizer) -> LanguageModelConfig:
    return LanguageModelConfig(
        vocabulary=len(tokenizer),
        width=recipe.language.width,
        layers=recipe.language.layers,
        heads=recipe.language.width // 32,
        image_channels=recipe.image_encoder.channels,
        image_grid=recipe.grid,
        image_tokens=recipe.language.image_tokens,
        image_token_id=tokenizer.image,
    )


def _language(work: Workplace, tokenizer: GroundingTokenizer) -> LanguageModel:
    recipe, part = work.recipe, work.recipe.language
    folder = work.folder("language")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.parts_seed)
    model = LanguageModel(_language_config(recipe, tokenizer))
    weights = folder / "language.safetensors"
    if not weights.is_file():
        task = LanguageTask(model, tokenizer)
        schedule = part.schedule.model_copy(update={"batch": 1})  # an item of the data set is a batch already
        reports = SpokenBatches(recipe.parts_seed, schedule.steps * schedule.accumulate, part.schedule.batch)
        with _timed(folder, "language"):
            fit(
                task,
                reports,
                task.collate_batches,
                schedule,
                {"text": 1.0},
                folder,
                stage="language",
                seed=recipe.parts_seed,
                report=work.report,
            )
        _save_weights(model, weights)
    model.load_state_dict(load_file(weights))
    return model


def _segmenter(work: Workplace) -> SegmenterTask | LoadedSam:
    recipe, part = work.recipe, work.recipe.segmenter
    if recipe.sam is not None:
        return _sam(recipe, recipe.sam)
    folder = work.folder("segmenter")
    folder.mkdir(parents=True, exist_ok=True)
    place, train_rows, valid_rows = work.masked
    classes = sorted({name for row in train_rows for name, _ in structures(row)})
    torch.manual_seed(recipe.parts_seed)
    encoder = RadiographEncoder(ImageEncoderConfig(**recipe.image_encoder.model_dump()))
    task = SegmenterTask(encoder, build_segmenter(_prompt_config(recipe)), len(classes))
    weights = folder / "segmenter.safetensors"
    if not weights.is_file():
        length = part.schedule.steps * part.schedule.batch * part.schedule.accumulate
        images = PromptedImages(
            place,
            train_rows,
            classes,
            recipe.image_encoder.canvas,
            part.prompts,
            recipe.parts_seed,
            length,
        )
        with _timed(folder, "segmenter"):
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
        quality = mask_iou_by_class(task, place, valid_rows, recipe.image_encoder.canvas)
        _write_json(folder / "mask_iou.json", quality)
        work.report(
            "segmenter: mask IoU from a reference box  " + "  ".join(f"{k} {v:.2f}" for k, v in quality.items())
        )
        _save_weights(task, weights)
    task.load_state_dict(load_file(weights))
    return task


def _sam(recipe: Recipe, part: SamPart) -> LoadedSam:
    """The recipe's SAM. Raises ``RecipeError`` where the image encoder's sizes are others."""
    sam, said = load_sam(part), recipe.image_encoder
    if (said.canvas, said.channels) != (sam.prompts.canvas, sam.prompts.channels):
        todo = f"Set image_encoder.canvas={sam.prompts.canvas} image_encoder.channels={sam.prompts.channels}."
        raise RecipeError("the sizes of the SAM", f"canvas {said.canvas} and channels {said.channels}", todo)
    return sam


def _save_weights(module: nn.Module, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    save_file(module.state_dict(), str(temporary))
    os.replace(temporary, path)


def _features(work: Workplace, pretrained: SegmenterTask | LoadedSam) -> FeatureCache:
    recipe, folder = work.recipe, work.folder("features")
    folder.mkdir(parents=True, exist_ok=True)
    with _timed(folder, "features"):
        return cache_features(
            folder / "features.npy",
            recipe.data.folder,
            [*work.train, *work.valid],
            pretrained.encoder,
            recipe.image_encoder.canvas,
            work.report,
        )


def _backbone(recipe: Recipe) -> LoadedBackbone | None:
    """The recipe's language model, its adapters and rows as the run's seed draws them."""
    if recipe.language_model is None:
        return None
    torch.manual_seed(recipe.seed)
    return load_backbone(recipe.language_model)


def _tokens(work: Workplace, backbone: LoadedBackbone) -> FeatureCache:
    """What the backbone's frozen vision tower makes of the studies."""
    recipe, folder = work.recipe, work.folder("tokens")
    folder.mkdir(parents=True, exist_ok=True)
    with _timed(folder, "tokens"):
        return cache_features(
            folder / "tokens.npy",
            recipe.data.folder,
            [*work.train, *work.valid],
            VisionTower(backbone),
            recipe.image_encoder.canvas,
            work.report,
        )


def _prompt_config(recipe: Recipe) -> PromptConfig:
    side = recipe.image_encoder.canvas
    return PromptConfig(
        channels=recipe.image_encoder.channels,
        canvas=side,
        grid=side // 8,
        mlp=recipe.segmenter.mlp,
        heads=recipe.segmenter.heads,
    )


def _assemble(
    work: Workplace,
    tokenizer: GroundingTokenizer,
    graph: KnowledgeGraph,
    language: LanguageModel,
    pretrained: SegmenterTask | LoadedSam,
    backbone: LoadedBackbone | None = None,
) -> PromptedGrounder:
    recipe = work.recipe
    chosen = recipe.variant.model_dump()
    knowledge = recipe.variant.knowledge
    if knowledge is not None:
        chosen["knowledge"] = KnowledgeConfig(**knowledge.model_values())
        graph = CONTROLS[knowledge.control](graph, recipe.seed)
    config = ModelConfig(
        language.config if backbone is None else None,
        ImageEncoderConfig(**recipe.image_encoder.model_dump()),
        pretrained.prompts if isinstance(pretrained, LoadedSam) else _prompt_config(recipe),
        Variant(**chosen),
        None if recipe.sam is None else recipe.sam.model_dump(),
    )
    language.eval()
    nodes = torch.zeros(len(graph.texts), 1)  # not read without knowledge prompts
    if knowledge is not None:
        nodes = node_vectors(graph.texts, knowledge.texts, language, tokenizer, work.parts / "nodes", work.report)
    torch.manual_seed(recipe.seed)
    model = build_model(
        config,
        nodes,
        adjacency_of(graph, config.variant),
        pretrained.encoder,
        pretrained.segmenter,
        language if backbone is None else backbone.vlm,
    )
    read_by = tokenizer if backbone is None else backbone.tokenizer
    return PromptedGrounder(model, config, read_by, graph, recipe.name, backbone=backbone)


def _teach(
    work: Workplace, grounder: PromptedGrounder, cache: FeatureCache, tokens: FeatureCache | None, folder: Path
) -> dict[str, float]:
    recipe = work.recipe
    work.report("train: reading labels")
    examples = [_example(grounder, recipe.data.folder, row) for row in work.train]
    held_out = [_example(grounder, recipe.data.folder, row) for row in work.valid]
    if left_out := sum(example.left_out for example in examples):
        cut = sum(example.cut > 0 for example in examples)
        work.report(f"train: {left_out} phrases left out for their length, {cut} reports cut at their end")
    batch = recipe.train.batch
    schedule = recipe.train.model_copy(update={"batch": 1})  # an item of the data set is a batch already
    draws = DrawnBatches(examples, recipe.seed, schedule.steps * schedule.accumulate, batch, recipe.spoken)
    task = GroundingTask(grounder, cache, recipe.local_steps * recipe.train.accumulate, tokens)
    fit(
        task,
        draws,
        task.collate,
        schedule,
        recipe.losses,
        folder / "train",
        stage="train",
        seed=recipe.seed,
        report=work.report,
        validate=lambda _: validate(grounder, cache, held_out, tokens),
        best="miou",
    )
    grounder.model.eval()
    if isinstance(grounder.model.attention, GlobalLocalAttention):
        grounder.model.attention.joined = True
    return validate(grounder, cache, held_out, tokens)


def _example(grounder: PromptedGrounder, folder: Path, row: StudyRow) -> Example:
    return grounder.example(load_study(folder, row, masks=True)).without_canvas()


def _facts(
    recipe: Recipe, work: Workplace, folder: Path, graph: KnowledgeGraph, best: dict[str, float]
) -> dict[str, Any]:
    """What a card says of a run; the seconds of shared stages are those of the run that made them."""
    seconds = _seconds(folder)
    for stage in ("language", "segmenter", "features"):
        seconds |= _seconds(work.folder(stage))
    return {
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "data_fingerprint": work.fingerprint,
        "knowledge": sha256_of(graph),
        "train_studies": len(work.train),
        "validation": {name: round(value, 4) for name, value in best.items()},
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        "versions": software_versions(),
        "git": _git_hash(),
    }


def _git_hash() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
