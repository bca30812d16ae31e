"""Greedy answers held to a grammar, or free; either way with the probability of every token that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LogitsProcessor

from knowmvg.core.errors import ModelError
from knowmvg.grounders.coordinates.answers import ScoredBox
from knowmvg.grounders.coordinates.grammar import Grammar, Node, State
from knowmvg.grounders.coordinates.vocabulary import Vocabulary


@dataclass(slots=True)
class _Step:
    """A choice: the state it was made in, the tokens allowed, the states behind them and their probabilities."""

    state: State
    tokens: list[int]
    states: list[State]
    shares: Tensor
    chosen: int = -1


@dataclass(slots=True)
class _Row:
    grammar: Grammar
    state: State
    steps: list[_Step] = field(default_factory=list)
    done: bool = False


class GrammarProcessor(LogitsProcessor):
    """Leaves a row only the tokens that its grammar allows; the end where an answer is whole.

    Args:
        vocabulary: of the family's tokenizer.
        grammars: one a row.
        stops: tokens that end an answer.
    """

    def __init__(self, vocabulary: Vocabulary, grammars: Sequence[Grammar], stops: Sequence[int]) -> None:
        self.vocabulary, self.stops = vocabulary, list(stops)
        self.rows = [_Row(grammar, grammar.start) for grammar in grammars]

    def only(self, rows: Sequence[int]) -> GrammarProcessor:
        """The processor of some rows, which notes what they do in this one."""
        part = GrammarProcessor(self.vocabulary, (), self.stops)
        part.rows = [self.rows[row] for row in rows]
        return part

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``scores`` ``[B, V]`` with minus infinity for what is not allowed; ``input_ids`` end in what was chosen.

        Raises ``ModelError`` where no token can go on.
        """
        masked = torch.full_like(scores, float("-inf"))
        for place, row in enumerate(self.rows):
            if row.steps and not row.done:
                self._advance(row, int(input_ids[place, -1]))
            if row.done:
                masked[place, self.stops] = scores[place, self.stops]
                continue
            options = dict(self.vocabulary.allowed(row.grammar, row.state))
            if row.grammar.ends(row.state):
                options |= dict.fromkeys(self.stops, row.state)
            if not options:
                todo = "Choose another style of boxes, or a tokenizer with these letters."
                raise ModelError("a tokenizer that can write boxes", "one without a token that may follow", todo)
            tokens = list(options)
            kept = scores[place, tokens]
            masked[place, tokens] = kept
            row.steps.append(_Step(row.state, tokens, list(options.values()), kept.float().softmax(dim=-1).cpu()))
        return masked

    def finish(self, answers: Tensor) -> None:
        """Take note of the last token of rows that were not ended yet."""
        for place, row in enumerate(self.rows):
            if row.steps and not row.done:
                self._advance(row, int(answers[place, len(row.steps) - 1]))

    def whole(self, place: int) -> bool:
        """Whether a row's answer came to its end."""
        return self.rows[place].done

    def boxes(self, place: int, expected: bool = True) -> list[ScoredBox]:
        """The boxes of a row's answer, those that were written to their end, with or without expected numbers."""
        row = self.rows[place]
        return [_scored(row, box, numbers, expected) for box, numbers in enumerate(row.state.node.done, 1)]

    def _advance(self, row: _Row, token: int) -> None:
        step = row.steps[-1]
        step.chosen = step.tokens.index(token)
        row.state = step.states[step.chosen]
        row.done = token in self.stops


@dataclass(slots=True)
class _FreeRow:
    logs: list[float] = field(default_factory=list)
    last: Tensor | None = None
    done: bool = False


class FreeProcessor(LogitsProcessor):
    """Leaves all tokens as they are, and keeps the probability of those that were chosen.

    Args:
        rows: how many answers are written.
        stops: tokens that end an answer.
    """

    def __init__(self, rows: int, stops: Sequence[int]) -> None:
        self.stops = frozenset(stops)
        self.rows = [_FreeRow() for _ in range(rows)]

    def only(self, rows: Sequence[int]) -> FreeProcessor:
        """The processor of some rows, which notes what they do in this one."""
        part = FreeProcessor(0, tuple(self.stops))
        part.rows = [self.rows[row] for row in rows]
        return part

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``scores`` themselves."""
        logs = scores.float().log_softmax(dim=-1)
        for place, row in enumerate(self.rows):
            if row.last is not None:
                self._note(row, int(input_ids[place, -1]))
            row.last = None if row.done else logs[place]
        return scores

    def finish(self, answers: Tensor) -> None:
        """Take note of the last token ``[B, M]`` of each row that was not ended yet."""
        for place, row in enumerate(self.rows):
            if row.last is not None:
                self._note(row, int(answers[place, len(row.logs)]))

    def whole(self, place: int) -> bool:
        """Whether a row's answer came to its end."""
        return self.rows[place].done

    def score(self, place: int) -> float:
        """Geometric mean of the probabilities of a row's tokens, its end included."""
        logs = self.rows[place].logs
        return float(torch.tensor(logs).mean().exp()) if logs else 0.0

    def _note(self, row: _FreeRow, token: int) -> None:
        assert row.last is not None
        row.logs.append(float(row.last[token]))
        row.last, row.done = None, token in self.stops


def _scored(row: _Row, box: int, numbers: tuple[int, ...], expected: bool) -> ScoredBox:
    slots, done = row.grammar.layout.slots, row.state.node.done
    log, means = 0.0, dict[int, float]()
    for slot, places in enumerate(slots):
        node = row.grammar.number(box, slot, done)
        writing = [step for step in row.steps if step.chosen >= 0 and _writes(row.grammar, node, step)]
        log += sum(float(step.shares[step.chosen].clamp(min=1e-12).log()) for step in writing)
        if expected:
            means |= zip(places, _expected(row.grammar, node, writing), strict=True)
    score = float(torch.tensor(log / len(slots)).exp())
    return ScoredBox(numbers, tuple(means[place] for place in range(4)) if expected else None, score)


def _writes(grammar: Grammar, node: Node, step: _Step) -> bool:
    """Whether the chosen token writes something of the number begun at a node: it ends in it or behind it."""
    before = step.state.node
    ended = before != node and bool(grammar.value(node, step.state))
    return not ended and bool(grammar.value(node, step.states[step.chosen]))


def _expected(grammar: Grammar, node: Node, steps: Sequence[_Step]) -> tuple[float, ...]:
    """The mean value of a number under the choices by which it was written, the last one first."""
    found: tuple[float, ...] = ()
    for step in reversed(steps):
        total, weight = [0.0] * len(grammar.layout.slots[node.slot]), 0.0
        for place, (state, share) in enumerate(zip(step.states, step.shares.tolist(), strict=True)):
            value = found if place == step.chosen and found else grammar.value(node, state)
            if value:
                total = [sum_ + share * part for sum_, part in zip(total, value, strict=True)]
                weight += share
        found = tuple(part / weight for part in total) if weight > 0 else found
    return found
