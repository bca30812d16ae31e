"""Gives the studies of a prepared folder their splits and publishes the lists: ``knowmvg splits``.

The manifest is streamed twice, once to learn who is there and once to write it anew; it takes its place, whole, after
the lists have taken theirs. The splits that the data set came with are kept in ``splits/official`` when others take
their place for the first time.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.splits.assign import ByLists, Division, Official
from knowmvg.sources.splits.counts import SplitCounts, Tally
from knowmvg.sources.splits.id_lists import SPLITS_SCHEMA, hashed_id, list_digest, salt_name
from knowmvg.sources.splits.names import SPLITS, UNUSED, Unit, ids_of
from knowmvg.sources.whole_files import whole_file, write_lines

_STALE = ("counts", "splits", "fingerprint")
"""What the ``dataset.json`` of a simulated data set says of the splits that it was written with."""


@dataclass(frozen=True, slots=True)
class Resplit:
    """What ``resplit`` did. ``shared_patients`` counts patients by pair of splits; pairs without any are left out."""

    counts: Mapping[str, SplitCounts]
    shared_patients: Mapping[tuple[str, str], int]
    unknown_ids: int
    files: tuple[Path, ...]


def official(folder: Path) -> Official:
    """The published splits of a folder, from where they were kept or from the manifest.

    Raises ``ManifestError`` where they were replaced and not kept.
    """
    kept = folder / "splits" / "official"
    if kept.is_dir():
        return Official(kept)
    if _kind(folder) not in (None, "official"):
        todo = "The data set came without: divide it with --ratio or --ids, or prepare it again if it has some."
        raise ManifestError("official splits", f"none kept in {folder}", todo)
    return Official()


def resplit(
    folder: Path, division: Division, *, salted: bool = False, salt: bytes | None = None, published: bool = True
) -> Resplit:
    """Divide the studies of ``folder`` and write ``manifest.jsonl``, ``splits/*.txt`` and ``splits.json``.

    Args:
        folder: a prepared data set.
        division: who goes where.
        salted: also publish hashed ids, in ``splits/shared``, under ``salt`` or a new one in ``splits/salt.txt``.
        salt: see ``salted``.
        published: whether splits that the folder may have are those of the data set, which are then kept.

    Raises:
        ManifestError, OutputError: the data do not follow the schema or cannot be divided; nothing was changed.
    """
    split_of = division.learn(read_rows(folder))
    facts = division.facts()
    keeps = published and not (folder / "splits" / "official").is_dir() and _kind(folder) in (None, "official")
    unit, tally, state = Unit(facts["unit"]), Tally(), hashlib.sha256()
    named: dict[str, set[str]] = defaultdict(set)
    before: dict[str, set[str]] = defaultdict(set)
    with whole_file(folder / "manifest.jsonl") as manifest:
        for row in read_rows(folder):
            if keeps and row.split:
                before[row.split].add(row.id)
            row = row.model_copy(update={"split": split_of(row)})
            line = row.model_dump_json(by_alias=True) + "\n"
            manifest.write(line)
            state.update(line.encode())
            tally.add(row)
            named[row.split].add(ids_of(row, unit)[0])
        counts = {split: tally.counts(split) for split in (*SPLITS, UNUSED)}
        if sum(count.studies for count in counts.values()) == 0:
            raise ManifestError("a data set with studies", f"none in {folder}", "Prepare it first.")
        facts |= {"manifest_sha256": state.hexdigest(), "unused_studies": counts[UNUSED].studies}
        files: list[Path] = []
        if set(before) <= set(SPLITS) and before and not isinstance(division, Official):
            files += _write_lists(folder / "splits" / "official", before)
        files += _publish(folder, folder / "splits", facts, named, counts)
        if salted:
            files += _share(folder, facts, named, counts, salt)
    _update_notes(folder, counts, state.hexdigest())
    pairs: list[tuple[str, str]] = list(combinations(SPLITS, 2))
    shared = {pair: number for pair in pairs if (number := tally.shared_patients(*pair))}
    unknown = division.unknown if isinstance(division, ByLists) else 0
    return Resplit(counts, shared, unknown, (folder / "manifest.jsonl", *files))


def _publish(
    place: Path, lists: Path, facts: Mapping[str, Any], named: Mapping[str, set[str]], counts: Mapping[str, SplitCounts]
) -> list[Path]:
    """The lists, and in ``place`` the ``splits.json`` that describes them."""
    files = _write_lists(lists, named)
    entries = {
        split: {
            "list": (lists / f"{split}.txt").relative_to(place).as_posix(),
            "ids": len(named.get(split, ())),
            "sha256": list_digest(named.get(split, ())),
            **counts[split].as_dict(),
        }
        for split in SPLITS
    }
    content = {"schema": SPLITS_SCHEMA, **facts, "splits": entries}
    write_lines(place / "splits.json", [json.dumps(content, indent=2)])
    return [*files, place / "splits.json"]


def _share(
    folder: Path,
    facts: Mapping[str, Any],
    named: Mapping[str, set[str]],
    counts: Mapping[str, SplitCounts],
    salt: bytes | None,
) -> list[Path]:
    """Hashed ids in ``splits/shared``, which may be given away; the salt lies beside that folder."""
    kept = folder / "splits" / "salt.txt"
    if salt is None:
        salt = kept.read_text(encoding="utf-8").strip().encode() if kept.is_file() else secrets.token_hex(16).encode()
    write_lines(kept, [salt.decode()])
    hashed = {split: {hashed_id(name, salt) for name in ids} for split, ids in named.items()}
    shared = folder / "splits" / "shared"
    told = {key: value for key, value in facts.items() if key != "manifest_sha256"} | {"salt": salt_name(salt)}
    return [*_publish(shared, shared, told, hashed, counts), kept]


def _write_lists(folder: Path, named: Mapping[str, set[str]]) -> list[Path]:
    for split in SPLITS:
        write_lines(folder / f"{split}.txt", sorted(named.get(split, ())))
    return [folder / f"{split}.txt" for split in SPLITS]


def _kind(folder: Path) -> str | None:
    """How the folder was divided last, or ``None`` where it still has the splits that it came with."""
    path = folder / "splits.json"
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"lists of schema {SPLITS_SCHEMA}", f"other content in {path}", "Remove it.") from error


def _update_notes(folder: Path, counts: Mapping[str, SplitCounts], fingerprint: str) -> None:
    """``dataset.json`` after a new division: the numbers by split of a prepared data set are replaced.

    Those of a simulated one, whose fingerprint is of pixels too, go under ``before_resplit``.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(content, dict):
        return
    if "image_root" in content:
        content["counts"] = {split: count.as_dict() for split, count in counts.items() if count.studies}
        content["fingerprint"] = fingerprint
    elif "before_resplit" not in content:
        content["before_resplit"] = {name: content.pop(name) for name in _STALE if name in content}
    write_lines(path, [json.dumps(content, indent=2)])
