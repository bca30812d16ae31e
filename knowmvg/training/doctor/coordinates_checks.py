"""What is asked of a model that writes boxes as text, before it is taught: adapters, tokens of numbers, lengths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.backbones.record import LoraPart
from knowmvg.grounders.coordinates.vocabulary import has_units
from knowmvg.training.doctor.finding import Finding, Level

Answered = tuple[str, int]
"""An answer as it is taught, and the number of its boxes."""


def look_at_adapters(loaded: SpeakingBackbone, lora: LoraPart) -> Finding:
    """Whether adapters lie beside exactly the matrices that the recipe names: the decoder's, and all of them."""
    named = dict(loaded.vlm.model.named_modules())
    decoder = next(name for name, module in named.items() if module is loaded.vlm.decoder)
    wanted = {name for name in named if name.startswith(f"{decoder}.") and name.rpartition(".")[2] in lora.targets}
    found = {name for name, module in named.items() if hasattr(module, "lora_A")}
    if found != wanted:
        said = f"LoRA reaches {len(found)} matrices where {len(wanted)} are named: {min(found ^ wanted)}"
        return Finding(Level.PROBLEM, "adapters", said, "Report this with the recipe.")
    said = f"LoRA of rank {lora.r} on {len(found)} matrices of the language model, all its {', '.join(lora.targets)}"
    return Finding(Level.OK, "adapters", said)


def look_at_numbers(loaded: SpeakingBackbone, codec: BoxCodec, answers: Sequence[Answered]) -> Finding:
    """Whether every number of a box is one token, which a style of location tokens (``<loc0001>``) asks for.

    A style without names of its own (``<1>``, decimals) may be spelled.
    """
    layout, backend = codec.layout(""), loaded.conversation.backend
    written = [loaded.conversation.written("", text)[1] for text, _ in answers]
    boxes = sum(count for _, count in answers)
    _, bracket, name = layout.box[0].rpartition("<")
    if not bracket or not (name or has_units(codec, (loaded.pictures.side,) * 2, set(backend.get_vocab()))):
        said = f"spelled, with {sum(map(len, written)) / boxes:.0f} tokens a box: the model has none for a number"
        return Finding(Level.NOTE, "numbers", said)
    whole = re.compile(rf"<{name}\d+>")
    found = [sum(bool(whole.fullmatch(token)) for token in backend.convert_ids_to_tokens(ids)) for ids in written]
    split = sum(count != len(layout.slots) * drawn for count, (_, drawn) in zip(found, answers, strict=True))
    if split:
        first = f"<{name}{layout.number((1,) * len(layout.slots[0]))}>"
        said = f"the tokenizer spells those like {first}, which should be one token, in {split} of"
        todo = "Name a base with these tokens, or choose codec.style=minigpt or decimal, which can be spelled."
        return Finding(Level.PROBLEM, "numbers", f"{said} {len(answers)} answers", todo)
    return Finding(Level.OK, "numbers", f"each is one token, {len(layout.slots)} to a box, in {len(answers)} answers")


def look_at_lengths(lengths: Sequence[int], most: int, todo: str) -> list[Finding]:
    """Whether conversations of so many tokens fit in ``most``; what does not loses the end of its answer."""
    cut = sum(length > most for length in lengths)
    if not cut:
        return []
    said = f"{cut} of {len(lengths)} sampled answers are longer than {most} tokens with their image and question"
    return [Finding(Level.WARNING, "length", f"{said}, and lose their end", todo)]
