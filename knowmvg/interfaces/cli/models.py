"""The model that a command is told: a run, a folder or hub id of a model, chat models too, or one at an endpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from knowmvg.core.grounder import Grounder
from knowmvg.grounders.hub import hub_id
from knowmvg.interfaces.cli.runs import model_folder

ENDPOINT = "A model at an endpoint"

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        help="Base URL of an OpenAI-compatible endpoint that sees image and phrases; the model is then its name there.",
        show_default=False,
        rich_help_panel=ENDPOINT,
    ),
]
KeyVariable: TypeAlias = Annotated[
    str, typer.Option(help="Environment variable with its key.", rich_help_panel=ENDPOINT)
]
Budget: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, help="Most questions that are sent.", show_default=False, rich_help_panel=ENDPOINT),
]
Public: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--public", help="Image and phrases, if of unknown origin, may be sent to others.", rich_help_panel=ENDPOINT
    ),
]
OwnEndpoint: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--own-endpoint",
        help="The endpoint is yours and keeps nothing (for credentialed data).",
        rich_help_panel=ENDPOINT,
    ),
]
KEY_VARIABLE = "KNOWMVG_ENDPOINT_KEY"


@dataclass(frozen=True, slots=True)
class Behind:
    """An endpoint as the options name it; ``public`` and ``own`` are what the user says of data and endpoint."""

    url: str
    key_variable: str = KEY_VARIABLE
    budget: int | None = None
    public: bool = False
    own: bool = False

    @contextmanager
    def opened(self, model: str | None, answers: Path, credentialed: bool | None = None) -> Iterator[Grounder]:
        """The grounder behind it, whose answers are kept in the folder ``answers``.

        Args:
            model: what the endpoint calls it.
            answers: folder of the answers, by the hashes of their questions.
            credentialed: what the data say of themselves; ``None``, not known, counts as yes.

        Raises ``EndpointError`` where the data may not go there, ``BadParameter`` without a model.
        """
        from knowmvg.inference.chat_models import Remote, remote_grounder
        from knowmvg.sources.texts.endpoint.guard import allowed_endpoint

        if model is None:
            raise typer.BadParameter("expected the endpoint's model", param_hint="--model")
        key = os.environ.get(self.key_variable, "").strip() or None
        known = False if credentialed is None and self.public else credentialed
        named = allowed_endpoint(self.url, model, key, credentialed=known, confirmed_own=self.own)
        with remote_grounder(Remote(named, answers, budget=self.budget)) as grounder:
            yield grounder


def answers_beside(out: Path) -> Path:
    """Where an endpoint's answers are kept for the results in ``out``."""
    return out.with_name(f".{out.name}.answers")


def load_local(run: Path, device: str | None = None) -> Grounder:
    """The grounder of a run, a model's folder, or a hub id; chat models too.

    Raises ``ModelError`` for none of these, or one that cannot be read.
    """
    from knowmvg.inference.chat_models import load_model  # torch takes seconds to import

    return load_model(run if hub_id(run) is not None else model_folder(run), device=device)


@contextmanager
def asked_model(run: Path, behind: Behind | None, data: Path, out: Path) -> Iterator[Grounder]:
    """The grounder that is to be measured on a data set, here or behind an endpoint.

    Raises what ``load_local`` and ``Behind.opened`` raise.
    """
    if behind is None:
        yield load_local(run)
        return
    from knowmvg.sources.texts.endpoint.guard import is_credentialed

    with behind.opened(run.as_posix(), answers_beside(out), is_credentialed(data)) as grounder:
        yield grounder


def behind_of(
    url: str | None, out: Path | None, key_variable: str, budget: int | None, public: bool, own: bool
) -> Behind | None:
    """The endpoint in a measuring command's options. Raises ``BadParameter`` for one without a folder for results."""
    if url is None:
        return None
    if out is None:
        raise typer.BadParameter("expected a folder; an endpoint's model has none", param_hint="--out")
    return Behind(url, key_variable, budget, public, own)
