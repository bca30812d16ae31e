"""Every way in which the command can end has the exit code that docs/errors.md lists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from knowmvg.core import errors
from knowmvg.interfaces.cli import main

ROOT = Path(__file__).parents[2]
REPORT = "FINDINGS: Small left pleural effusion.\n"


def classes() -> list[type[errors.KnowmvgError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.KnowmvgError)]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_text(REPORT, encoding="utf-8")
    return path


def end(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main.main([str(argument) for argument in arguments])
    caught = capsys.readouterr()
    return code, caught.out, caught.err


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(arguments: list[str] | None) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)


def test_every_error_class_has_its_own_documented_code():
    codes = {c.exit_code: c.__name__ for c in classes()}
    assert len(codes) == len(classes())
    documented = dict(re.findall(r"^\| (\d+) \| `(\w+Error)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    assert documented == {str(code): name for code, name in codes.items()}


@pytest.mark.parametrize("error", classes())
def test_an_expected_error_is_one_readable_block(error, monkeypatch, capsys):
    failing(monkeypatch, error("this", "[bold]that[/bold]", "Do this."))
    code, out, err = end(capsys)
    assert code == error.exit_code
    assert out == ""
    assert err.splitlines() == [
        "knowmvg: cannot go on",
        "  expected   this",
        "  got        [bold]that[/bold]",
        "  what to do Do this.",
    ]


def test_an_unexpected_error_names_its_kind_and_quotes_nothing(monkeypatch, capsys):
    monkeypatch.delenv("KNOWMVG_DEBUG", raising=False)
    failing(monkeypatch, RuntimeError("Mrs Smith, born 1950"))
    code, _, err = end(capsys)
    assert code == 70
    assert "RuntimeError" in err
    assert "Smith" not in err
    assert "Traceback" not in err


def test_a_path_that_the_system_does_not_take_is_told(monkeypatch, capsys):
    failing(monkeypatch, OSError(36, "File name too long", "a" * 5000))
    code, _, err = end(capsys)
    assert code == 9
    assert "File name too long" in err
    assert len(err) < 500
    failing(monkeypatch, OSError("a library's own words"))
    assert end(capsys)[0] == 70


def test_a_traceback_is_shown_when_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("KNOWMVG_DEBUG", "1")
    failing(monkeypatch, RuntimeError("detail"))
    code, _, err = end(capsys)
    assert code == 70
    assert "Traceback" in err


def test_an_interruption_ends_with_130(monkeypatch, capsys):
    failing(monkeypatch, KeyboardInterrupt())
    assert end(capsys)[0] == 130


@pytest.mark.parametrize(
    "arguments",
    [
        ["--colour"],
        ["nothing"],
        ["ground"],
        ["ground", "x.png"],
        ["ground", "x.png", "--report", "r", "--out", "o", "--phrases", "all"],
        ["read"],
        ["phantom", "out", "--studies", "many"],
        ["phantom", "out", "--studies", "0"],
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments, capsys):
    code, _, err = end(capsys, *arguments)
    assert code == 2
    assert "Traceback" not in err


def test_no_command_shows_the_help(capsys):
    code, out, err = end(capsys)
    assert code == 2
    assert "ground" in out + err


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_version(arguments, capsys):
    assert end(capsys, *arguments)[:2] == (0, "knowmvg 0.1.0\n")


@pytest.mark.parametrize(
    "command",
    ["ground", "read", "phantom", "splits", "leaks", "texts", "train", "evaluate", "stress", "ablate", "version"],
)
def test_every_command_has_help(command, capsys):
    code, out, _ = end(capsys, command, "--help")
    assert code == 0
    assert "Usage" in out


@pytest.mark.parametrize(
    ("content", "words"), [(None, "none at"), (b"", "nothing in"), (b" \n", "nothing in"), (b"\0\1\2" * 99, "binary")]
)
def test_a_bad_report_ends_with_4_and_writes_nothing(content, words, tmp_path, capsys):
    path = tmp_path / "report.txt"
    if content is not None:
        path.write_bytes(content)
    for arguments in (["read", path], ["ground", tmp_path / "x.png", "--report", path, "--out", tmp_path / "out"]):
        code, out, err = end(capsys, *arguments)
        assert code == 4
        assert words in err
        assert out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"not an image", b"\x89PNG\r\n\x1a\n truncated", b"%PDF-1.4"])
def test_a_bad_image_ends_with_3_and_writes_nothing(content, report, tmp_path, capsys):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    code, _, err = end(capsys, "ground", path, "--report", report, "--out", tmp_path / "out")
    assert code == 3
    assert "what to do" in err
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_ends_with_9_before_anything_is_read(report, tmp_path, capsys):
    code, _, err = end(capsys, "ground", tmp_path / "missing.png", "--report", report, "--out", report)
    assert code == 9
    assert "a file at" in err
    assert report.read_text() == REPORT


def test_a_used_data_set_folder_ends_with_9(report, tmp_path, capsys):
    code, _, err = end(capsys, "phantom", tmp_path, "--studies", "1")
    assert code == 9
    assert "new or empty" in err
    assert end(capsys, "phantom", report, "--studies", "1")[0] == 9


def test_a_folder_without_model_ends_with_7(tmp_path, capsys):
    code, _, err = end(capsys, "evaluate", tmp_path, "--data", tmp_path)
    assert code == 7
    assert "a model folder" in err


def test_an_unknown_row_ends_with_6(tmp_path, capsys):
    code, _, err = end(capsys, "ablate", tmp_path / "r.yaml", "--out", tmp_path / "o", "--rows", "kps,gla2")
    assert code == 6
    assert "knowmvg" in err


def run(*arguments: str | Path, code: str = "") -> subprocess.CompletedProcess[str]:
    script = code or "from knowmvg.interfaces.cli.main import run; run()"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip


def test_the_process_ends_with_the_code(tmp_path):
    ended = run("read", tmp_path / "missing.txt")
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_help_and_read_do_not_import_torch(report):
    code = (
        "import sys; from knowmvg.interfaces.cli.main import main\n"
        f"codes = [main(['--help']), main(['ground', '--help']), main(['read', {str(report)!r}])]\n"
        "heavy = {'torch', 'transformers', 'pydicom', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert codes == [0, 0, 0], codes\nassert not heavy, heavy"
    )
    ended = run(code=code)
    assert ended.returncode == 0, ended.stderr


def test_importing_the_package_is_light():
    ended = run(code="import knowmvg, sys; assert not {'numpy', 'torch', 'typer'} & set(sys.modules)")
    assert ended.returncode == 0, ended.stderr
