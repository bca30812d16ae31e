"""A data set folder in another text mode, beside the one that it was made from: ``knowmvg texts``.

The new folder holds a manifest of its own and no images: its rows, or the ``image_root`` of its notes, lead to those of
the first folder. It grows under another name and takes its place when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError, OutputError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.splits.counts import SplitCounts, Tally
from knowmvg.sources.whole_files import whole_file, write_lines
from knowmvg.sources.whole_folder import move_into_place, partial_folder

NOTES = "dataset.json"


@dataclass(frozen=True, slots=True)
class TextFolder:
    """What was written: counts by split, and the SHA-256 of the manifest."""

    counts: Mapping[str, SplitCounts]
    fingerprint: str
    files: tuple[Path, ...]

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(count.studies for count in self.counts.values())


def check_target(folder: Path, out: Path, *, overwrite: bool) -> None:
    """Refuse an ``out`` that is the source, lies around it, or holds something that nobody asked to replace.

    Raises ``ManifestError`` or ``OutputError``.
    """
    here, there = folder.resolve(), out.resolve()
    if here == there or there in here.parents:
        raise ManifestError("another folder to write", f"{out}, which holds the source", "Give another folder.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise OutputError("a new or empty folder", f"files in {out}", "Give another folder, or --overwrite.")
    if not (out / "manifest.jsonl").is_file() or not _made_here(out):
        todo = "Move it away yourself if it is not needed."
        raise OutputError(f"a folder that knowmvg texts wrote at {out}", "something else", todo)


def write_text_folder(folder: Path, out: Path, rows: Iterable[StudyRow], made_with: Mapping[str, str]) -> TextFolder:
    """Write ``rows``, made from those of ``folder``, to the new folder ``out``, which it replaces if it exists.

    Args:
        folder: the data set with the images and masks.
        out: see ``check_target``.
        rows: in the order in which they are written, one at a time.
        made_with: how they were made, for ``dataset.json``.

    Raises:
        ManifestError: no row was made, or two have one identifier. ``out`` is then as it was.
        OutputError: ``out`` cannot be written.
    """
    part = partial_folder(out)
    notes = _notes(folder)
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(parents=True)
    except OSError as error:
        raise OutputError("a folder to write", f"{error.strerror} at {part}", "Choose another one.") from error
    try:
        tally, state, names = Tally(), hashlib.sha256(), hashlib.sha256()
        splits: dict[str, None] = {}
        with whole_file(part / "manifest.jsonl") as manifest:
            for row in _distinct(rows):
                row = _led(row, folder, out, rooted="image_root" in notes)
                line = row.model_dump_json(by_alias=True) + "\n"
                manifest.write(line)
                state.update(line.encode())
                names.update(f"{row.id}\n".encode())
                tally.add(row)
                splits[row.split] = None
        if not splits:
            raise ManifestError("studies with a text in this mode", "none", "Choose another mode.")
        counts = {split: tally.counts(split) for split in splits}
        content = _new_notes(notes, folder, out, counts, state.hexdigest(), names.hexdigest(), made_with)
        write_lines(part / NOTES, [json.dumps(content, indent=2)])
        move_into_place(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return TextFolder(counts, state.hexdigest(), (out / "manifest.jsonl", out / NOTES))


def _distinct(rows: Iterable[StudyRow]) -> Iterator[StudyRow]:
    seen: set[bytes] = set()
    for row in rows:
        key = hashlib.sha256(row.id.encode(errors="surrogatepass")).digest()[:10]
        if key in seen:
            raise ManifestError("each study once", f"the identifier {row.id} twice", "Correct the source's manifest.")
        seen.add(key)
        yield row


def _led(row: StudyRow, folder: Path, out: Path, *, rooted: bool) -> StudyRow:
    """The row with paths that lead from ``out`` to the files of ``folder``."""
    update: dict[str, Any] = {}
    if not rooted:
        update["image"] = _lead(folder / row.image, out)
    if row.masks is not None:
        update["masks"] = _lead(folder / row.masks, out)
    return row.model_copy(update=update)


def _lead(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path.absolute(), out.absolute())).as_posix()


def _notes(folder: Path) -> dict[str, Any]:
    path = folder / NOTES
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"notes in {path}", "a damaged file", "Prepare the data set again.") from error
    return content if isinstance(content, dict) else {}


def _new_notes(
    notes: Mapping[str, Any],
    folder: Path,
    out: Path,
    counts: Mapping[str, SplitCounts],
    fingerprint: str,
    names: str,
    made_with: Mapping[str, str],
) -> dict[str, Any]:
    """The source's notes with the new numbers; those of a simulated set, which count other things, are left out."""
    made = {**notes.get("made_with", {}), "texts_of": str(folder), **made_with}
    told = {split: count.as_dict() for split, count in counts.items()}
    if "image_root" in notes:
        root = _lead(folder / notes["image_root"], out)
        new = {"image_root": root, "counts": told, "fingerprint": fingerprint, "ids_sha256": names}
        return {**notes, **new, "made_with": made}
    kept = {name: value for name, value in notes.items() if name not in ("counts", "splits", "fingerprint")}
    return {**kept, "made_with": made, "counts": told, "fingerprint": fingerprint}


def _made_here(out: Path) -> bool:
    try:
        made = _notes(out).get("made_with")
    except ManifestError:
        return False
    return isinstance(made, dict) and "texts_of" in made
