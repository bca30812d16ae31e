"""A diffusion grounder measured: ``python benchmarks/diffusion.py --json OUT [--model RUN/model --data DIR]``.

Without a model: speed and memory of one with random weights at the demonstration's size. ``speed``: a study of three
phrases with the settings of Generate to Ground, against a plain implementation of the same (diffusion_plain.py: one
phrase and one step at a time, guidance and an image that nobody looks at, every map kept), in one process, the least of
``--rounds``. ``attention`` is without merging, ``merged`` with it; ``known_phrases`` is a further study with the same
phrases, whose text biases are known. ``memory``: bytes of the maps that are held at once, the reduced maps of a layer
included; the softmax weights of the layer that is being computed are counted apart, for both. With a model: ``maps``,
on held-out studies (diffusion_maps.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusion_maps import measure_maps  # benchmarks/diffusion_maps.py
from diffusion_plain import PlainReading  # benchmarks/diffusion_plain.py

from knowmvg.core.errors import KnowmvgError
from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.merging import merged
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.reading import PhraseReader
from knowmvg.grounders.diffusion.settings import PRESETS, ReadSettings
from knowmvg.grounders.diffusion.store import load_diffusion
from knowmvg.grounders.diffusion.words import content_words, token_weights
from knowmvg.nn.diffusion.attention import AT_ONCE, cross_attentions
from knowmvg.sources.manifest import load_study, read_rows

PHRASES = tuple(
    Phrase(text=text)
    for text in ("small left pleural effusion", "nodule in the right upper lobe", "bilateral perihilar edema")
)


def demo_sized() -> DiffusionParts:
    """A model of the demonstration's size that has learnt nothing: 16 x 16 latents, a UNet of three levels."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from knowmvg.grounders.diffusion.text import TextRecipe
    from knowmvg.nn.diffusion.latents import VaeLatents

    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = special + sorted({word for phrase in PHRASES for word in phrase.text.split()})
    pieces = Tokenizer(models.WordPiece({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    shape = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 256, "num_hidden_layers": 2}
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 128),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=128,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )
    return DiffusionParts(
        PreTrainedTokenizerFast(tokenizer_object=pieces, **named),
        BertModel(BertConfig(vocab_size=len(words), **shape), add_pooling_layer=False).eval(),
        unet.requires_grad_(False).eval(),
        VaeLatents(vae, 16),
        DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
        TextRecipe(max_tokens=77),
    )


