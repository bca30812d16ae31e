"""What ``--model`` names: a model folder, a chat model by id or folder, or one behind an endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from knowmvg.core.grounder import Grounder
from knowmvg.inference.loading import able_to_name, load_grounder
from knowmvg.sources.texts.endpoint.client import Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint
from knowmvg.sources.texts.endpoint.pictures import PictureQuestion, open_picture_asker

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_chat_model(name: str) -> bool:
    """Whether a name means a published chat model: a folder in a hub repository's layout, or a hub id.

    A name that begins with a folder that is there is a path and no id.
    """
    path = Path(name)
    try:
        content = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return not path.exists() and bool(_HUB_ID.fullmatch(name)) and not path.parent.is_dir()
    return isinstance(content, dict) and "model_type" in content and "format" not in content


def load_model(name: str | Path, device: str = "cpu") -> Grounder:
    """The grounder that a name means.

    Raises ``ModelError`` for a folder or id that cannot be read, or is of a family without a convention.
    """
    if is_chat_model(str(name)):
        from knowmvg.grounders.coordinates.load import load_chat_model  # transformers takes seconds to import

        return able_to_name(load_chat_model(str(name), device))
    return load_grounder(Path(name))


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
