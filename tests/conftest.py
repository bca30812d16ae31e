from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from knowmvg.core.grounder import Query
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, Radiograph, Region, Study


class FakeGrounder:
    """Answers the phrases that it was made with, places every asked phrase in the same box, remembers its questions."""

    asked_box = (10.0, 20.0, 30.0, 40.0)

    def __init__(self, answer: Sequence[GroundedPhrase] = ()) -> None:
        self.answer = tuple(answer)
        self.asked: list[list[str]] = []
        self.contexts: list[str] = []

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        return [self._grounding(study, self.answer) for study in studies]

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        assert len(studies) == len(queries)
        self.contexts += [study.report for study in studies]
        self.asked += [[query.phrase.text for query in row] for row in queries]
        return [
            self._grounding(study, tuple(self._placed(query) for query in row))
            for study, row in zip(studies, queries, strict=True)
        ]

    def _placed(self, query: Query) -> GroundedPhrase:
        region = Region(xyxy=self.asked_box, score=0.5)
        return GroundedPhrase(**query.phrase.model_dump(), boxes=(region,), evidence=Evidence(gate=0.25))

    def _grounding(self, study: Study, phrases: tuple[GroundedPhrase, ...]) -> Grounding:
        return Grounding(
            image_size=study.image.size,
            phrases=phrases,
            model="fake",
            versions={"fake": "1"},
            warnings=study.image.warnings,
            study=study.id,
        )


class FakeLimitedGrounder(FakeGrounder):
    """One that has learnt four findings and reads reports of two words ('left', 'effusion') only."""

    findings = frozenset(["nodule", "lung opacity", "pleural effusion", "consolidation"])

    def reads(self, report: str) -> bool:
        return set(report.lower().rstrip(".").split()) <= {"left", "effusion"}


@pytest.fixture
def limited_grounder() -> type[FakeLimitedGrounder]:
    return FakeLimitedGrounder


@pytest.fixture
def fake_grounder() -> type[FakeGrounder]:
    return FakeGrounder


@pytest.fixture
def radiograph() -> Radiograph:
    ramp = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    return Radiograph(ramp)
