"""The layers of the package: imports go down only, and what lies below the models runs without torch."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

IMPORT_ALL = """
import importlib, pkgutil, sys
imported = []
for name in {packages!r}:
    package = importlib.import_module(name)
    imported.append(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        imported.append(module.name)
print(len(imported), "torch" in sys.modules)
"""


def run(code):
    """The output of ``code`` in a fresh interpreter that finds this checkout first."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_import_contracts():
    out = run("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")
    assert "0 broken" in out


def test_core_sources_and_knowledge_do_not_import_torch():
    packages = ["knowmvg.core", "knowmvg.sources", "knowmvg.knowledge"]
    count, has_torch = run(IMPORT_ALL.format(packages=packages)).split()
    files = [path for name in packages for path in ROOT.joinpath(*name.split(".")).rglob("*.py")]
    assert int(count) == len(files)
    assert has_torch == "False"
