from __future__ import annotations

import numpy as np
import pytest
import tiny_diffusion
import torch

from knowmvg.core.errors import ModelError
from knowmvg.core.grounder import MapGrounder, Query, ReadingGrounder
from knowmvg.core.maps import MapKind
from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Radiograph, Study
from knowmvg.evaluation.map_scores import score_maps
from knowmvg.evaluation.protocol import answers_to
from knowmvg.evaluation.samples import Protocol
from knowmvg.grounders.canvas import frame_of
from knowmvg.grounders.diffusion.grounder import CUT, NO_WORD, DiffusionGrounder, seen_cells
from knowmvg.grounders.diffusion.settings import PRESETS, ReadSettings, read_settings
from knowmvg.inference.answering import NamedBy
from knowmvg.inference.loading import able_to_name
from knowmvg.sources.report import read_report

SMALL = ReadSettings(steps=3, window=(1, 3), rows=6, bias_guidance=2)
EFFUSION = Phrase(text="small left pleural effusion", finding="pleural effusion")
NODULE = Phrase(text="nodule in the right upper lobe", finding="nodule")
NOTHING = Phrase(text="there is")


def study(seed, size=(80, 60)):
    pixels = np.random.default_rng(seed).random(size[::-1]).astype(np.float32)
    report = "Small left pleural effusion. No pneumothorax. Nodule in the right upper lobe."
    boxes = np.array([[10.0, 10.0, 40.0, 30.0]])
    return Study(
        Radiograph(pixels),
        report,
        f"s{seed}",
        f"p{seed}",
        (LabelledPhrase(EFFUSION, boxes), LabelledPhrase(NODULE, boxes)),
    )


@pytest.fixture(scope="module")
def parts():
    return tiny_diffusion.parts("vae")


def grounder(parts, settings=SMALL, **changes):
    return DiffusionGrounder(parts, settings.with_changes(**changes), "tiny", lambda text: read_report(text).phrases)


def asked(*phrases):
    return [Query(phrase) for phrase in phrases]


def maps(grounding):
    return [{m.kind: m.cells for m in p.evidence.maps} if p.evidence else {} for p in grounding.phrases]


@pytest.mark.parametrize(
    "changes", [{"merge": "matmul"}, {"read": "attention_and_noise"}, {"noise": "inversion", "spacing": "trailing"}]
)
def test_the_same_answer_whatever_the_batch_and_the_order(parts, changes):
    studies = [study(0), study(1, (50, 90)), study(2)]
    queries = [asked(EFFUSION, NODULE), asked(NODULE), asked(NODULE, NOTHING, EFFUSION)]
    one = grounder(parts, **changes).with_maps()
    together = one.ground_phrases(studies, queries)
    again = (
        grounder(parts, **changes, rows=3).with_maps().ground_phrases(studies[::-1], [q[::-1] for q in queries[::-1]])
    )
    for first, second in zip(together, again[::-1], strict=True):
        for a, b in zip(maps(first), maps(second)[::-1], strict=True):
            assert a.keys() == b.keys()
            for kind in a:
                np.testing.assert_allclose(a[kind], b[kind], atol=2e-3, err_msg=kind)
    alone = grounder(parts, **changes).with_maps().ground_phrases(studies[1:2], queries[1:2])
    np.testing.assert_allclose(maps(alone[0])[0]["heat"], maps(together[1])[0]["heat"], atol=2e-3)
    assert one.ground_phrases(studies, queries) == together


def test_another_seed_or_image_is_another_answer(parts):
    first, other = study(0), study(3)

    def heat(which, **changes):
        (answer,) = grounder(parts, **changes).with_maps().ground_phrases([which], [asked(EFFUSION)])
        return maps(answer)[0]["heat"]

    assert not np.allclose(heat(first), heat(first, seed=1), atol=1e-2)
    assert not np.allclose(heat(first), heat(other), atol=1e-2)
    renamed = Study(first.image, "Another report.", "another id")
    np.testing.assert_array_equal(heat(first), heat(renamed))


def test_a_phrase_without_a_word_to_look_for(parts):
    one = grounder(parts)
    first, second = one.ground_phrases([study(0), study(1)], [asked(NOTHING), []])
    assert first.phrases[0].boxes == ()
    assert first.phrases[0].reason == NO_WORD
    assert second.phrases == ()
    assert one.phrases.passes == 0
    assert one.ground_phrases([], []) == []
    with pytest.raises(ValueError, match="one list of queries"):
        one.ground_phrases([study(0)], [])


