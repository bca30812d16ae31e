"""Terms that a batch does not teach, computed all the same where every process of a run must compute alike."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

PREFIX = "stand-in "


def standing_in(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The terms times zero under names that say so: they pass a gradient of zero to all that they were computed with.

    DeepSpeed needs that. ZeRO-3 holds a part of every weight in each process and puts a module's weights together as
    all processes come to it, forward and backward; one that leaves a module out waits for ever, and so does one that
    returned fewer tensors. ZeRO-1 and 2 add up gradients in the order in which they come: where a process taught fewer
    parts, one parameter's are added to another's, without a word if their sizes allow it.
    """
    return {f"{PREFIX}{name}": 0 * value for name, value in terms.items()}


def stands_in(name: str) -> bool:
    """Whether a term of this name teaches nothing."""
    return name.startswith(PREFIX)


def of_term(name: str) -> str:
    """The term that a name stands for."""
    return name.removeprefix(PREFIX)
