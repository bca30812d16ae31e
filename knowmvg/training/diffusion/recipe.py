"""The recipe of a latent diffusion model: a small one from nothing, or a published one fine-tuned."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from knowmvg.grounders.diffusion.origins import Source
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.training.recipe_parts import LastSchedule, Part, RunPart, Schedule

CaptionKind = Literal["phrase", "phrases", "impression", "report"]
PartName = Literal["tokenizer", "text_encoder", "unet", "vae", "scheduler"]


class SourcePart(Part):
    """Where a part lies: a local folder in the layout of diffusers or transformers, or an id on the hub."""

    name: str = Field(min_length=1)
    """folder, or id on the hub, which is downloaded where it is not there yet"""
    subfolder: str | None = None
    """the part's folder inside it"""
    revision: str | None = None
    """commit, tag or branch of an id on the hub; null is its main branch"""

    def source(self) -> Source:
        """The same for the loader."""
        return Source(self.name, self.subfolder, self.revision)


class BasePart(Part):
    """A published model to start from: all parts, or all but those that are named to come from elsewhere."""

    name: str = Field(min_length=1)
    """folder in the layout of diffusers, or id on the hub"""
    revision: str | None = None
    """commit, tag or branch of an id on the hub; null is its main branch"""
    instead: dict[PartName, SourcePart] = Field(default_factory=dict)
    """parts from elsewhere: another text encoder, a UNet that was fine-tuned before"""


class EncodingPart(Part):
    """How captions become what the UNet reads (grounders/diffusion/text.py); a model is read as it was trained."""

    kind: Literal["auto", "bert", "clip"] = "auto"
    """`bert` loads CXR-BERT and its like as a plain BERT, `clip` the text tower of a CLIP, `auto` what transformers
    makes of the folder"""
    layer: int = Field(default=-1, lt=0)
    """which hidden state, counted from the last"""
    max_tokens: int = Field(default=77, ge=3, le=512)
    """tokens of a caption, the special ones included; what is longer is cut off"""
    padded: bool = True
    """whether every caption is padded to `max_tokens`"""
    masked: bool = True
    """whether the encoder passes over padding"""
    masked_attention: bool = False
    """whether the cross-attention passes over it too"""

    @model_validator(mode="after")
    def _possible(self) -> EncodingPart:
        if not self.padded and not (self.masked and self.masked_attention):
            raise ValueError(
                "without padded, masked and masked_attention must be true, or the batch decides the states"
            )
        return self


class TextPart(Part):
    """A small BERT that learns to read the training split's reports and is then frozen."""

    width: int = Field(default=128, ge=16, multiple_of=16)
    """hidden size; there is a head for every 32 of it"""
    layers: int = Field(default=2, ge=1)
    """encoder blocks"""
    vocabulary: int = Field(default=2000, ge=100)
    """greatest number of word pieces"""
    schedule: Schedule = Schedule(steps=1500, batch=64, lr=1e-3, weight_decay=0.01)


class AutoencoderPart(Part):
    """A small AutoencoderKL that learns to copy the training split's images and is then frozen."""

    widths: tuple[int, ...] = Field(default=(16, 32, 64), min_length=1)
    """channels of each level; a level halves the side, but for the last"""
    layers: int = Field(default=1, ge=1)
    """residual blocks a level"""
    channels: int = Field(default=4, ge=1)
    """channels of the latent"""
    kl: float = Field(default=1e-5, ge=0)
    """weight of the Kullback-Leibler term against the reconstruction"""
    schedule: Schedule = Schedule(steps=1500, batch=16, lr=1e-3)

    @model_validator(mode="after")
    def _possible(self) -> AutoencoderPart:
        if any(width < 8 or width % 8 for width in self.widths):
            raise ValueError("the widths must be multiples of 8")
        return self


class UnetPart(Part):
    """Sizes of a UNet2DConditionModel that starts from random weights."""

    widths: tuple[int, ...] = Field(default=(64, 128), min_length=1)
    """channels of each level; a level halves the side, but for the last"""
    attention: tuple[bool, ...] = (True, True)
    """whether a level has self- and cross-attention"""
    layers: int = Field(default=1, ge=1)
    """residual blocks a level on the way down; one more on the way up"""
    middle: bool = True
    """whether the middle, at the lowest resolution, has attention too"""
    heads: int = Field(default=4, ge=1)
    """attention heads"""

    @model_validator(mode="after")
    def _possible(self) -> UnetPart:
        if len(self.attention) != len(self.widths):
            raise ValueError(f"{len(self.attention)} values of attention for {len(self.widths)} widths")
        if any(width % 16 or width % self.heads for width in self.widths):
            raise ValueError("the widths must be multiples of 16 and of heads")
        if not any(self.attention):
            raise ValueError("a model without cross-attention reads no caption")
        return self


