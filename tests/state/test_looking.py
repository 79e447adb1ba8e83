"""A user who may not look into the state's directory is told so, whatever was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartico_sync.cli import not_ours
from smartico_sync.errors import StateUnwritable
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.place import FilePlace


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Where a state is, in a directory that is another user's."""
    looked = Path.exists

    def exists(path):
        if path.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr(Path, "exists", exists)
    return tmp_path / "sync.db"


@pytest.mark.parametrize(
    "look",
    [
        lambda state: FilePlace(state).there,
        lambda state: FilePlace(state).open("read"),
        lambda state: FilePlace(state).open("write"),
        ProcessLock,
    ],
    ids=["there", "read", "write", "lock"],
)
def test_a_directory_of_somebody_else_is_no_internal_error(state, look):
    """The message names the directory, and the hint who may look."""
    with pytest.raises(StateUnwritable, match="is not for this user to look into") as refused:
        look(state)
    assert str(state.parent) in refused.value.message
    assert refused.value.hint == "type the command as the daemon's user, or as root"


def test_any_other_file_that_is_refused_is_named():
    """Wherever the command met it; what has no file is a mistake of ours."""
    told = not_ours(PermissionError(13, "Permission denied", "/somewhere/file"))
    assert told is not None
    assert told.message == "/somewhere/file: permission denied"
    assert not_ours(PermissionError(1, "Operation not permitted")) is None
    assert not_ours(KeyError("x")) is None


def test_a_disk_that_is_full_and_a_folder_that_is_gone_are_told(tmp_path, monkeypatch):
    """Where the output goes, or where the command was typed: neither wants a report to us."""
    full = not_ours(OSError(28, "No space left on device"))
    assert full is not None
    assert (full.message, full.hint) == ("the output: no space left on device", "make room there, and type it again")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    gone = not_ours(FileNotFoundError(2, "No such file or directory"))
    assert gone is not None
    assert (int(gone.exit_code), gone.hint) == (2, "cd into another one, and type it again")
