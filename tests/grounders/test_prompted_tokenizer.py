from __future__ import annotations

import numpy as np
import pytest

from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.sources.phantom.report.sampler import sample_findings
from knowmvg.sources.phantom.report.writer import write_report


@pytest.fixture(scope="module")
def tokenizer() -> GroundingTokenizer:
    return GroundingTokenizer.train(reports(0, 600), image_length=4)


def reports(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [write_report(sample_findings(rng), rng).text for _ in range(count)]


def test_reports_of_its_grammar_are_known(tokenizer):
    assert sum(map(tokenizer.knows, reports(1, 50))) >= 45  # a rare word may be missing from the 600


@pytest.mark.parametrize(
    "text",
    ["", "FINDINGS:\n\nLeft-sided pleural effusion (14 mm), 12/03/2019.", "LUNG\nopacity", "3.5 cm.", "<BOX> left"],
)
def test_known_words_in_any_setting(tokenizer, text):
    assert tokenizer.knows(text) == ("cm" not in text and "BOX" not in text)


@pytest.mark.parametrize("word", ["lucent", "metastases", "zygomatic", "Erguß", "effusionen", "бронх"])
def test_a_single_strange_word_is_noticed(tokenizer, word):
    assert tokenizer.knows("left pleural effusion")
    assert not tokenizer.knows(f"left pleural effusion {word}")
    assert not tokenizer.knows(f"{word}, left pleural effusion")
