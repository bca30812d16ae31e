"""A chat model that is asked from afar: what it is sent, and what becomes of its free answers."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query, ReportReader
from knowmvg.core.records import Grounding, Study
from knowmvg.grounders.canvas import in_frame
from knowmvg.grounders.coordinates.answers import NAMES_NONE, Answer, free_answer, grounding_of
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.naming import to_be_placed

NO_SCORE = 0.5
"""The score of a box whose answer says none: an endpoint gives no probabilities that can be relied on."""


class Said(Protocol):
    """An answer of an endpoint: ``text``, and the server's reason to stop."""

    @property
    def text(self) -> str:
        """What was said."""
        ...

    @property
    def finish(self) -> str:
        """Why it ended; ``length`` for an answer that was cut."""
        ...


Ask = Callable[[Sequence[tuple[bytes, str]]], Sequence[Said]]
"""Answers to questions, each a PNG file's content and a text, in order."""


class RemoteGrounder:
    """A model behind an endpoint (core.grounder.Grounder). The report is never sent: a picture and a phrase are.

    Args:
        ask: sends the questions.
        config: how it is asked; answers are free, whatever ``constrained`` says.
        name: what results call it.
        longest: pixels of the longer side of the picture that is sent.
        reader: names the phrases of a report, here and not there.
    """

    def __init__(
        self,
        ask: Ask,
        config: CoordinatesConfig,
        name: str,
        longest: int = 1024,
        reader: ReportReader | None = None,
    ) -> None:
        self.config, self.name, self.reader = config, name, reader
        self._ask, self._longest = ask, longest

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Place the phrases that the reader names; without one there are none, with a warning.

        The endpoint is never asked for them: that would take the report there.
        """
        if self.reader is not None:
            return self.ground_phrases(studies, to_be_placed(self.reader, studies))
        return [grounding_of(study, self.name, (), NAMES_NONE) for study in studies]

    def with_reader(self, reader: ReportReader) -> RemoteGrounder:
        """The same endpoint with a reader of reports."""
        return RemoteGrounder(self._ask, self.config, self.name, self._longest, reader)

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases, in order."""
        answers = self.answers(studies, queries)
        return [
            grounding_of(study, self.name, zip(asking, found, strict=True))
            for study, asking, found in zip(studies, queries, answers, strict=True)
        ]

    def answers(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[list[Answer | None]]:
        """What the model answers to each query; ``None`` where no box was asked for. All are asked as one list."""
        if len(studies) != len(queries):
            raise ValueError(f"expected one list of queries a study, got {len(queries)} for {len(studies)} studies")
        found: list[list[Answer | None]] = [[None] * len(row) for row in queries]
        places = [(i, k) for i, row in enumerate(queries) for k, query in enumerate(row) if query.boxes != 0]
        pictures = {i: self._picture(studies[i]) for i in {i for i, _ in places}}
        questions = [(pictures[i][0], self.config.asked(queries[i][k].phrase.text)) for i, k in places]
        for (i, k), said in zip(places, self._ask(questions), strict=True):
            whole = said.finish != "length"
            found[i][k] = free_answer(said.text, self.config.codec, pictures[i][1], NO_SCORE, whole)
        return found

    def _picture(self, study: Study) -> tuple[bytes, Frame]:
        """The whole image as a PNG file, undistorted where its pixels are square, and its frame."""
        width, height = study.image.size[0], study.image.size[1] * study.image.pixel_aspect
        unit = min(1.0, self._longest / max(width, height))
        canvas = max(1, round(width * unit)), max(1, round(height * unit))
        frame = Frame.squash(study.image.size, canvas)
        pixels = in_frame(study.image, frame)
        out = io.BytesIO()
        Image.fromarray((pixels * 255).round().astype(np.uint8)).save(out, format="PNG")
        return out.getvalue(), frame
