"""The rows that ``knowmvg ablate`` knows: the paper's Table III, controls of its graph, and its options in doubt."""

from __future__ import annotations

from dataclasses import dataclass

from knowmvg.core.errors import RecipeError


@dataclass(frozen=True, slots=True)
class RowParts:
    """What a row is made of: knowledge prompts (KPS), global-local attention (GLA), decoder, control of the graph.

    ``keys`` are further recipe keys, one changed option each.
    """

    kps: bool
    gla: bool
    decoder: str = "box"
    control: str | None = None
    keys: tuple[str, ...] = ()

    def overrides(self, knowledge: bool) -> list[str]:
        """The row's recipe keys; ``knowledge`` says whether the recipe has knowledge prompts, whose settings stay."""
        keys = [f"variant.attention={'global-local' if self.gla else 'plain'}", f"variant.decoder={self.decoder}"]
        if self.kps != knowledge:
            keys.append("variant.knowledge={}" if self.kps else "variant.knowledge=null")
        if self.control is not None:
            keys.append(f"variant.knowledge.control={self.control}")
        return [*keys, *self.keys]


def _option(*keys: str) -> RowParts:
    return RowParts(kps=True, gla=True, keys=keys)


TABLE = {
    "baseline": RowParts(kps=False, gla=False),
    "kps": RowParts(kps=True, gla=False),
    "gla": RowParts(kps=False, gla=True),
    "knowmvg": RowParts(kps=True, gla=True),
    "lisa": RowParts(kps=False, gla=False, decoder="mask"),
}
CONTROLS = {name: RowParts(kps=True, gla=True, control=name) for name in ("random-graph", "permuted-texts")}
OPTIONS = {
    "mask-from-text": _option("variant.mask_from=text"),  # equation 13
    "mask-from-text-and-box": _option("variant.mask_from=text+box"),
    "mask-from-box": _option("variant.mask_from=box"),
    "query-state": _option("variant.knowledge.query=state"),  # H_out of equation 8
    "query-answer": _option("variant.knowledge.query=answer"),
    "k-1": _option("variant.knowledge.k=1"),  # equation 9
    "k-3": _option("variant.knowledge.k=3"),
    "k-10": _option("variant.knowledge.k=10"),
    "as-they-are": _option("variant.knowledge.weighting=none"),
    "local-gradient": _option("variant.detach_local=false"),  # equation 11
    "global-sees-local": _option("variant.global_sees_local=true"),  # equation 14
    "gate-phrase": _option("variant.gate=phrase"),  # equation 15
    "beta-0": _option("objective.l1_beta=0"),  # equation 17
    "beta-1": _option("objective.l1_beta=1"),
    "no-local-loss": _option("losses.local_l1=0", "losses.local_giou=0"),  # equation 18
    "no-branch-loss": _option("losses.branch_l1=0", "losses.branch_giou=0"),
    "no-knowledge-loss": _option("losses.knowledge=0"),
}
"""Each is ``knowmvg`` with one choice that the paper leaves open made otherwise, by equation."""

ROWS = TABLE | CONTROLS | OPTIONS
GROUPS = {"table": [*TABLE], "controls": ["knowmvg", *CONTROLS], "options": ["knowmvg", *OPTIONS]}


def chosen_rows(rows: str) -> list[str]:
    """The names of rows in an option's value; the name of a group stands for its rows.

    Raises:
        RecipeError: none, an unknown one, or one twice.
    """
    said = [name.strip() for name in rows.split(",") if name.strip()]
    names = [row for name in said for row in GROUPS.get(name, [name])]
    if not names or any(name not in ROWS for name in names) or len(set(names)) < len(names):
        todo = "Separate them by commas: --rows baseline,knowmvg."
        raise RecipeError(f"different rows among {', '.join([*GROUPS, *ROWS])}", repr(rows), todo)
    return names


def row_overrides(parts: RowParts, head: str, knowledge: bool) -> list[str]:
    """The recipe keys of a row with a box head; ``knowledge`` says whether the recipe has knowledge prompts."""
    return [*parts.overrides(knowledge), f"variant.head={head}"]