def best(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Seconds, the least of so many rounds, and what the last one gave."""
    times, given = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        given = work()
        times.append(time.perf_counter() - start)
    return min(times), given


def afresh(parts: DiffusionParts, settings: ReadSettings, canvas: torch.Tensor) -> object:
    """Read the three phrases with nothing known of them."""
    return PhraseReader(parts, settings).read(canvas[None], [PHRASES])


@torch.inference_mode()
def plainly(parts: DiffusionParts, settings: ReadSettings, canvas: torch.Tensor) -> int:
    """Ground the three phrases one at a time, all maps kept; the bytes of the maps of one phrase."""
    plain, held = PlainReading(parts, settings), 0
    for phrase in PHRASES:
        tokens = _tokens(parts, phrase, settings)
        maps, _ = plain.image_maps(canvas, phrase.text)
        attention = plain.mean(maps, tokens)
        held = maps.nbytes
        if settings.merge != "off":
            made = plain.text_maps(phrase.text)
            held += made.nbytes
            image_bias, text_bias, product = plain.biases(maps, made, tokens)
            merged(attention, product, image_bias, text_bias)
    return held


def _tokens(parts: DiffusionParts, phrase: Phrase, settings: ReadSettings) -> list[int]:
    offsets = parts.encode([phrase.text]).offsets[0]
    weights = token_weights(offsets, content_words(phrase, settings.words), first_piece=settings.first_piece)
    return [int(k) for k in weights.nonzero().flatten()]


def measure(parts: DiffusionParts, settings: ReadSettings, rounds: int) -> dict[str, Any]:
    """Speed and memory, with and without merging."""
    side = parts.latents.side
    canvas = torch.rand(1, side, side, generator=torch.Generator().manual_seed(0))
    found: dict[str, Any] = {"parameters": sum(p.numel() for p in parts.unet.parameters()), "steps": settings.steps}
    speed: dict[str, float] = {}
    held = 0
    for name, how in (("attention", settings), ("merged", settings.with_changes(merge="matmul"))):
        reader = PhraseReader(parts, how)
        plain, held = best(partial(plainly, parts, how, canvas), rounds)
        first, _ = best(partial(afresh, parts, how, canvas), rounds)
        reader.read(canvas[None], [PHRASES])
        known, _ = best(partial(reader.read, canvas[None], [PHRASES]), rounds)
        speed |= {f"{name}_plain_s": plain, f"{name}_s": first, f"{name}_known_phrases_s": known}
        speed |= {f"{name}_times_faster": plain / first, f"{name}_known_phrases_times_faster": plain / known}
    found["speed"] = {name: round(value, 3) for name, value in speed.items()}
    how = settings.with_changes(merge="matmul")
    reader = PhraseReader(parts, how)
    reader.read(canvas[None], [PHRASES])
    plain_bytes = held * len(PHRASES)
    softmax = parts.unet.config.attention_head_dim * parts.latents.shape[1] ** 2 * parts.text.max_tokens * 4
    found["memory"] = {
        "plain_maps_bytes": plain_bytes,
        "plain_maps_bytes_of_a_phrase": held,
        "maps_bytes": reader.map_bytes,
        "times_smaller": round(plain_bytes / reader.map_bytes, 1),
        "times_smaller_than_of_a_phrase": round(held / reader.map_bytes, 1),
        "plain_softmax_bytes": 2 * softmax,
        "softmax_bytes": min(how.rows * softmax, AT_ONCE * 4),
        "layers": len(cross_attentions(parts.unet)),
    }
    return found


def full_size() -> dict[str, float]:
    """What a UNet of Stable Diffusion 1.5 takes, counted without its weights: parameters, GFLOP, bytes of maps."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
        with FlopCounterMode(display=False) as one_pass:
            unet(torch.zeros(1, 4, 64, 64), torch.zeros(1), encoder_hidden_states=torch.zeros(1, 77, 768))
        with FlopCounterMode(display=False) as encoding:
            vae.encode(torch.zeros(1, 3, 512, 512))
    sides = [64] * 5 + [32] * 5 + [16] * 5 + [8]  # of its 16 cross-attentions
    return {
        "unet_parameters": sum(p.numel() for p in unet.parameters()),
        "vae_parameters": sum(p.numel() for p in vae.parameters()),
        "unet_gflop": round(one_pass.get_total_flops() / 1e9, 1),
        "vae_encode_gflop": round(encoding.get_total_flops() / 1e9, 1),
        "plain_maps_bytes_of_a_phrase": 2 * 50 * 16 * 77 * 64 * 64 * 4,
        "text_bias_bytes_of_a_phrase": 50 * sum(side**2 for side in sides) * 4,
        "sums_bytes_of_a_phrase": 3 * sum(side**2 for side in set(sides)) * 4,
    }


def held_out(data: Path, split: str, wanted: int) -> Sequence[Any]:
    """The first studies of a split that have a boxed phrase."""
    found = []
    for row in read_rows(data, split):
        if any(phrase.boxes for phrase in row.phrases):
            found.append(load_study(data, row))
        if len(found) == wanted:
            break
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--model", type=Path, help="model folder; its maps are measured too")
    parser.add_argument(
        "--data", type=Path, default=Path("data/phantom"), help="data set whose patients it has not seen"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--studies", type=int, default=300, help="with boxed phrases, of the split")
    parser.add_argument("--merge-studies", type=int, default=300, help="of these, with merging; 0 leaves it out")
    parser.add_argument("--seeds", type=int, default=3, help="of the noise, with merging")
    parser.add_argument("--steps", type=int, default=50, help="of the measure of speed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-speed", action="store_true", help="leave speed and memory out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {}
    try:
        if not arguments.no_speed:
            steps = {"steps": arguments.steps, "window": (arguments.steps // 5, arguments.steps)}
            settings = PRESETS["generate-to-ground"].with_changes(merge="off", words="report", **steps)
            result |= measure(demo_sized(), settings, arguments.rounds)
            result["stable_diffusion_1_5"] = full_size()
        if arguments.model is not None:
            grounder = load_diffusion(arguments.model)
            studies = held_out(arguments.data, arguments.split, arguments.studies)
            result["maps"] = {"studies": len(studies), "model": grounder.name} | measure_maps(
                grounder.parts, grounder.settings, studies, arguments.merge_studies, arguments.seeds
            )
    except KnowmvgError as error:
        sys.exit(str(error))
    result |= {"threads": arguments.threads, "processor": platform.machine(), "torch": torch.__version__}
    print(json.dumps(result, indent=2))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
