"""The recipe of the prompted family: KnowMVG, its ablation rows and LISA, at any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.grounders.prompted.objective import TERMS, Objective
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.training.augmentation.part import AugmentPart
from knowmvg.training.recipe_parts import LastSchedule, Part, RunPart, Schedule


class ImageEncoderPart(Part):
    """Sizes of the image encoder (nn/image_encoder.py)."""

    canvas: int = Field(default=256, ge=64, multiple_of=32)
    """side of the square that images are letterboxed into, in pixels; features have an eighth of it"""
    channels: int = Field(default=64, ge=16, multiple_of=16)
    """width of the features and of prompt tokens"""
    widths: tuple[int, int, int] = (32, 64, 128)
    """channels at strides 4, 8 and 16"""
    blocks: tuple[int, int, int] = (1, 2, 2)
    """residual blocks at strides 4, 8 and 16"""
    attention: int = Field(default=2, ge=0)
    """transformer blocks at stride 16, of four heads each"""

    @model_validator(mode="after")
    def _possible(self) -> ImageEncoderPart:
        if min(self.widths) < 1 or self.widths[2] % 4 or min(self.blocks) < 0:
            raise ValueError("widths must be positive and the last one a multiple of 4, blocks not negative")
        return self


class SegmenterPart(Part):
    """Pre-training of the frozen parts: image encoder, prompt encoder and mask decoder, on masks."""

    schedule: Schedule = Schedule(steps=1500, batch=16, lr=1.5e-3, weight_decay=0.01)
    prompts: int = Field(default=5, ge=1)
    """structures that are prompted in each image of a batch"""
    mlp: int = Field(default=128, ge=1)
    """hidden width of the two-way transformer"""
    heads: int = Field(default=2, ge=1)
    """its attention heads; SAM has 16 channels a head"""


class LanguagePart(Part):
    """The CPU-size language model and its pre-training on reports without images."""

    schedule: Schedule = Schedule(steps=2000, batch=32, lr=1.5e-3, weight_decay=0.01)
    width: int = Field(default=192, ge=32, multiple_of=32)
    """hidden size; there is a head for every 32 of it"""
    layers: int = Field(default=4, ge=1)
    """decoder blocks"""
    vocabulary: int = Field(default=4000, ge=300)
    """greatest number of tokens"""
    image_tokens: int = Field(default=8, ge=1)
    """tokens a side that the image becomes; it must divide `image_encoder.canvas / 8`"""


class NodeTextPart(Part):
    """Who encodes the texts of the knowledge nodes, once and frozen (equation 6, training/prompted/node_vectors.py)."""

    encoder: str = Field(default="language", min_length=1)
    """`language` is the run's own language model; else an encoder of transformers with safetensors weights (RoBERTa or
    a clinical one): a local folder, or an id on the hub, which is downloaded where it is not there yet"""
    revision: str | None = None
    """commit, tag or branch of an id on the hub; null is its main branch"""
    pooling: Literal["mean", "cls"] = "mean"
    """mean over the tokens of a text, or its first token (not with `language`, whose first token has read nothing)"""

    @model_validator(mode="after")
    def _possible(self) -> NodeTextPart:
        if self.encoder == "language" and (self.pooling != "mean" or self.revision is not None):
            raise ValueError("the encoder `language` has pooling mean and no revision")
        return self


class KnowledgePart(Part):
    """Knowledge prompts (nn/knowledge_prompts.py)."""

    k: int = Field(default=5, ge=1)
    """nodes a phrase (equation 9)"""
    weighting: Literal["none", "softmax"] = "none"
    """`none` takes the chosen nodes as they are, `softmax` scales them by their similarity, which is then learned"""
    temperature: float = Field(default=0.1, gt=0)
    """of that softmax"""
    selection: Literal["similar", "random"] = "similar"
    """`similar` is equation 8, `random` the control"""
    texts: NodeTextPart = NodeTextPart()
    layers: int = Field(default=1, ge=1, le=4)
    """graph convolutions one after the other (equation 7)"""
    relations: dict[str, float] | None = Field(default=None, min_length=1)
    """relations that enter the adjacency of equation 5, each with its weight; null takes all of the graph"""
    relational: bool = False
    """whether each relation has a weight matrix of its own in the graph convolution"""
    query: Literal["box", "state", "answer"] = "box"
    """`H_out` of equation 8: the projected `<BOX>` embedding, the hidden state before its projection, or the projected
    mean of the states of the whole answer"""
    graph: Path | None = None
    """a graph of your own (`knowmvg kg build`, from UMLS say); null builds one from the training split and the open
    atlas"""
    allow_licensed: bool = False
    """write a model whose graph holds licensed content into a folder that is not private (docs/knowledge.md)"""
    control: Literal["none", "random-graph", "permuted-texts"] = "none"
    """what stands in for the graph, drawn by `seed`: a random one of the same shape, or its own with the texts of its
    nodes permuted. A model that uses what the graph says is better without"""

    @model_validator(mode="after")
    def _positive(self) -> KnowledgePart:
        if any(weight <= 0 for weight in (self.relations or {}).values()):
            raise ValueError("the weights of relations must be positive; a relation that is left out has none")
        return self

    def model_values(self) -> dict[str, Any]:
        """The keys that are a part of the model, those of nn.knowledge_prompts.KnowledgeConfig."""
        return self.model_dump(exclude={"texts", "graph", "allow_licensed", "control"})


class VariantPart(Part):
    """Which row of the family is trained (grounders/prompted/variants.py)."""

    knowledge: KnowledgePart | None = None
    """knowledge prompts, or null for none"""
    attention: Literal["plain", "global-local"] = "plain"
    """one pass of the decoder, or equations 10 to 15"""
    decoder: Literal["box", "mask"] = "box"
    """equation 12, or LISA's trained mask decoder (plain attention only)"""
    head: Literal["token", "edge", "extent"] = "extent"
    """the published box head, edges read from maps over the image tokens, or the extent of what the decoder draws"""
    draws_masks: bool = False
    """whether the box decoder draws what it boxes; with the head `extent` it always does. Taught by `losses.mask_bce`
    and `losses.mask_dice`, from masks or, where the data has none, from filled boxes"""
    mask_from: Literal["text", "text+box", "box", "branch"] = "text"
    """what prompts the frozen mask decoder in equation 13: tokens, with or without the coarse box of equation 10, that
    box alone, or the box that the local branch answered"""
    detach_local: bool = False
    """whether the coarse box of equation 10 passes no gradient where it is a prompt"""
    gate: Literal["scalar", "phrase"] = "scalar"
    """the weight of equation 15: one number, or a function of the phrase"""
    global_sees_local: bool = False
    """whether the coarse box of equation 10 prompts the global branch of equation 14 too"""
    coarse: Literal["none", "trained", "frozen"] = "none"
    """with plain attention, a box that is read straight from the `<BOX>` embedding beside the decoder's (the lineage's
    second box head), taught by `losses.local_l1` and `losses.local_giou`; `frozen` stays at its random start and
    teaches the embedding alone, as in the lineage's code"""
    hypotheses: int = Field(default=1, ge=1, le=5)
    """boxes that the box decoder answers a phrase with; the mean counts, and the spread is evidence (uMedGround: 3)"""
    score: Literal["head", "agreement"] = "head"
    """score of a box: what the decoder expects of it (`losses.score`), or how well its hypotheses agree"""

    @model_validator(mode="after")
    def _possible(self) -> VariantPart:
        if self.decoder == "mask" and (self.attention != "plain" or self.hypotheses > 1):
            raise ValueError("the mask decoder (LISA) has plain attention and one hypothesis only")
        if self.score == "agreement" and self.hypotheses == 1:
            raise ValueError("one hypothesis has none to agree with: set hypotheses: 3, or score: head")
        if self.attention != "plain" and self.coarse != "none":
            raise ValueError("global-local attention has the coarse box of equation 10 already: set coarse: none")
        return self


