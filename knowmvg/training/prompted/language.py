"""Pre-training of the language model: simulated reports without images, read and answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from knowmvg.grounders.prompted.batch import right_padded
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.losses.grounding import phrase_identification
from knowmvg.nn.language_model import LanguageModel
from knowmvg.sources.phantom.report import named_lesions, sample_findings, write_report

Spoken = tuple[str, list[tuple[str, int]]]


def speak(seed: int, index: int) -> Spoken:
    """Report ``index`` of a seed with its answer: the placed phrases in order, each with its number of boxes."""
    rng = np.random.default_rng([seed, 3, index])
    findings = sample_findings(rng)
    written = write_report(findings, rng)
    placed = sorted((p for p in written.phrases if p.assertion.placed), key=lambda p: p.span)
    return written.text, [(p.text, len(named_lesions(p, findings))) for p in placed]


class SpokenBatches(Dataset[list[Spoken]]):
    """``length`` batches of simulated reports of about equal length; batch ``i`` depends on the seed and ``i`` alone.

    Reports are drawn ``shelf`` batches at a time and sorted by length, so that short ones are not padded to the
    longest; the batches of a shelf come in random order. The last shelf that was read is kept: read in order.
    """

    shelf = 8

    def __init__(self, seed: int, length: int, batch: int) -> None:
        self.seed, self.length, self.batch = seed, length, batch
        self._open: tuple[int, list[list[Spoken]]] = (-1, [])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[Spoken]:
        shelf, place = divmod(index, self.shelf)
        if self._open[0] != shelf:
            size = self.shelf * self.batch
            drawn = (speak(self.seed, shelf * size + i) for i in range(size))
            by_length = sorted(drawn, key=lambda spoken: len(spoken[0]))
            cuts = np.random.default_rng([self.seed, 5, shelf]).permutation(self.shelf) * self.batch
            self._open = (shelf, [by_length[cut : cut + self.batch] for cut in cuts])
        return self._open[1][place]


class LanguageTask(nn.Module):
    """The language model with the loss of equation 16 on text alone."""

    def __init__(self, language: LanguageModel, tokenizer: GroundingTokenizer) -> None:
        super().__init__()
        self.language = language
        self._tokenizer = [tokenizer]  # not a part of the state

    def collate_batches(self, batches: Sequence[list[Spoken]]) -> dict[str, Tensor]:
        """Batches as one."""
        return self.collate([spoken for batch in batches for spoken in batch])

    def collate(self, reports: Sequence[Spoken]) -> dict[str, Tensor]:
        """Reports as ids with the positions that predict the answer; no image placeholder is in the prompt."""
        tokenizer = self._tokenizer[0]
        prompts = [tokenizer.prompt(text)[tokenizer.image_length :] for text, _ in reports]
        answers = [tokenizer.write_answer(phrases) for _, phrases in reports]
        where = [(row, len(prompts[row]) - 1 + i) for row, answer in enumerate(answers) for i in range(len(answer))]
        rows, columns = torch.tensor(where).T
        return {
            "input_ids": right_padded([[*p, *a] for p, a in zip(prompts, answers, strict=True)], tokenizer.pad),
            "rows": rows,
            "columns": columns,
            "targets": torch.tensor([token for answer in answers for token in answer]),
        }

    def forward(self, input_ids: Tensor, rows: Tensor, columns: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Named loss terms."""
        states = self.language(input_ids, None, None)
        return {"text": phrase_identification(self.language.logits(states[rows, columns]), targets)}


def node_text_states(
    language: LanguageModel, tokenizer: GroundingTokenizer, texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Token states of texts and their mask: the pre-trained language model as the text encoder of equation 6.

    At full size the recipe names RoBERTa or a clinical encoder; here the frozen, text-trained model is the encoder
    that knows the words.
    """
    rows = [[tokenizer.report, *tokenizer.encode(text)] for text in texts]
    ids = right_padded(rows, tokenizer.pad)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        mask[index, : len(row)] = 1
    states: Tensor = language(ids, None, None)
    return states, mask
