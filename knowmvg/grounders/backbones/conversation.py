"""A question about an image and its answer as a chat model reads them: its own template, one tokenisation, offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from knowmvg.core.errors import ModelError


class Conversation:
    """Questions and answers as the ids of a model's tokenizer.

    A conversation is rendered by the model's template and tokenised once, as a whole; which tokens are the answer is
    read off their offsets in the text. Text can never produce a special token.

    Args:
        backend: a fast tokenizer of transformers.
        template: the chat template (Jinja).
        marker: what the template writes for an image.
        placeholders: what takes its place.
        image: id of the image token.
        one_line: whether a line's end has a meaning in the template, so that texts must have none.
        as_text: whether the template takes a turn as one text, the marker in it, as those of language models without
            a vision tower do.
        spoken: special tokens that questions and answers are made of (location tokens); they stay what they are.

    Raises ``ModelError`` for a tokenizer without offsets and a template that does not place the image or the answer.
    """

    def __init__(
        self,
        backend: Any,
        template: str,
        marker: str,
        placeholders: str,
        image: int,
        *,
        one_line: bool = False,
        as_text: bool = False,
        spoken: frozenset[str] = frozenset(),
    ) -> None:
        if not getattr(backend, "is_fast", False):
            raise ModelError("a tokenizer with offsets (tokenizer.json)", type(backend).__name__, "Convert it first.")
        self.backend, self.template, self.marker, self.placeholders = backend, template, marker, placeholders
        self.image, self.one_line, self.as_text = image, one_line, as_text
        special = {id_: token.content for id_, token in backend.added_tokens_decoder.items() if token.special}
        self.special = frozenset(special) | frozenset(backend.all_special_ids)
        self._reserved = sorted({*special.values(), marker} - spoken, key=len, reverse=True)
        sample = self.written("", "sample")
        self.end = sample[1][-1]
        self.pad = self.end if backend.pad_token_id is None else int(backend.pad_token_id)
        self.image_length = sample[0].count(image)
        if self.question("") != sample[0]:
            raise ModelError("a prompt whose tokens an answer leaves alone", "others", "Give another chat_template.")
        if not self.image_length:
            raise ModelError("a prompt with image tokens", "none", "Give a chat_template that places the image.")

    def __len__(self) -> int:
        return len(self.backend)

    def question(self, text: str) -> list[int]:
        """Ids up to where the answer begins, for generation; they are those that ``written`` begins with."""
        return list(self._encoded(self.rendered(self.plain(text), None))["input_ids"])

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; no special token can come out of it."""
        return self.ids(self.plain(text), special=False)[0]

    def shortened(self, text: str, most: int) -> str:
        """The text up to the last word that ends within ``most`` tokens."""
        _, offsets = self.ids(text, special=False)
        if len(offsets) <= most:
            return text
        cut = offsets[most][0]
        while cut and not text[cut].isspace():
            cut -= 1
        return text[:cut].rstrip()

    def plain(self, text: str) -> str:
        """The text with a space in every word that the tokenizer would read as a special token."""
        if self.one_line:
            text = " ".join(text.split())
        for token in self._reserved:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def rendered(self, question: str, answer: str | None) -> str:
        """The conversation as text, up to where the answer begins or with it. Nothing in ``question`` is changed.

        Raises ``ModelError`` unless the template writes the image once.
        """
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question.strip()}]}
        ]
        if answer is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        if self.as_text:
            turns[0]["content"] = f"{self.marker}\n{question.strip()}"
            turns[1:] = [{"role": "assistant", "content": answer} for _ in turns[1:]]
        text: str = self.backend.apply_chat_template(
            turns, chat_template=self.template, tokenize=False, add_generation_prompt=answer is None
        )
        if text.count(self.marker) != 1:
            got = f"{text.count(self.marker)}"
            raise ModelError(f"a chat template that writes {self.marker!r} once", got, "Give another chat_template.")
        return text.replace(self.marker, self.placeholders)

    def written(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        """Prompt and answer, its end included, from one tokenisation; the answer is where the template put it.

        Raises ``ModelError`` where that cannot be told.
        """
        question = self.plain(question)
        text = self.rendered(question, answer)
        opening = self.rendered(question, None)
        start = text.find(answer, len(opening)) if text.startswith(opening) else -1
        if start < 0 or text[len(opening) : start].strip():
            todo = "Give a chat_template with add_generation_prompt."
            raise ModelError("a chat template that writes the answer behind its prompt", "another text", todo)
        ids, offsets = self.ids(text)
        stop = start + len(answer)
        first = next((index for index, (a, b) in enumerate(offsets) if b > len(opening) and b > a), len(ids))
        last = max(index for index, (a, b) in enumerate(offsets) if a < stop and b > a)
        tail = [token for token in ids[last + 1 :] if token in self.special]
        return ids[:first], [*ids[first : last + 1], tail[0] if tail else int(self.backend.eos_token_id)]

    def ids(self, text: str, special: bool = True) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids with the characters that each stands for; a template that wrote the start token gets no second one."""
        made = self._encoded(text, special, offsets=True)
        return list(made["input_ids"]), [(int(a), int(b)) for a, b in made["offset_mapping"]]

    def _encoded(self, text: str, special: bool = True, offsets: bool = False) -> Any:
        start = self.backend.bos_token
        return self.backend(
            text,
            add_special_tokens=special and not (start and text.startswith(start)),
            return_offsets_mapping=offsets,
            return_attention_mask=False,
            verbose=False,
        )

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer up to its end token; other special tokens, location tokens among them, are kept."""
        kept = list(ids)
        kept = kept[: kept.index(self.end)] if self.end in kept else kept
        text: str = self.backend.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text
