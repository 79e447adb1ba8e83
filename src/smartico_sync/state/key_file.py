"""The key file beside the state: the fingerprint secret, unless it is kept apart, and the proof that a state was there."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import uuid
from typing import TYPE_CHECKING, Any, Literal

from msgspec import field
from msgspec.structs import replace

from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import StateDamaged, StateMissing, StateUnwritable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "AS_WHOM",
    "BEGIN_STATE",
    "SECRET_BYTES",
    "KeyFile",
    "SecretPlace",
    "blank",
    "higher",
    "is_there",
    "key_path",
    "new_key_file",
    "own_like",
    "read_key_file",
    "write_key_file",
    "write_secret",
]

BEGIN_STATE = "smartico-sync run begins it; if a daemon runs already, it has another `state:`: use its views.yaml"
AS_WHOM = "type the command as the daemon's user, or as root"
SECRET_BYTES = 32  # the key size of every keyed hash in use
SecretPlace = Literal[
    "beside",  # in the key file
    "apart",  # where the configuration says; the key file does not hold it
]


class KeyFile(Discreet, frozen=True):
    """What `<state>.key` holds. The state file itself never holds the secret: a copy of it alone tells nothing.

    `place`: where the secret is; kept apart, a copy of both files tells nothing.
    `generations`: the highest of each identity whose event ids were ever begun anew. It outlives the state, so that no id is
    given out a second time after a loss.
    `opened`: how many processes have worked with the state: one that knows of fewer is an older copy, put there by hand.
    """

    unprinted = frozenset({"secret"})

    state_id: str
    secret: bytes
    generations: Mapping[str, int] = field(default_factory=dict)
    place: SecretPlace = "beside"
    opened: int = 0


def is_there(path: Path) -> bool:
    """Whether there is a file. Raises StateUnwritable where this user may not look."""
    try:
        return path.exists()
    except PermissionError:
        raise StateUnwritable(f"{path.parent} is not for this user to look into", hint=AS_WHOM) from None


def key_path(state: Path) -> Path:
    """Return where the key file of a state lies."""
    return state.with_name(state.name + ".key")


def new_key_file(kept: KeyFile | None = None, secret: bytes | None = None) -> KeyFile:
    """Make a new identity; secret and generations are those of the key that is kept, if any. `secret`: one that is kept apart."""
    if kept is None:
        place: SecretPlace = "beside" if secret is None else "apart"
        return KeyFile(str(uuid.uuid4()), secret or secrets.token_bytes(SECRET_BYTES), place=place)
    return replace(kept, state_id=str(uuid.uuid4()))


def higher(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the higher generation of each view."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def write_key_file(path: Path, key: KeyFile, like: Path | None = None) -> None:
    """Write the key file at once and for good, with owner and mode of `like`, else of the one it replaces. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    fields: dict[str, Any] = {"state": key.state_id}
    if key.place == "beside":
        fields["secret"] = written(key.secret)
    if key.generations:
        fields["generations"] = dict(key.generations)
    if key.opened:
        fields["opened"] = key.opened
    draft.unlink(missing_ok=True)
    write_privately(draft, json.dumps(fields) + "\n")
    own_like(draft, like or path)
    draft.replace(path)


def write_secret(path: Path, key: KeyFile) -> None:
    """Write the secret alone into a new file, for `state_key_file`. Raises FileExistsError, and OSError."""
    write_privately(path, written(key.secret) + "\n")


def written(secret: bytes) -> str:
    """A secret as text."""
    return base64.b64encode(secret).decode()


def blank(path: Path) -> None:
    """Make an empty file that only its owner can read, before anything is written to it. Raises OSError."""
    path.unlink(missing_ok=True)
    write_privately(path, "")


def write_privately(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, from its first byte on. Raises FileExistsError, and OSError."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:  # noqa: PTH123 - with a mode
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def own_like(draft: Path, model: Path) -> None:
    """Give a new file owner and mode of the one it replaces; where there is none, the owner of its directory. Raises OSError.

    A command that is run as root would else leave files that the daemon's user cannot open.
    """
    there = model.exists()
    status = model.stat() if there else model.parent.stat()
    if os.geteuid() == 0:
        os.chown(draft, status.st_uid, status.st_gid)
    draft.chmod(stat.S_IMODE(status.st_mode) if there else 0o600)


def read_key_file(path: Path, apart: bytes | None = None) -> KeyFile:
    """Read a key file; `apart` is the secret that is kept elsewhere, if any.

    Raises StateMissing (also for a secret that is not there), StateUnwritable (not readable) and StateDamaged.
    """
    try:
        fields = json.loads(path.read_bytes())
        beside = base64.b64decode(fields["secret"], validate=True) if "secret" in fields else None
        generations = {str(name): int(number) for name, number in fields.get("generations", {}).items()}
        state_id = str(uuid.UUID(fields["state"]))
        opened = int(fields.get("opened", 0))
    except FileNotFoundError:
        raise StateMissing(f"the key file {path} is missing", hint=f"copy {path.name} back from the backup") from None
    except OSError as error:
        raise StateUnwritable(
            f"the key file {path} cannot be read: {error.strerror}", hint="let the daemon's user read it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError):  # its text may hold the secret: nothing is quoted
        raise damaged(path) from None
    if beside is not None and len(beside) != SECRET_BYTES:
        raise damaged(path)
    if apart is not None and beside not in (None, apart):
        raise StateDamaged(
            f"`state_key_file` holds another secret than {path}",
            hint="`smartico-sync state key FILE`, without `state_key_file`, writes the one of this state",
        )
    secret = beside if apart is None else apart
    if secret is None:
        raise StateMissing(
            f"the secret of the state is not in {path}: it is kept apart",
            hint="name the file that holds it as `state_key_file`",
        )
    return KeyFile(state_id, secret, generations, "beside" if apart is None else "apart", opened)


def damaged(path: Path) -> StateDamaged:
    """Say that a key file is no key file."""
    return StateDamaged(f"the key file {path} is damaged", hint=f"copy {path.name} back from the backup")
