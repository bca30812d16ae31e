"""A model on a backbone as a folder that holds the backbone too, its adapters worked in."""

from __future__ import annotations

import shutil
from pathlib import Path

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.grounders.store import model_files, read_config
from knowmvg.knowledge.graph import load_graph
from knowmvg.knowledge.licences import refuse_sharing
from knowmvg.sources.whole_folder import check_free, move_into_place, partial_folder

LANGUAGE = "language"
BESIDE = ("README.md", "metrics.json")


def write_merged(model: Path, out: Path, *, allow_licensed: bool = False) -> Path:
    """Write the model folder ``model`` to ``out`` with its language model inside; ``out`` appears whole or not at all.

    Raises:
        ModelError: no model, one without a backbone, or a base that cannot be read.
        KnowledgeError: licensed knowledge for a folder that is not private (knowledge/licences.py).
        OutputError: ``out`` is not new, or cannot be written.
    """
    read_config(model)
    if not (model / LANGUAGE / "backbone.json").is_file():
        todo = "A model of laptop size is whole as it is: copy its folder."
        raise ModelError("a model on a backbone", f"none in {model}", todo)
    check_free(out, overwrite=False)
    refuse_sharing(load_graph(model / "knowledge.json"), out, allow_licensed=allow_licensed)
    from knowmvg.grounders.backbones.merge import merge_backbone  # the checks first: its imports take seconds

    part = partial_folder(out)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        own = [path for path in model_files(model) if LANGUAGE not in path.relative_to(model).parts[:1]]
        for path in (*own, *(model / name for name in BESIDE if (model / name).is_file())):
            shutil.copyfile(path, part / path.name)
        merge_backbone(model / LANGUAGE, part / LANGUAGE)
        move_into_place(part, out)
    except OSError as error:
        raise OutputError("a folder that can be written", f"{error.strerror} at {out}", "Check it.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out
