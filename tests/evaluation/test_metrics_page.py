"""docs/metrics.md speaks of every metric that there is, and of no other."""

import re
from pathlib import Path

import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.evaluation import metrics
from knowmvg.evaluation.protocol import teacher_forced
from knowmvg.evaluation.scores import score_samples

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
IN_CODE = re.findall(r"`([^`]+)`", PAGE)


@pytest.mark.parametrize("name", [name for name in metrics.__all__ if name[0].islower()])
def test_every_function_is_on_the_page(name):
    assert any(re.search(rf"\b{name}\b", piece) for piece in IN_CODE)


def test_every_printed_metric_is_on_the_page():
    studies = random_studies(4)
    printed = score_samples(teacher_forced(Knowing(studies), studies).samples, resamples=2)
    known = {piece.split(" ")[0] for piece in IN_CODE}
    for name in printed:
        assert name in known or re.sub(r"@.*", "@t", name) in known or _family(name) in PAGE, name


def _family(name):
    """``aurc_optimal@0.5`` stands on the page as ``aurc_optimal``, "each _iou and @t"."""
    return f"**`{re.sub(r'(_iou|@.*)$', '', name)}`**"


def test_names_are_defined_once():
    headings = [
        name for line in PAGE.splitlines() if line.startswith("### ") for name in re.findall(r"`([^`]+)`", line)
    ]
    assert len(headings) == len(set(headings)) > 30


@pytest.mark.parametrize("page", ["index.md", "evaluation.md"])
def test_the_page_can_be_found(page):
    assert "(metrics.md)" in (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_every_entry_says_what_it_was_checked_against():
    for entry in re.split(r"^### ", PAGE, flags=re.M)[1:]:
        body = entry.split("\n## ")[0]
        assert "hecked\nagainst" in body or "hecked against" in body.replace("\n  ", " "), body.splitlines()[0]
