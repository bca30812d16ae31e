"""The stand-in for LLaMA at CPU size: a small language model that learns words and numbers before it sees an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from knowmvg.training.coordinates.exercises import Exercise
from knowmvg.training.coordinates.sizes import LanguagePart
from knowmvg.training.coordinates.tokenizer import END, START

IGNORED = -100


def small_llama(part: LanguagePart, words: int, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A LLaMA of a recipe's size with random weights, output layer and embedding apart as LLaMA has them."""
    heads = max(1, part.width // 32)
    config = LlamaConfig(
        vocab_size=words,
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
    return LlamaForCausalLM(config)


class WritingTask(nn.Module):
    """A language model with its loss on what is written behind a prompt, and on all of a text without one."""

    def __init__(self, llama: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, most_tokens: int) -> None:
        super().__init__()
        self.llama = llama
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

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The loss term ``tokens``: the cross entropy of what is written, averaged over the tokens."""
        logits, following = self.logits(input_ids, labels)
        return {"tokens": F.cross_entropy(logits, following)}


@torch.inference_mode()
def number_errors(task: WritingTask, batches: Iterable[list[Exercise]], numbers: Sequence[int]) -> dict[str, float]:
    """How well numbers are written where the numbers before them are right.

    ``error`` is the mean distance of the likeliest number from the true one, in steps of the codec; ``right`` the share
    that is met. ``numbers`` are the ids of the numbers in order.
    """
    task.eval()
    device = next(task.parameters()).device
    first, distances = numbers[0], list[Any]()
    for batch in batches:
        drawn = {name: value.to(device) for name, value in task.collate([batch]).items()}
        logits, following = task.logits(**drawn)
        asked = (following >= first) & (following < first + len(numbers))
        guess = logits[asked][:, first : first + len(numbers)].argmax(dim=-1)
        distances.append((guess - (following[asked] - first)).abs().float())
    apart = torch.cat(distances)
    return {"error": float(apart.mean()), "right": float((apart == 0).float().mean())}
