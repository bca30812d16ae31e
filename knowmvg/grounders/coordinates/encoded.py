"""Kosmos-2 and Florence-2: grounding models with location tokens that are no chat models, by their own ``generate``.

The image encoder runs once a picture. Questions about it are not read from a common start: Florence-2 reads image and
question both ways in an encoder, and Kosmos-2's positions are counted by its own code from the ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    Kosmos2Processor,
    LogitsProcessorList,
)
from transformers.modeling_outputs import BaseModelOutput

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import explained
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.coordinates.speaker import Speaker
from knowmvg.grounders.weights import read_whole
from knowmvg.nn.backbones.generation import Chooser


def load_encoded(part: BackbonePart, kind: str, device: str = "cpu") -> Speaker:
    """The model that ``part`` names, a ``kosmos-2`` or ``florence2``. Raises ``ModelError`` where it cannot be read."""
    with explained(part):
        source = {"revision": part.revision, "trust_remote_code": False}
        processor = AutoImageProcessor.from_pretrained(part.id, backend="pil", **source)
        backend = AutoTokenizer.from_pretrained(part.id, **source)
        model = read_whole(
            AutoModelForImageTextToText, part.id, dtype=getattr(torch, part.dtype), use_safetensors=True, **source
        )
        made = Kosmos2Speaker if kind == "kosmos-2" else Florence2Speaker
        return made(model.to(device).eval(), backend, processor)


class _Encoded:
    """What both have in common.

    Args:
        model: the model of transformers.
        backend: its fast tokenizer.
        processor: its image processor, in PIL form.

    Raises ``ModelError`` for a tokenizer without one of the tokens that the model is spoken to with.
    """

    marks: tuple[str, ...]

    def __init__(self, model: Any, backend: Any, processor: Any) -> None:
        self.model, self.backend, self.processor = model.requires_grad_(False), backend, processor
        size = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
        sides = size if isinstance(size, dict) else vars(size)
        self.side = int(next(sides[key] for key in ("height", "shortest_edge") if sides.get(key)))
        self.end, self.pad = int(backend.eos_token_id), int(backend.pad_token_id)
        self.ids = {mark: backend.convert_tokens_to_ids(mark) for mark in self.marks}
        missing = [mark for mark, number in self.ids.items() if number in (None, backend.unk_token_id)]
        if missing:
            raise ModelError("the tokenizer of this model", f"one without {missing[0]}", "Check tokenizer.json.")

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer up to its end, location tokens kept."""
        kept = [token for token in ids if token not in (self.pad, self.backend.bos_token_id)]
        kept = kept[: kept.index(self.end)] if self.end in kept else kept
        text: str = self.backend.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def shortened(self, text: str) -> str:
        """The text itself: such a model is shown no report."""
        return text

    def _pixels(self, canvases: NDArray[np.float32]) -> Tensor:
        drawn = [Image.fromarray((canvas * 255).round().astype(np.uint8)).convert("RGB") for canvas in canvases]
        pixels: Tensor = self.processor(images=drawn, return_tensors="pt")["pixel_values"]
        return pixels.to(self.model.device, self.model.dtype)

    def _generation(self, most_tokens: int) -> GenerationConfig:
        """Greedy and nothing else: published settings forbid repeated numbers and force a first token."""
        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=most_tokens,
            eos_token_id=self.end,
            pad_token_id=self.pad,
            bos_token_id=self.backend.bos_token_id,
        )


