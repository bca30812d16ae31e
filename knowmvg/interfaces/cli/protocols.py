"""The protocols that an option names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowmvg.core.errors import RecipeError

if TYPE_CHECKING:
    from knowmvg.evaluation.samples import Protocol

PROTOCOLS = "teacher_forced,phrase_given,generate"


def read_protocols(names: str) -> tuple[Protocol, ...]:
    """Protocols separated by commas; raises ``RecipeError`` for none, an unknown one or one twice."""
    from knowmvg.evaluation.samples import Protocol  # after the checks of a command: its import takes a while

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [protocol.value for protocol in Protocol]
    if not wanted or not set(wanted) <= set(known) or len(set(wanted)) < len(wanted):
        raise RecipeError(f"different protocols among {', '.join(known)}", repr(names), "Separate them by commas.")
    return tuple(Protocol(name) for name in wanted)
