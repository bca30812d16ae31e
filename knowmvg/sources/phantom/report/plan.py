"""What a report will say, before any wording: mentions, denials, and what must not be touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowmvg.core.records import Assertion, Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Filler, grammar
from knowmvg.sources.phantom.report.naming import Mention, on_one_side
from knowmvg.sources.phantom.scene import FINDINGS, ZONES, Finding

# Reports deny these far more often than the rest.
_OFTEN_DENIED = ("pneumothorax", "pleural effusion", "consolidation", "pneumothorax", "pleural effusion")
_PLEURAL = ("pneumothorax", "pleural effusion")
_DENIALS = (0, 1, 1, 2, 2, 2, 3, 3, 4)
# With more findings than this a report says less about the rest, which keeps it short.
_MANY = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of a report.

    ``denied`` and ``gone`` (resolved or prior) are about what is not on the image; ``on_image`` holds (finding, side)
    of everything that is, ``silent`` the names of findings that the report must not name at all.
    """

    mentions: tuple[Mention, ...]
    denied: tuple[tuple[str, Side | None], ...]
    gone: tuple[Mention, ...]
    on_image: frozenset[tuple[str, Side | None]]
    silent: frozenset[str]

    def avoid(self, name: str) -> frozenset[str]:
        """The findings whose words may not slip into the words for ``name``."""
        spoken = {found for found, _ in self.on_image} | {found for found, _ in self.denied}
        return frozenset((spoken | {gone.finding.name for gone in self.gone}) - {name})

    def allows(self, filler: Filler) -> bool:
        """Whether a statement contradicts nothing that is on the image."""
        return not any(
            name == found and (side is None or where is None or side == where)
            for name, side in filler.denies
            for found, where in self.on_image
        )

    def may_name(self, filler: Filler) -> bool:
        """Whether a statement names nothing that the report must be silent about."""
        return not any(name in self.silent for name, _ in filler.denies)


def make_plan(findings: Sequence[Finding], dice: Dice) -> Plan:
    """Decide what is said of the findings, and what is said to be absent or gone.

    Raises ``ValueError`` for two findings of one class that no words for side or zone could tell apart.
    """
    spoken = [_mention(index, finding, findings, dice) for index, finding in enumerate(findings) if finding.mentioned]
    brief = len(spoken) > _MANY
    mentions = tuple(spoken) if brief else tuple(part for mention in spoken for part in _parts(mention, dice))
    silent = frozenset(finding.name for finding in findings if not finding.mentioned)
    on_image = frozenset((finding.name, finding.side) for finding in findings)
    free = _free_places(findings)
    gone = () if brief else _gone(free, dice)
    for mention in gone:
        free.pop(mention.finding.name, None)
    return Plan(mentions, _denied(free, 2 if brief else dice.pick(_DENIALS), dice), gone, on_image, silent)


def _mention(index: int, finding: Finding, findings: Sequence[Finding], dice: Dice) -> Mention:
    twins = [other for place, other in enumerate(findings) if place != index and other.name == finding.name]
    zoned = False
    for twin in twins:
        if twin.side == finding.side:
            zoned = True
            known = grammar().findings[finding.name].places
            if twin.zone == finding.zone or not {twin.zone, finding.zone} <= set(known):
                raise ValueError(
                    f"expected findings of one class to differ in side or zone, got two of {finding.name} "
                    f"with side {finding.side} and zone {finding.zone}"
                )
    unsure = 0.22 if finding.severity < 0.4 else 0.1
    assertion = Assertion.POSSIBLE if dice.chance(unsure) else Assertion.PRESENT
    return Mention(finding, assertion, index, sided=bool(twins), zoned=zoned)


def _parts(mention: Mention, dice: Dice) -> list[Mention]:
    """A bilateral finding is at times reported side by side."""
    if mention.finding.side is Side.BILATERAL and mention.finding.name != "edema" and dice.chance(0.15):
        return [on_one_side(mention, side) for side in dice.shuffled((Side.RIGHT, Side.LEFT))]
    return [mention]


def _free_places(findings: Sequence[Finding]) -> dict[str, Side | None]:
    """The findings that may be denied: absent ones anywhere (``None``), one-sided ones on the other side."""
    hidden = {name for finding in findings for name in grammar().findings[finding.name].hides}
    free: dict[str, Side | None] = {}
    for name in FINDINGS:
        seen = [finding for finding in findings if finding.name == name]
        if name in hidden:
            continue
        if not seen:
            free[name] = None
        elif all(finding.mentioned for finding in seen) and len({finding.side for finding in seen}) == 1:
            opposite = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(seen[0].side or Side.BILATERAL)
            if opposite is not None:
                free[name] = opposite
    return free


def _denied(free: dict[str, Side | None], tries: int, dice: Dice) -> tuple[tuple[str, Side | None], ...]:
    chosen: dict[str, Side | None] = {}
    for _ in range(tries):
        name = dice.pick(_OFTEN_DENIED if dice.chance(0.6) else FINDINGS)
        if name not in free or name in chosen:
            continue
        side = free[name]
        if side is None and name in _PLEURAL and dice.chance(0.1):
            side = Side.LEFT if dice.chance(0.5) else Side.RIGHT
        elif side is not None and dice.chance(0.5):
            continue
        chosen[name] = side
    return tuple(chosen.items())


def _gone(free: dict[str, Side | None], dice: Dice) -> tuple[Mention, ...]:
    """At times one finding that has resolved or that an earlier examination showed."""
    if not free or not dice.chance(0.2):
        return ()
    name = dice.pick(list(free))
    side, sided = free[name], free[name] is not None
    zone: str | None = None
    if name == "edema":
        side = Side.BILATERAL
    elif name != "cardiomegaly":
        side = side or dice.pick((Side.LEFT, Side.RIGHT, Side.LEFT, Side.RIGHT, Side.BILATERAL))
        zone = dice.pick(ZONES)
    if zone == "retrocardiac" and side is not Side.LEFT:
        zone = "lower"
    assertion = Assertion.RESOLVED if dice.chance(0.6) else Assertion.PRIOR
    return (Mention(Finding(name, side, zone, dice.uniform(), ()), assertion, None, sided=sided),)