class Kosmos2Speaker(_Encoded):
    """Kosmos-2 (``Kosmos2ForConditionalGeneration``); prompts as ``Kosmos2Processor`` makes them."""

    marks = ("<image>", "</image>", "<grounding>", "<phrase>", "</phrase>", "<object>", "</object>")

    @torch.inference_mode()
    def look(self, canvases: NDArray[np.float32]) -> Tensor:
        """Image embeddings ``[B, N, D]``, as ``Kosmos2ForConditionalGeneration.generate`` makes them."""
        vision = self.model.vision_model
        states = vision.model.post_layernorm(vision(self._pixels(canvases))[0])
        embedded: Tensor = self.model.image_to_text_projection(normalize(states, dim=-1))[0]
        return embedded

    @torch.inference_mode()
    def answer(
        self, seen: Tensor, owners: Sequence[int], questions: Sequence[str], choose: Chooser | None, most_tokens: int
    ) -> Tensor:
        """Ids of the answers; see ``Speaker``.

        Prompts of one length are answered together: with padding before a prompt, ``Kosmos2TextForCausalLM`` (as of
        transformers 5.23) counts positions of what it writes from the padded length.
        """
        prompts = [self.prompt(question, seen.shape[1]) for question in questions]
        parts: dict[int, Tensor] = {}
        for length in sorted({len(prompt) for prompt in prompts}):
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            ids = torch.tensor([prompts[row] for row in rows], device=self.model.device)
            part = self._written(seen[[owners[row] for row in rows]], ids, choose and choose.only(rows), most_tokens)
            parts |= dict(zip(rows, part, strict=True))
        return pad_sequence([parts[row] for row in range(len(prompts))], batch_first=True, padding_value=self.end)

    def _written(self, seen: Tensor, ids: Tensor, choose: Chooser | None, most_tokens: int) -> Tensor:
        first = self._first_image_id()
        written: Tensor = self.model.generate(
            image_embeds=seen,
            image_embeds_position_mask=((ids >= first) & (ids < first + seen.shape[1])).long(),
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=self._generation(most_tokens),
            logits_processor=LogitsProcessorList([] if choose is None else [choose]),
        )
        return written[:, ids.shape[1] :]

    def __init__(self, model: Any, backend: Any, processor: Any) -> None:
        super().__init__(model, backend, processor)
        self._processor = Kosmos2Processor(processor, backend)
        self._blank = Image.new("RGB", (self.side, self.side))

    def prompt(self, question: str, length: int) -> list[int]:
        """Ids of a question about a picture of ``length`` tokens, which have the ids behind the unknown token's."""
        made = self._processor(text=question, images=self._blank, num_image_tokens=length)
        return list(made["input_ids"])

    def _first_image_id(self) -> int:
        return int(self.backend.unk_token_id) + 1


class Florence2Speaker(_Encoded):
    """Florence-2 (``Florence2ForConditionalGeneration``); prompts as ``Florence2Processor`` makes them."""

    marks = ("<loc_0>", "<loc_999>")

    @torch.inference_mode()
    def look(self, canvases: NDArray[np.float32]) -> Tensor:
        """Image tokens ``[B, N, D]``."""
        tokens: Tensor = self.model.model.get_image_features(self._pixels(canvases)).pooler_output
        return tokens

    @torch.inference_mode()
    def answer(
        self, seen: Tensor, owners: Sequence[int], questions: Sequence[str], choose: Chooser | None, most_tokens: int
    ) -> Tensor:
        """Ids of the answers; see ``Speaker``."""
        image = int(self.model.config.image_token_id)
        rows = [self.prompt(question, seen.shape[1]) for question in questions]
        tensors = [torch.tensor(row, device=self.model.device) for row in rows]
        ids = pad_sequence(tensors, batch_first=True, padding_value=self.pad)
        mask = pad_sequence([torch.ones_like(row) for row in tensors], batch_first=True)
        embedded = self.model.get_input_embeddings()(ids)
        where = (ids == image).unsqueeze(-1)
        embedded = embedded.masked_scatter(where, seen[list(owners)].to(embedded.dtype))
        encoder = self.model.model.language_model.encoder
        read = encoder(attention_mask=mask, inputs_embeds=embedded).last_hidden_state
        start = self.model.config.text_config.decoder_start_token_id
        begun = torch.tensor([[start, self.backend.bos_token_id]] * len(ids), device=ids.device)
        written: Tensor = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=read),
            attention_mask=mask,
            decoder_input_ids=begun,
            generation_config=self._generation(most_tokens),
            logits_processor=LogitsProcessorList([] if choose is None else [choose]),
        )
        return written[:, begun.shape[1] :]

    def prompt(self, question: str, length: int) -> list[int]:
        """Ids of a question about a picture of ``length`` tokens."""
        text = self.backend(question, add_special_tokens=False)["input_ids"]
        image = [int(self.model.config.image_token_id)] * length
        return [*image, int(self.backend.bos_token_id), *text, self.end]
