"""Mistakes that a new user makes: each is told before any work, with what is there and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowmvg.core.errors import ManifestError
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.interfaces.cli.main import main
from tests.sources.data_folders import boxed, row, write_folder

RECIPES = Path(__file__).parents[2] / "recipes"
MODEL, DATA, RECIPE, OPTION = 7, 5, 6, 2
REPORT = "Small left pleural effusion. No pneumothorax. The patient is rotated."

MISTAKES: list[tuple[str, int, str]] = [
    # a model that is something else, or nowhere
    ("ground a.png --report a.txt --out out --model nowhere", MODEL, "nothing at nowhere"),
    ("ground a.png --report a.txt --out out --model data", MODEL, "the data set data"),
    ("ground a.png --report a.txt --out out --model a.png", MODEL, "the file a.png"),
    ("ground a.png --report a.txt --out out --model begun", MODEL, "Finish its training"),
    ("ground a.png --report a.txt --out out --model recipes/mine.yaml", MODEL, "nothing at recipes/mine.yaml"),
    ("evaluate recipes/mine.yaml", MODEL, "nothing at recipes/mine.yaml"),
    ("evaluate data", MODEL, "the data set data"),
    ("leaderboard --run mine=nowhere --data data --out out", MODEL, "nothing at nowhere"),
    # a device that is not there
    ("ground a.png --report a.txt --out out --device gpu", MODEL, "'gpu'"),
    ("ground a.png --report a.txt --out out --device 3", MODEL, "'3'"),
    ("ground a.png --report a.txt --out out --device cuda:99", MODEL, "'cuda:99'"),
    # options that would have no effect
    ("ground a.png --report a.txt --out out --split test", OPTION, "only with a folder of studies"),
    ("ground a.png --report a.txt --out out --shards 2", OPTION, "only with a folder of studies"),
    ("evaluate run --data data --protocol generate", OPTION, "only with --predictions"),
    ("evaluate run --data data --protocols generate,all", RECIPE, "'generate,all'"),
    ("evaluate run --data data --phrases both --protocols generate", OPTION, "only with --phrases model"),
    (
        "evaluate --predictions a.txt --format jsonl --data data --out out --protocols generate",
        OPTION,
        "was asked in one",
    ),
    ("evaluate run --data data --min-score 0.5", OPTION, "only with --predictions"),
    ("evaluate --predictions a.txt --format jsonl --data data --out out --cases 2", OPTION, "that is asked here"),
    # a folder in place of a file, a file in place of a folder
    ("read data", 4, "a folder at data"),
    ("train run", RECIPE, "Its recipe is run/recipe.yaml"),
    ("doctor data", RECIPE, "Name a recipe, a YAML file"),
    ("compare run a.txt", DATA, "run/evaluation-test/samples-generate.jsonl"),
    ("compare a.txt other.txt", DATA, "samples-PROTOCOL.jsonl"),
    ("evaluate run --data data --out a.txt", 9, "a file at a.txt"),
    ("stress run --data data --out a.txt", 9, "a file at a.txt"),
    ("leaderboard --run mine=run --data data --out a.txt", 9, "a file at a.txt"),
    ("doctor {demo} data.folder=data --out data", 9, "a folder at data"),
    ("train {demo} data.folder=data --runs a.txt", 9, "Name another with --runs"),
    # data that are not there, or not as they should be
    ("train {demo} data.folder=a.txt", DATA, "the file a.txt"),
    ("train {demo} data.folder=images", DATA, "other files in images"),
    ("ground images --out out", DATA, "1 image, none with its report"),
    ("ground foreign --out out", DATA, "field required at id; field required at patient; field required at split; 2"),
    ("leaderboard --run mine=run --data boxless --out out", DATA, "phrases with boxes"),
    ("phantom a.txt/new --studies 1", 9, "a folder that can be written at a.txt/new"),
    # recipes
    ("train broken.yaml", RECIPE, "at line 1, column 7"),
    ("train empty.yaml", RECIPE, "nothing in empty.yaml"),
    ("train list.yaml", RECIPE, "a list in list.yaml"),
    ("leaderboard {pfmvg}", RECIPE, "knowmvg leaderboard --also"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the working folder, with a data set, a run and other files."""
    splits = ["train", "test", "test"]
    rows = [row(f"s{k}", f"p{k}", split, phrases=(boxed("nodule"),)) for k, split in enumerate(splits)]
    write_folder(tmp_path / "data", rows)
    write_folder(tmp_path / "boxless", [row(f"s{k}", f"p{k}", split) for k, split in enumerate(splits)])
    picture = (tmp_path / "data" / "images" / "s0.png").read_bytes()
    texts = {
        "a.txt": REPORT,
        "other.txt": REPORT,
        "empty.yaml": "",
        "broken.yaml": "name: [a",
        "list.yaml": "- a\n",
        "begun/recipe.yaml": "",
        "run/recipe.yaml": "",
        "run/evaluation-test/samples-generate.jsonl": "",
        "foreign/manifest.jsonl": '{"image": "a.png", "report": "Secret words."}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("a.png", "images/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    (tmp_path / "run" / "model").symlink_to(DEMO_MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(("command", "code", "told"), MISTAKES, ids=[command for command, _, _ in MISTAKES])
def test_a_mistake_is_told(command: str, code: int, told: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listed(place)
    words = command.format(demo=RECIPES / "demo.yaml", pfmvg=RECIPES / "pfmvg-demo.yaml").split()
    assert main(words) == code
    err = capsys.readouterr().err
    assert told in err
    assert "Secret" not in err
    new = {path for path in listed(place) - before if not path.startswith("runs")}  # a run's folder holds its recipe
    assert not new


@pytest.mark.parametrize("report", [REPORT, REPORT * 20], ids=["a sentence", "longer than a name may be"])
def test_a_report_in_place_of_its_path_is_not_repeated(
    report: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ground", "a.png", "--report", report, "--out", "out"]) == 4
    err = capsys.readouterr().err
    assert "Write the report into a file" in err
    assert "effusion" not in err


def test_a_run_stands_for_its_model(place: Path) -> None:
    assert main(["ground", "a.png", "--report", "a.txt", "--out", "out", "--model", "run"]) == 0
    assert main(["ground", "data", "--split", "test", "--out", "many", "--model", "run"]) == 0
    one, other = (Path(name) for name in ("out/grounding.json", "many/groundings.jsonl"))
    assert one.is_file()
    assert len(other.read_text(encoding="utf-8").splitlines()) == 2


def test_why_studies_failed_is_told_with_one_of_them(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (place / "data" / "images").iterdir():
        path.unlink()
    assert main(["ground", "data", "--split", "test", "--out", "out"]) == ManifestError.exit_code
    assert "2 x ImageError: expected a chest radiograph as DICOM, PNG or JPEG; got for one 's1.png': no such file" in (
        capsys.readouterr().err
    )


def test_a_test_set_alone_can_be_measured_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(f"s{k}", f"p{k}", "test", phrases=(boxed("nodule"),)) for k in range(2)]
    write_folder(place / "alone", rows)
    assert main(["evaluate", "run", "--data", "alone", "--out", "tables"]) == 0
    assert "No prior rows" in Path("tables/tables.md").read_text(encoding="utf-8")
    given = ["leaderboard", "--run", "mine=run", "--data", "alone", "--out", "board", "--timing", "0"]
    assert main([*given, "--protocols", "phrase_given"]) == 0
    assert "no training studies with boxes" in capsys.readouterr().err


def test_a_path_that_is_too_long_for_the_system_is_told(capsys):
    for command in (["evaluate", "a" * 500], ["train", "a" * 500], ["card", "a" * 500]):
        assert main(command) not in (0, 70), capsys.readouterr().err
