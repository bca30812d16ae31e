"""A diffusion grounder as a folder: ``config.json``, ``parts.json``, and the parts in the layout of diffusers.

A part of the hub may be noted in ``parts.json`` by id and commit instead of being copied. The folder is written beside
its place and moved there when it is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError
from knowmvg.grounders.diffusion.grounder import DiffusionGrounder
from knowmvg.grounders.diffusion.parts import PARTS, RECORD, DiffusionParts, load_parts, save_parts
from knowmvg.grounders.diffusion.settings import ReadSettings, read_settings

FORMAT = "knowmvg.grounder/1"
SYSTEM = "diffusion"
CONFIG = "config.json"
TODO = "Give a folder that `knowmvg train` wrote."


def save_diffusion(
    parts: DiffusionParts,
    settings: ReadSettings,
    name: str,
    folder: Path,
    facts: dict[str, Any] | None = None,
    *,
    findings: Collection[str] | None = None,
    elsewhere: Collection[str] = (),
) -> None:
    """Write a grounder; ``facts`` (recipe, fingerprint, ...) go into ``config.json`` under ``training``.

    ``findings`` are those that it has learnt to place, ``None`` where that is not limited. Other files that lie in the
    folder (a card, metrics) stay. ``elsewhere`` is that of ``save_parts``.

    Raises:
        ModelError: a part of ``elsewhere`` that did not come from the hub; nothing is written.
    """
    staging = folder.with_name(folder.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        save_parts(parts, staging, elsewhere=elsewhere)
        config: dict[str, Any] = {"format": FORMAT, "system": SYSTEM, "name": name}
        config["read"] = settings.model_dump(mode="json")
        config["findings"] = None if findings is None else sorted(findings)
        text = json.dumps(config | {"training": facts or {}}, indent=2) + "\n"
        (staging / CONFIG).write_text(text, encoding="utf-8")
        if folder.exists():
            for extra in folder.iterdir():
                if extra.is_file() and extra.name not in (CONFIG, RECORD):
                    shutil.copy2(extra, staging / extra.name)
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_diffusion(folder: Path, device: str = "cpu") -> DiffusionGrounder:
    """Read a grounder; it has no reader of reports yet (``DiffusionGrounder.with_reader``).

    Raises ``ModelError`` for a folder that is missing, incomplete, damaged or of another version.
    """
    config = _config(folder)
    if not isinstance(config.get("name"), str) or "read" not in config:
        raise ModelError(f"name and read in {folder / CONFIG}", "one of them missing", TODO)
    findings = config.get("findings")
    if findings is not None and not (isinstance(findings, list) and all(isinstance(name, str) for name in findings)):
        got = f"a {type(findings).__name__}"
        raise ModelError(f"a list of names or null as findings in {folder / CONFIG}", got, TODO)
    settings, learnt = read_settings(config["read"]), None if findings is None else frozenset(findings)
    return DiffusionGrounder(load_parts(folder, device=device), settings, config["name"], findings=learnt)


def files_of(folder: Path) -> list[Path]:
    """The files that make the model, those of parts on the hub left out, in order; a card beside them is none.

    Raises ``ModelError`` for a folder that is missing or of another version.
    """
    _config(folder)
    inside = [path for part in PARTS for path in (folder / part).rglob("*") if path.is_file()]
    return sorted([folder / CONFIG, folder / RECORD, *inside])


load = load_diffusion  # by this name grounders.store asks


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"a model folder with {CONFIG}", f"none in {folder}", TODO) from error
    except ValueError as error:
        raise ModelError(f"a whole {CONFIG} in {folder}", "no JSON", "Copy or train the model again.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("system") != SYSTEM:
        got = f"{config.get('format')!r}, {config.get('system')!r}" if isinstance(config, dict) else "something else"
        raise ModelError(f"format {FORMAT} of the system {SYSTEM}", got, "Use the knowmvg version that wrote it.")
    if not (folder / RECORD).is_file():
        raise ModelError(f"a model folder with {RECORD}", f"none in {folder}", TODO)
    return config
