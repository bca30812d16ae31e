"""SAM's parts behind the interfaces of nn: equal to upstream, from every form that it is published in, frozen."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import SamModel
from transformers.utils import logging

from knowmvg.core.errors import ModelError
from knowmvg.grounders.segmenters.load import LoadedSam, load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.mask_decoder import decode_masks
from knowmvg.nn.prompt_encoder import image_positions
from knowmvg.nn.sam_image_encoder import DEVIATION, MEAN
from tests.segmenters.tiny_sam import SIDE, tiny_sam

# transformers' names to those of segment-anything, for a file in the published layout
PUBLISHED = (
    (r"^vision_encoder\.", "image_encoder."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"^(image_encoder)\.layers", r"\1.blocks"),
    (r"neck\.conv1", "neck.0"),
    (r"neck\.layer_norm1", "neck.1"),
    (r"neck\.conv2", "neck.2"),
    (r"neck\.layer_norm2", "neck.3"),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"layer_norm(\d)", r"norm\1"),
    (r"shared_embedding\.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    (r"point_embed\.", "point_embeddings."),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.0", r"\1.layers.1"),
    (r"(mlps\.\d+|iou_prediction_head)\.proj_in", r"\1.layers.0"),
    (r"(mlps\.\d+|iou_prediction_head)\.proj_out", r"\1.layers.2"),
)


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def upstream() -> SamModel:
    return tiny_sam()


@pytest.fixture(scope="module")
def folder(upstream: SamModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "folder"
    upstream.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def file(upstream: SamModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "sam_vit_tiny.pth"
    tensors = {}
    for name, tensor in upstream.state_dict().items():
        if name.startswith("shared_image_embedding"):
            continue
        for pattern, replacement in PUBLISHED:
            name = re.sub(pattern, replacement, name)
        tensors[name] = tensor.clone()
    tensors |= {"pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    torch.save(tensors, path)
    return path


@pytest.fixture(params=["folder", "file"])
def sam(request: pytest.FixtureRequest) -> LoadedSam:
    return load_sam(SamPart(id=str(request.getfixturevalue(request.param))))


def canvases() -> Tensor:
    return torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


def test_a_box_prompt_draws_what_upstream_draws(sam: LoadedSam, upstream: SamModel) -> None:
    boxes = torch.tensor([[8.0, 8, 40, 56], [20, 4, 60, 30]])
    pixels = (canvases().expand(-1, 3, -1, -1) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(
        3, 1, 1
    )
    with torch.no_grad():
        theirs = upstream(pixel_values=pixels, input_boxes=boxes[:, None], multimask_output=False)
        features = sam.encoder(canvases())
        encoder = sam.segmenter.prompt_encoder
        sparse, _ = encoder(input_points=None, input_labels=None, input_boxes=boxes[:, None], input_masks=None)
        logits, quality = decode_masks(
            sam.segmenter.mask_decoder,
            features,
            image_positions(encoder),
            sparse[:, 0],
            sam.segmenter.no_mask.expand(-1, -1, 8, 8),
        )
    torch.testing.assert_close(features, upstream.vision_encoder(pixels).last_hidden_state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        image_positions(encoder), upstream.get_image_wide_positional_embeddings(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(logits, theirs.pred_masks[:, 0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(quality, theirs.iou_scores[:, 0, 0], atol=1e-5, rtol=1e-5)


def test_the_published_file_gives_every_tensor_and_every_size(upstream: SamModel, file: Path, folder: Path) -> None:
    ours, theirs = load_sam(SamPart(id=str(file))), load_sam(SamPart(id=str(folder)))
    assert ours.prompts == theirs.prompts
    for one, other in ((ours.encoder, theirs.encoder), (ours.segmenter, theirs.segmenter)):
        states, wanted = one.state_dict(), other.state_dict()
        assert states.keys() == wanted.keys()
        assert all(torch.equal(states[name], wanted[name]) for name in wanted)
    config = ours.encoder.encoder.config
    for key in ("window_size", "global_attn_indexes", "num_attention_heads", "mlp_dim", "image_size"):
        assert getattr(config, key) == getattr(upstream.config.vision_config, key)


def test_all_of_it_stays_frozen_and_the_box_decoder_starts_from_it(sam: LoadedSam) -> None:
    decoder = BoxDecoder(sam.prompts, "token", False)
    decoder.start_from(sam.segmenter.mask_decoder)
    before = {k: v.clone() for k, v in sam.segmenter.state_dict().items()}
    begun = {k: v.clone() for k, v in decoder.transformer.state_dict().items()}
    assert all(torch.equal(begun[k], before[f"mask_decoder.transformer.{k}"]) for k in begun)
    frozen = [*sam.encoder.parameters(), *sam.segmenter.parameters()]
    assert not any(parameter.requires_grad for parameter in frozen)
    assert not any(module.training for module in sam.encoder.train().modules())
    optimizer = torch.optim.AdamW([*decoder.parameters(), *frozen], lr=0.01, weight_decay=0.5)
    features = sam.encoder(canvases())
    boxes = decoder(features, image_positions(sam.segmenter.prompt_encoder), torch.ones(2, 1, sam.prompts.channels))
    boxes.xyxy.sum().backward()
    optimizer.step()
    after = sam.segmenter.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not all(torch.equal(v, begun[k]) for k, v in decoder.transformer.state_dict().items())


def test_half_precision_is_of_the_encoder_alone(folder: Path) -> None:
    sam = load_sam(SamPart(id=str(folder), dtype="bfloat16"))
    assert sam.encoder(canvases()).dtype == torch.float32
    assert next(sam.encoder.encoder.parameters()).dtype == torch.bfloat16
    assert next(sam.segmenter.parameters()).dtype == torch.float32


def test_another_canvas_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        load_sam(SamPart(id=str(folder))).encoder(torch.zeros(1, 1, 32, 32))


class Harmful:
    def __reduce__(self) -> Any:
        return (Path("harm").mkdir, ())


def test_a_file_that_is_no_sam_is_refused_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"image_encoder.pos_embed": Harmful()}, "harmful.pth")
    torch.save({"weight": torch.zeros(2)}, "other.pth")
    Path("text.pth").write_text("x", encoding="utf-8")
    for name in ("harmful.pth", "other.pth", "text.pth", "absent.pth"):
        with pytest.raises(ModelError):
            load_sam(SamPart(id=name))
    assert not Path("harm").exists()


def test_a_folder_that_is_no_sam_or_not_whole_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "sam")
    (copied / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(ModelError):
        load_sam(SamPart(id=str(copied)))
    (copied / "config.json").unlink()
    with pytest.raises(ModelError):
        load_sam(SamPart(id=str(copied)))
