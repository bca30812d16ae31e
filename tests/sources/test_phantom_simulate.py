"""The simulator of chest radiographs: reproducible, and truthful about what it drew and where."""

import numpy as np
import pytest

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import sample_patient, sample_view
from knowmvg.sources.phantom.chest import build_chest
from knowmvg.sources.phantom.findings.lesion import largest_part, make_lesion, tight_box, zone_of
from knowmvg.sources.phantom.findings.plan import MAX_FINDINGS, Planned, sample_plan
from knowmvg.sources.phantom.scene import FINDINGS, ZONES
from knowmvg.sources.phantom.simulate import simulate

SIZE = 128
SEEDS = range(24)


@pytest.fixture(scope="module")
def scenes():
    return [simulate(np.random.default_rng(seed), size=SIZE) for seed in SEEDS]


def lesions(scenes):
    return [(f, lesion) for scene in scenes for f in scene.findings for lesion in f.lesions]


def drawn(name, seed, size=SIZE, severity=0.7, side=Side.RIGHT):
    """The same study with and without one finding."""
    where = {"cardiomegaly": None, "edema": Side.BILATERAL}.get(name, side)
    plan = [Planned(name, where, severity)]
    without = simulate(np.random.default_rng(seed), size=size, plan=[])
    return simulate(np.random.default_rng(seed), size=size, plan=plan), without


def assert_same(first, second):
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert [(f.name, f.side, f.zone, f.severity, f.mentioned) for f in first.findings] == [
        (f.name, f.side, f.zone, f.severity, f.mentioned) for f in second.findings
    ]
    for one, other in zip(lesions([first]), lesions([second]), strict=True):
        np.testing.assert_array_equal(one[1].mask, other[1].mask)


def test_the_same_generator_state_gives_the_same_scene():
    np.random.default_rng(99).random(1000)
    assert_same(simulate(np.random.default_rng(7), size=SIZE), simulate(np.random.default_rng(7), size=SIZE))


def test_a_scene_takes_one_number_from_its_generator_whatever_is_drawn():
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    simulate(one, size=64, plan=[])
    simulate(other, size=96)
    assert one.random() == other.random()


def test_other_states_give_other_scenes(scenes):
    assert len({scene.pixels.tobytes() for scene in scenes}) == len(scenes)


def test_pixels_have_contrast_and_the_asked_type(scenes):
    for scene in scenes:
        assert scene.pixels.dtype == np.uint8
        assert scene.pixels.shape == (SIZE, SIZE)
        assert np.ptp(np.percentile(scene.pixels, [5, 95])) > 80


def test_boxes_are_tight_on_masks_inside_the_image(scenes):
    for _, lesion in lesions(scenes):
        assert lesion.mask.shape == (SIZE, SIZE)
        assert lesion.mask.dtype == np.bool_
        x1, y1, x2, y2 = lesion.box
        assert lesion.box == tight_box(lesion.mask)
        assert 0 <= x1 < x2 <= SIZE
        assert 0 <= y1 < y2 <= SIZE
        inside = lesion.mask[int(y1) : int(y2), int(x1) : int(x2)]
        assert inside.sum() == lesion.mask.sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_the_patients_right_lies_at_the_images_left(scenes):
    for scene in scenes:
        columns = {side: np.nonzero(scene.anatomy[f"{side} lung"])[1].mean() for side in (Side.RIGHT, Side.LEFT)}
        assert columns[Side.RIGHT] < columns[Side.LEFT]
        middle = (columns[Side.RIGHT] + columns[Side.LEFT]) / 2
        for finding in scene.findings:
            for lesion in finding.lesions:
                x = np.nonzero(lesion.mask)[1].mean()
                assert lesion.side is None or (x < middle) == (lesion.side is Side.RIGHT)


def test_lesions_are_ordered_and_sides_agree(scenes):
    for scene in scenes:
        for finding in scene.findings:
            centres = [lesion.box[0] + lesion.box[2] for lesion in finding.lesions]
            assert centres == sorted(centres)
            sides = {lesion.side for lesion in finding.lesions}
            expected = Side.BILATERAL if len(sides) == 2 else next(iter(sides))
            assert finding.side == expected
            if finding.name == "edema":
                assert [lesion.side for lesion in finding.lesions] == [Side.RIGHT, Side.LEFT]


def test_zones_follow_the_height_of_the_lesion(scenes):
    heights = {zone: [] for zone in ZONES}
    for scene in scenes:
        for finding in scene.findings:
            assert (finding.zone is None) or finding.zone in ZONES
            if finding.name in ("cardiomegaly", "edema"):
                assert finding.zone is None
            elif finding.zone:
                for lesion in finding.lesions:
                    _, top, _, bottom = tight_box(scene.anatomy[f"{lesion.side} lung"])
                    heights[finding.zone].append((np.nonzero(lesion.mask)[0].mean() - top) / (bottom - top))
    limits = {"apical": (-1, 0.16), "upper": (0.1, 0.4), "mid": (0.3, 0.64), "lower": (0.56, 0.86), "basal": (0.8, 1.6)}
    for zone, (low, high) in limits.items():
        assert all(low <= h <= high for h in heights[zone]), zone


def test_plans_have_the_promised_distribution():
    plans = [sample_plan(np.random.default_rng(seed)) for seed in range(3000)]
    planned = [p for plan in plans for p in plan]
    assert 2.0 < len(planned) / len(plans) < 2.5
    assert 0.05 < np.mean([not plan for plan in plans]) < 0.11
    assert 0.14 < np.mean([not p.mentioned for p in planned]) < 0.26
    assert max(len(plan) for plan in plans) <= MAX_FINDINGS
    shares = {name: np.mean([p.name == name for p in planned]) for name in FINDINGS}
    assert all(0.06 < share < 0.17 for share in shares.values()), shares
    for plan in plans:
        for p in plan:
            twins = [q for q in plan if q.name == p.name]
            assert len(twins) <= 2
            assert sum(q.mentioned for q in twins) <= 1
            assert len({q.side for q in twins}) == len(twins)


