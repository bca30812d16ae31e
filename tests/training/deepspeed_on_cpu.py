"""``knowmvg`` with DeepSpeed on CPU processes, which transformers and accelerate keep for accelerators.

``torchrun ... deepspeed_on_cpu.py train RECIPE ...``: they are told that there is one, and given gloo to talk by. The
rest is what runs on GPUs: the command, the Trainer, accelerate and DeepSpeed, whose own accelerator is the CPU.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["DS_ACCELERATOR"] = "cpu"

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from knowmvg.interfaces.cli.main import main
from knowmvg.training import deepspeed, trainer

found = PartialState._prepare_backend


def backend(state: PartialState, *args: Any) -> tuple[str, DistributedType]:
    """gloo for the processes of torchrun, and what accelerate finds for one that works alone."""
    return ("gloo", DistributedType.NO) if "LOCAL_RANK" in os.environ else found(state, *args)


PartialState._prepare_backend = backend
for module in (deepspeed, trainer):
    vars(module)["device_of"] = lambda _: torch.device("meta")  # neither the CPU nor a GPU

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
