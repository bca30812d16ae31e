"""Placed phrases denied in the report while the image still shows them: which of them get a box all the same?

Every sentence that states a finding is replaced by "No A, B or C." of the findings that it names, in their own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from knowmvg.core.boxes import as_boxes
from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Study
from knowmvg.evaluation.naming import Reader, false_boxes, match_phrases, named
from knowmvg.evaluation.samples import Protocol, Sample
from knowmvg.evaluation.studies import Progress, Studies, batches, count
from knowmvg.sources.report import Sentence, read_report
from knowmvg.sources.texts.edits import Edit, rewrite

_CLAUSE = re.compile(r"\b(?:is|are|was|were|has|have|appears?|remains?)\b")


def denied(study: Study) -> Study | None:
    """The study with a report that denies its placed phrases; its labels are those of them that had a box.

    ``None`` where a boxed phrase has no place in the report's sentences, or is a clause without a finding's name, so
    that it could not be denied; and where there is no boxed phrase.
    """
    placed = [label for label in study.labels if label.phrase.assertion.placed]
    if not any(len(label.boxes) for label in placed):
        return None
    sentences = read_report(study.report).sentences
    homes = [_home(label.phrase, study.report, sentences) for label in placed]
    edits: list[Edit] = []
    spans: dict[int, tuple[int, int]] = {}  # of a placed phrase, in its sentence's new words
    for place, sentence in enumerate(sentences):
        inside = [k for k, home in enumerate(homes) if home == place]
        if not inside:
            continue
        words = [_name(placed[k].phrase) for k in inside]
        if not all(words):
            return None
        text, parts = _denial([word for word in words if word])
        edits.append(Edit(sentence.start, sentence.end, text))
        spans |= dict(zip(inside, parts, strict=True))
    if any(home is None and len(label.boxes) for home, label in zip(homes, placed, strict=True)):
        return None
    report = rewrite(study.report, edits)
    labels = [
        _label(placed[k].phrase, report.text, report.span((sentences[home].start, sentences[home].end))[0], spans[k])
        for k, home in enumerate(homes)
        if home is not None and len(placed[k].boxes)
    ]
    return replace(study, report=report.text, labels=tuple(labels), id=f"{study.id} (denied)")


@dataclass(frozen=True, slots=True)
class Boxed:
    """A boxed phrase: whether it gets a box when the report states it and when the report denies it."""

    patient: str
    stated: bool
    denied: bool


@dataclass(frozen=True, slots=True)
class Denials:
    """All phrases that could be denied, and the number of boxed phrases that could not."""

    phrases: tuple[Boxed, ...]
    n_left_out: int


def ask_denied(
    protocol: Protocol,
    grounder: Grounder,
    studies: Studies,
    stated: Sequence[Sample],
    *,
    reader: Reader | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> Denials:
    """Ask for the denied phrases: in ``generate`` as ``naming.false_boxes`` counts, else by giving them.

    ``stated`` are the samples of the unchanged studies under the same protocol.
    """
    before = {sample.key: sample for sample in stated}
    found: list[Boxed] = []
    done = 0
    for batch in batches(studies, batch_size):
        pairs = [(study, shown) for study in batch if (shown := denied(study)) is not None]
        for (study, shown), boxed in zip(pairs, _boxed(protocol, grounder, [s for _, s in pairs], reader), strict=True):
            indices = [k for k, label in enumerate(study.labels) if label.phrase.assertion.placed and len(label.boxes)]
            samples = [before[study.id, index] for index in indices]
            assert len(samples) == len(shown.labels)
            found += [Boxed(s.patient, bool(s.predicted), box) for s, box in zip(samples, boxed, strict=True)]
        done += len(batch)
        if progress is not None:
            progress(f"{protocol}: denied", done, count(studies))
    return Denials(tuple(found), len(before) - len(found))


def _boxed(
    protocol: Protocol, grounder: Grounder, shown: Sequence[Study], reader: Reader | None
) -> Iterator[list[bool]]:
    """For each study whether each of its denied phrases was given a box."""
    phrases = [[label.phrase for label in study.labels] for study in shown]
    bare = [replace(study, labels=()) for study in shown]
    if not protocol.gives_phrases:
        for answer, asked in zip(grounder.ground(bare), phrases, strict=True):
            yield false_boxes(named(answer.phrases, reader), asked)
        return
    queries = [[Query(phrase) for phrase in asked] for asked in phrases]
    for answer, asked in zip(grounder.ground_phrases(bare, queries), phrases, strict=True):
        partners = match_phrases(answer.phrases, asked)
        yield [partner is not None and bool(answer.phrases[partner].boxes) for partner in partners]


def _home(phrase: Phrase, report: str, sentences: Sequence[Sentence]) -> int | None:
    """The sentence that holds the whole phrase."""
    if phrase.span is None or report[slice(*phrase.span)] != phrase.text:
        return None
    start, end = phrase.span
    return next((k for k, s in enumerate(sentences) if s.start <= start and end <= s.end), None)


def _name(phrase: Phrase) -> str | None:
    """What stands after "no": the phrase's words, or side and finding where those could not be denied so.

    Such are clauses ('heart is enlarged') and words that a 'no' does not reach ('opacity, most likely atelectasis').
    """
    first, _, _ = phrase.text.partition(" ")
    words = phrase.text if first.isupper() and len(first) > 1 else phrase.text[0].lower() + phrase.text[1:]
    if _CLAUSE.search(words) or any(read.assertion.placed for read in read_report(f"No {words}.").phrases):
        side = f"{phrase.side} " if phrase.side is not None else ""
        return f"{side}{phrase.finding}" if phrase.finding is not None else None
    return words


def _denial(names: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """'No A, B or C.' and where each name stands in it."""
    text, spans = "No ", []
    for place, name in enumerate(names):
        if place:
            text += " or " if place == len(names) - 1 else ", "
        spans.append((len(text), len(text) + len(name)))
        text += name
    return f"{text}.", spans


def _label(phrase: Phrase, report: str, sentence: int, span: tuple[int, int]) -> LabelledPhrase:
    where = (sentence + span[0], sentence + span[1])
    words = {"text": report[slice(*where)], "span": where, "assertion": Assertion.ABSENT}
    return LabelledPhrase(phrase.model_copy(update=words), as_boxes([]))
