"""Low-rank adapters (Hu et al., 2022) on the language decoder alone, by the library that users have them from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def decoder_layers(model: nn.Module, decoder: nn.Module, targets: Sequence[str]) -> list[str]:
    """Full names, inside ``model``, of the decoder's linear layers that end in one of ``targets``.

    The vision tower has layers of the same names; they are not among these. Raises ``ValueError`` for a target that
    the decoder does not have.
    """
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    found = [
        f"{prefix}.{name}"
        for name, module in decoder.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    for target in targets:
        if not any(name.endswith(f".{target}") for name in found):
            raise ValueError(f"expected linear layers named {target!r} in the language decoder, got none")
    return found


def add_lora(
    model: Any, decoder: nn.Module, *, r: int, alpha: int, dropout: float, targets: Sequence[str] = ("q_proj", "v_proj")
) -> None:
    """Put adapters of rank ``r``, scaled by ``alpha / r``, beside the decoder's layers; only they hold a gradient.

    An untrained adapter changes nothing: its second factor starts at zero. Adapters are single precision whatever
    the model's own precision is.
    """
    from peft import LoraConfig  # it takes seconds to import, which other models need not wait for

    names = decoder_layers(model, decoder, targets)
    model.add_adapter(LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=names, bias="none"))