class ScratchPart(Part):
    """A model of CPU size, all parts of it trained here."""

    side: int = Field(default=64, ge=8, le=1024)
    """side of the square that images are letterboxed into, in pixels"""
    text: TextPart = TextPart()
    autoencoder: AutoencoderPart = AutoencoderPart()
    unet: UnetPart = UnetPart()

    @property
    def cells(self) -> int:
        """Side of the latent."""
        return int(self.side // 2 ** (len(self.autoencoder.widths) - 1))

    @model_validator(mode="after")
    def _possible(self) -> ScratchPart:
        halvings = len(self.autoencoder.widths) + len(self.unet.widths) - 2
        if self.side % 2**halvings:
            raise ValueError(f"side {self.side} cannot be halved {halvings} times")
        return self


class LoraPart(Part):
    """Low-rank adapters on the UNet of a base (peft), in place of training it whole."""

    rank: int = Field(default=16, ge=1)
    """rank of every adapter"""
    alpha: int = Field(default=16, ge=1)
    """scale of the adapters, divided by the rank"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """dropout before the adapters"""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """layers that get one, by the end of their names: those of both kinds of attention, as in Generate to Ground"""


class NoisePart(Part):
    """How noise is added and what of it is predicted."""

    schedule: Literal["linear", "scaled_linear"] = "scaled_linear"
    """betas equally spaced, or their square roots (Stable Diffusion)"""
    steps: int = Field(default=1000, ge=2)
    """timesteps of the process"""
    beta_start: float = Field(default=0.00085, gt=0, lt=1)
    """first beta"""
    beta_end: float = Field(default=0.012, gt=0, lt=1)
    """last beta"""
    zero_terminal_snr: bool = False
    """rescale the betas so that nothing of the image is left at the last timestep (Lin et al. 2024, algorithm 1)"""
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    """what the UNet predicts: the noise, or the velocity (Salimans and Ho 2022)"""
    min_snr: float | None = Field(default=None, gt=0)
    """gamma of the min-SNR weighting (Hang et al. 2023, section 3.4); null weighs all timesteps alike"""
    times: tuple[float, float] = (0.0, 1.0)
    """share of the timesteps that is drawn from, first and last"""
    towards_noise: float = Field(default=1.0, gt=0)
    """1 draws timesteps alike; k draws them as the largest of k draws, so that noisy ones come more often"""

    @model_validator(mode="after")
    def _possible(self) -> NoisePart:
        if self.beta_end < self.beta_start:
            raise ValueError("beta_end is below beta_start")
        if not 0 <= self.times[0] < self.times[1] <= 1:
            raise ValueError("times must be two rising shares from 0 to 1")
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError(
                "zero_terminal_snr needs prediction v_prediction: the last step's noise is the input itself"
            )
        return self


class CaptionPart(Part):
    """What of a report is the caption of its image in a step."""

    kinds: dict[CaptionKind, float] = Field(default={"phrase": 0.6, "phrases": 0.3, "impression": 0.1}, min_length=1)
    """kinds with their weights: one placed phrase, all of them in random order, the impression, or the whole report. A
    study without what is asked gets the next of these that it has"""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """share of draws whose caption is empty"""

    @model_validator(mode="after")
    def _positive(self) -> CaptionPart:
        if any(weight <= 0 for weight in self.kinds.values()):
            raise ValueError("the weights of kinds must be positive")
        return self


class EmaPart(Part):
    """The running mean of the trained weights, which is what is saved."""

    decay: float = Field(default=0.9999, ge=0, lt=1)
    """share of the mean that a step keeps, at the most: step n keeps (1 + n) / (10 + n) at first"""


class UnetSchedule(LastSchedule):
    """Length and pace of the UNet's training: keys of every schedule, and this one."""

    beta2: float = Field(default=0.999, gt=0, lt=1)
    """decay of AdamW's running mean of squared gradients; 0.999 is what diffusion models are trained with"""


class DiffusionRecipe(RunPart):
    """Everything that the training of a diffusion model depends on."""

    system: Literal["diffusion"]
    """the kind of grounding system"""
    parts_seed: int = Field(default=0, ge=0)
    """of the parts that runs share: text encoder and autoencoder"""
    base: BasePart | None = None
    """published weights whose UNet is fine-tuned; null trains a small model by `scratch`"""
    scratch: ScratchPart | None = None
    """sizes and schedules of a small model; only without `base`"""
    lora: LoraPart | None = None
    """adapters that are trained in place of the base's UNet"""
    encoding: EncodingPart = EncodingPart()
    noise: NoisePart = NoisePart()
    captions: CaptionPart = CaptionPart()
    ema: EmaPart = EmaPart()
    train: UnetSchedule
    save_memory: bool = False
    """compute activations of the UNet again in the backward pass in place of keeping them"""
    validation_studies: int = Field(default=200, ge=1)
    """studies of the split val that are validated on"""
    read: ReadSettings = ReadSettings()
    """how the trained model is read (grounders/diffusion/settings.py); saved with it"""

    @model_validator(mode="after")
    def _one_start(self) -> DiffusionRecipe:
        if (self.base is None) == (self.scratch is None):
            raise ValueError("a recipe needs one of base and scratch")
        if self.lora is not None and self.base is None:
            raise ValueError("lora needs a base: adapters on random weights learn nothing of use")
        if self.data.masked is not None:
            raise ValueError("data.masked has no meaning here: no part of a diffusion model learns from masks")
        return self
