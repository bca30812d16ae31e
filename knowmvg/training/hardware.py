"""What a run computes on: its device, and the processes that torchrun started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock

from knowmvg.core.errors import RecipeError
from knowmvg.training.recipe_parts import MachinePart, Schedule

_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
POLL = 0.2  # seconds between looks at what another process makes


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of a run: its rank among all and on its machine, and their number."""

    rank: int
    local_rank: int
    world: int

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0


def processes() -> Processes:
    """What torchrun says of this process; without torchrun there is one."""
    rank, local, world = (
        int(os.environ.get(name, default)) for name, default in zip(_OF_TORCHRUN, "001", strict=False)
    )
    return Processes(rank, local, world)


def device_of(machine: MachinePart) -> torch.device:
    """The device of this process. Raises ``RecipeError`` where the recipe wants a GPU and torch sees none."""
    if machine.device == "cpu" or (machine.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        todo = "Install a torch for your CUDA, or set machine.device=cpu."
        raise RecipeError("a GPU for machine.device: cuda", f"none that torch {torch.__version__} can use", todo)
    local = processes().local_rank
    if local >= torch.cuda.device_count():
        todo = "Start as many processes as there are GPUs: torchrun --nproc-per-node."
        raise RecipeError(f"a GPU for process {local}", f"{torch.cuda.device_count()} on this machine", todo)
    return torch.device("cuda", local)


def described(machine: MachinePart) -> str:
    """The machine of a run in a few words."""
    device, world = device_of(machine), processes().world
    threads = torch.get_num_threads()
    on_cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else on_cpu
    return f"{name}, {machine.precision}, {world} process{'es' if world > 1 else ''}"


def batches_a_process(schedule: Schedule, key: str = "train") -> int:
    """Batches that this process adds up for a step, so that a step is the same whatever the number of processes.

    Raises ``RecipeError`` unless the processes can share ``accumulate`` evenly.
    """
    world = processes().world
    if schedule.accumulate % world:
        near = -(-schedule.accumulate // world) * world
        size = schedule.batch * schedule.accumulate
        todo = f"Set {key}.accumulate={near} {key}.batch={max(1, round(size / near))} for about as many studies a step."
        raise RecipeError(f"{key}.accumulate a multiple of the {world} processes", str(schedule.accumulate), todo)
    return schedule.accumulate // world


@contextmanager
def alone() -> Iterator[None]:
    """Hide the other processes from torch and accelerate, for work that one does while they wait."""
    hidden = {name: os.environ.pop(name) for name in _OF_TORCHRUN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def made_once(marker: Path, make: Callable[[], object], lock: Path | None = None) -> None:
    """Have ``make`` write what ends with the file ``marker``, unless it is there.

    Of several processes of a run the main one makes it, and of several runs the first; the others wait. ``lock`` is
    ``.lock`` beside the marker unless another is given; one that its owner died with is free again.
    """
    here, lock = processes(), lock or marker.parent / ".lock"
    while not marker.is_file():
        if not here.main:
            time.sleep(POLL)
            continue
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock), alone():
            if not marker.is_file():
                make()
