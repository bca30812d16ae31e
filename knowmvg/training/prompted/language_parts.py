"""The words of a run and who reads them: tokenizer, knowledge graph, language model, or a backbone in its place."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from knowmvg.grounders.backbones.load import LoadedBackbone, load_backbone
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph, load_graph, save_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.backbones.text_backbone import ImageMap
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.training.hardware import device_of, made_once
from knowmvg.training.prompted.language import LanguageTask, SpokenBatches, speak
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.workplace import Workplace
from knowmvg.training.run_folder import save_weights, timed
from knowmvg.training.trainer import fit

SPOKEN = 4000  # simulated reports whose words the tokenizer learns beside those of the training studies


def words(work: Workplace) -> tuple[GroundingTokenizer, KnowledgeGraph]:
    """Tokenizer and knowledge graph, from the training split alone."""
    recipe, rows = work.recipe, work.studies.train
    image_length = recipe.language.image_tokens**2
    folder = work.folder("words")

    def learn() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        graph = build_graph((phrase.phrase() for row in rows for phrase in row.phrases), load_atlas())
        spoken = (speak(recipe.parts_seed, index)[0] for index in range(SPOKEN))
        texts = [*(row.report for row in rows), *spoken, *graph.texts]
        GroundingTokenizer.train(texts, image_length, recipe.language.vocabulary).save(folder / "tokenizer.json")
        save_graph(graph, folder / "knowledge.json")
        work.report(f"words: {len(graph.texts)} knowledge nodes from {len(rows)} training reports")

    made_once(folder / "knowledge.json", learn)
    return GroundingTokenizer.load(folder / "tokenizer.json", image_length), load_graph(folder / "knowledge.json")


def pretrained_language(work: Workplace, tokenizer: GroundingTokenizer) -> LanguageModel:
    """The CPU-size language model, taught on reports without images."""
    recipe, part = work.recipe, work.recipe.language
    folder = work.folder("language")
    folder.mkdir(parents=True, exist_ok=True)
    model = blank_language(recipe, tokenizer)
    weights = folder / "language.safetensors"

    def learn() -> None:
        task = LanguageTask(model, tokenizer)
        schedule = part.schedule.model_copy(update={"batch": 1})  # an item of the data set is a batch already
        reports = SpokenBatches(recipe.parts_seed, schedule.steps * schedule.accumulate, part.schedule.batch)
        with timed(folder, "language"):
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
                machine=recipe.machine.shared(),
            )
        save_weights(model, weights)

    made_once(weights, learn)
    model.load_state_dict(load_file(weights))
    return model.cpu()  # training has left it where it was trained


def blank_language(recipe: Recipe, tokenizer: GroundingTokenizer) -> LanguageModel:
    """The CPU-size language model before it has read anything."""
    torch.manual_seed(recipe.parts_seed)
    config = LanguageModelConfig(
        vocabulary=len(tokenizer),
        width=recipe.language.width,
        layers=recipe.language.layers,
        heads=recipe.language.width // 32,
        image_channels=recipe.image_encoder.channels,
        image_grid=recipe.grid,
        image_tokens=recipe.language.image_tokens,
        image_token_id=tokenizer.image,
    )
    return LanguageModel(config)


def backbone_of(recipe: Recipe) -> LoadedBackbone | None:
    """The recipe's language model of the ecosystem, its adapters and rows as the run's seed draws them."""
    if recipe.language_model is None:
        return None
    torch.manual_seed(recipe.seed)
    seen = ImageMap(recipe.image_encoder.channels, recipe.grid)
    return load_backbone(recipe.language_model, device_of(recipe.machine), seen)
