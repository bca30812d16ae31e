"""The stand-in for LLaMA at CPU size: a small language model that learns words and numbers before it sees an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from knowmvg.training.coordinates.exercises import Exercise
from knowmvg.training.coordinates.sizes import LanguagePart
from knowmvg.training.coordinates.tokenizer import END, START

IGNORED = -100


WEIGHTS = {"words": 0.5, "numbers": 1.0}
"""Weights of the loss terms: a report has ten times the tokens of an answer with boxes."""
SLOWEST, FASTEST = 200.0, 6.0  # periods of the waves that a number's row begins as, in numbers
HEIGHT = 0.06  # of these waves; other rows begin with a deviation of 0.02


def small_llama(part: LanguagePart, tokenizer: PreTrainedTokenizerFast, first: int, count: int) -> LlamaForCausalLM:
    """A LLaMA of a recipe's size, output layer and embedding apart as LLaMA has them.

    Its weights are random, but for the rows of the numbers (ids ``first`` to ``first + count``): they begin as waves of
    the number, so that neighbours are alike, as they are for a model that has read many numbers.
    """
    heads = max(1, part.width // 32)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=part.width,
        intermediate_size=part.width * 8 // 3 // 16 * 16,
        num_hidden_layers=part.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=part.positions,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    llama = LlamaForCausalLM(config)
    rows = slice(first, first + count)
    waves = _waves(count, part.width)
    with torch.no_grad():
        for matrix in (llama.get_input_embeddings(), llama.get_output_embeddings()):
            matrix.weight[rows] = waves
    return llama


def _waves(count: int, width: int) -> Tensor:
    """``[count, width]``: cosines of the number with periods from ``SLOWEST`` to ``FASTEST``, at random phases."""
    periods = SLOWEST * (FASTEST / SLOWEST) ** torch.rand(width)
    turns = torch.arange(count)[:, None] / periods + torch.rand(width)
    return HEIGHT * torch.cos(2 * torch.pi * turns)


class WritingTask(nn.Module):
    """A language model with its loss on what is written behind a prompt, and on all of a text without one.

    Args:
        llama: the model.
        tokenizer: its tokenizer.
        most_tokens: of a text; a longer one is cut.
        first, count: the ids of the numbers.
    """

    def __init__(
        self, llama: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, most_tokens: int, first: int, count: int
    ) -> None:
        super().__init__()
        self.llama = llama
        self.first, self.count = first, count
        self._told = (tokenizer, most_tokens)

    def collate(self, batches: Sequence[list[Exercise]]) -> dict[str, Tensor]:
        """Exercises as ids ``[B, T]`` and labels, right padded."""
        tokenizer, most = self._told
        told = [one for batch in batches for one in batch]
        prompts = tokenizer([f"{START}{one.prompt}" for one in told], add_special_tokens=False)["input_ids"]
        answers = tokenizer([f"{START}{one.prompt}{one.answer}{END}" for one in told], add_special_tokens=False)
        rows = [ids[:most] for ids in answers["input_ids"]]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), int(tokenizer.pad_token_id))
        labels = torch.full_like(ids, IGNORED)
        for place, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            ids[place, : len(row)] = torch.tensor(row)
            labels[place, len(prompt) : len(row)] = torch.tensor(row[len(prompt) :])
        return {"input_ids": ids, "labels": labels}

    def logits(self, input_ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[n, V]`` of the tokens that are to be written, and these tokens ``[n]``."""
        states = self.llama.model(input_ids=input_ids, use_cache=False).last_hidden_state  # causal: padding is behind
        following = labels[:, 1:]
        learnt = following != IGNORED
        return self.llama.lm_head(states[:, :-1][learnt]), following[learnt]

    def numbers(self, following: Tensor) -> Tensor:
        """Which tokens are numbers."""
        return (following >= self.first) & (following < self.first + self.count)

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss terms: the cross entropy of the ``numbers`` and that of all else, each averaged over its tokens."""
        logits, following = self.logits(input_ids, labels)
        surprise, asked = F.cross_entropy(logits, following, reduction="none"), self.numbers(following)
        parts = {"words": ~asked, "numbers": asked}
        return {name: (surprise * part).sum() / part.sum().clamp_min(1) for name, part in parts.items()}


@torch.inference_mode()
def number_errors(task: WritingTask, batches: Iterable[list[Exercise]]) -> dict[str, float]:
    """How well numbers are written where the numbers before them are right.

    ``error`` is the mean distance of the likeliest number from the true one, in steps of the codec; ``right`` the share
    that is met.
    """
    task.eval()
    device = next(task.parameters()).device
    rows, distances = slice(task.first, task.first + task.count), list[Tensor]()
    for batch in batches:
        drawn = {name: value.to(device) for name, value in task.collate([batch]).items()}
        logits, following = task.logits(**drawn)
        asked = task.numbers(following)
        guess = logits[asked][:, rows].argmax(dim=-1)
        distances.append((guess - (following[asked] - task.first)).abs().float())
    apart = torch.cat(distances)
    return {"error": float(apart.mean()), "right": float((apart == 0).float().mean())}
