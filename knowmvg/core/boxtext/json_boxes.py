"""The families that answer with a JSON list of objects, each with a box and a label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knowmvg.core.boxtext.coordinates import judge_score
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_text import Pairs, find_json, objects_with
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

_SCORE_KEYS = ("score", "confidence")
_LIST_OF_OBJECTS = re.compile(r"\[\s*\{")


@dataclass(frozen=True, slots=True)
class JsonBoxes:
    """A dialect ``[{"<key>": [a, b, c, d], "label": "phrase"}, ...]``.

    Args:
        name: of the dialect.
        key: of the box in an object.
        sees: the frame of the image as the published model sees it.
        grid: the numbers of a box.
    """

    name: str
    key: str
    sees: Callable[[Size], Frame]
    grid: Grid

    def frame(self, stored: Size) -> Frame:
        """What the published model sees of an image of this size."""
        return self.sees(stored)

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels; coordinates are whole numbers."""
        lines = []
        for item in items:
            label = {} if item.phrase is None else {"label": item.phrase}
            lines += [{self.key: list(self.grid.write(box, canvas)), **label, **_score(s)} for box, s in item.scored()]
            lines += [{self.key: [], **label}] if not item.boxes else []
        return json.dumps(lines, ensure_ascii=False)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels. An empty list, or an object without a box, says that there is none.

        An object's box may be a list of boxes. An object that has its box key twice is left out.
        """
        if (nothing := refused(text)) is not None:
            return nothing
        found, draft = find_json(text), Draft()
        objects = list(objects_with(self.key, found.values))
        for entry in objects:
            self._read_object(entry, canvas, draft, repair)
        lost = len(re.findall(rf'"{self.key}"\s*:', found.text)) - sum(o.written.count(self.key) for o in objects)
        cut = any(_LIST_OF_OBJECTS.match(start) for start in found.broken)
        other = not objects and not lost and self.key in found.text  # single quotes, say: Python and no JSON
        draft.miss(*[Fault.MALFORMED] if other else [Fault.PARTIAL] * max(lost, int(cut)))
        return draft.done(says_none=not objects and [] in found.values)

    def _read_object(self, entry: Pairs, canvas: Size, draft: Draft, repair: bool) -> None:
        label = entry.get("label")
        phrase = label.strip() or None if isinstance(label, str) else None
        if len(set(entry.written)) != len(entry.written):
            draft.miss(Fault.DUPLICATE)
            return
        score, wrong = judge_score(next((entry[key] for key in _SCORE_KEYS if key in entry), None))
        draft.miss(*wrong)
        value = entry[self.key]
        if value is None or value == []:
            draft.name(phrase)
            return
        many = isinstance(value, list) and all(isinstance(part, list) for part in value)
        for numbers in value if many and isinstance(value, list) else [value]:
            box, faults = self.grid.read(numbers, canvas, repair=repair)
            draft.miss(*faults)
            if box is not None:
                draft.add(phrase, box, score)


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": score}
