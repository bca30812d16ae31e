"""How each family of models is asked for a box and how it writes one; docs/coordinates.md has the table with sources.

The dialect modules of ``core.boxtext`` cite where each convention is documented; what is here is the choice of
codec, the words that the family was trained to answer to, and how the image is fitted to its square.
"""

from __future__ import annotations

from dataclasses import dataclass

from knowmvg.core.boxtext.codec import BoxCodec, Style
from knowmvg.core.boxtext.views import Fit

NAMING = (
    "This is the report of this chest radiograph:\n{report}\n\nList the phrases of the report that describe something"
    " that is present and can be seen on the image, one a line, copied word by word. Leave out what is absent or was"
    ' seen only earlier. If there is none, write "None."'
)
"""The question for the phrases of a report; ``{report}`` stands for it."""


@dataclass(frozen=True, slots=True)
class Convention:
    """A family's convention.

    Args:
        codec: of its boxes.
        question: ``{phrase}`` stands for the phrase.
        fit: of the image to the square that the model takes.
        least: fewest boxes of an answer: 0 where "none" can be said in the family's own form.
        naming: the question for the phrases of a report, or ``None`` for a model that answers no such question.
        spoken: special tokens of the question.
        native: whether the form is the family's own, or one that it is asked for in words.
        lowered: whether a phrase is asked in lower case, as it was taught.
    """

    codec: BoxCodec
    question: str
    fit: Fit = Fit.LETTERBOX
    least: int = 0
    naming: str | None = NAMING
    spoken: frozenset[str] = frozenset()
    native: bool = True
    lowered: bool = False


_JSON = (
    "Locate what is named below in this chest radiograph, and output the bounding box of each such region in JSON"
    ' format: a list of objects with the keys "bbox_2d" and "label", or an empty list if there is none.\n{phrase}'
)
_THOUSANDTHS = (
    "Locate what is named below in this chest radiograph. Answer with a JSON list alone, one object for each such"
    ' region: {{"bbox_2d": [x1, y1, x2, y2], "label": "..."}}, where x and y are in thousandths of the width and height'
    " of the image, counted from its top left corner. Answer with an empty list if there is none.\n{phrase}"
)
_BOX_2D = (
    "Find what is named below in this chest radiograph. Give each such region as an object with the keys"
    ' "box_2d" and "label", in a JSON list after the words Final Answer:, where box_2d is [y0, x0, y1, x1], normalized'
    " to the range 0 to 1000. Give an empty list if there is none.\n{phrase}"
)
# the phrase comes last: what stands before it is read once for all phrases of an image
_REGION = "Please provide the bounding box coordinate of the region this sentence describes: "

#: by ``model_type`` of a model's ``config.json``
CONVENTIONS: dict[str, Convention] = {
    "llava": Convention(BoxCodec(style=Style.DECIMAL, bins=100), _REGION + "{phrase}"),
    "qwen2_5_vl": Convention(BoxCodec(style=Style.BBOX_2D, bins=None), _JSON),
    "qwen3_vl": Convention(BoxCodec(style=Style.BBOX_2D, bins=1000), _JSON),
    "internvl": Convention(
        BoxCodec(style=Style.REF_BOX, bins=1000),
        _REGION + "<ref>{phrase}</ref>",
        fit=Fit.SQUASH,
        spoken=frozenset({"<ref>", "</ref>", "<box>", "</box>"}),
    ),
    "gemma3": Convention(BoxCodec(style=Style.BOX_2D, bins=1000, order="yxyx"), _BOX_2D),
    "paligemma": Convention(
        BoxCodec(style=Style.LOC, bins=1024, order="yxyx", top=1023),
        "detect {phrase}",
        fit=Fit.SQUASH,
        least=1,
        naming=None,
    ),
    "smolvlm": Convention(BoxCodec(style=Style.BBOX_2D, bins=1000), _THOUSANDTHS, native=False),
    "idefics3": Convention(BoxCodec(style=Style.BBOX_2D, bins=1000), _THOUSANDTHS, native=False),
    "joined_llava": Convention(
        BoxCodec(style=Style.MINIGPT, bins=100),
        "[refer] give the place of {phrase}",
        fit=Fit.SQUASH,
        naming=None,
        lowered=True,
    ),
    "kosmos-2": Convention(
        BoxCodec(style=Style.PATCH, bins=32, rounding="cell"),
        "<grounding><phrase> {phrase}</phrase>",
        fit=Fit.SQUASH,
        least=1,
        naming=None,
        spoken=frozenset({"<grounding>", "<phrase>", "</phrase>"}),
    ),
    "florence2": Convention(
        BoxCodec(style=Style.LOC_, bins=1000, rounding="cell"),
        "Locate the phrases in the caption: {phrase}",
        fit=Fit.SQUASH,
        least=1,
        naming=None,
    ),
}

REMOTE = Convention(BoxCodec(style=Style.BBOX_2D, bins=1000), _THOUSANDTHS, fit=Fit.SQUASH, native=False)
"""For a model behind an endpoint whose family nothing is known of."""


def asked(question: str, phrase: str, *, lowered: bool = False) -> str:
    """The question about a phrase, in training and in use; ``{phrase}`` in ``question`` stands for ``named``."""
    return question.format(phrase=named(phrase, lowered=lowered))


def named(phrase: str, *, lowered: bool = False) -> str:
    """A phrase as it stands in a question, and in an answer that repeats it: one line, no marks of any family."""
    plain = " ".join(phrase.replace("<", " ").replace(">", " ").split())
    return plain.lower() if lowered else plain
