"""Finds what two parts of data have in common, row by row; memory holds hashes alone.

The rows are read once to hash them and, where something is shared, once more to count and name the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knowmvg.sources.leaks.found import Kind, Leak, Leaks, Part
from knowmvg.sources.leaks.keys import (
    digest,
    ends_key,
    image_file,
    path_key,
    sentence_keys,
    text_key,
    whole_key,
)
from knowmvg.sources.leaks.near_images import Hashes, difference_hash, near_pairs, stacked
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.sources.splits.names import SPLITS

Progress = Callable[[str, int, int | None], None]
Pairs = Sequence[tuple[Part, Part]]
QUICK = (Kind.PATIENT, Kind.PATH, Kind.BYTES, Kind.TEXT)
EXAMPLES = 5


def pairs_within(folder: Path) -> Pairs:
    """``val`` as held out from ``train``, ``test`` from both."""
    parts = [Part(folder, split, split) for split in SPLITS]
    return [(seen, held) for place, held in enumerate(parts) for seen in parts[:place]]


def pairs_between(seen: Iterable[Part], held_out: Iterable[Part]) -> Pairs:
    """Every part that was trained on with every part that is tested on."""
    held = list(held_out)
    return [(one, other) for one in seen for other in held]


def find_leaks(pairs: Pairs, kinds: Collection[Kind] = QUICK, progress: Progress | None = None) -> Leaks:
    """What the parts of each pair share.

    Args:
        pairs: (trained on, held out) of parts; a part may be in several.
        kinds: what to look for.
        progress: called with (stage, rows done, ``None``).

    Raises:
        ManifestError: a manifest or an image that cannot be read.
    """
    parts = list(dict.fromkeys(part for pair in pairs for part in pair))
    wanted = [kind for kind in Kind if kind in kinds]
    index, elsewhere = _Index(), 0
    for number, (part, row) in enumerate(_rows(parts, all_rows=True), 1):
        if part is None:
            elsewhere += 1
        else:
            index.add(part, row, wanted)
        if progress is not None and number % 200 == 0:
            progress("comparing", number, None)
    shared: dict[tuple[Part, Part, Kind], set[int]] = {}
    for seen, held in pairs:
        for kind in wanted:
            both = index.near(seen, held) if kind is Kind.NEAR else index.keys(seen, kind) & index.keys(held, kind)
            if both:
                shared[seen, held, kind] = both
    counted = _count(shared, progress) if shared else []
    return Leaks(tuple(counted), {part.name: index.rows.get(part, 0) for part in parts}, elsewhere)


@dataclass(slots=True)
class _Index:
    """Keys by part and kind; hashes of pictures by part, in the order of the rows."""

    found: dict[tuple[Part, Kind], set[int]] = field(default_factory=dict)
    pictures: dict[Part, list[Hashes]] = field(default_factory=dict)
    places: dict[Part, list[int]] = field(default_factory=dict)
    rows: dict[Part, int] = field(default_factory=dict)

    def add(self, part: Part, row: StudyRow, kinds: Iterable[Kind]) -> None:
        self.rows[part] = self.rows.get(part, 0) + 1
        for kind in kinds:
            if kind is Kind.NEAR:
                place = path_key(part.folder, row)
                known = self.found.setdefault((part, kind), set())
                if place not in known:
                    known.add(place)
                    self.pictures.setdefault(part, []).append(difference_hash(image_file(part.folder, row)))
                    self.places.setdefault(part, []).append(place)
            else:
                self.found.setdefault((part, kind), set()).update(_keys(kind, part.folder, row))

    def keys(self, part: Part, kind: Kind) -> set[int]:
        return self.found.get((part, kind), set())

    def near(self, seen: Part, held: Part) -> set[int]:
        """Places of held-out images that look like one that was trained on."""
        _, found = near_pairs(stacked(self.pictures.get(seen, [])), stacked(self.pictures.get(held, [])))
        places = self.places.get(held, [])
        return {places[k] for k in found.tolist()}


def _keys(kind: Kind, folder: Path, row: StudyRow) -> tuple[int, ...]:
    if kind is Kind.PATIENT:
        return (digest(row.patient.encode(errors="surrogatepass")),)
    if kind is Kind.BYTES:
        return (ends_key(image_file(folder, row)),)
    if kind is Kind.TEXT:
        key = text_key(row.report)
        return () if key is None else (key,)
    if kind is Kind.SENTENCES:
        return tuple(sentence_keys(row.report))
    return (path_key(folder, row),)


def _count(shared: Mapping[tuple[Part, Part, Kind], set[int]], progress: Progress | None) -> Iterator[Leak]:
    """Leaks in rows: a row counts if all its keys are shared; images of which the ends agree are read whole."""
    confirmed = _confirmed(shared)
    totals: dict[Part, int] = {}
    rows: dict[tuple[Part, Part, Kind], list[str]] = {case: [] for case in shared}
    counts = dict.fromkeys(shared, 0)
    hit: dict[tuple[Part, Part, Kind], set[int]] = {case: set() for case in shared}
    for number, (part, row) in enumerate(_rows(list(dict.fromkeys(case[1] for case in shared))), 1):
        if part is None:
            continue
        totals[part] = totals.get(part, 0) + 1
        for case, keys in shared.items():
            if case[1] is not part:
                continue
            mine = _keys(case[2], part.folder, row)
            if not mine or not keys.issuperset(mine):
                continue
            if case in confirmed and whole_key(image_file(part.folder, row)) not in confirmed[case]:
                continue
            hit[case].update(mine)
            counts[case] += 1
            if len(rows[case]) < EXAMPLES:
                rows[case].append(row.id)
        if progress is not None and number % 200 == 0:
            progress("counting", number, None)
    for case, found in counts.items():
        seen, held, kind = case
        if found:
            yield Leak(kind, seen.name, held.name, len(hit[case]), found, totals[held], tuple(rows[case]))


def _confirmed(shared: Mapping[tuple[Part, Part, Kind], set[int]]) -> dict[tuple[Part, Part, Kind], set[int]]:
    """For shared ends of image files: the whole files of the part that was trained on."""
    whole: dict[tuple[Part, Part, Kind], set[int]] = {case: set() for case in shared if case[2] is Kind.BYTES}
    for part, row in _rows(list(dict.fromkeys(case[0] for case in whole))):
        if part is None:
            continue
        path = image_file(part.folder, row)
        for case, files in whole.items():
            if case[0] is part and ends_key(path) in shared[case]:
                files.add(whole_key(path))
    return whole


def _rows(parts: Sequence[Part], *, all_rows: bool = False) -> Iterator[tuple[Part | None, StudyRow]]:
    """The rows of all parts, each folder read once; with ``all_rows`` those of no part too, with ``None``."""
    for folder in dict.fromkeys(part.folder for part in parts):
        here = {part.split: part for part in parts if part.folder == folder}
        for row in read_rows(folder):
            if all_rows or row.split in here:
                yield here.get(row.split), row
