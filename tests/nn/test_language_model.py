"""The small language model keeps the interface's promises."""

from __future__ import annotations

import pytest
import torch

from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig

CONFIG = LanguageModelConfig(
    vocabulary=50, width=32, layers=2, heads=2, image_channels=8, image_grid=4, image_tokens=2, image_token_id=0
)


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(CONFIG).eval()
    for name, parameter in model.named_parameters():
        if "shift" in name:  # zero at the start of training; here it must take part
            torch.nn.init.normal_(parameter)
    return model


def _prompt(words: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.zeros(4, dtype=torch.long), torch.randint(3, 50, (words,), generator=generator)])


def test_padding_on_the_left_changes_nothing(model: LanguageModel) -> None:
    features = torch.randn(2, 8, 4, 4)
    long, short = _prompt(9, 1), _prompt(5, 2)
    ids, mask = torch.full((2, 13), 1), torch.ones(2, 13, dtype=torch.long)
    ids[0], ids[1, 4:], mask[1, :4] = long, short, 0
    together = model(ids, mask, features)
    alone = model(short[None], None, features[1:])
    torch.testing.assert_close(together[1, 4:], alone[0], atol=1e-5, rtol=1e-5)


def test_padding_on_the_right_changes_nothing(model: LanguageModel) -> None:
    features = torch.randn(1, 8, 4, 4)
    short = _prompt(5, 2)
    padded = torch.cat([short, torch.ones(3, dtype=torch.long)])
    torch.testing.assert_close(model(padded[None], None, features)[:, :9], model(short[None], None, features))


def test_cached_generation_is_the_uncached_forward(model: LanguageModel) -> None:
    features = torch.randn(2, 8, 4, 4)
    prompts = torch.stack([_prompt(6, 3), _prompt(6, 4)])
    answer = model.generate(prompts, torch.ones_like(prompts), features, stop_id=2, max_new_tokens=7)
    whole = model(torch.cat([prompts, answer.ids], dim=1), None, features)
    steps = answer.ids.shape[1]
    emitting = whole[:, 9 : 9 + steps]
    live = answer.ids != 2
    torch.testing.assert_close(emitting[live], answer.states[live], atol=1e-5, rtol=1e-5)
    assert torch.equal(model.logits(emitting).argmax(-1)[live], answer.ids[live])


def test_generation_stops_when_every_row_has_ended(model: LanguageModel) -> None:
    prompts, features = torch.stack([_prompt(6, 3), _prompt(6, 4)]), torch.randn(2, 8, 4, 4)
    mask = torch.ones_like(prompts)
    free = model.generate(prompts, mask, features, stop_id=-1, max_new_tokens=5)
    assert free.ids.shape == (2, 5)  # no such token: it goes on to the limit
    stop = int(free.ids[0, 0])
    alone = model.generate(prompts[:1], mask[:1], features[:1], stop_id=stop, max_new_tokens=5)
    assert alone.ids.tolist() == [[stop]]
    both = model.generate(prompts, mask, features, stop_id=stop, max_new_tokens=5)
    assert set(both.ids[0].tolist()) == {stop}  # an ended row is filled up and not continued


def test_a_later_token_cannot_reach_back(model: LanguageModel) -> None:
    ids = _prompt(8, 5)[None]
    changed = ids.clone()
    changed[0, -1] = 7
    features = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(model(ids, None, features)[:, :-1], model(changed, None, features)[:, :-1])


def test_the_image_is_found_by_its_placeholder(model: LanguageModel) -> None:
    ids = _prompt(3, 6)
    moved = torch.cat([ids[4:6], ids[:4], ids[6:]])  # placeholders in the middle
    features = torch.randn(1, 8, 4, 4)
    assert not torch.allclose(model(moved[None], None, features), model(moved[None], None, features + 1))
    with pytest.raises(ValueError, match="expected 4 image placeholders a row, got"):
        model(ids[None, 1:], None, features)
