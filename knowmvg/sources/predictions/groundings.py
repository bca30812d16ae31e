"""Results of this package (docs/grounding.schema.json): one a file, or one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from knowmvg.core.boxtext.reading import Item
from knowmvg.core.errors import ManifestError
from knowmvg.core.records import GroundedPhrase, Grounding
from knowmvg.sources.predictions.answers import Answer, Listed, Listing, Predictions, without_repeats
from knowmvg.sources.predictions.lines import MAX_LINE, numbered_lines


def read_groundings(path: Path, listing: Listing) -> Predictions:
    """The answers in a ``grounding.json`` or in JSON lines of such: the phrases that are placed or have a box.

    Raises:
        ManifestError: no such file, one that does not follow the schema, or a study of another size than listed.
    """
    answers, unknown = list[Answer](), dict[str, None]()
    for place, grounding in _groundings(path):
        listed = listing.by_study.get(grounding.study or "")
        if listed is None:
            unknown[grounding.study or "a grounding without a study"] = None
            continue
        _same_size(place, grounding, listed)
        said = [phrase for phrase in grounding.phrases if phrase.assertion.placed or phrase.boxes]
        answers.append(Answer(listed.study, tuple(_item(phrase) for phrase in said)))
    return Predictions(without_repeats(answers), tuple(unknown))


def _groundings(path: Path) -> Iterator[tuple[str, Grounding]]:
    """Each grounding with where it stands."""
    if path.is_file() and path.stat().st_size <= MAX_LINE:
        try:
            whole = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            whole = None  # more than one value: lines, then
        if whole is not None:
            yield str(path), _grounding(str(path), whole)
            return
    for number, line in numbered_lines(path):
        place = f"line {number} of {path}"
        try:
            yield place, _grounding(place, json.loads(line))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ManifestError(f"a grounding in {place}", "no JSON", "Ground the study again.") from error


def _grounding(place: str, data: object) -> Grounding:
    try:
        return Grounding.model_validate(data)
    except ValidationError as error:  # its words may quote the report
        where = ", ".join(sorted({".".join(map(str, e["loc"])) or "its boxes" for e in error.errors()}))
        raise ManifestError(
            f"a grounding in {place}", f"something else at {where}", "Ground the study again."
        ) from error


def _same_size(place: str, grounding: Grounding, listed: Listed) -> None:
    if tuple(grounding.image_size) != listed.size:
        sizes = f"an image of {listed.size} pixels for study {listed.study}", f"{grounding.image_size} in {place}"
        raise ManifestError(*sizes, "Ground the images of this data set.")


def _item(phrase: GroundedPhrase) -> Item:
    return Item(phrase.text, tuple(r.xyxy for r in phrase.boxes), tuple(r.score for r in phrase.boxes))
