"""Reports and answers as token ids: ``[image]... <report> text <answer> phrase <BOX> <BOX> phrase <BOX> <end>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from knowmvg.core.errors import ModelError

IMAGE, PAD, END, REPORT, ANSWER, BOX = "<image>", "<pad>", "<end>", "<report>", "<answer>", "<BOX>"
_SPACE = "Ġ"  # how byte-level BPE writes the space before a word
SPECIAL = (IMAGE, PAD, END, REPORT, ANSWER, BOX)


@dataclass(frozen=True, slots=True)
class AnswerPhrase:
    """A phrase of an answer: its text and the positions of its ``<BOX>`` tokens in the answer's ids."""

    text: str
    boxes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A report with its answer as token ids.

    Args:
        prompt: everything before the first token of the answer.
        answer: what is learnt: phrases, ``<BOX>`` tokens and the end token.
        kept: phrases of the answer; those after them were left out, with their boxes.
        cut: characters of the report that were left out at its end.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    kept: int
    cut: int


class ReportTokenizer(Protocol):
    """What a grounder asks of a tokenizer: this module's, or that of a backbone (grounders/backbones/chat.py)."""

    pad: int
    end: int
    box: int
    max_report: int

    def knows(self, text: str) -> bool:
        """Whether the language model can read the text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""
        ...

    def prompt(self, report: str) -> list[int]:
        """Ids up to where the answer begins."""
        ...

    def write(self, report: str, phrases: Sequence[tuple[str, int]], ends: Sequence[int] | None = None) -> Written:
        """A report with the answer that names each phrase with its number of boxes."""
        ...

    def write_answer(self, phrases: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of an answer, end token included."""
        ...

    def read_answer(self, ids: Sequence[int]) -> list[AnswerPhrase]:
        """The phrases of an answer up to the end token."""
        ...

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        ...


class GroundingTokenizer:
    """Byte-level BPE, lower-cased, with the special tokens of the answer format.

    ``<BOX>`` is one real token with an id of its own (in the lineage it fell apart into sub-words, method notes in
    docs/deviations.md). Text can never produce a special token: they are stripped of their brackets before encoding.
    """

    def __init__(self, tokenizer: Tokenizer, image_length: int, max_report: int = 400) -> None:
        self.backend = tokenizer
        self.image_length = image_length
        self.max_report = max_report
        ids = [tokenizer.token_to_id(token) for token in SPECIAL]
        known: list[int] = [i for i in ids if i is not None]
        if len(set(known)) != len(SPECIAL):
            raise ModelError(f"a tokenizer with the tokens {', '.join(SPECIAL)}", f"ids {ids}", "Train it again.")
        self.image, self.pad, self.end, self.report, self.answer, self.box = known

    @classmethod
    def train(cls, texts: Iterable[str], image_length: int, vocabulary: int = 4000) -> GroundingTokenizer:
        """Learn the merges from texts, reports of the training split."""
        backend = Tokenizer(models.BPE())
        backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend, image_length)

    @classmethod
    def load(cls, path: Path, image_length: int) -> GroundingTokenizer:
        """Read ``tokenizer.json``. Raises ``ModelError`` for a damaged file."""
        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises no narrower class for a damaged file
            raise ModelError("a whole tokenizer.json", f"a damaged one at {path}", "Copy the model again.") from error
        return cls(backend, image_length)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        self.backend.save(str(path))

    def __len__(self) -> int:
        size: int = self.backend.get_vocab_size()
        return size

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; no special token can come out of it."""
        for token in SPECIAL:
            text = text.replace(token, token.strip("<>"))
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self.backend.decode([i for i in ids if i >= len(SPECIAL)], skip_special_tokens=False)
        return text.strip()

    def knows(self, text: str) -> bool:
        """Whether every word of the text is one token, as the words are that the merges were learnt from.

        Numbers and punctuation count for nothing, and a word counts the same after a space, a line's end or a hyphen.
        """
        text = self.backend.normalizer.normalize_str(text)
        pieces = self.backend.pre_tokenizer.pre_tokenize_str(text)
        words = {piece.lstrip(_SPACE) for piece, (start, end) in pieces if any(map(str.isalpha, text[start:end]))}
        return all(self.backend.token_to_id(_SPACE + w) or self.backend.token_to_id(w) for w in words)

    def prompt(self, report: str) -> list[int]:
        """Ids of ``[image]... <report> report <answer>``; a report over ``max_report`` tokens is cut at its end."""
        return [self.image] * self.image_length + [self.report, *self.encode(report)[: self.max_report], self.answer]

    def write(self, report: str, phrases: Sequence[tuple[str, int]], ends: Sequence[int] | None = None) -> Written:
        """A report with the answer that names each phrase with its number of boxes; no phrase is left out."""
        prompt, answer = self.prompt(report), self.write_answer(phrases)
        return Written(tuple(prompt), tuple(answer), len(phrases), 0)

    def write_answer(self, phrases: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of an answer that names each phrase with its number of boxes, ``<end>`` included; nothing is cut."""
        ids: list[int] = []
        for text, boxes in phrases:
            ids += [*self.encode(text), *[self.box] * boxes]
        return [*ids, self.end]

    def read_answer(self, ids: Sequence[int]) -> list[AnswerPhrase]:
        """The phrases of an answer up to ``<end>``; words without a ``<BOX>`` after them are not a phrase."""
        return read_phrases(ids, self.box, self.end, self.decode)


def read_phrases(ids: Sequence[int], box: int, end: int, decode: Callable[[Sequence[int]], str]) -> list[AnswerPhrase]:
    """The phrases of an answer up to its end token; words without a ``<BOX>`` after them are not a phrase."""
    phrases: list[AnswerPhrase] = []
    words: list[int] = []
    boxes: list[int] = []
    for position, token in enumerate([*ids, end]):
        if token == box:
            boxes.append(position)
            continue
        if boxes:
            text = decode(words)
            if text:
                phrases.append(AnswerPhrase(text, tuple(boxes)))
            words, boxes = [], []
        if token == end:
            break
        words.append(token)
    return phrases
