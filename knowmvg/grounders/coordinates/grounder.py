"""Boxes as text behind the common interface: studies in, groundings out; PFMVG and any chat model alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query, ReportReader
from knowmvg.core.records import Grounding, Phrase, Study
from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.coordinates.answers import NAMES_NONE, Answer, free_answer, grounding_of, held_answer
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.decoding import FreeProcessor, GrammarProcessor
from knowmvg.grounders.coordinates.grammar import Grammar
from knowmvg.grounders.coordinates.speaker import Speaker
from knowmvg.grounders.coordinates.vocabulary import Vocabulary
from knowmvg.grounders.naming import to_be_placed
from knowmvg.grounders.spans import find_spans

NAMING_TOKENS = 256
FREE_TOKENS = 256

_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d{1,2}[.)])\s*")


class _Row(NamedTuple):
    study: int
    place: int
    phrase: str
    least: int
    most: int


class CoordinateGrounder:
    """A model that writes its boxes as text (core.grounder.Grounder).

    Args:
        speaker: the model.
        config: how it is asked, and what its answers are held to.
        name: what results call it.
        reader: names the phrases of a report where the model names none.

    Raises ``ModelError`` where its tokenizer cannot write the codec's boxes.
    """

    batch_size = 8
    """Studies whose images are encoded together."""
    rows = 32
    """Questions that are answered together."""

    def __init__(
        self, speaker: Speaker, config: CoordinatesConfig, name: str, reader: ReportReader | None = None
    ) -> None:
        self.speaker, self.config, self.name, self.reader = speaker, config, name, reader
        self._canvas = (speaker.side, speaker.side)
        self._vocabulary = Vocabulary.of(speaker.backend, config.codec, self._canvas) if config.constrained else None
        if self._vocabulary is not None:
            self._vocabulary.check(Grammar(config.codec, self._canvas, "left lung", 1, 1))

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Read the reports, name the phrases that they state as present, and place them.

        Only phrases that stand in the report word by word are taken. For a model that answers no such question the
        reader names them; without one there are none, with a warning.
        """
        if self.config.naming is None and self.reader is not None:
            return self.ground_phrases(studies, to_be_placed(self.reader, studies, self.findings))
        if self.config.naming is None:
            return [grounding_of(study, self.name, (), NAMES_NONE) for study in studies]
        answers: list[Grounding] = []
        for start in range(0, len(studies), self.batch_size):
            batch = studies[start : start + self.batch_size]
            seen, frames = self._look(batch)
            named = self._named(batch, seen)
            queries = [[Query(phrase) for phrase in row] for row in named]
            answers += self._placed(batch, queries, self._answer(seen, frames, queries))
        return answers

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases, in order. The report is not read: the published model is shown the phrase alone."""
        _same_number(studies, queries)
        groundings: list[Grounding] = []
        for start in range(0, len(studies), self.batch_size):
            batch, asking = studies[start : start + self.batch_size], queries[start : start + self.batch_size]
            groundings += self._placed(batch, asking, self.answers(batch, asking))
        return groundings

    def answers(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[list[Answer | None]]:
        """What the model answers to each query, word by word; ``None`` where no box was asked for.

        The share of answers with ``valid`` is the valid rate.
        """
        _same_number(studies, queries)
        if not any(queries):
            return [[] for _ in studies]
        seen, frames = self._look(studies)
        return self._answer(seen, frames, queries)

    @property
    def findings(self) -> frozenset[str] | None:
        """The findings that it was taught to place (core.grounder.LimitedGrounder)."""
        return None if self.config.findings is None else frozenset(self.config.findings)

    def reads(self, report: str) -> bool:
        """It is never shown the report: a phrase of any words is asked as it stands."""
        return True

    def with_options(self, *, constrained: bool | None = None, expected: bool | None = None) -> CoordinateGrounder:
        """The same model, held to the codec's form or not, with the likeliest or the expected coordinates."""
        config = self.config.model_dump()
        config |= {} if constrained is None else {"constrained": constrained}
        config |= {} if expected is None else {"expected": expected}
        return CoordinateGrounder(self.speaker, CoordinatesConfig.model_validate(config), self.name, self.reader)

    def with_reader(self, reader: ReportReader) -> CoordinateGrounder:
        """The same model with a reader of reports; one that names phrases itself stays as it is."""
        if self.config.naming is not None:
            return self
        return CoordinateGrounder(self.speaker, self.config, self.name, reader)

    # --- asking --------------------------------------------------------------------------------------------------

    def _look(self, studies: Sequence[Study]) -> tuple[Tensor, list[Frame]]:
        drawn = [on_canvas(study.image, self.speaker.side, self.config.fit) for study in studies]
        return self.speaker.look(np.stack([canvas for canvas, _ in drawn])), [frame for _, frame in drawn]

    def _answer(
        self, seen: Tensor, frames: Sequence[Frame], queries: Sequence[Sequence[Query]]
    ) -> list[list[Answer | None]]:
        found: list[list[Answer | None]] = [[None] * len(row) for row in queries]
        rows = [
            _Row(study, place, query.phrase.text, *self._counts(query))
            for study, asking in enumerate(queries)
            for place, query in enumerate(asking)
            if query.boxes != 0
        ]
        for start in range(0, len(rows), self.rows):
            part = rows[start : start + self.rows]
            for row, answer in zip(part, self._together(seen, frames, part), strict=True):
                found[row.study][row.place] = answer
        return found

    def _counts(self, query: Query) -> tuple[int, int]:
        """Fewest and most boxes of an answer."""
        return (self.config.least, self.config.most) if query.boxes is None else (query.boxes, query.boxes)

    def _together(self, seen: Tensor, frames: Sequence[Frame], rows: Sequence[_Row]) -> list[Answer]:
        """Answers to questions that are written as one batch."""
        images = sorted({row.study for row in rows})
        owners = [images.index(row.study) for row in rows]
        questions = [self.config.asked(row.phrase) for row in rows]
        codec, end = self.config.codec, self.speaker.end
        if self._vocabulary is None:
            free = FreeProcessor(len(rows), [end])
            ids = self.speaker.answer(seen[images], owners, questions, free, FREE_TOKENS)
            free.finish(ids)
            return [
                free_answer(self.speaker.said(row), codec, frames[rows[k].study], free.score(k), free.whole(k))
                for k, row in enumerate(ids.tolist())
            ]
        grammars = [Grammar(codec, self._canvas, self.config.named(row.phrase), row.least, row.most) for row in rows]
        held = GrammarProcessor(self._vocabulary, grammars, [end])
        longest = max(len(grammar.longest()) for grammar in grammars) + 2  # a token has a letter at least
        ids = self.speaker.answer(seen[images], owners, questions, held, longest)
        held.finish(ids)
        return [
            held_answer(
                self.speaker.said(row),
                held.boxes(k, self.config.expected),
                codec,
                frames[rows[k].study],
                whole=held.whole(k),
            )
            for k, row in enumerate(ids.tolist())
        ]

    def _named(self, studies: Sequence[Study], seen: Tensor) -> list[list[Phrase]]:
        """The phrases that the model copies from each report."""
        assert self.config.naming is not None
        questions = [self.config.naming.format(report=self.speaker.shortened(study.report)) for study in studies]
        ids = self.speaker.answer(seen, range(len(studies)), questions, None, NAMING_TOKENS)
        return [
            _verbatim(study.report, self.speaker.said(row)) for study, row in zip(studies, ids.tolist(), strict=True)
        ]

    # --- results -------------------------------------------------------------------------------------------------

    def _placed(
        self, studies: Sequence[Study], queries: Sequence[Sequence[Query]], answers: Sequence[Sequence[Answer | None]]
    ) -> list[Grounding]:
        return [
            grounding_of(study, self.name, zip(asking, found, strict=True))
            for study, asking, found in zip(studies, queries, answers, strict=True)
        ]


def _verbatim(report: str, said: str) -> list[Phrase]:
    """The lines of an answer that stand in the report, in its own letters."""
    lines = [_BULLET.sub("", line).strip().strip('"').rstrip(".").strip() for line in said.splitlines()]
    lines = list(dict.fromkeys(line for line in lines if line))
    spans = find_spans(report, lines)
    return [Phrase(text=report[span[0] : span[1]], span=span) for span in spans if span is not None]


def _same_number(studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> None:
    if len(studies) != len(queries):
        raise ValueError(f"expected one list of queries a study, got {len(queries)} for {len(studies)} studies")
