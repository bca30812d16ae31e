from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowmvg.grounders.shipped import DEMO_MODEL
from tests.release.fake_hub import Hub, serving


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """An empty hub that everything asks, with an empty cache."""
    from huggingface_hub import constants

    with serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
        yield found


@pytest.fixture
def published(hub: Hub) -> Hub:
    """A hub with the demonstration model, and a script that nobody may fetch."""
    files = {p.name: p.read_bytes() for p in DEMO_MODEL.iterdir() if p.is_file()}
    hub.repositories["somebody/grounder"] = {**files, "modeling.py": b"raise SystemExit", "weights.bin": b"\x80"}
    return hub
