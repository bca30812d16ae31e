"""Models by hub id: ``owner/name`` or ``owner/name@revision`` stands wherever a model folder does.

Only weights and text are fetched (``PATTERNS``), into the cache of ``huggingface_hub``; no code of a repository is ever
run. ``HF_HUB_OFFLINE=1`` reads the cache alone, ``HF_ENDPOINT`` and ``HF_HOME`` work as everywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from knowmvg.core.errors import ModelError
from knowmvg.grounders.shipped import shipped_model, shipped_names

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.jinja", "README.md")
_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95})/([A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,128}))?", re.ASCII)
_FILES = (".yaml", ".yml", ".json", ".jsonl", ".safetensors")  # a mistaken path, not the name of a repository


def hub_id(model: str | Path) -> tuple[str, str | None] | None:
    """The ``(owner/name, revision)`` that ``model`` names, or ``None`` for a path.

    A path comes first: what exists here, or would lie in a folder that does, is never asked for on the network.
    """
    text = model.as_posix() if isinstance(model, Path) else model
    found = _ID.fullmatch(text)
    if found is None or Path(text).exists() or Path(found[1]).is_dir() or Path(text).suffix in _FILES:
        return None
    return f"{found[1]}/{found[2]}", found[3]


def model_path(model: str | Path, revision: str | None = None, *, endpoint: str | None = None) -> Path:
    """The folder of a model: that of a path, a shipped one's, a hub id's snapshot in the cache, fetched if need be.

    Args:
        model: a model's folder, a run's (``knowmvg train``), the name of one that is shipped, ``owner/name`` or
            ``owner/name@revision``.
        revision: branch, tag or commit of a hub id, instead of ``@revision``.
        endpoint: another hub than the one that ``huggingface_hub`` is set to.

    Raises:
        ModelError: a revision of a folder, two of them, or a hub id that cannot be fetched.
    """
    named = hub_id(model)
    if named is None:
        if revision is not None:
            raise ModelError("a hub id with the revision", f"the path {model}", "Leave the revision out.")
        return shipped_model(model) or _of_run(Path(model))
    repository, written = named
    if revision is not None and written is not None and revision != written:
        raise ModelError("one revision", f"{written} and {revision}", "Give it once.")
    return _fetched(repository, revision or written, endpoint)


def _of_run(folder: Path) -> Path:
    """The model's folder in a run's; any other folder as it is."""
    inner = folder / "model"
    return inner if (inner / "config.json").is_file() and not (folder / "config.json").is_file() else folder


def missing_model(folder: Path) -> ModelError:
    """The error for a path where no model lies: it says what does."""
    todo = "Give a run or model folder that `knowmvg train` wrote, or a hub id as owner/name."
    if not folder.exists():
        got = f"nothing at {folder}"
        todo = f"{todo[:-1]}, or a shipped one: {', '.join(shipped_names())}."
    elif not folder.is_dir():
        got = f"the file {folder}"
    elif (folder / "manifest.jsonl").is_file():
        got = f"the data set {folder}"
    elif (folder / "recipe.yaml").is_file():
        got, todo = f"the run {folder} without its model", "Finish its training: knowmvg train goes on where it was."
    else:
        got = f"no config.json in {folder}"
    return ModelError("a model folder", got, todo)


def _fetched(repository: str, revision: str | None, endpoint: str | None) -> Path:
    from huggingface_hub import constants, errors, snapshot_download  # few commands need its import

    asked = repository if revision is None else f"{repository}@{revision}"
    todo = "Check the name; log in with `hf auth login` where the model is private or gated."
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(PATTERNS), endpoint=endpoint))
    except errors.GatedRepoError as error:
        got, todo = "a gated model", "Accept its terms on its page, then `hf auth login`."
        raise ModelError(f"a model that you may fetch at {asked}", got, todo) from error
    except errors.RepositoryNotFoundError as error:
        got = "neither such a folder nor such a model on the hub"
        raise ModelError(f"a model folder or hub id at {asked}", got, todo) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"a revision {revision} of {repository}", "none", "Name a branch, tag or commit.") from error
    except (errors.HFValidationError, errors.HfHubHTTPError, OSError, ValueError) as error:
        if constants.HF_HUB_OFFLINE:
            todo = "Fetch it once without HF_HUB_OFFLINE, or give a folder."
            expected = f"a model folder {asked}, or this hub id in the local cache (offline)"
            raise ModelError(expected, "neither", todo) from error
        got, todo = f"no such folder, and {type(error).__name__}", "Correct the path, or check connection and space."
        raise ModelError(f"a model folder, or a hub that answers, for {asked}", got, todo) from error
