"""How a diffusion model is read: the choices between its cross-attention and a box, and two presets of the literature.

``generate-to-ground``: arXiv 2507.12236 and its released code. ``vilouras``: Vilouras et al., "Zero-Shot Medical Phrase
Grounding with Off-the-shelf Diffusion Models", JBHI 2025 (arXiv 2404.12920).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowmvg.core.errors import ModelError

ReadOut = Literal["attention", "noise_difference", "attention_and_noise"]
Noising = Literal["forward", "inversion"]
Words = Literal["report", "lexical", "disease", "all"]
Merge = Literal["off", "matmul", "hadamard"]
Threshold = Literal["gmm", "otsu", "fixed", "top"]
Regions = Literal["all", "largest", "each"]

MAX_STEPS = 1000


class ReadSettings(BaseModel):
    """The settings of a read-out, checked; docs/diffusion.md says what each is.

    Args:
        read: what the map is made of: the cross-attention; the norm of the difference that the phrase makes to the
            predicted noise; or the product of both, each from 0 to 1.
        noise: the image is noised anew at each step (``forward``), or carried from one to the next by DDIM
            (``inversion``).
        steps: timesteps of the schedule.
        window: of these, counted from the noisiest, the part ``[first, last)`` that is read.
        spacing: how the steps lie in the schedule (diffusers' ``timestep_spacing``).
        layers: which cross-attentions, counted in the order of the computation; ``None`` is all.
        normalise: stretch each map of a layer and a step from 0 to 1 before the mean over them.
        upsample: how coarser layers come to the size of the finest.
        words: which words of the phrase count: findings and places of the report language; adjectives, nouns and verbs;
            words of the finding's entry in the lexicon; every token.
        first_piece: only the first piece of each word, as the reference's lexical filter has it.
        merge: Bimodal Bias Merging, with the matrix product of the reference or the elementwise one; or none.
        bias_guidance: guidance scale of the pass without image that gives the text bias; 1 is none.
        smooth: standard deviation of a Gaussian over the map, as a share of its side.
        keep_above_otsu: set what lies below Otsu's threshold to 0.
        threshold: two-component Gaussian mixture, Otsu, a fixed value, or the share of cells that are highest.
        value: the value or share for ``fixed`` and ``top``.
        regions: one box around all that is above the threshold, around the largest component, or around each.
        max_boxes: of a phrase, the best ones.
        legacy: the reference's speck filter and the box that leaves out its last row and column.
        fit: the whole radiograph on the canvas, or its central square as the reference cuts it.
        seed: of the noise; each image and each phrase has its own from it.
        rows: passes through the UNet that are computed at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    read: ReadOut = "attention"
    noise: Noising = "forward"
    steps: int = Field(default=50, ge=1, le=MAX_STEPS)
    window: tuple[int, int] = (10, 50)
    spacing: Literal["leading", "trailing", "linspace"] = "leading"
    layers: tuple[int, ...] | None = None
    normalise: bool = False
    upsample: Literal["nearest", "bilinear"] = "nearest"
    words: Words = "report"
    first_piece: bool = False
    merge: Merge = "off"
    bias_guidance: float = Field(default=16.0, ge=1.0)
    smooth: float = Field(default=0.0, ge=0.0, le=0.5)
    keep_above_otsu: bool = False
    threshold: Threshold = "gmm"
    value: float = Field(default=0.5, gt=0.0, lt=1.0)
    regions: Regions = "all"
    max_boxes: int = Field(default=4, ge=1, le=64)
    legacy: bool = False
    fit: Literal["letterbox", "crop"] = "letterbox"
    seed: int = Field(default=0, ge=0, lt=2**32)
    rows: int = Field(default=32, ge=1, le=4096)

    @model_validator(mode="after")
    def _possible(self) -> ReadSettings:
        first, last = self.window
        if not 0 <= first < last <= self.steps:
            raise ValueError(f"expected a window inside 0 to {self.steps}, got {first} to {last}")
        if self.layers is not None and (
            not self.layers or min(self.layers) < 0 or len(set(self.layers)) != len(self.layers)
        ):
            raise ValueError("expected different layers from 0 on, or none named for all")
        if self.merge != "off" and self.read == "noise_difference":
            raise ValueError("expected a read-out with attention to merge biases with, got the noise difference alone")
        if self.merge != "off" and self.noise != "forward":
            raise ValueError("expected forward noise for bias merging: it reads the image at every step")
        if self.spacing == "linspace" and self.noise == "inversion":
            raise ValueError("expected leading or trailing steps for an inversion, got linspace")
        return self

    def in_window(self, step: int) -> bool:
        """Whether a step, counted from the noisiest, is read."""
        return self.window[0] <= step < self.window[1]

    def with_changes(self, **changes: Any) -> ReadSettings:
        """These settings with some changed, checked again. Raises ``ModelError`` for an impossible combination."""
        return read_settings(self.model_dump() | changes)


PRESETS: dict[str, ReadSettings] = {
    "generate-to-ground": ReadSettings(merge="matmul", legacy=True, fit="crop", words="lexical", first_piece=True),
    "vilouras": ReadSettings(
        noise="inversion",
        steps=300,
        window=(120, 180),
        spacing="trailing",
        layers=(3, 4, 6, 7),
        normalise=True,
        upsample="bilinear",
        words="all",
        smooth=2.5 / 64,
        keep_above_otsu=True,
        threshold="otsu",
        fit="crop",
    ),
}


def read_settings(data: Any) -> ReadSettings:
    """Settings from the content of a file. Raises ``ModelError`` for settings that are none."""
    try:
        return ReadSettings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the settings together"
        got = f"{first['msg']} at {place}"
        raise ModelError("possible settings of a read-out", got, "Correct them (docs/diffusion.md).") from error