def test_a_phrase_that_is_too_long_is_a_warning(parts):
    long = Phrase(text="left effusion " * 20)
    first, second = grounder(parts).ground_phrases([study(0), study(1)], [asked(EFFUSION, long), asked(EFFUSION)])
    assert first.warnings == (CUT,)
    assert first.phrases[1].boxes
    assert second.warnings == ()


def test_ground_places_what_the_reader_reads_as_present(parts, fake_grounder):
    fake = fake_grounder()
    (answer,) = grounder(parts).ground([study(0)])
    assert [p.finding for p in answer.phrases] == ["pleural effusion", "nodule"]
    assert all(p.assertion is Assertion.PRESENT and p.boxes for p in answer.phrases)
    assert answer.versions["diffusers"]
    without = DiffusionGrounder(parts, SMALL, "tiny")
    with pytest.raises(ModelError, match="reader"):
        without.ground([study(0)])
    assert isinstance(without, ReadingGrounder)
    assert able_to_name(without).ground([study(0)]) == [answer]
    assert able_to_name(fake) is fake


def test_boxes_lie_in_the_image_and_as_many_as_asked_for(parts):
    for size in [(80, 60), (200, 31), (64, 64), (1, 1), (3, 500)]:
        for fit in ("letterbox", "crop"):
            one = grounder(parts, fit=fit, regions="each")
            (answer,) = one.ground_phrases([study(5, size)], [[Query(EFFUSION), Query(NODULE, 2)]])
            assert len(answer.phrases[1].boxes) <= 2
            lefts = [region.xyxy[0] for region in answer.phrases[0].boxes]
            assert lefts == sorted(lefts)
            assert all(p.boxes or p.reason for p in answer.phrases)


def test_maps_of_its_kinds_and_none_unasked(parts):
    kinds = {
        "attention": ["heat", "cross_attention"],
        "noise_difference": ["heat", "noise_difference"],
        "attention_and_noise": ["heat", "cross_attention", "noise_difference"],
    }
    for read, wanted in kinds.items():
        one = grounder(parts, read=read)
        assert isinstance(one, MapGrounder)
        assert list(one.maps) == wanted
        (bare,) = one.ground_phrases([study(0)], [asked(EFFUSION)])
        assert bare.phrases[0].evidence.maps == ()
        mapped = one.with_maps()
        assert not one.mapped
        assert mapped.with_maps() is mapped
        (answer,) = mapped.ground_phrases([study(0)], [asked(EFFUSION)])
        assert [m.kind for m in answer.phrases[0].evidence.maps] == wanted
        assert answer.phrases[0].boxes == bare.phrases[0].boxes
        assert answer.phrases[0].evidence.maps[0].on_image().shape == (60, 80)
    merged = grounder(parts, merge="hadamard")
    assert set(merged.maps) == {"heat", "cross_attention", "image_bias", "text_bias"}
    (answer,) = merged.with_maps().ground_phrases([study(0)], [asked(EFFUSION)])
    found = {m.kind: m for m in answer.phrases[0].evidence.maps}
    assert set(found) == set(merged.maps)
    assert found[MapKind.TEXT_BIAS].cells.max() == 1
    assert 0 < found[MapKind.TEXT_BIAS].white < 1


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
@pytest.mark.parametrize("size", [(80, 60), (60, 90), (64, 64)])
def test_what_is_hot_in_a_corner_of_the_image_is_boxed_there(parts, monkeypatch, size, fit):
    width, height = size
    wanted = np.array([0.5 * width, 0.25 * height, 0.75 * width, 0.7 * height])
    region = np.zeros((height, width), dtype=np.float32)
    region[int(wanted[1]) : int(wanted[3]), int(wanted[0]) : int(wanted[2])] = 1
    one = grounder(parts, fit=fit, threshold="fixed", value=0.5).with_maps()
    frame = frame_of(study(0, size).image, parts.latents.side, fit)
    heat = frame.on((8, 8)).render(region).astype(np.float64)
    monkeypatch.setattr("knowmvg.grounders.diffusion.grounder.heat_of", lambda *_: heat)
    (answer,) = one.ground_phrases([study(0, size)], [asked(EFFUSION)])
    (phrase,) = answer.phrases
    np.testing.assert_allclose(phrase.boxes[0].xyxy, wanted, atol=max(size) / 8)
    rows, columns = np.nonzero(phrase.evidence.maps[0].on_image() > 0.5)
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(phrase.boxes[0].xyxy, drawn, atol=max(size) / 16)


