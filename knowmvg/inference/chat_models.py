"""What ``--model`` names: a model folder, a chat model by id or folder, or one behind an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from knowmvg.core.grounder import Grounder
from knowmvg.inference.loading import able_to_name, load_grounder
from knowmvg.sources.texts.endpoint.client import Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint
from knowmvg.sources.texts.endpoint.pictures import PictureQuestion, open_picture_asker


def load_model(model: str | Path, revision: str | None = None, device: str | None = None) -> Grounder:
    """The grounder that a folder or hub id means: a model of this package, or a chat model that writes boxes.

    Args:
        model: a folder, ``owner/name`` or ``owner/name@revision``.
        revision: of a hub id.
        device: in the words of torch; without one, a GPU where torch sees one.

    Raises ``ModelError`` for a folder or id that cannot be read, or is of a family without a convention, and for a
    device that is not there.
    """
    from knowmvg.grounders.hub import hub_id, model_path

    folder = model_path(model, revision)
    if not is_chat_model(folder):
        return load_grounder(folder, device)
    from knowmvg.grounders.coordinates.load import load_chat_model  # torch and transformers take seconds to import
    from knowmvg.grounders.device import device_or_best

    name, written = hub_id(model) or (str(folder), None)
    return able_to_name(load_chat_model(name, device_or_best(device), revision=revision or written))


def is_chat_model(folder: Path) -> bool:
    """Whether a folder is a published model's, in a hub repository's layout, and none of this package."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "model_type" in content and "format" not in content


@dataclass(frozen=True, slots=True)
class Remote:
    """How an endpoint is asked: ``cache`` keeps answers, ``budget`` bounds the questions that are sent."""

    endpoint: Endpoint
    cache: Path
    patience: Patience = field(default_factory=Patience)
    connections: int = 4
    budget: int | None = None


@contextmanager
def remote_grounder(remote: Remote) -> Iterator[Grounder]:
    """A grounder behind an endpoint. Its questions raise ``EndpointError`` where it does not answer."""
    from knowmvg.grounders.coordinates.config import CoordinatesConfig
    from knowmvg.grounders.coordinates.conventions import REMOTE
    from knowmvg.grounders.coordinates.remote import RemoteGrounder

    with open_picture_asker(remote.endpoint, remote.cache, remote.patience, remote.connections, remote.budget) as asker:
        yield able_to_name(
            RemoteGrounder(
                lambda questions: asker([PictureQuestion(*question) for question in questions]),
                CoordinatesConfig.of(REMOTE),
                remote.endpoint.model,
            )
        )
