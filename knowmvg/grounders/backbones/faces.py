"""The faces of a base: how it is shown a picture and spoken to, without its weights."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, ProcessorMixin

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.chat import ChatTokenizer
from knowmvg.grounders.backbones.conversation import Conversation
from knowmvg.grounders.backbones.pictures import Pictures
from knowmvg.grounders.backbones.place import Place
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.nn.backbones.family import FAMILIES, Family
from knowmvg.nn.joined_llava import register


def family_at(place: Place, part: BackbonePart) -> tuple[Any, Family]:
    """The configuration of a base and the rule of its family. Raises ``ModelError`` for a family without one."""
    register()
    config = AutoConfig.from_pretrained(place.name, **place.options)
    try:
        return config, FAMILIES[config.model_type]
    except KeyError:
        known = ", ".join(FAMILIES)
        todo = "Name a model of one of these families (docs/backbones.md)."
        raise ModelError(f"a model of type {known}", f"{config.model_type} at {part.id}", todo) from None


def faces(place: Place, part: BackbonePart, config: Any, family: Family) -> tuple[ChatTokenizer, Pictures | None]:
    """Tokenizer and pictures of a base; a model that has read text alone takes no pictures.

    Raises ``ModelError`` for a tokenizer that is another model's, and where there is no chat template.
    """
    backend = AutoTokenizer.from_pretrained(place.name, **place.options)
    template = _template(place, part, backend, family)
    lengths: dict[str, Any] = {"max_report": part.max_report, "max_length": part.max_length}
    if family.text_only:
        backend.add_tokens([AddedToken(family.marker, special=True, normalized=False)], special_tokens=True)
        image = backend.convert_tokens_to_ids(family.marker)
        shown = family.marker * part.image_tokens**2
        return ChatTokenizer(backend, template, family.marker, shown, image, as_text=True, **lengths), None
    pictures, image = _pictures(place, part, config, family)
    one_line = family.prefix_block
    tokenizer = ChatTokenizer(
        backend, template, family.marker, pictures.placeholders, image, one_line=one_line, **lengths
    )
    _same_length(tokenizer, pictures)
    return tokenizer, pictures


def speaking_faces(
    place: Place, part: BackbonePart, config: Any, family: Family, spoken: frozenset[str]
) -> tuple[Conversation, Pictures]:
    """Conversation and pictures of a base that is asked for text: no token is added to its tokenizer.

    Raises ``ModelError`` as ``faces`` does, and for a model that takes no pictures.
    """
    if family.text_only:
        raise ModelError("a model that sees", f"{family.name} at {part.id}", "Name a vision-language model.")
    backend = AutoTokenizer.from_pretrained(place.name, **place.options)
    pictures, image = _pictures(place, part, config, family)
    conversation = Conversation(
        backend,
        _template(place, part, backend, family),
        family.marker,
        pictures.placeholders,
        image,
        one_line=family.prefix_block,
        spoken=spoken,
    )
    _same_length(conversation, pictures)
    return conversation, pictures


def _pictures(place: Place, part: BackbonePart, config: Any, family: Family) -> tuple[Pictures, int]:
    """Pictures of a base that sees, and its image token."""
    processor = AutoImageProcessor.from_pretrained(place.name, backend="pil", **place.options)
    image = next(getattr(config, key) for key in ("image_token_id", "image_token_index") if hasattr(config, key))
    return Pictures(processor, family, config, part.picture), image


def _same_length(conversation: Conversation, pictures: Pictures) -> None:
    if conversation.image_length != pictures.length:
        got = f"{conversation.image_length} in a prompt"
        raise ModelError(f"{pictures.length} image tokens a picture", got, "The tokenizer is not this model's own.")


def _template(place: Place, part: BackbonePart, backend: Any, family: Family) -> str:
    """The recipe's template, the processor's, the tokenizer's or the family's own layout, whichever comes first."""
    if part.chat_template is not None:
        return part.chat_template
    said = {} if family.text_only else ProcessorMixin.get_processor_dict(place.name, revision=part.revision)[0]
    found = said.get("chat_template") or backend.chat_template or family.template
    if isinstance(found, dict):
        found = found.get("default")
    if not found:
        raise ModelError("a chat template", f"none at {part.id}", "Give one as chat_template in the recipe.")
    return str(found)
