import pytest
from evaluation_fakes import Knowing, random_studies
from pydantic import ValidationError

from knowmvg.core.errors import ManifestError
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.protocol import generate, teacher_forced
from knowmvg.evaluation.samples import in_order_of, protocol_of, read_samples, values, write_samples


@pytest.fixture(scope="module")
def samples():
    studies = random_studies(6)
    return teacher_forced(Knowing(studies, move=lambda boxes: boxes * 0.9), studies).samples


def test_round_trip(tmp_path, samples):
    path = tmp_path / "deep" / "samples.jsonl"
    write_samples(path, samples)
    assert tuple(read_samples(path)) == samples
    assert [p.name for p in path.parent.iterdir()] == ["samples.jsonl"]
    assert "finding 0 of" not in path.read_text()  # no words of a report


def test_bad_files(tmp_path, samples):
    with pytest.raises(ManifestError, match="none at"):
        read_samples(tmp_path / "missing.jsonl")
    path = tmp_path / "samples.jsonl"
    write_samples(path, samples)
    whole = path.read_text()
    for bad in (whole + '{"protocol": 1}\n', whole[:-20], "x" * 2_000_000, "[]\n"):
        path.write_text(bad)
        with pytest.raises(ManifestError, match="line"):
            read_samples(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(ManifestError, match="line 1"):
        read_samples(path)


def test_nothing_is_left_of_a_failed_write(tmp_path):
    path = tmp_path / "result.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_nan(samples):
    with pytest.raises(ValidationError):
        type(samples[0])(**{**samples[0].model_dump(), "gate": float("nan")})


def test_alignment(samples):
    turned = samples[::-1]
    assert in_order_of(turned, samples) == list(samples)
    with pytest.raises(ValueError, match="1 without partner"):
        in_order_of(samples[1:], samples)
    with pytest.raises(ValueError, match="more often"):
        in_order_of([*samples, samples[0]], samples)
    studies = random_studies(6)
    with pytest.raises(ValueError, match="one protocol"):
        in_order_of(generate(Knowing(studies), studies).samples, samples)


def test_one_protocol(samples):
    assert protocol_of(samples) == "teacher_forced"
    with pytest.raises(ValueError, match="no samples"):
        protocol_of([])
    assert values([]).shape[0] == 0
    assert values(samples)[:, 0].tolist() == [sample.iou for sample in samples]
