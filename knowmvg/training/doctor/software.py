"""What the run would be computed with: versions against what this package asks for, hardware, keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from knowmvg.grounders.versions import software_versions
from knowmvg.training.doctor.finding import Finding, Level

GIB = 2**30
KEYS = {
    "HF_TOKEN": "gated models on the hub (MedGemma, Llama)",
    "UMLS_API_KEY": "looking terms up in UMLS (knowmvg kg umls)",
}
"""Environment variables with a licence or access key, and what each is for."""


def look_at_software() -> Iterator[Finding]:
    """Versions and keys. A key's value is never read further than whether there is one."""
    yield Finding(Level.OK, "versions", ", ".join(f"{name} {said}" for name, said in software_versions().items()))
    for wanted in map(Requirement, requires("knowmvg") or ()):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield Finding(Level.PROBLEM, "versions", f"{wanted.name} is missing", f"pip install '{wanted}'")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            said = f"{wanted.name} {found}, where {wanted.specifier} is asked for"
            yield Finding(Level.WARNING, "versions", said, f"pip install '{wanted}'")
    for name, purpose in KEYS.items():
        said = f"{name} is {'set' if os.environ.get(name) else 'not set'}: {purpose}"
        yield Finding(Level.NOTE, "keys", said)


def free_disk(folder: Path) -> int:
    """Bytes free where a folder is or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def look_at_hardware() -> Iterator[Finding]:
    """Cores, memory and GPUs."""
    memory = psutil.virtual_memory()
    said = f"{psutil.cpu_count(logical=False) or os.cpu_count()} cores, {memory.available / GIB:.1f} of "
    yield Finding(Level.OK, "hardware", f"{said}{memory.total / GIB:.1f} GiB of memory free")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding(Level.OK, "hardware", f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")
    if not torch.cuda.is_available():
        yield Finding(Level.NOTE, "hardware", "no GPU that torch can use: the run would be on the CPU")
