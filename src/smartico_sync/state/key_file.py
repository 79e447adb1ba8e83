"""The key file beside the state: the fingerprint secret, and the proof that a state was there."""

from __future__ import annotations

import base64
import json
import os
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartico_sync.errors import StateDamaged, StateMissing, StateUnwritable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SECRET_BYTES", "KeyFile", "key_path", "new_key_file", "read_key_file", "write_key_file"]

SECRET_BYTES = 32  # the key size of every keyed hash in use


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What `<state>.key` holds. The state file itself never holds the secret: a copy of it alone tells nothing."""

    state_id: str
    secret: bytes = field(repr=False)


def key_path(state: Path) -> Path:
    """Return where the key file of a state lies."""
    return state.with_name(state.name + ".key")


def new_key_file(secret: bytes | None = None) -> KeyFile:
    """Make a new identity, with a new secret unless one is to be kept."""
    return KeyFile(str(uuid.uuid4()), secret or secrets.token_bytes(SECRET_BYTES))


def write_key_file(path: Path, key: KeyFile) -> None:
    """Write the key file at once and for good, readable by its owner only. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    text = json.dumps({"state": key.state_id, "secret": base64.b64encode(key.secret).decode()}) + "\n"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:  # noqa: PTH123 - with a mode
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_key_file(path: Path) -> KeyFile:
    """Read a key file. Raises StateMissing, StateUnwritable (not readable) and StateDamaged."""
    try:
        fields = json.loads(path.read_bytes())
        secret = base64.b64decode(fields["secret"], validate=True)
        key = KeyFile(str(uuid.UUID(fields["state"])), secret)
    except FileNotFoundError:
        raise StateMissing(f"the key file {path} is missing", hint=f"copy {path.name} back from the backup") from None
    except OSError as error:
        raise StateUnwritable(
            f"the key file {path} cannot be read: {error.strerror}", hint="let the daemon's user read it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError):  # its text may hold the secret: nothing is quoted
        raise damaged(path) from None
    if len(secret) != SECRET_BYTES:
        raise damaged(path)
    return key


def damaged(path: Path) -> StateDamaged:
    """Say that a key file is no key file."""
    return StateDamaged(f"the key file {path} is damaged", hint=f"copy {path.name} back from the backup")