def test_limits_hold_in_scenes(scenes):
    for scene in scenes:
        assert len(scene.findings) <= MAX_FINDINGS
        assert sum(len(f.lesions) for f in scene.findings) <= 12


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_is_reachable_and_shows_where_its_mask_says(name):
    ratios, found = [], 0
    for seed in range(6):
        side = Side.LEFT if seed % 2 else Side.RIGHT
        with_it, without = drawn(name, 1000 + seed, severity=0.5, side=side)
        if not with_it.findings:
            continue
        found += 1
        assert [f.name for f in with_it.findings] == [name]
        change = np.abs(with_it.pixels.astype(float) - without.pixels)
        mask = np.any([lesion.mask for lesion in with_it.findings[0].lesions], axis=0)
        if name == "cardiomegaly":  # what changes is where the heart has grown, not where it was before
            mask = mask & ~without.anatomy["heart"]
        ratios.append(change[mask].mean() / max(change[~mask].mean(), 0.5))
    assert found >= 4
    assert np.median(ratios) > 2.5


def test_findings_brighten_except_air_beside_the_lung():
    for name, sign in (("consolidation", 1), ("pleural effusion", 1), ("pneumothorax", -1)):
        changes = []
        for seed in range(5):
            with_it, without = drawn(name, 2000 + seed)
            for lesion in (ls for f in with_it.findings for ls in f.lesions):
                changes.append((with_it.pixels.astype(float) - without.pixels)[lesion.mask].mean())
        assert sign * np.median(changes) > 4, name


def test_size_changes_the_grid_and_not_the_study():
    plan = [Planned("consolidation", Side.LEFT, 0.8), Planned("cardiomegaly", None, 0.5)]
    small = simulate(np.random.default_rng(5), size=128, plan=plan)
    large = simulate(np.random.default_rng(5), size=256, plan=plan)
    assert [f.name for f in small.findings] == [f.name for f in large.findings]
    halved = large.pixels.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.corrcoef(halved.ravel(), small.pixels.ravel())[0, 1] > 0.97
    for one, other in zip(lesions([small]), lesions([large]), strict=True):
        np.testing.assert_allclose(np.array(one[1].box) * 2, other[1].box, atol=8)


def test_a_patient_keeps_the_anatomy_between_studies():
    patient = sample_patient(np.random.default_rng(0))
    first = simulate(np.random.default_rng(1), size=SIZE, patient=patient, plan=[])
    again = simulate(np.random.default_rng(1), size=SIZE, patient=patient, plan=[])
    later = simulate(np.random.default_rng(2), size=SIZE, patient=patient, plan=[])
    assert_same(first, again)
    assert not np.array_equal(first.pixels, later.pixels)


def test_a_larger_heart_for_cardiomegaly():
    with_it, without = drawn("cardiomegaly", 11)
    width = [np.ptp(np.nonzero(scene.anatomy["heart"])[1]) for scene in (with_it, without)]
    assert width[0] > 1.08 * width[1]


@pytest.mark.parametrize("size", [0, 63, -5])
def test_too_small_a_size_is_refused(size):
    with pytest.raises(ValueError, match="at least 64"):
        simulate(np.random.default_rng(0), size=size)


@pytest.mark.parametrize(
    ("name", "side", "severity", "message"),
    [
        ("hernia", None, 0.5, "expected a finding among"),
        ("nodule", None, 0.5, "expected a side"),
        ("cardiomegaly", Side.LEFT, 0.5, "expected a side"),
        ("nodule", Side.LEFT, 1.5, "expected a severity"),
    ],
)
def test_an_impossible_plan_is_refused(name, side, severity, message):
    with pytest.raises(ValueError, match=message):
        Planned(name, side, severity)


@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_zones_are_named_by_height_hilum_and_heart(side):
    patient = sample_patient(np.random.default_rng(4))
    chest = build_chest(patient, sample_view(np.random.default_rng(5), patient), SIZE)
    left, top, right, bottom = tight_box(chest.lung_area[side])

    def zone(height, outward):
        mask = np.zeros((SIZE, SIZE), bool)
        inner, outer = (right, left) if side is Side.RIGHT else (left, right)
        mask[round(top + height * (bottom - top)), round(inner + outward * (outer - inner))] = True
        return zone_of(chest, side, mask)

    lateral = [zone(height, 0.85) for height in (0.05, 0.25, 0.5, 0.75, 0.95)]
    assert lateral == ["apical", "upper", "mid", "lower", "basal"]
    assert zone(0.4, 0.2) == "perihilar"
    assert zone(0.72, 0.2) == ("retrocardiac" if side is Side.LEFT else "lower")


def test_a_lesion_that_can_hardly_be_seen_is_left_out():
    mask = np.zeros((100, 100), bool)
    mask[10:12, 20:25] = True
    assert make_lesion(Side.LEFT, mask, least_area=0.002) is None
    lesion = make_lesion(Side.LEFT, mask, least_area=0.001)
    assert lesion.box == (20.0, 10.0, 25.0, 12.0)


def test_parts_within_the_gap_share_a_lesion():
    mask = np.zeros((40, 40), bool)
    mask[5:8, 5:30] = mask[13:16, 5:25] = mask[36:38, 5:10] = True
    assert largest_part(mask)[13:16].sum() == 0
    joined = largest_part(mask, gap=8)
    assert joined[5:16].sum() == mask[5:16].sum()
    assert not joined[36:38].any()
