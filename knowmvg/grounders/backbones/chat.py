"""Reports and answers as a chat model reads them: its own template, one tokenisation, the answer found by offsets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from knowmvg.core.errors import ModelError
from knowmvg.grounders.prompted.tokenizer import BOX, AnswerPhrase, Written, read_phrases

_QUESTION = "Name the phrases of this report that describe something to be seen on the radiograph, and mark its place."
NOTHING = "None."  # an answer without a phrase; some templates leave out a turn that is empty
_AROUND = " \t\n.,;:-"


class ChatTokenizer:
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
    ) -> None:
        self.backend, self.template, self.marker, self.placeholders = backend, template, marker, placeholders
        self.max_report, self.max_length, self.one_line = max_report, max_length, one_line
        self.image, self.box = image, add_box(backend)
        special = {id_: token.content for id_, token in backend.added_tokens_decoder.items() if token.special}
        self.special = frozenset(special) | frozenset(backend.all_special_ids)
        self._reserved = sorted({*special.values(), marker}, key=len, reverse=True)
        sample = self._written("", "sample")
        self.end = sample[1][-1]
        self.pad = self.end if backend.pad_token_id is None else int(backend.pad_token_id)
        self.image_length = sample[0].count(image)
        if self.prompt("") != sample[0]:
            raise ModelError("a prompt whose tokens an answer leaves alone", "others", "Give another chat_template.")
        if not self.image_length:
            raise ModelError("a prompt with image tokens", "none", "Give a chat_template that places the image.")

    def __len__(self) -> int:
        return len(self.backend)

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
            prompt, answer = self._written(read, self._answer(phrases[:kept]))
            if len(prompt) + len(answer) <= self.max_length:
                return Written(tuple(prompt), tuple(answer), kept, len(report) - len(read))
            if not kept:
                got = f"{len(prompt)} of an image and a report of at most {self.max_report}"
                raise ModelError(f"at most {self.max_length} tokens", got, "Raise max_length or lower max_report.")
            kept -= 1

    def prompt(self, report: str) -> list[int]:
        """Ids up to where the answer begins, for generation; they are those that ``write`` begins with."""
        return self._ids(self._rendered(self._shortened(report), None))[0]

    def write_answer(self, phrases: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of an answer, end token included; nothing is cut."""
        return self._written("", self._answer(phrases))[1]

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; no special token can come out of it."""
        return self._ids(self.plain(text), special=False)[0]

    def plain(self, text: str) -> str:
        """The text with a space in every word that the tokenizer would read as a special token."""
        if self.one_line:
            text = " ".join(text.split())
        for token in self._reserved:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _answer(self, phrases: Sequence[tuple[str, int]]) -> str:
        named = (f"{self.plain(' '.join(text.split()))}{BOX * boxes}" for text, boxes in phrases)
        return "\n".join(named) or NOTHING

    def _shortened(self, report: str) -> str:
        """The report up to the last word that ends within ``max_report`` tokens."""
        _, offsets = self._ids(report, special=False)
        if len(offsets) <= self.max_report:
            return report
        cut = offsets[self.max_report][0]
        while cut and not report[cut].isspace():
            cut -= 1
        return report[:cut].rstrip()

    def _rendered(self, report: str, answer: str | None) -> str:
        question = self.plain(f"{report} {_QUESTION}") if self.one_line else f"{self.plain(report)}\n\n{_QUESTION}"
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question.strip()}]}
        ]
        if answer is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text: str = self.backend.apply_chat_template(
            turns, chat_template=self.template, tokenize=False, add_generation_prompt=answer is None
        )
        if text.count(self.marker) != 1:
            got = f"{text.count(self.marker)}"
            raise ModelError(f"a chat template that writes {self.marker!r} once", got, "Give another chat_template.")
        return text.replace(self.marker, self.placeholders)

    def _written(self, report: str, answer: str) -> tuple[list[int], list[int]]:
        """Prompt and answer from one tokenisation; the answer is where the template put it, up to the end token."""
        text = self._rendered(report, answer)
        opening = self._rendered(report, None)
        start = text.find(answer, len(opening)) if text.startswith(opening) else -1
        if start < 0 or text[len(opening) : start].strip():
            todo = "Give a chat_template with add_generation_prompt."
            raise ModelError("a chat template that writes the answer behind its prompt", "another text", todo)
        ids, offsets = self._ids(text)
        stop = start + len(answer)
        first = next(index for index, (a, b) in enumerate(offsets) if b > len(opening) and b > a)
        last = max(index for index, (a, b) in enumerate(offsets) if a < stop and b > a)
        tail = [token for token in ids[last + 1 :] if token in self.special]
        return ids[:first], [*ids[first : last + 1], tail[0] if tail else int(self.backend.eos_token_id)]

    def _ids(self, text: str, special: bool = True) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids with the characters that each stands for; a template that wrote the start token gets no second one."""
        start = self.backend.bos_token
        made = self.backend(
            text,
            add_special_tokens=special and not (start and text.startswith(start)),
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        return list(made["input_ids"]), [(int(a), int(b)) for a, b in made["offset_mapping"]]

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
