"""What the answers of a sample tell of a model of the prompted family: whether each box is a token, and what fits."""

from __future__ import annotations

from knowmvg.training.doctor.finding import Finding, Level


def box_marks(whole: bool) -> Finding:
    """Whether answers hold as many ``<BOX>`` tokens as boxes."""
    if whole:
        return Finding(Level.OK, "<BOX>", "one token of its own, once for each box of an answer")
    todo = "The tokenizer must keep <BOX> whole: report this with the recipe."
    return Finding(Level.PROBLEM, "<BOX>", "answers do not hold one token for each box", todo)


def left_out(phrases: int) -> list[Finding]:
    """Labelled phrases of the sample that do not fit in the language model's length."""
    if not phrases:
        return []
    said = f"{phrases} phrases of the sampled studies do not fit and would not be taught"
    return [Finding(Level.WARNING, "length", said, "Raise language_model.max_length or max_report.")]
