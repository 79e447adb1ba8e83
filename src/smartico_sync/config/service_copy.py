"""systemd's copy of a file for a service (`LoadCredential=`): made when the service starts, read-only, and gone when it ends.

Nobody can correct such a copy: what is told of one names the file that it was made of.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RESTART", "is_copy", "original"]

ORIGINALS = Path("/etc/smartico-sync")  # of which our unit has systemd make copies
RESTART = "systemctl restart smartico-sync"


def is_copy(path: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a file is a copy that systemd made for this service."""
    copies = environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(copies) and path.absolute().parent == Path(copies).absolute()


def original(path: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that a person edits."""
    return ORIGINALS / path.name if is_copy(path, environ) else path
