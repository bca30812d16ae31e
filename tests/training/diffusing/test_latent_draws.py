"""Latents on disk and what is drawn of them: anew in every step, the same for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_recipe  # noqa: F401  the folder of these tests is on the path
import torch
from torch import Tensor

from knowmvg.training.diffusion.captions import CaptionDraw, Captioned
from knowmvg.training.diffusion.denoising import Drawn, DrawnLatents
from knowmvg.training.diffusion.latents import LatentCache, cache_latents
from knowmvg.training.diffusion.recipe import NoisePart


class Halves:
    """Latents with a mean and a deviation that can be told from the image."""

    side, shape = 4, (1, 4, 4)
    batches = 0

    def moments(self, canvases: Tensor) -> tuple[Tensor, Tensor]:
        self.batches += 1
        return canvases * 2 - 1, torch.full_like(canvases, 0.5)

    def to(self, device: object) -> Halves:
        return self


@pytest.fixture
def cache(tmp_path: Path) -> LatentCache:
    images = np.stack([np.full((4, 4), 51 * k, dtype=np.uint8) for k in range(5)])
    ids = [f"s{k}" for k in range(5)]
    return cache_latents(tmp_path / "l.npy", ids, lambda: images, Halves(), "cpu", lambda _: None, batch=2)


def test_latents_are_drawn_from_the_posterior(cache: LatentCache) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([cache.sample(["s3"], generator) for _ in range(400)])
    assert float(drawn.mean()) == pytest.approx(2 * 0.6 - 1, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(drawn[0], drawn[1])


def test_a_cache_is_read_without_asking_for_images(cache: LatentCache, tmp_path: Path) -> None:
    def fail() -> list[np.ndarray]:
        raise AssertionError("images were asked for")

    again = cache_latents(tmp_path / "l.npy", list(cache.index), fail, Halves(), "cpu", lambda _: None)
    assert np.array_equal(again.posteriors, cache.posteriors)


def test_a_broken_cache_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    def images():
        yield np.zeros((4, 4), dtype=np.uint8)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cache_latents(tmp_path / "l.npy", ["a", "b"], images, Halves(), "cpu", lambda _: None, batch=1)
    assert not (tmp_path / "l.npy").exists()


def draws(cache: LatentCache, seed: int = 0, length: int = 20) -> DrawnLatents:
    studies = [(name, Captioned((f"phrase {name}",), "", "")) for name in cache.index]
    return DrawnLatents(studies, cache, CaptionDraw({"phrase": 1.0}, 0.2), NoisePart(), seed, length, 2)


def same(a: Drawn, b: Drawn) -> bool:
    return a.captions == b.captions and all(
        torch.equal(x, y) for x, y in zip((a.latents, a.noise, a.times), (b.latents, b.noise, b.times), strict=True)
    )


def test_a_batch_depends_on_seed_and_index_alone(cache: LatentCache) -> None:
    one, other = draws(cache), draws(cache)
    backwards = [other[i] for i in reversed(range(20))][::-1]
    assert all(same(one[i], backwards[i]) for i in range(20))
    assert not same(one[0], draws(cache, seed=1)[0])


def test_every_study_is_drawn_once_before_any_is_drawn_again_and_never_twice_alike(cache: LatentCache) -> None:
    studies = [(name, Captioned((name,), "", "")) for name in cache.index]
    drawn = DrawnLatents(studies, cache, CaptionDraw({"phrase": 1.0}, 0.0), NoisePart(), 0, 20, 1)
    captions = [drawn[i].captions[0] for i in range(20)]
    assert all(sorted(captions[k : k + 5]) == sorted(cache.index) for k in range(0, 20, 5))
    seen = [drawn[i].latents for i, caption in enumerate(captions) if caption == "s2"]
    assert all(not torch.equal(seen[0], later) for later in seen[1:])
