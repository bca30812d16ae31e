"""A small BERT as the frozen text encoder of a diffusion model, taught to read the training split's reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from knowmvg.training.diffusion.reading import ASPECTS, IGNORED, Labels, Told, collate_reading
from knowmvg.training.diffusion.recipe import TextPart

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
TERMS = {"words": 1.0, **dict.fromkeys(ASPECTS, 0.5)}
"""Weights of the loss terms."""


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_tokens: int) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer as BERT's, of at most ``vocabulary`` word pieces."""
    backend = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk"]))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = list(SPECIAL.values())
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    ends = [(SPECIAL[name], special.index(SPECIAL[name])) for name in ("sep", "cls")]
    backend.post_processor = processors.BertProcessing(*ends)
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=max_tokens, **names)


def small_bert(part: TextPart, words: int, max_tokens: int) -> BertModel:
    """A BERT of a recipe's size with random weights, without a pooler."""
    config = BertConfig(
        vocab_size=words,
        hidden_size=part.width,
        num_hidden_layers=part.layers,
        num_attention_heads=max(1, part.width // 32),
        intermediate_size=4 * part.width,
        max_position_embeddings=max_tokens,
        type_vocab_size=1,
        pad_token_id=0,
    )
    return BertModel(config, add_pooling_layer=False)


class ReadingTask(nn.Module):
    """A BERT with heads over its token states: hidden word pieces, and what the phrase around a token says."""

    def __init__(self, bert: BertModel, tokenizer: Any, labels: Labels, seed: int) -> None:
        super().__init__()
        self.bert = bert
        width = bert.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(bert.config.vocab_size))
        self.heads = nn.ModuleDict({aspect: nn.Linear(width, size) for aspect, size in labels.sizes().items()})
        self._told = (tokenizer, labels, seed)

    def collate(self, batches: Sequence[list[Told]]) -> dict[str, Tensor]:
        """Drawn texts as tensors; what is hidden depends on the texts and the seed alone."""
        tokenizer, labels, seed = self._told
        told = [one for batch in batches for one in batch]
        drawn = sum(len(one.text) * (k + 1) for k, one in enumerate(told))
        rng = np.random.default_rng([seed, 7, drawn])
        return collate_reading(told, tokenizer, labels, self.bert.config.max_position_embeddings, rng)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, words: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Named loss terms."""
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        hidden = words != IGNORED
        pieces = self.bert.embeddings.word_embeddings.weight
        guess = functional.linear(self.transform(states[hidden]), pieces, self.bias)
        surprise = functional.cross_entropy(guess, words[hidden], reduction="sum")
        terms = {"words": surprise / hidden.sum().clamp_min(1)}  # a small batch may hide nothing
        for aspect, target in zip(ASPECTS, classes, strict=True):
            known = target != IGNORED
            terms[aspect] = functional.cross_entropy(self.heads[aspect](states[known]), target[known])
        return terms


@torch.inference_mode()
def reading_accuracy(task: ReadingTask, batches: Iterable[list[Told]]) -> dict[str, float]:
    """Share of the tokens of phrases whose finding, side, zone and assertion are told right."""
    right, seen = dict.fromkeys(ASPECTS, 0), dict.fromkeys(ASPECTS, 0)
    device = next(task.parameters()).device
    task.eval()
    for batch in batches:
        drawn = {name: value.to(device) for name, value in task.collate([batch]).items()}
        states = task.bert(input_ids=drawn["input_ids"], attention_mask=drawn["attention_mask"]).last_hidden_state
        inside = drawn["classes"][0] > 0
        for aspect, target in zip(ASPECTS, drawn["classes"], strict=True):
            right[aspect] += int((task.heads[aspect](states).argmax(dim=-1) == target)[inside].sum())
            seen[aspect] += int(inside.sum())
    return {aspect: right[aspect] / max(seen[aspect], 1) for aspect in ASPECTS}
