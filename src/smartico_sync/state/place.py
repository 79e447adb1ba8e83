"""Where a state is: a file, or a server; and how it is opened there."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import StateUnwritable
from smartico_sync.state.key_file import is_there, key_path, read_key_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from smartico_sync.state.database import Access
    from smartico_sync.state.group import First, Group
    from smartico_sync.state.key_file import KeyFile
    from smartico_sync.state.postgresql.budget import SharedBudget
    from smartico_sync.state.postgresql.lease import Holder
    from smartico_sync.state.postgresql.membership import Membership, Seen
    from smartico_sync.state.recovery import Restored
    from smartico_sync.state.store import Store

__all__ = ["FilePlace", "Place", "ServerPlace"]

# Who only asks the daemon imports none of them, and a driver need not be there for a state that is a file.
STORE, RECOVERY = "smartico_sync.state.store", "smartico_sync.state.recovery"
SERVER = "smartico_sync.state.postgresql.opening"


class FilePlace(Discreet, frozen=True):
    """A state file. `apart`: its secret, where it is kept elsewhere."""

    unprinted = frozenset({"apart"})

    path: Path
    apart: bytes | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def there(self) -> bool:
        """Whether there is anything of a state, sound or not."""
        return is_there(self.path) or is_there(key_path(self.path))

    def open(self, access: Access = "write") -> Store:
        """Open it; see `Store.open`."""
        opened: Store = import_module(STORE).Store.open(self.path, access=access, apart=self.apart)
        return opened

    def key(self) -> KeyFile:
        """Its secret and identity. Raises StateError."""
        return read_key_file(key_path(self.path), self.apart)

    def renew(self, starts: Mapping[str, str]) -> Path | str | None:
        """Begin a new state; where the one before is now, if there was one. See `recovery.renew`."""
        aside: Path | None = import_module(RECOVERY).renew(self.path, starts, self.apart)
        return aside

    def restore(self, backup: Path) -> Restored:
        """Put a copy in place of the state; see `recovery.restore`."""
        done: Restored = import_module(RECOVERY).restore(backup, self.path, self.apart)
        return done


class ServerPlace(Discreet, frozen=True):
    """A state in PostgreSQL. `secret`: what it is kept under; `lease_s`: how long it is held without being renewed.

    Who opens it to write holds all of `groups`. `member`: what this member is called; `id`: what tells its daemon from others of the name.
    """

    unprinted = frozenset({"url", "secret"})

    url: str
    secret: bytes
    lease_s: float
    groups: tuple[Group, ...]
    member: str = ""
    id: UUID | None = None
    first: First = "may begin"

    def only(self, group: str, views: tuple[str, ...] | None = None) -> ServerPlace:
        """The same for one group, or those of its views that one member works with alone."""
        one = next(each for each in self.groups if each.name == group)
        return replace(self, groups=(replace(one, views=one.views if views is None else views),))

    @property
    def budget_of(self) -> Callable[[str], SharedBudget] | None:
        """Where the requests of a token are drawn from, where members use it at the same time."""
        return self.budget if any(group.budget == "shared" for group in self.groups) else None

    def beside(self, group: str, views: tuple[str, ...]) -> ServerPlace:
        """The same for views of a group that this member reads together with others."""
        one = next(each for each in self.groups if each.name == group)
        name = self.member or socket.gethostname()
        return replace(self, groups=(replace(one, name=f"{group} at {name}", views=views, shares=group),))

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    @property
    def path(self) -> Path:
        """Where the daemon of this machine that works with it listens: a directory of its user's own."""
        folder = Path(tempfile.gettempdir()) / f"smartico-sync-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            raise StateUnwritable(
                f"the directory {folder} cannot be made: {error.strerror}",
                hint="let the daemon's user write there, or set TMPDIR",
            ) from None
        if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
            raise StateUnwritable(f"{folder} is not this user's alone", hint=f"remove it, or chmod 700 {folder}")
        told = f"{self.url} {self.member}".encode()
        return folder / hashlib.blake2b(told, key=self.secret, digest_size=8).hexdigest()

    @property
    def there(self) -> bool:
        """Whether the server has a state. Raises StateUnwritable where it cannot be asked."""
        return bool(import_module(SERVER).there(self))

    def open(self, access: Access = "write") -> Store:
        """Open it, and hold the leases of its groups. Raises what `Store.open` raises, ConfigError, and DriverMissing."""
        opened: Store = import_module(SERVER).opened(self, access)
        return opened

    def seen(self) -> Seen:
        """Who is there, who holds each lease or held it last, and who reads which part of the topics that members share. Raises StateError."""
        found: Seen = import_module(SERVER).seen(self)
        return found

    def holders(self) -> tuple[Holder, ...]:
        """Who holds each lease, or held it last. Raises StateError."""
        return self.seen().holders

    def membership(self) -> Membership:
        """Be there as a member, which may be given groups; makes the tables at the very first start. Raises what `open` raises."""
        joined: Membership = import_module(SERVER).joined(self)
        return joined

    def want(self, group: str, member: str) -> None:
        """Have a member hold a group, as soon as the one that holds it has let it go. Raises ConfigError where there is no such group or member."""
        import_module(SERVER).wanted(self, group, member)

    def budget(self, account: str) -> SharedBudget:
        """What members may send under one token; asks nobody yet."""
        made: SharedBudget = import_module(SERVER).budget(self, account)
        return made

    def key(self) -> KeyFile:
        """Its secret and identity. Raises StateError."""
        with self.open("read") as store:
            return store.key

    def renew(self, starts: Mapping[str, str]) -> Path | str | None:
        """Begin a new state; where the one before is now, if there was one. StateLocked while a member works with it."""
        schema: str | None = import_module(SERVER).renewed(self, starts)
        return schema and f"the schema {schema} of {self}"

    def restore(self, backup: Path) -> Restored:
        """Put a copy in place of the state; see `recovery.restore`."""
        done: Restored = import_module(SERVER).restored(self, backup)
        return done


Place = FilePlace | ServerPlace
