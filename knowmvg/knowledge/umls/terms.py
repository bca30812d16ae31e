"""When two wordings are the same term: case, plural, word order, accents and filler words do not count.

The rules are stored as keys in a database, so that a change of them needs a new ``KEY_VERSION`` and a new import.
They follow the idea of the UMLS's own normalised strings in much simpler form (no lexicon of inflections).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

KEY_VERSION = 1

_WORDS = re.compile(r"\w+")
_POSSESSIVE = re.compile(r"['’]s\b")
_FILLERS = frozenset({"a", "an", "by", "for", "in", "nos", "of", "on", "the", "to"})
_IRREGULAR = {
    "apices": "apex",
    "bronchi": "bronchus",
    "cortices": "cortex",
    "diagnoses": "diagnosis",
    "hila": "hilum",
    "thrombi": "thrombus",
}


def normal_words(text: str) -> tuple[str, ...]:
    """The words of ``text`` in the singular, sorted, without fillers: ``'Lobes of the Lung'`` is ``('lobe', 'lung')``.

    A text of fillers only keeps them, so that only a text without letters and digits has no words.
    """
    text = text.casefold()
    if not text.isascii():
        spread = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in spread if not unicodedata.combining(letter))
    if "'" in text or "’" in text:
        text = _POSSESSIVE.sub("", text)
    words = _WORDS.findall(text)
    kept = [_singular(word) for word in words if word not in _FILLERS]
    return tuple(sorted(kept or words))


@lru_cache(maxsize=2**16)
def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes")) or (word.endswith("ae") and len(word) > 4):
        return word[:-2] if not word.endswith("ae") else word[:-1]
    if word.endswith("s") and not word.endswith(("ss", "is", "us")):
        return word[:-1]
    return word


def term_key(text: str) -> int | None:
    """The words of ``text`` as a signed 64-bit number, the same in every run; ``None`` for a text without words."""
    words = normal_words(text)
    if not words:
        return None
    digest = hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
