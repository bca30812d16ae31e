"""What the grounder asks of a model, and the adapter of the chat families (nn/backbones)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.nn.backbones.generation import Chooser


class Speaker(Protocol):
    """A model that is shown square pictures and answers questions about them in text."""

    side: int
    end: int
    backend: Any

    def look(self, canvases: NDArray[np.float32]) -> Tensor:
        """What the model sees of canvases ``[B, S, S]`` in ``[0, 1]``, one row each; the image encoder runs here."""
        ...

    def answer(
        self, seen: Tensor, owners: Sequence[int], questions: Sequence[str], choose: Chooser | None, most_tokens: int
    ) -> Tensor:
        """Ids ``[Q, M]`` of the answers to questions about the pictures ``owners`` of ``seen``, greedy."""
        ...

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer up to its end, location tokens kept."""
        ...

    def shortened(self, text: str) -> str:
        """As much of a text as may stand in a question."""
        ...


class BackboneSpeaker:
    """A chat model behind ``nn.backbones.Backbone``; what questions about one picture begin with is read once.

    Args:
        loaded: the model.
        projection: whether its projection was trained, so that it is a part of what is saved.
    """

    def __init__(self, loaded: SpeakingBackbone, projection: bool = False) -> None:
        self.loaded, self.projection = loaded, projection
        self.side, self.end = loaded.pictures.side, loaded.conversation.end
        self.backend = loaded.conversation.backend

    @torch.inference_mode()
    def look(self, canvases: NDArray[np.float32]) -> Tensor:
        """Image tokens ``[B, N, C]``."""
        vlm = self.loaded.vlm
        shown = self.loaded.pictures(canvases)
        return vlm.look({name: tensor.to(vlm.model.device) for name, tensor in shown.items()})

    @torch.inference_mode()
    def answer(
        self, seen: Tensor, owners: Sequence[int], questions: Sequence[str], choose: Chooser | None, most_tokens: int
    ) -> Tensor:
        """Ids of the answers; see ``Speaker``."""
        prompts = [self.loaded.conversation.question(question) for question in questions]
        written = self.loaded.vlm.generate_shared(
            prompts, seen, stop_id=self.end, max_new_tokens=most_tokens, owners=owners, choose=choose
        )
        return written.ids

    def said(self, ids: Sequence[int]) -> str:
        """The text of an answer."""
        return self.loaded.conversation.said(ids)

    def shortened(self, text: str) -> str:
        """The text up to the last word within the tokens of a report."""
        return self.loaded.conversation.shortened(text, self.loaded.part.max_report)
