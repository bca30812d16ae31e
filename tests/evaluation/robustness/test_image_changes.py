import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robustness_fakes import bright_studies, bright_study

from knowmvg.core.boxes import area, of_mask
from knowmvg.core.records import Assertion, LabelledPhrase, Radiograph
from knowmvg.evaluation.robustness.changed_studies import ChangedStudies
from knowmvg.evaluation.robustness.image_changes import (
    IMAGE_CHANGES,
    Affine,
    brightness,
    crop,
    gamma,
    jpeg,
    noise,
    rotation,
)

BOX = np.array([[30.0, 40.0, 60.0, 50.0]])


def radiograph(size=(120, 100), box=BOX[0], aspect=1.0):
    pixels = np.zeros((size[1], size[0]), dtype=np.float32)
    x1, y1, x2, y2 = box.astype(int)
    pixels[y1:y2, x1:x2] = 1
    return Radiograph(pixels, aspect)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kept", [0.9, 0.75, 0.5])
def test_a_crop_is_a_slice_and_its_boxes_go_with_it(kept, seed):
    image = Radiograph(rng(seed).uniform(size=(100, 120)).astype(np.float32))
    shown = crop(kept).apply(image, rng(seed))
    width, height = shown.image.size
    assert (width, height) == (round(120 * kept), round(100 * kept))
    left, top = -shown.move([[0, 0, 1, 1]])[0, :2].astype(int)
    assert np.array_equal(shown.image.pixels, image.pixels[top : top + height, left : left + width])
    assert 0 <= left <= 120 - width
    assert 0 <= top <= 100 - height


@pytest.mark.parametrize("degrees", [0, 3, 8, 45, 90])
@pytest.mark.parametrize("aspect", [1.0, 1.5])
def test_the_box_of_a_turned_box_is_that_of_its_pixels(degrees, aspect):
    image = radiograph(aspect=aspect)
    affine = Affine.rotation(degrees, image.size, aspect)
    found = of_mask(affine.render(image.pixels) > 0.5)
    assert found == pytest.approx(affine.boxes(BOX), abs=1.6)


def test_a_quarter_turn_by_hand():
    affine = Affine.rotation(90, (100, 100))  # x goes to y, y to the left
    assert affine.boxes([[60, 10, 90, 20]]) == pytest.approx(np.array([[80, 60, 90, 90]]))
    assert area(Affine.rotation(45, (100, 100)).boxes([[40, 40, 60, 60]]))[0] == pytest.approx(800)


@settings(deadline=None, max_examples=50)
@given(st.floats(-30, 30), st.floats(0.5, 2))
def test_turning_back_is_the_identity(degrees, aspect):
    there, back = (Affine.rotation(angle, (120, 80), aspect) for angle in (degrees, -degrees))
    points = np.array([[3.0, 4, 3, 4], [60, 40, 60, 40], [119, 2, 119, 2]])
    assert back.boxes(there.boxes(points)) == pytest.approx(points, abs=1e-6)


def test_turns_are_rigid_on_the_patient():
    affine = Affine.rotation(20, (120, 80), pixel_aspect=2.0)
    a, b = affine.boxes([[10, 20, 10, 20], [40, 35, 40, 35]])[:, :2] * [1, 2]
    assert np.linalg.norm(a - b) == pytest.approx(np.linalg.norm([30, 30]))


@pytest.mark.parametrize(
    "change", [c for c in IMAGE_CHANGES if c.name not in ("crop", "rotation")], ids=lambda c: f"{c.name} {c.strength}"
)
def test_grey_changes_leave_the_boxes_and_the_range(change):
    image = Radiograph(rng(1).uniform(size=(40, 50)).astype(np.float32), 1.2, ("a warning",))
    shown = change.apply(image, rng(2))
    assert np.array_equal(shown.move(BOX), BOX)
    assert shown.image.size == image.size
    assert shown.image.pixels.dtype == np.float32
    assert 0 <= shown.image.pixels.min() <= shown.image.pixels.max() <= 1
    assert not np.array_equal(shown.image.pixels, image.pixels)
    assert (shown.image.pixel_aspect, shown.image.warnings) == (1.2, ("a warning",))


