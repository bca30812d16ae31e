"""What the README promises is done: its marked commands run, its files and folders exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from knowmvg.core.records import Grounding
from knowmvg.grounders.shipped import DEMO_MODEL

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
needs_model = pytest.mark.skipif(not DEMO_MODEL.is_dir(), reason="the demonstration model is not in knowmvg/models")


def marked(language: str) -> list[str]:
    return re.findall(rf"<!-- run -->\n```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `make demo` has been done."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    bin_ = folder / "bin"
    bin_.mkdir()
    command = bin_ / "knowmvg"
    command.write_text(
        f"#!{sys.executable}\nfrom knowmvg.interfaces.cli.main import run\nif __name__ == '__main__':\n    run()\n"
    )
    command.chmod(0o755)
    ended = execute(folder, [sys.executable, "examples/demo.py"])
    assert ended.returncode == 0, ended.stderr
    return folder


def execute(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@needs_model
@pytest.mark.slow
def test_the_demo_writes_what_it_names(demonstrated):
    for name in ("simulated", "rg1"):
        grounding = Grounding.model_validate_json((demonstrated / "out/demo" / name / "grounding.json").read_text())
        assert any(phrase.boxes for phrase in grounding.phrases)
        assert (demonstrated / "out/demo" / name / "overlay.png").stat().st_size > 10_000


@needs_model
@pytest.mark.slow
def test_the_marked_commands_run(demonstrated):
    for block in marked("bash"):
        ended = execute(demonstrated, ["bash", "-euo", "pipefail", "-c", block])
        assert ended.returncode == 0, ended.stderr


@needs_model
@pytest.mark.slow
def test_the_marked_python_runs(demonstrated):
    for block in marked("python"):
        ended = execute(demonstrated, [sys.executable, "-c", block])
        assert ended.returncode == 0, ended.stderr
        assert "pneumothorax" in ended.stdout


def test_something_is_marked():
    assert len(marked("bash")) == len(marked("python")) == 1


def test_every_command_that_is_shown_exists():
    from knowmvg.interfaces.cli.main import app

    known = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    shown = set(re.findall(r"^knowmvg (\w+)", README, re.MULTILINE))
    assert shown <= known
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_link_leads_somewhere():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_versions_agree():
    import knowmvg

    for name in ("CITATION.cff", "CHANGELOG.md"):
        assert knowmvg.__version__ in (ROOT / name).read_text(encoding="utf-8")
