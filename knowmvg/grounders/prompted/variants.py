"""The family as short functions: each row of the paper's tables is a choice of parts for one class."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from knowmvg.core.errors import ModelError
from knowmvg.grounders.prompted.model import NoKnowledge, PromptedModel
from knowmvg.knowledge.adjacency import chosen_relations, weighted_adjacency
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.global_local_attention import GlobalLocalAttention, PlainAttention, Segmenter
from knowmvg.nn.image_encoder import ImageEncoderConfig, RadiographEncoder
from knowmvg.nn.knowledge_prompts import KnowledgeConfig, KnowledgePrompts
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.nn.mask_decoder import MaskToBox
from knowmvg.nn.prompt_encoder import PromptConfig, build_mask_decoder, build_prompt_encoder

if TYPE_CHECKING:
    from knowmvg.nn.backbones.backbone import Backbone


@dataclass(frozen=True, slots=True)
class Variant:
    """Which parts a grounder is made of.

    Args:
        knowledge: knowledge prompts (equations 7 to 9), or ``None``.
        attention: ``plain`` or ``global-local`` (equations 10 to 15).
        decoder: ``box`` (equation 12) or ``mask`` (LISA).
        head: ``token`` (published), ``edge`` or ``extent`` (recommended), of the box decoder.
        draws_masks: whether the box decoder draws what it boxes; with the head ``extent`` it always does.
        mask_from: what prompts the frozen mask decoder in equation 13.
        detach_local: whether equation 10's box is cut from the gradient where it is a prompt (the paper is silent);
            it is then taught by its own loss alone, and the frozen mask decoder needs no backward pass.
        gate: ``scalar`` or ``phrase``, equation 15.
    """

    knowledge: KnowledgeConfig | None = None
    attention: str = "plain"
    decoder: str = "box"
    head: str = "extent"
    draws_masks: bool = False
    mask_from: str = "text"
    detach_local: bool = False
    gate: str = "scalar"


def baseline(head: str = "extent") -> Variant:
    """MedGround, the paper's baseline: the ``<BOX>`` token alone."""
    return Variant(head=head)


def kps(head: str = "extent", knowledge: KnowledgeConfig | None = None) -> Variant:
    """Baseline with knowledge prompts."""
    return replace(baseline(head), knowledge=knowledge or KnowledgeConfig())


def gla(head: str = "extent", mask_from: str = "text") -> Variant:
    """Baseline with global-local attention."""
    return replace(baseline(head), attention="global-local", mask_from=mask_from)


def knowmvg(head: str = "extent", mask_from: str = "text", knowledge: KnowledgeConfig | None = None) -> Variant:
    """KnowMVG: knowledge prompts and global-local attention."""
    return replace(gla(head, mask_from), knowledge=knowledge or KnowledgeConfig())


def lisa() -> Variant:
    """LISA: the token prompts a trained mask decoder, the box is the mask's extent."""
    return Variant(decoder="mask")


VARIANTS = {"baseline": baseline, "kps": kps, "gla": gla, "knowmvg": knowmvg, "lisa": lisa}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that fixes the shape of a prompted model; saved as ``config.json``.

    ``language`` is ``None`` where the language model is a backbone, which says its own shape. ``sam`` says which SAM
    (grounders/segmenters/record.py) stands in place of the image encoder and segmenter.
    """

    language: LanguageModelConfig | None
    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    variant: Variant = field(default_factory=Variant)
    sam: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """From what ``to_dict`` gave. Raises ``ModelError`` for unknown or missing keys."""
        try:
            variant = dict(values["variant"])
            if variant.get("knowledge") is not None:
                variant["knowledge"] = KnowledgeConfig(**variant["knowledge"])
            encoder: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in values["image_encoder"].items()
            }
            return cls(
                None if values["language"] is None else LanguageModelConfig(**values["language"]),
                ImageEncoderConfig(**encoder),
                PromptConfig(**values["prompts"]),
                Variant(**variant),
                values.get("sam"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                "a model configuration of this version", str(error), "Use the knowmvg version that wrote it."
            ) from error


def build_segmenter(config: PromptConfig) -> Segmenter:
    """SAM's prompt encoder and mask decoder, at the start of their pre-training."""
    return Segmenter(build_prompt_encoder(config), build_mask_decoder(config))


def adjacency_of(graph: KnowledgeGraph, variant: Variant, whole: KnowledgeGraph | None = None) -> Tensor:
    """The normalised adjacency ``[N, N]`` of a graph for a variant, ``[parts, N, N]`` where relations stand apart.

    ``whole`` is the graph that ``graph`` is a part of: its relations count, so that the part has as many matrices.
    Raises ``KnowledgeError`` for a relation that the graph does not have.
    """
    chosen = variant.knowledge or KnowledgeConfig()
    if chosen.relations is None and not chosen.relational:  # any number of relations between two nodes is one edge
        return torch.from_numpy(graph.normalised_adjacency())
    weights = chosen_relations(whole or graph, chosen.relations)
    return torch.from_numpy(weighted_adjacency(graph, weights, apart=chosen.relational))


def build_model(
    config: ModelConfig,
    node_features: Tensor,
    adjacency: Tensor,
    image_encoder: nn.Module | None = None,
    segmenter: Segmenter | None = None,
    language: LanguageModel | Backbone | None = None,
) -> PromptedModel:
    """A prompted model of a configuration, on the pre-trained parts where they are given.

    Args:
        config: the shape.
        node_features: ``[N, D]`` encoded node texts (equation 6); not read without knowledge prompts.
        adjacency: what ``adjacency_of`` gives (equation 7).
        image_encoder: the frozen image encoder.
        segmenter: SAM's frozen parts; the decoders start from its weights.
        language: the language model.
    """
    encoder = image_encoder or RadiographEncoder(config.image_encoder)
    segmenter = segmenter or build_segmenter(config.prompts)
    if language is None:
        if config.language is None:
            raise ModelError("the backbone that the model was trained on", "none", "Load it with the model's folder.")
        language = LanguageModel(config.language)
    variant, channels = config.variant, config.prompts.channels
    decoder: nn.Module
    if variant.decoder == "mask":
        if variant.attention != "plain":
            raise ModelError("plain attention with the mask decoder", variant.attention, "LISA has no second branch.")
        decoder = MaskToBox(copy.deepcopy(segmenter.mask_decoder).requires_grad_(True))
    else:
        decoder = BoxDecoder(config.prompts, variant.head, variant.draws_masks)
        decoder.start_from(segmenter.mask_decoder)
    attention: nn.Module = (
        GlobalLocalAttention(decoder, channels, variant.mask_from, variant.gate, variant.detach_local)
        if variant.attention == "global-local"
        else PlainAttention(decoder)
    )
    knowledge: nn.Module = (
        KnowledgePrompts(node_features, adjacency, channels, variant.knowledge, language.hidden_size)
        if variant.knowledge is not None
        else NoKnowledge()
    )
    with torch.no_grad():
        model = PromptedModel(encoder, language, segmenter, knowledge, attention, channels)
    return model