def test_grey_changes_by_closed_forms():
    image = Radiograph(np.full((60, 60), 0.5, dtype=np.float32))
    shifts = {round(float(brightness(0.1).apply(image, rng(s)).image.pixels.mean()), 6) for s in range(8)}
    assert shifts == {0.4, 0.6}
    powers = {round(float(gamma(2).apply(image, rng(s)).image.pixels.mean()), 6) for s in range(8)}
    assert powers == {0.25, round(0.5**0.5, 6)}
    noisy = noise(0.08).apply(image, rng()).image.pixels
    assert noisy.std() == pytest.approx(0.08, rel=0.05)
    ramp = Radiograph(np.linspace(0, 1, 3600, dtype=np.float32).reshape(60, 60))
    losses = [np.abs(jpeg(q).apply(ramp, rng()).image.pixels - ramp.pixels).mean() for q in (95, 40, 5)]
    assert losses == sorted(losses)
    assert losses[0] < 0.01 < losses[2]


@pytest.mark.parametrize(("weak", "strong"), list(zip(IMAGE_CHANGES[::2], IMAGE_CHANGES[1::2], strict=True)))
def test_every_change_has_two_strengths_of_one_draw(weak, strong):
    assert weak.name == strong.name
    image = Radiograph(rng(3).uniform(0.2, 0.8, size=(64, 64)).astype(np.float32))
    small, large = (change.apply(image, rng(4)) for change in (weak, strong))
    if weak.name == "crop":
        assert small.image.size > large.image.size
    else:
        gaps = [float(np.abs(shown.image.pixels - image.pixels).mean()) for shown in (small, large)]
        assert gaps[0] < gaps[1]


def test_lost_boxes_are_counted_and_cut_boxes_kept():
    one = bright_study(0, box=[20, 20, 40, 40])
    corner = LabelledPhrase(one.labels[0].phrase, np.array([[0.0, 0, 10, 10], [20, 20, 40, 40]]))
    absent = one.labels[0].phrase.model_copy(update={"assertion": Assertion.ABSENT})
    many = type(one)(one.image, one.report, "s", "p", (*one.labels, corner, LabelledPhrase(absent, np.zeros((0, 4)))))
    seen = set()
    for seed in range(30):
        changed = ChangedStudies([many], crop(0.5), seed)
        (shown,) = changed()
        moved = changed.moved["s"]
        assert (shown.id, shown.patient) == ("s", "p")
        whole = moved.move(many.labels[1].boxes)
        left = area(np.clip(whole, 0, [60, 50, 60, 50])) / area(whole)
        kept = bool((left >= 0.25).all())
        assert len(shown.labels[1].boxes) == (2 if kept else 0)  # a phrase that lost a box is not compared
        inside = left[1] >= 0.25
        assert len(shown.labels[0].boxes) == inside
        assert moved.boxes_lost == int((left < 0.25).sum()) + (not inside)
        assert set(moved.old_size) == ({0} if inside else set()) | ({1} if kept else set())
        assert all(0 <= value <= shown.image.size[k % 2] for b in shown.labels[0].boxes for k, value in enumerate(b))
        seen.add(moved.boxes_lost)
    assert seen >= {1, 3}  # the corner alone; all of them


def test_draws_are_of_study_seed_and_change_alone():
    studies = bright_studies(4)
    once = [s.image.pixels for s in ChangedStudies(studies, noise(0.1), 1)()]
    again = [s.image.pixels for s in ChangedStudies(lambda: iter(studies[::-1]), noise(0.1), 1)()][::-1]
    other = [s.image.pixels for s in ChangedStudies(studies, noise(0.1), 2)()]
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(once, other, strict=True))
    assert not np.array_equal(once[0] - studies[0].image.pixels, once[1] - studies[1].image.pixels)


def test_the_reference_at_its_old_size():
    changed = ChangedStudies([bright_study(0, box=[50, 40, 70, 60])], rotation(8), 0)
    list(changed())
    grown = (np.cos(np.deg2rad(8)) + np.sin(np.deg2rad(8))) ** 2
    assert changed.moved["s0"].old_size[0] == pytest.approx(1 / grown)
    still = ChangedStudies([bright_study(0, box=[50, 40, 70, 60])], crop(0.75), 0)
    list(still())
    assert list(still.moved["s0"].old_size.values()) in ([], [1.0])
