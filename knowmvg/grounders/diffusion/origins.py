"""Where the parts of a diffusion model come from: folders, or ids on the hub with their commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import snapshot_download

from knowmvg.core.errors import ModelError

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
OLD_FILES = "*.bin"  # read of a text encoder alone
OTHERS = ("*.fp16.*", "*non_ema*")  # further copies of the same weights, gigabytes of them
WEIGHTED = ("text_encoder", "unet", "vae")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a part lies: a folder, or an id on the hub with its commit; ``subfolder`` is the part's place in it."""

    name: str
    subfolder: str | None = None
    revision: str | None = None

    @property
    def local(self) -> bool:
        """Whether this is a folder on this machine."""
        return Path(self.name).is_dir()


def folders_of(sources: Mapping[str, Source]) -> tuple[dict[str, Path], dict[str, Source]]:
    """A folder for each part, and its source with the commit that was found.

    Raises ``ModelError`` where a folder or an id on the hub has no such part.
    """
    folders, known = {}, {}
    for part, source in sources.items():
        if source.local:
            root = Path(source.name)
            known[part] = source
        else:
            root = _snapshot(part, source)
            known[part] = replace(source, revision=root.name)
        folders[part] = root / source.subfolder if source.subfolder else root
        if not folders[part].is_dir():
            todo = "Give a folder in the layout of diffusers, or an id of the hub."
            raise ModelError(f"a {part} folder", f"none at {folders[part]}", todo)
    return folders, known


def _snapshot(part: str, source: Source) -> Path:
    """The files of a part with a hub id: those that are there already, or else from the hub."""
    wanted = (*FILES, OLD_FILES) if part == "text_encoder" else FILES
    patterns = [f"{source.subfolder}/{each}" if source.subfolder else each for each in wanted]
    for offline in (True, False):
        try:
            root = snapshot_download(
                source.name,
                revision=source.revision,
                allow_patterns=patterns,
                ignore_patterns=list(OTHERS),
                local_files_only=offline,
            )
        except Exception as error:  # network, hub and cache have classes of their own
            if offline:
                continue
            todo = "Check the name and the connection, or name a local folder."
            raise ModelError(f"a folder or an id on the hub: {source.name}", first_line(error), todo) from error
        if not offline or _is_there(part, Path(root) / (source.subfolder or "")):
            return Path(root)
    raise AssertionError("unreachable")


def _is_there(part: str, folder: Path) -> bool:
    weights = [*folder.glob("*.safetensors"), *folder.glob(OLD_FILES)]
    return any(folder.glob("*.json")) and (part not in WEIGHTED or bool(weights))


def first_line(error: Exception) -> str:
    """What another library says of an error, in a line."""
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
