"""The parts of a latent diffusion model in the layout of diffusers: found, loaded, saved.

``tokenizer/``, ``text_encoder/``, ``unet/``, ``vae/``, ``scheduler/``, as Stable Diffusion 1.5 has them, and
``parts.json`` for what diffusers does not note: how texts are encoded, and where a part that is not in the folder comes
from. Weights are safetensors; the hub is asked only for a part that is named by its id.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from knowmvg.core.errors import ModelError
from knowmvg.grounders.diffusion.origins import Source, first_line, folders_of
from knowmvg.grounders.diffusion.text import (
    Conditions,
    TextRecipe,
    encode,
    load_encoder,
    load_tokenizer,
)
from knowmvg.grounders.weights import quietly, read_whole
from knowmvg.nn.diffusion.latents import Latents, load_latents

FORMAT = "knowmvg.diffusion-parts/1"
RECORD = "parts.json"
PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")
UNET_WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, slots=True)
class DiffusionParts:
    """What a diffusion grounder computes with; everything but the UNet is frozen.

    Args:
        tokenizer: a fast one of transformers.
        text_encoder: of transformers.
        unet: a ``UNet2DConditionModel``.
        latents: canvases to latents and back, of the UNet's size.
        scheduler: a ``DDIMScheduler`` with the noise schedule that the UNet was trained on; training takes a
            ``DDPMScheduler`` from its ``config``.
        text: how phrases are encoded.
        sources: where parts came from, by the names of ``PARTS``; for a hub id with the commit.
    """

    tokenizer: Any
    text_encoder: Any
    unet: Any
    latents: Latents
    scheduler: Any
    text: TextRecipe = field(default_factory=TextRecipe)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = int(self.text_encoder.config.hidden_size)
        wanted = self.unet.config.cross_attention_dim
        if width != wanted:
            todo = "Take the text encoder that the UNet was trained with."
            raise ModelError(f"a text encoder of width {wanted}", f"width {width}", todo)
        if self.latents.shape[0] != self.unet.config.in_channels:
            got = f"{self.latents.shape[0]} channels"
            raise ModelError(f"latents of {self.unet.config.in_channels} channels", got, "Take the UNet's own vae.")

    @property
    def device(self) -> torch.device:
        """Where the UNet lives."""
        return torch.device(self.unet.device)

    def encode(self, texts: Sequence[str], length: int | None = None) -> Conditions:
        """Texts as conditions on the UNet's device; the empty text is the condition of no phrase.

        All are cut or padded to ``length`` tokens where that is given.
        """
        return encode(self.tokenizer, self.text_encoder, self.text, texts, self.device, length)

    def attention_mask(self, conditions: Conditions) -> torch.Tensor | None:
        """What to give the UNet as ``encoder_attention_mask``: ``None`` unless the recipe says that it is masked."""
        return conditions.mask if self.text.masked_attention else None

    def to(self, device: str | torch.device) -> DiffusionParts:
        """The parts on a device (modules are moved, not copied)."""
        return replace(
            self,
            text_encoder=self.text_encoder.to(device),
            unet=self.unet.to(device),
            latents=self.latents.to(device),
        )


def load_parts(
    name: str | Path,
    *,
    revision: str | None = None,
    instead: Mapping[str, Source] | None = None,
    text: TextRecipe | None = None,
    device: str = "cpu",
) -> DiffusionParts:
    """The parts in a folder of the diffusers layout, or of an id on the hub.

    Args:
        name: the folder or id.
        revision: commit of the id.
        instead: parts to take from elsewhere, by the names of ``PARTS``: a fine-tuned ``unet``, a ``text_encoder``.
        text: how texts are encoded; by default as ``parts.json`` says, or else ``TextRecipe()``.
        device: where to put them.

    Raises:
        ModelError: a part that is missing, damaged, needs code of its own, or does not fit the UNet.
    """
    try:
        from diffusers import DDIMScheduler, UNet2DConditionModel  # imports for seconds
    except ImportError as error:
        raise ModelError("the package diffusers", "none", "Install it: pip install 'knowmvg[diffusion]'.") from error
    base = Source(str(name), None, revision)
    record = _record(base)
    recipe = text or (TextRecipe(**record["text"]) if "text" in record else TextRecipe())
    named = {part: Source(**said) for part, said in record.get("elsewhere", {}).items()} | dict(instead or {})
    sources = {part: named.get(part, replace(base, subfolder=part)) for part in PARTS}
    if "text_encoder" in named and "tokenizer" not in named:
        sources["tokenizer"] = named["text_encoder"]
    folders, sources = folders_of(sources)
    try:
        unet = read_whole(
            UNet2DConditionModel,
            str(folders["unet"]),
            use_safetensors=True,
            local_files_only=True,
            torch_dtype=torch.float32,
        )
        parts = DiffusionParts(
            tokenizer=load_tokenizer(folders["tokenizer"]),
            text_encoder=load_encoder(folders["text_encoder"], recipe),
            unet=unet.requires_grad_(False).eval(),
            latents=load_latents(folders["vae"], int(unet.config.sample_size)),
            scheduler=DDIMScheduler.from_pretrained(folders["scheduler"], local_files_only=True),
            text=recipe,
            sources=sources,
        )
    except ModelError:
        raise
    except Exception as error:  # diffusers, transformers and safetensors raise whatever comes up in a damaged file
        todo = "Copy the model again, or name another one."
        raise ModelError(f"the parts of a diffusion model in {name}", first_line(error), todo) from error
    return parts.to(device)


def save_parts(parts: DiffusionParts, folder: Path, *, elsewhere: Collection[str] = (), half: bool = True) -> None:
    """Write parts in the layout of diffusers; ``load_parts(folder)`` reads them.

    Args:
        parts: the parts.
        folder: a new folder, or one to fill; the caller moves it into its place when it is whole.
        elsewhere: parts of the hub that are noted by id and commit and not copied.
        half: whether the UNet's weights are written in half precision.

    Raises:
        ModelError: a part of ``elsewhere`` that did not come from the hub.
    """
    for part in elsewhere:
        source = parts.sources.get(part)
        if source is None or source.local or source.revision is None:
            raise ModelError(f"a {part} from the hub, with its commit", "one of a folder", "Write it into the folder.")
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Any] = {
        "tokenizer": parts.tokenizer.save_pretrained,
        "text_encoder": parts.text_encoder.save_pretrained,
        "unet": lambda place: _save_unet(parts.unet, place, half),
        "vae": parts.latents.save,
        "scheduler": parts.scheduler.save_pretrained,
    }
    with quietly():
        for part, write in writers.items():
            if part not in elsewhere:
                write(folder / part)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors writes for its owner alone
    record = {
        "format": FORMAT,
        "text": parts.text.to_dict(),
        "elsewhere": {part: asdict(parts.sources[part]) for part in elsewhere},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _save_unet(unet: Any, folder: Path, half: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unet.save_config(folder)
    tensors = {
        name: (t.half() if half and t.is_floating_point() else t).cpu().contiguous()
        for name, t in unet.state_dict().items()
    }
    save_file(tensors, folder / UNET_WEIGHTS, metadata={"format": "pt"})


def _record(base: Source) -> dict[str, Any]:
    path = Path(base.name) / RECORD
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ModelError(f"format {FORMAT}", repr(record["format"]), "Use the knowmvg version that wrote it.")
        TextRecipe(**record["text"])
        for said in record["elsewhere"].values():
            Source(**said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"a {RECORD} in {base.name}", first_line(error), "Copy the model again.") from error
    return dict(record)
