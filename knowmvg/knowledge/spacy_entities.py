"""Entities by a named-entity model of spaCy, as in the paper (scispaCy), behind the extra ``knowmvg[scispacy]``.

The model says which spans of a phrase are entities, the atlas what they are. A span that the atlas does not know gives
no node, because nothing could locate it and its words are report text; ``unknown`` counts these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.entities import Entity, entities_of, settled
from knowmvg.knowledge.ontology import Atlas
from knowmvg.knowledge.vocabulary import words_of

DEFAULT_MODEL = "en_core_sci_sm"
_BATCH = 256
_SHORT = 512  # phrases that fill a batch for the model; a data set is never held as a whole
_ADVICE = "Install `knowmvg[scispacy]` and the model as docs/atlas.md says, or use the default, --extractor lexicon."


class SpacyExtractor:
    """An ``EntityExtractor`` over a spaCy pipeline with a named-entity component.

    ``unknown`` counts the words of spans in which the atlas knows no finding, over all calls. They are report text:
    keep them to yourself.

    Source: KnowMVG (arXiv 2604.01915), equation 2, ``E = SciSpaCy(R, A)``; Neumann et al., ScispaCy, BioNLP 2019.
    """

    def __init__(self, pipeline: Callable[..., Any]) -> None:
        """``pipeline`` is a ``spacy.Language``, of which ``pipe`` and the entities of its documents are used."""
        self._pipeline: Any = pipeline
        self.unknown: Counter[str] = Counter()

    @classmethod
    def load(cls, model: str = DEFAULT_MODEL) -> SpacyExtractor:
        """The extractor with an installed model, by package name or folder.

        Raises:
            KnowledgeError: spaCy or the model is not installed, or the model finds no entities.
        """
        try:
            import spacy
        except ImportError as error:
            raise KnowledgeError("spaCy for the extractor scispacy", str(error), _ADVICE) from error
        try:
            pipeline = spacy.load(model, exclude=["parser", "lemmatizer"])
        except (OSError, ImportError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise KnowledgeError(f"the spaCy model {model!r}", reason, _ADVICE) from error
        if not {"ner", "entity_ruler", "span_ruler"} & set(pipeline.pipe_names):
            raise KnowledgeError(f"named entities from the model {model!r}", "a model without any", _ADVICE)
        return cls(pipeline)

    def __call__(self, phrases: Iterable[Phrase], atlas: Atlas) -> dict[str, Entity]:
        """The entities of ``phrases`` by text, like ``entities.extract_entities``."""
        counts: Counter[Entity] = Counter()
        placed = (phrase for phrase in phrases if phrase.assertion.placed)
        while batch := list(islice(placed, _SHORT)):
            documents = self._pipeline.pipe((phrase.text for phrase in batch), batch_size=_BATCH)
            for phrase, document in zip(batch, documents, strict=True):
                counts.update(self._entities(phrase, document, atlas))
        return settled(counts)

    def _entities(self, phrase: Phrase, document: Any, atlas: Atlas) -> set[Entity]:
        named = set(self._named(document, atlas))
        return entities_of((mention for mention in atlas.vocabulary.read(phrase) if mention.finding in named), atlas)

    def _named(self, document: Any, atlas: Atlas) -> Iterator[str]:
        for span in document.ents:
            mentions = atlas.vocabulary.read(Phrase(text=span.text))
            if not mentions:
                self.unknown[" ".join(words_of(span.text))] += 1
            for mention in mentions:
                # a stated finding, as a reader gives it, is more general than the words of the span
                yield mention.finding
                yield from atlas.more_general(mention.finding)
