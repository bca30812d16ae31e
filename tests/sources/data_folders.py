"""Small data set folders for tests: a manifest and the images that it names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from knowmvg.sources.manifest import MANIFEST_SCHEMA, PhraseRow, StudyRow, read_rows


def row(name: str, patient: str, split: str = "", image: str = "", report: str = "", **more: object) -> StudyRow:
    return StudyRow(
        schema=MANIFEST_SCHEMA,
        id=name,
        patient=patient,
        split=split,
        image=image or f"images/{name}.png",
        width=32,
        height=32,
        report=report or f"Study {name}. Small left pleural effusion.",
        **more,  # type: ignore[arg-type]
    )


def boxed(finding: str, text: str = "", **more: object) -> PhraseRow:
    values = {"boxes": ((1.0, 2.0, 9.0, 12.0),), **more}
    return PhraseRow(text=text or finding, finding=finding, **values)  # type: ignore[arg-type]


def write_folder(folder: Path, rows: Iterable[StudyRow], images: bool = True) -> Path:
    """Each distinct image path gets its own picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    if images:
        for number, path in enumerate(dict.fromkeys(one.image for one in rows)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / path)
    lines = [one.model_dump_json(by_alias=True) + "\n" for one in rows]
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def splits_of(folder: Path) -> dict[str, str]:
    """Split by study."""
    return {one.id: one.split for one in read_rows(folder)}
