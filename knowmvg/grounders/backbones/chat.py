"""Reports and answers as a chat model reads them: its own template, one tokenisation, the answer found by offsets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.conversation import Conversation
from knowmvg.grounders.prompted.tokenizer import BOX, AnswerPhrase, Written, read_phrases

_QUESTION = "Name the phrases of this report that describe something to be seen on the radiograph, and mark its place."
NOTHING = "None."  # an answer without a phrase; some templates leave out a turn that is empty
_AROUND = " \t\n.,;:-"


class ChatTokenizer(Conversation):
    """Does for a backbone what ``GroundingTokenizer`` does for the CPU-size model, and in the same words.

    A conversation is rendered by the model's template and tokenised once, as a whole; which tokens are the answer is
    read off their offsets in the text. Text can never produce a special token.

    Args:
        backend: a fast tokenizer of transformers; ``<BOX>`` is added to it where it is not yet there.
        template: the chat template (Jinja).
        marker: what the template writes for an image.
        placeholders: what takes its place.
        image: id of the image token.
        max_report: tokens of a report.
        max_length: tokens of image, report and answer.
        one_line: whether a line's end has a meaning in the template, so that texts must have none.
        as_text: whether the template takes a turn as one text, the marker in it, as those of language models without
            a vision tower do.

    Raises ``ModelError`` for a tokenizer without offsets, one in which ``<BOX>`` is not one token, and a template that
    does not place the image or the answer.
    """

    def __init__(
        self,
        backend: Any,
        template: str,
        marker: str,
        placeholders: str,
        image: int,
        *,
        max_report: int = 400,
        max_length: int = 2048,
        one_line: bool = False,
        as_text: bool = False,
    ) -> None:
        self.max_report, self.max_length = max_report, max_length
        self.box = add_box(backend)
        super().__init__(backend, template, marker, placeholders, image, one_line=one_line, as_text=as_text)

    # --- writing -------------------------------------------------------------------------------------------------

    def write(self, report: str, phrases: Sequence[tuple[str, int]], ends: Sequence[int] | None = None) -> Written:
        """A report with the answer that names each phrase with its number of boxes.

        A report over ``max_report`` tokens is cut at the end of a word, in training as in use; phrases that ``ends``
        (character positions in the report) places behind the cut are left out. So are phrases from the end until all
        fits ``max_length``; a phrase keeps all its ``<BOX>`` tokens or goes with them.

        Raises ``ModelError`` if not even the report fits.
        """
        read = self._shortened(report)
        kept = len(phrases)
        if ends is not None:
            kept = next((index for index, end in enumerate(ends) if end > len(read)), kept)
        while True:
            prompt, answer = self.written(self._asked(read), self._answer(phrases[:kept]))
            if len(prompt) + len(answer) <= self.max_length:
                return Written(tuple(prompt), tuple(answer), kept, len(report) - len(read))
            if not kept:
                got = f"{len(prompt)} of an image and a report of at most {self.max_report}"
                raise ModelError(f"at most {self.max_length} tokens", got, "Raise max_length or lower max_report.")
            kept -= 1

    def prompt(self, report: str) -> list[int]:
        """Ids up to where the answer begins, for generation; they are those that ``write`` begins with."""
        return self.question(self._asked(self._shortened(report)))

    def write_answer(self, phrases: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of an answer, end token included; nothing is cut."""
        return self.written(self._asked(""), self._answer(phrases))[1]

    def _answer(self, phrases: Sequence[tuple[str, int]]) -> str:
        named = (f"{self.plain(' '.join(text.split()))}{BOX * boxes}" for text, boxes in phrases)
        return "\n".join(named) or NOTHING

    def _shortened(self, report: str) -> str:
        return self.shortened(report, self.max_report)

    def _asked(self, report: str) -> str:
        """The question about a report."""
        return f"{report} {_QUESTION}" if self.one_line else f"{report}\n\n{_QUESTION}"

    # --- reading -------------------------------------------------------------------------------------------------

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self.backend.decode([i for i in ids if i not in self.special])
        return text.strip(_AROUND)

    def read_answer(self, ids: Sequence[int]) -> list[AnswerPhrase]:
        """The phrases of an answer up to the end token; words without a ``<BOX>`` after them are not a phrase."""
        return read_phrases(ids, self.box, self.end, self.decode)

    def knows(self, text: str) -> bool:
        """Whether the language model can read the text; one that has read English takes any words."""
        return bool(text.strip())

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        self.backend.backend_tokenizer.save(str(path))


def add_box(backend: Any) -> int:
    """The id of ``<BOX>`` as one special token of its own, which is added where the tokenizer has none.

    Raises ``ModelError`` if it is still not one token (in the lineage it fell apart into sub-words).
    """
    if not getattr(backend, "is_fast", False):
        raise ModelError("a tokenizer with offsets (tokenizer.json)", type(backend).__name__, "Convert it first.")
    backend.add_tokens([AddedToken(BOX, special=True, normalized=False)], special_tokens=True)
    box = backend.convert_tokens_to_ids(BOX)
    inside = list(backend(f"a{BOX}{BOX} b", add_special_tokens=False)["input_ids"])
    if box is None or box == backend.unk_token_id or inside.count(box) != 2:
        raise ModelError(f"{BOX} as one token of its own", f"ids {inside}", "Use another tokenizer.")
    return int(box)