class ObjectivePart(Part):
    """How loss terms are taken (grounders/prompted/objective.py); `losses` has their weights."""

    l1_beta: float = Field(default=0.1, ge=0, le=1)
    """where SmoothL1 of equation 17 turns from quadratic to linear, in fractions of the canvas; 0 is plain L1"""
    hypotheses: Literal["published", "error"] = "published"
    """weights of several hypotheses of a phrase: 0.95 for the main one, or each by the size of its error"""

    def of_model(self) -> Objective:
        """As the grounder takes it."""
        return Objective(**self.model_dump())


class AnswerPart(Part):
    """How the finished model answers: kept in its folder."""

    batch_size: int = Field(default=16, ge=1)
    """studies at once; a 7B language model on a card of 24 GB takes 1 to 4"""
    max_new_tokens: int = Field(default=256, ge=1)
    """tokens of an answer"""

    def of_model(self) -> AnswerLimits:
        """As the grounder takes it."""
        return AnswerLimits(**self.model_dump())


class Recipe(RunPart):
    """Everything that a run of the prompted family (KnowMVG and its rows) depends on."""

    system: Literal["prompted"] = "prompted"
    """which grounding system is trained"""
    parts_seed: int = Field(default=0, ge=0)
    """of the parts that runs share: frozen parts, language model"""
    image_encoder: ImageEncoderPart = ImageEncoderPart()
    segmenter: SegmenterPart = SegmenterPart()
    language: LanguagePart = LanguagePart()
    language_model: BackbonePart | None = None
    """a language model of the ecosystem (docs/backbones.md) in place of the CPU-size one, which is then trained only
    where `variant.knowledge.texts.encoder` is `language`; needs `spoken: 0`"""
    sam: SamPart | None = None
    """a SAM (docs/backbones.md) in place of the segmenter that the run would train; `image_encoder.canvas` and
    `image_encoder.channels` must then be its own (1024 and 256)"""
    variant: VariantPart = VariantPart()
    train: LastSchedule
    losses: dict[str, float] = Field(default_factory=lambda: {"text": 1.0, "box_l1": 1.0, "box_giou": 1.0})
    """weight of each loss term; a term that is not named has none. Naming any replaces the default"""
    objective: ObjectivePart = ObjectivePart()
    answer: AnswerPart = AnswerPart()
    validation_studies: int = Field(default=200, ge=1)
    """studies of the split val that are validated on"""
    validation_batch: int = Field(default=32, ge=1)
    """of them at once"""
    spoken: int = Field(default=1, ge=0)
    """reports without an image beside each study of a batch"""
    local_steps: int = Field(default=0, ge=0)
    """steps of `train` in which the local branch of a global-local attention learns alone, at a lower cost"""
    augment: AugmentPart | None = None
    """images changed anew in every draw of `train` (docs/training.md); null for none, which the feature cache needs"""

    @property
    def grid(self) -> int:
        """Cells a side of the image features."""
        return self.image_encoder.canvas // (8 if self.sam is None else 16)

    @property
    def speaks_itself(self) -> bool:
        """Whether the CPU-size language model is in use: as the model's own, or as the reader of node texts."""
        knowledge = self.variant.knowledge
        return self.language_model is None or (knowledge is not None and knowledge.texts.encoder == "language")

    @model_validator(mode="after")
    def _known_terms(self) -> Recipe:
        unknown = sorted(set(self.losses) - set(TERMS))
        if unknown:
            raise ValueError(f"unknown loss term {unknown[0]!r}; known: {', '.join(TERMS)}")
        return self

    @model_validator(mode="after")
    def _nothing_spoken(self) -> Recipe:
        if self.language_model is not None and self.spoken:
            raise ValueError("language_model answers to images alone: set spoken: 0")
        return self

    @model_validator(mode="after")
    def _tower_in_this_process(self) -> Recipe:
        if self.augment is not None and self.language_model is not None and self.machine.workers:
            raise ValueError(
                "augment with a language_model runs its vision tower in each batch: set machine.workers: 0"
            )
        return self

    @model_validator(mode="after")
    def _branches_join(self) -> Recipe:
        if self.local_steps and self.local_steps >= self.train.steps:
            raise ValueError(
                f"local_steps {self.local_steps} leaves none of the {self.train.steps} train.steps to both"
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Recipe:
        grid, tokens = self.grid, self.language.image_tokens
        if self.speaks_itself and grid % tokens:
            raise ValueError(f"language.image_tokens {tokens} does not divide the {grid} cells of image_encoder.canvas")
        if self.sam is None and self.image_encoder.channels // 2 % self.segmenter.heads:
            raise ValueError(f"segmenter.heads {self.segmenter.heads} does not divide half of image_encoder.channels")
        return self
