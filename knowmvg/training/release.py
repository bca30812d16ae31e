"""A trained model as a repository of a hub: what would be published, what speaks against it, and the publishing.

Nobody's data leave by mistake: a model with licensed knowledge, or one that has learnt from data that are not known to
be free, is published only when that was asked for by name; local paths are taken out of the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import knowmvg
from knowmvg.core.errors import KnowledgeError, ModelError, OutputError
from knowmvg.grounders.hub import hub_id
from knowmvg.grounders.store import load_grounder, model_files, read_config
from knowmvg.knowledge.graph import load_graph
from knowmvg.knowledge.licences import closed_licences
from knowmvg.training.card import CARD
from knowmvg.training.data_origin import DataOrigin, origin_of_run

METRICS = "metrics.json"
WITH_PATHS = ("config.json", "backbone.json", "adapter_config.json", "tokenizer_config.json")
"""Files, in any folder of a model, in which a library may have written where something lay."""


@dataclass(frozen=True, slots=True)
class Release:
    """What ``publish`` would send.

    Args:
        files: local files by their names in the repository.
        licences: licences that are not open, with the number of knowledge nodes under each.
        origin: of the training data.
        local: bases that are named by a path of this machine, which nobody else can load.
    """

    files: dict[str, Path]
    licences: dict[str, int]
    origin: DataOrigin
    local: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {name: path.stat().st_size for name, path in self.files.items()}

    @property
    def free_data(self) -> bool:
        """Whether the training data are known to be given to anyone."""
        return self.origin.credentialed is False


def release_of(run: Path) -> Release:
    """The files of a run (or of a model folder) that make a repository: model, card, figures.

    Raises:
        ModelError: no whole model, or no card beside it.
    """
    model = run / "model" if (run / "model" / "config.json").is_file() else run
    config = read_config(model)
    files = {path.relative_to(model).as_posix(): path for path in model_files(model)}
    if missing := [path for path in files.values() if not path.is_file()]:
        raise ModelError("a whole model folder", f"no {missing[0].name} in {model}", "Train or copy the model again.")
    if not (model / CARD).is_file():
        raise ModelError("a model with its card", f"no {CARD} in {model}", f"Write it: knowmvg card {run}.")
    files[CARD] = model / CARD
    figures = next((p for p in (run / "evaluation-test" / METRICS, model / METRICS) if p.is_file()), None)
    if figures is not None:
        files[METRICS] = figures
    try:
        origin = origin_of_run(config["training"])
    except (KeyError, TypeError, AttributeError):
        origin = DataOrigin("unknown", "an unknown data set")
    return Release(files, closed_licences(load_graph(model / "knowledge.json")), origin, _local_bases(model, config))


def refuse(release: Release, *, allow_licensed: bool = False, allow_data: bool = False) -> None:
    """Refuse a release that should not be made.

    Raises:
        KnowledgeError: licensed knowledge, without ``allow_licensed``.
        ModelError: training data that are credentialed or of unknown terms, without ``allow_data``; or a base that
            only this machine has.
    """
    if release.local:
        todo = "Write a model that holds its language model (knowmvg export RUN --merged OUT); name a SAM by hub id."
        raise ModelError("bases by hub id", f"one by a local path ({release.local[0]})", todo)
    if release.licences and not allow_licensed:
        got = f"{sum(release.licences.values())} under {', '.join(map(repr, release.licences))}"
        raise KnowledgeError("knowledge under open licences", got, "Give --allow-licensed if you may share it.")
    if not release.free_data and not allow_data:
        said = "is given to credentialed users only" if release.origin.credentialed else "is of unknown terms"
        todo = "Give --allow-data if its agreement lets you share a model of it."
        raise ModelError("a model of data that anyone may have", f"{release.origin.name}, which {said}", todo)


def publish(
    run: Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    allow_licensed: bool = False,
    allow_data: bool = False,
    endpoint: str | None = None,
) -> str:
    """Send a run's model to a hub in one commit, and return the commit's address.

    The copy is loaded as a user would load it before anything is sent.

    Raises:
        KnowledgeError, ModelError: as ``release_of`` and ``refuse``, or a name that is none.
        OutputError: the hub does not take it.
    """
    named = hub_id(repository)
    if named is None or named[1] is not None:
        raise ModelError("owner/name", repr(repository), "Name a repository, and no folder that is here.")
    release = release_of(run)
    refuse(release, allow_licensed=allow_licensed, allow_data=allow_data)
    from huggingface_hub import HfApi, errors  # few commands need its import

    with tempfile.TemporaryDirectory(prefix="knowmvg-release-") as name:
        folder = _copy(release, Path(name) / "model")
        load_grounder(folder)
        api = HfApi(endpoint=endpoint, library_name="knowmvg", library_version=knowmvg.__version__)
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repository, folder_path=folder, revision=revision, commit_message="A model of knowmvg"
            )
        except errors.LocalTokenNotFoundError as error:
            raise OutputError("a hub that knows you", "no token", "Log in: hf auth login.") from error
        except (errors.HfHubHTTPError, OSError, ValueError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            got = f"{type(error).__name__}{f' ({status})' if status else ''} for {repository}"
            raise OutputError(
                "a hub that takes the model", got, "Check the name, your token and its rights."
            ) from error
    return str(done.commit_url)


def _copy(release: Release, folder: Path) -> Path:
    """The files beside each other, linked where that can be done; settings without a path of this machine."""
    for name, path in release.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.name in WITH_PATHS:
            config = json.loads(path.read_text(encoding="utf-8"))
            place.write_text(json.dumps(_without_paths(config), indent=2) + "\n", encoding="utf-8")
            continue
        try:
            os.link(path.resolve(), place)
        except OSError:
            shutil.copyfile(path, place)
    return folder


def _without_paths(value: Any) -> Any:
    """JSON values with every absolute path cut to its last part."""
    if isinstance(value, dict):
        return {key: _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _local_bases(model: Path, config: dict[str, Any]) -> tuple[str, ...]:
    sam = config["model"].get("sam") if isinstance(config.get("model"), dict) else None
    named = [] if not sam else [sam["id"]]
    path = model / "language" / "backbone.json"
    if path.is_file():
        about = json.loads(path.read_text(encoding="utf-8"))
        named += [] if about.get("merged") else [about["part"]["id"]]
    return tuple(Path(base).name for base in named if hub_id(base) is None)
