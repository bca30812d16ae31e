"""A tokenizer's tokens as the letters that they add to a text, and which of them may follow in a grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.errors import ModelError
from knowmvg.core.frames import Size
from knowmvg.grounders.coordinates.grammar import Grammar, State

_LONGEST = 40
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPELLED = {"Ġ": " ", "Ċ": "\n", "ĉ": "\t"}
"""How a byte-level tokenizer shows the three characters below "!" that answers have."""


class Vocabulary:
    """Tokens that spell ASCII text.

    Args:
        pieces: ``(id, text)`` of each token, ``text`` being what it adds in the middle of a sentence.

    Raises ``ModelError`` when they cannot spell digits.
    """

    def __init__(self, pieces: Iterable[tuple[int, str]]) -> None:
        self._ids: dict[str, list[int]] = {}
        for number, text in pieces:
            spells = all(letter.isprintable() or letter in "\n\t" for letter in text)
            if spells and text.isascii() and 0 < len(text) <= _LONGEST:
                self._ids.setdefault(text, []).append(number)
        self._onward = {text[:length] for text in self._ids for length in range(1, len(text))}
        self.texts = {number: text for text, numbers in self._ids.items() for number in numbers}

    @classmethod
    def of(cls, backend: Any, codec: BoxCodec, canvas: Size) -> Vocabulary:
        """The tokens of a fast tokenizer of transformers.

        Where it has one token for every number of the codec (``<loc0000>``), numbers are written by those alone and
        never spelled letter by letter: the model was taught tokens.
        """
        added = {number: token.content for number, token in backend.added_tokens_decoder.items()}
        whole = has_units(codec, canvas, set(backend.get_vocab()))
        pieces = []
        for number, text in _texts(backend, added):
            if not whole or number in added or not {"<", ">"} & set(text):
                pieces.append((number, text))
        return cls(pieces)

    def allowed(self, grammar: Grammar, state: State) -> Iterator[tuple[int, State]]:
        """The tokens that may follow in a state, and the states that they lead to."""
        waiting = [("", state)]
        while waiting:
            text, here = waiting.pop()
            node, options = here.node, grammar.options(here.node)
            within = [(text, here.written)]
            while within:
                text, written = within.pop()
                for letter in options.letters.get(written, ()):
                    longer, more = text + letter, written + letter
                    numbers, onward = self._ids.get(longer, ()), longer in self._onward
                    if not numbers and not onward:
                        continue
                    done = more in options.values
                    there = grammar.leave(node, more) if done else State(node, more)
                    for number in numbers:
                        yield number, there
                    if onward and done:
                        waiting.append((longer, there))
                    elif onward:
                        within.append((longer, more))

    def check(self, grammar: Grammar) -> None:
        """Raise ``ModelError`` for a letter of the grammar's answers that no token spells by itself or in a unit."""
        state, seen = grammar.start, 0
        while not grammar.ends(state) and seen < 200:
            options = list(self.allowed(grammar, state))
            if not options:
                todo = "Choose another style of boxes, or a tokenizer with the letters of this one."
                raise ModelError("a tokenizer that can write boxes", f"no token behind {state.written[-20:]!r}", todo)
            state = max(options, key=lambda option: (len(self.texts[option[0]]), -option[0]))[1]
            seen += 1


def has_units(codec: BoxCodec, canvas: Size, tokens: set[str]) -> bool:
    """Whether each number of the codec, in its angle brackets, is a token."""
    layout = codec.layout("")
    _, bracket, name = layout.box[0].rpartition("<")
    if not bracket:
        return False
    greatest = codec.grid.greatest(canvas)
    cells = [(0, 0), greatest] if len(layout.slots[0]) == 2 else [(0,), (max(greatest),)]
    return all(f"<{name}{layout.number(cell)}>" in tokens for cell in cells)


def _texts(backend: Any, added: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Ids and texts of all tokens; those that stand for a part of a character are left out."""
    kind = json.dumps(json.loads(backend.backend_tokenizer.to_str()).get("decoder") or {})
    byte_level = "ByteLevel" in kind
    for piece, number in backend.get_vocab().items():
        if number in added:
            yield number, added[number]
        elif byte_level:
            yield number, "".join(_SPELLED.get(letter, letter) for letter in piece)
        else:
            byte = _BYTE.fullmatch(piece)
            yield number, chr(int(byte[1], 16)) if byte else piece.replace("▁", " ")