def test_padding_is_not_seen_and_has_no_heat(parts):
    frame = frame_of(study(0, (40, 80)).image, 32, "letterbox")
    seen = seen_cells(frame, 8)
    assert seen.sum() == 8 * 4
    assert not seen[:, :2].any()
    one = grounder(parts).with_maps()
    (answer,) = one.ground_phrases([study(0, (40, 80))], [asked(EFFUSION)])
    heat = maps(answer)[0]["heat"]
    assert not heat[~seen].any()
    assert heat[seen].max() == 1
    assert seen_cells(frame_of(study(0, (40, 80)).image, 32, "crop"), 8).all()
    assert seen_cells(frame_of(study(0, (1, 5000)).image, 32, "letterbox"), 8).all()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_run(parts, name):
    shorter = {"steps": 5, "window": (2, 4)} | ({"layers": (1, 3)} if PRESETS[name].layers else {})
    (answer,) = grounder(parts, PRESETS[name], **shorter).ground_phrases([study(0)], [asked(EFFUSION)])
    assert answer.phrases[0].boxes


def test_presets_are_those_of_the_papers():
    first, second = PRESETS["generate-to-ground"], PRESETS["vilouras"]
    assert (first.steps, first.window, first.layers, first.threshold, first.merge) == (
        50,
        (10, 50),
        None,
        "gmm",
        "matmul",
    )
    assert (second.steps, second.window, second.layers, second.threshold) == (300, (120, 180), (3, 4, 6, 7), "otsu")
    assert second.noise == "inversion"


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (3, 3)},
        {"window": (0, 4)},
        {"steps": 0},
        {"layers": ()},
        {"layers": (-1,)},
        {"merge": "matmul", "read": "noise_difference"},
        {"merge": "matmul", "noise": "inversion"},
        {"noise": "inversion", "spacing": "linspace"},
        {"threshold": "sometimes"},
        {"unknown": 1},
        {"value": 0.0},
        {"bias_guidance": float("nan")},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ModelError, match="settings"):
        SMALL.with_changes(**wrong)


def test_settings_that_do_not_fit_the_model_are_refused(parts):
    for wrong in ({"layers": (7,)}, {"steps": 1000, "window": (0, 1)}):
        if "steps" in wrong:
            object.__setattr__(parts, "scheduler", tiny_diffusion.scheduler(num_train_timesteps=100))
        with pytest.raises(ModelError):
            grounder(parts, **wrong)
    object.__setattr__(parts, "scheduler", tiny_diffusion.scheduler())
    for junk in (None, 3, [], {"steps": "many"}):
        with pytest.raises(ModelError):
            read_settings(junk)


def test_evaluation_works_with_it_as_it_is(parts):
    studies = [study(seed) for seed in range(3)]
    one = grounder(parts)
    for protocol in (Protocol.PHRASE_GIVEN, Protocol.TEACHER_FORCED):
        assert len(answers_to(protocol, one, studies)) == 3
    samples = score_maps(one, MapKind.HEAT, studies, training_studies=studies)
    own = [sample for sample in samples if sample.row == "model"]
    assert len(own) == 6
    assert all({"miou_thr", "miou_2cls@0.5"} <= set(sample.scores) for sample in own)
    assert all(np.isfinite(sample.scores["auroc"]) for sample in own)
    for source in ("parser", "model", "both"):
        answers = NamedBy(one, source).ground(studies[:1])
        assert sum(bool(phrase.boxes) for phrase in answers[0].phrases) == 2


def test_nothing_is_left_to_learn_or_changed(parts):
    before = {name: tensor.clone() for name, tensor in parts.unet.state_dict().items()}
    processors = parts.unet.attn_processors
    grounder(parts, merge="matmul").ground_phrases([study(0)], [asked(EFFUSION)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.unet.state_dict().items())
    assert all(one is processors[name] for name, one in parts.unet.attn_processors.items())
