"""The grounder of a recipe, joined from its parts before it is taught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from knowmvg.grounders.backbones.load import LoadedBackbone
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import ModelConfig, Variant, adjacency_of, build_model
from knowmvg.grounders.segmenters.load import LoadedSam
from knowmvg.knowledge.controls import permuted_texts, random_graph
from knowmvg.knowledge.graph import KnowledgeGraph, load_graph
from knowmvg.knowledge.licences import refuse_sharing
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.knowledge_prompts import KnowledgeConfig
from knowmvg.nn.language_model import LanguageModel
from knowmvg.training.prompted.frozen_parts import prompt_config
from knowmvg.training.prompted.node_vectors import node_vectors
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.segmenter import SegmenterTask
from knowmvg.training.prompted.workplace import Workplace

CONTROLS: dict[str, Callable[[KnowledgeGraph, int], KnowledgeGraph]] = {
    "none": lambda graph, _: graph,
    "random-graph": random_graph,
    "permuted-texts": permuted_texts,
}
"""What a recipe's `variant.knowledge.control` makes of the graph, before anything of the model has seen it."""


def own_graph(recipe: Recipe, folder: Path) -> KnowledgeGraph | None:
    """The graph that the recipe names, if it does; one that may not be saved with the model is refused now."""
    knowledge = recipe.variant.knowledge
    if knowledge is None or knowledge.graph is None:
        return None
    graph = load_graph(knowledge.graph)
    refuse_sharing(graph, folder, allow_licensed=may_share(recipe))
    return graph


def may_share(recipe: Recipe) -> bool:
    """Whether the recipe lets licensed knowledge into a folder that is not private."""
    return recipe.variant.knowledge is not None and recipe.variant.knowledge.allow_licensed


def assembled(
    work: Workplace,
    tokenizer: GroundingTokenizer,
    graph: KnowledgeGraph,
    language: LanguageModel,
    pretrained: SegmenterTask | LoadedSam,
    backbone: LoadedBackbone | None = None,
) -> PromptedGrounder:
    """The grounder, what the run teaches of it drawn by the recipe's seed."""
    recipe = work.recipe
    chosen = recipe.variant.model_dump()
    knowledge = recipe.variant.knowledge
    if knowledge is not None:
        chosen["knowledge"] = KnowledgeConfig(**knowledge.model_values())
        graph = CONTROLS[knowledge.control](graph, recipe.seed)
    config = ModelConfig(
        language.config if backbone is None else None,
        ImageEncoderConfig(**recipe.image_encoder.model_dump()),
        pretrained.prompts if isinstance(pretrained, LoadedSam) else prompt_config(recipe),
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
