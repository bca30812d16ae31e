"""One study through the whole package gives what it gave before; ``trace.py`` says what to do when it does not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.golden.trace import TRACE, trace

WANTED = json.loads(TRACE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return trace()


def test_the_simulator_draws_the_same_image(now: dict[str, Any]) -> None:
    assert now["mean_grey"] == pytest.approx(WANTED["mean_grey"], abs=2e-3)
    assert [label["boxes"] for label in now["labels"]] == [label["boxes"] for label in WANTED["labels"]]


def test_the_grammar_writes_the_same_report(now: dict[str, Any]) -> None:
    assert now["report"] == WANTED["report"]


def test_the_parser_reads_the_same_phrases(now: dict[str, Any]) -> None:
    assert now["reading"] == WANTED["reading"]


@pytest.mark.slow
def test_the_shipped_model_places_them_in_the_same_boxes(now: dict[str, Any]) -> None:
    assert [phrase["text"] for phrase in now["grounding"]] == [phrase["text"] for phrase in WANTED["grounding"]]
    for got, wanted in zip(now["grounding"], WANTED["grounding"], strict=True):
        np.testing.assert_allclose(got["boxes"], wanted["boxes"], atol=2.0)  # pixels of 256
