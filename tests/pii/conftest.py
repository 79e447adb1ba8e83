from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def docs():
    return Path(__file__).parents[2] / "docs"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs entry points for the time of a test: what an installer would have written, on the path."""

    def install(entry, folder=tmp_path):
        info = tmp_path / "plugin-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[smartico_sync.encryptors]\n{entry}\n")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.syspath_prepend(str(tmp_path))

    return install
