"""A prompted model cut into the parts that run without torch: image encoder, language model, box decoder."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from knowmvg.core.errors import ModelError
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.model import PromptedModel
from knowmvg.nn.knowledge_prompts import KnowledgePrompts
from knowmvg.nn.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a part.

    Args:
        name: in the graph.
        shape: numbers, and letters for sizes that may differ from call to call.
        dtype: of numpy.
        meaning: what it holds, with its coordinate frame.
    """

    name: str
    shape: tuple[str | int, ...]
    dtype: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part with its ports and a sample of its inputs."""

    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sample: tuple[Tensor, ...]


class _ImagePart(nn.Module):
    def __init__(self, model: PromptedModel) -> None:
        super().__init__()
        encoder = model.image_encoder
        single = all(p.dtype == torch.float32 for p in encoder.parameters())
        self.encoder = encoder if single else copy.deepcopy(encoder).float()  # a SAM may be half precision

    def forward(self, canvas: Tensor) -> Tensor:
        features: Tensor = self.encoder(canvas)
        return features


class _LanguagePart(nn.Module):
    """One pass over prompt and answer, image tokens gathered to their places instead of scattered."""

    def __init__(self, language: LanguageModel) -> None:
        super().__init__()
        self.language = language

    def forward(self, input_ids: Tensor, attention_mask: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        language = self.language
        words = language.embed(input_ids, None)
        image = language.projector(features).flatten(2).transpose(1, 2) + language.image_positions
        where = input_ids == language.config.image_token_id
        order = (where.long().cumsum(dim=1) - 1).clamp(0, language.image_length - 1)
        placed = image.gather(1, order.unsqueeze(-1).expand(-1, -1, image.shape[-1]))
        states = language.read(torch.where(where.unsqueeze(-1), placed, words), attention_mask)
        return states, language.logits(states)


class _BoxPart(nn.Module):
    def __init__(self, model: PromptedModel) -> None:
        super().__init__()
        self.model = model
        self.cites = isinstance(model.knowledge, KnowledgePrompts)

    def forward(self, states: Tensor, answers: Tensor, features: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        placed = self.model.place(states, answers, features, rows)
        boxes = placed.decoded.boxes
        found = (boxes.xyxy, boxes.score.sigmoid())
        return (*found, placed.knowledge.nodes, placed.knowledge.similarity) if self.cites else found


def parts_of(grounder: PromptedGrounder) -> dict[str, Part]:
    """The parts by name: ``image_encoder``, ``box_decoder`` and, of the CPU-size language model, ``language_model``.

    Raises ``ModelError`` for a model that draws its knowledge by lot.
    """
    model, config = grounder.model.eval(), grounder.config
    if isinstance(model.knowledge, KnowledgePrompts) and model.knowledge.config.selection == "random":
        raise ModelError("a model that chooses its knowledge", "one that draws it by lot", "It is a control.")
    side, grid, channels = config.image_encoder.canvas, config.prompts.grid, config.prompts.channels
    width = model.vlm.hidden_size
    canvas = Port("canvas", ("B", 1, side, side), "float32", "radiographs on the canvas (see frame), 0 to 1")
    features = Port("features", ("B", channels, grid, grid), "float32", "image features, cells over the whole canvas")
    random = torch.Generator().manual_seed(0)
    seen = torch.randn(2, channels, grid, grid, generator=random)
    parts = {
        "image_encoder": Part(
            _ImagePart(model), (canvas,), (features,), (torch.rand(2, 1, side, side, generator=random),)
        ),
        "box_decoder": Part(
            _BoxPart(model),
            (
                Port("states", ("P", width), "float32", "hidden states that emit a <BOX> token, one a box"),
                Port("answers", ("P", width), "float32", "mean of the states that emit the answer which it stands in"),
                features,
                Port("rows", ("P",), "int64", "the image, 0 to B - 1, that each box lies on"),
            ),
            _box_outputs(model.knowledge),
            (
                torch.randn(11, width, generator=random),
                torch.randn(11, width, generator=random),
                seen,
                torch.arange(11) % 2,
            ),
        ),
    }
    if isinstance(model.vlm, LanguageModel):
        parts["language_model"] = _language(model.vlm, grounder.tokenizer, features, seen)
    return parts


def _box_outputs(knowledge: Any) -> tuple[Port, ...]:
    found = (
        Port("boxes", ("P", 4), "float32", "x1, y1, x2, y2 as fractions of the canvas"),
        Port("scores", ("P",), "float32", "the IoU that the decoder expects of its box, 0 to 1"),
    )
    if not isinstance(knowledge, KnowledgePrompts):
        return found
    total = len(knowledge.node_features)
    return (
        *found,
        Port("nodes", ("P", min(knowledge.config.k, total)), "int64", "knowledge nodes, places in nodes of model.json"),
        Port("similarity", ("P", total), "float32", "of every node"),
    )


def _language(vlm: LanguageModel, tokenizer: Any, features: Port, seen: Tensor) -> Part:
    prompts = [tokenizer.prompt(text) for text in ("Small left pleural effusion.", "Edema.")]
    length = max(map(len, prompts))
    ids = torch.tensor([[*row, *[tokenizer.pad] * (length - len(row))] for row in prompts])
    mask = torch.tensor([[*[1] * len(row), *[0] * (length - len(row))] for row in prompts])
    return Part(
        _LanguagePart(vlm),
        (
            Port("input_ids", ("B", "T"), "int64", "prompt and, if given, answer: see tokens"),
            Port("attention_mask", ("B", "T"), "int64", "1 for tokens, 0 for padding"),
            features,
        ),
        (
            Port("states", ("B", "T", vlm.hidden_size), "float32", "last hidden states; state t emits token t + 1"),
            Port("logits", ("B", "T", vlm.config.vocabulary), "float32", "of the token after each"),
        ),
        (ids, mask, seen),
    )
