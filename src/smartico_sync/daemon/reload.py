"""A changed `views.yaml` while the daemon runs: tried as a whole, then taken up, or refused while the old one goes on."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

import structlog
from msgspec import Struct, to_builtins

from smartico_sync.config.load import load
from smartico_sync.config.service_copy import RESTART, is_copy, original
from smartico_sync.config.state_checks import shown_state
from smartico_sync.daemon.start import Stopped
from smartico_sync.daemon.wiring import protection_of, sources_of, streams_of, tracer_of
from smartico_sync.delivery.router import Router
from smartico_sync.errors import ConfigError, SyncError, Unexpected
from smartico_sync.observe.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from smartico_sync.config.environment_file import Variables
    from smartico_sync.config.models import Configuration, Health
    from smartico_sync.daemon.ending import Ending

__all__ = ["RESTART", "Changes", "Reload", "changes", "tried"]

STATE = ("state", "state_key_file", "cluster")  # what the state is opened with: it is held as long as the daemon runs

log = structlog.get_logger()


class Changes(Struct, frozen=True):
    """What differs between two configurations: views by name, and other sections of the file."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    sections: tuple[str, ...]


def changes(before: Configuration, after: Configuration) -> Changes:
    """Compare two configurations."""
    old, new = ({view.name: view for view in each.views} for each in (before, after))
    sections = [name for name in type(after).model_fields if name != "views"]
    return Changes(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in new if name in old and new[name] != old[name]),
        sections=tuple(name for name in sections if getattr(before, name) != getattr(after, name)),
    )


class Reload:
    """A context manager that takes SIGHUP. Each configuration has an event of its own, by which its views end.

    `begin` says which configuration is at work, `following` which one comes after it, once it has ended; None: the daemon ends.
    """

    def __init__(self, path: Path, ending: Ending, variables: Variables) -> None:
        self.path, self.ending, self.variables = path, ending, variables
        self._lock = threading.Lock()
        self._current: Configuration | None = None
        self._following: Configuration | None = None
        self._stopping = threading.Event()
        self._begun = threading.Event()
        self._loaded = self._loaded_before = content(path)
        self._secrets = content(variables.file)
        self._refused: SyncError | None = None
        self._health: Health | None = None  # as the endpoint was opened with it
        self._asked, self._ask = os.pipe()
        self._before: Any = None
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGHUP, lambda *_: os.write(self._ask, b"!"))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)
        os.close(self._ask)
        self._begun.set()
        self._thread.join()
        os.close(self._asked)

    def _watch(self) -> None:
        """A signal says only that it came; what it means is done here, once there is something at work."""
        while os.read(self._asked, 1):
            self._begun.wait()
            if self._current is None:
                return
            try:
                self.ask()
            except SyncError as error:
                log.error("reload.refused", reason=error.in_a_line, hint=error.hint)  # noqa: TRY400 - a person's mistake has no traceback

    def begin(self, configuration: Configuration) -> threading.Event:
        """Let a configuration be the one at work; the event ends it."""
        with self._lock:
            self._current, self._following = configuration, None
            self._health = self._health or settled(configuration.health)
            self._stopping = threading.Event()
            self._begun.set()
        self.ending.also(self._stopping)
        return self._stopping

    def following(self) -> Configuration | None:
        """Which configuration is to be at work next; None when the daemon ends."""
        return None if self.ending.stopping.is_set() else self._following

    def back(self, failed: Configuration, error: SyncError) -> Configuration:
        """Which configuration goes on where one that was loaded could not begin. Raises the error where that was the first one, or had begun."""
        with self._lock:
            if self._current is None or self._current is failed or isinstance(error, Stopped):
                raise error
            self._refused, self._loaded = error, self._loaded_before
            log.error("reload.refused", reason=error.in_a_line, hint=error.hint)
            return self._current

    def ask(self) -> dict[str, Any]:
        """Read the file, and take it up where it is good and differs; what differs. SyncError says why it is refused.

        `restart`: the sections that differ and are taken up by a restart only; `variables`: likewise those of `secrets.env`.
        """
        with self._lock:
            if self._current is None or self._following is not None:
                raise ConfigError("a reload is under way", hint="try again in a moment: smartico-sync reload")
            seen, secrets = content(self.path), content(self.variables.file)
            try:
                found = self._tried(self._current)
                outdone = self.variables.outdone()
            except SyncError as error:
                self._refused = error
                raise
            self._refused, self._loaded, self._loaded_before = None, seen, self._loaded
            self._secrets = secrets
            differs = changes(self._current, found)
            if any(to_builtins(differs).values()):
                log.info("reload", **to_builtins(differs))
                if settled(found.health) != self._health:
                    log.warning("reload", reason="`health:` is taken up at the next restart only", hint=RESTART)
                self._following = found
                self._stopping.set()
            elif is_copy(self.path):
                raise ConfigError(
                    f"nothing was taken up: the daemon reads the copy of {original(self.path)} that systemd made when it started",
                    hint=RESTART,
                )
            else:
                log.info("reload", result="nothing differs")
            told = {name: list(names) for name, names in to_builtins(differs).items()}
            restart = ["health"] if settled(found.health) != self._health else []
            return told | {"restart": restart, "variables": outdone}

    def _tried(self, current: Configuration) -> Configuration:
        """The file, as far as it can be tried without the state. Raises what keeps it from being used."""
        warnings: list[str] = []
        try:
            found = load(self.path, self.variables.now(), warnings=warnings)
            same_state(current, found)
            tried(found, self.path.absolute().parent)
        except SyncError:
            raise
        except Exception as error:
            raise Unexpected(error) from error
        for warning in warnings:
            log.warning("configuration", reason=warning)
        return found

    def findings(self) -> tuple[Finding, ...]:
        """That a file was refused, or is another than the one at work."""
        now = {self.path: self._loaded, self.variables.file: self._secrets}
        changed = ", ".join(path.name for path, loaded in now.items() if content(path) != loaded)
        if changed and self._refused is not None:
            return (
                Finding(
                    "warning", changed, f"it was refused, and the former one goes on: {self._refused.in_a_line}",
                    f"correct it, then: smartico-sync reload --config {self.path}", code="configuration",
                ),
            )  # fmt: skip
        if changed:
            return (
                Finding(
                    "warning", changed, "it was changed since it was loaded: the former one is at work",
                    f"smartico-sync check --config {self.path}; then: smartico-sync reload --config {self.path}", code="configuration",
                ),
            )  # fmt: skip
        if self._current is not None and settled(self._current.health) != self._health:
            return (
                Finding(
                    "warning", self.path.name, "`health:` is another than the one at work, and is taken up at the next restart only",
                    RESTART, code="configuration",
                ),
            )  # fmt: skip
        return ()


def settled(health: Health) -> Health:
    """What the endpoint is opened with; the content of a token's file is read again by itself."""
    return health.model_copy(update={"token": None}) if health.token_file else health


def tried(configuration: Configuration, base: Path) -> None:
    """Make what can be made without the state, and let it go. Raises what keeps the configuration from being used."""
    protection_of(configuration)
    for source in sources_of(configuration).values():
        source.close()
    for stream in streams_of(configuration).values():
        stream.close()
    tracer_of(configuration.tracing).close()
    Router(configuration.smartico, base).close(0)


def same_state(before: Configuration, after: Configuration) -> None:
    """Raise ConfigError where the state is another, or is to be opened in another way."""
    for name in STATE:
        if getattr(before, name) != getattr(after, name):
            place = f"`state: {shown_state(before.state)}`" if name == "state" else f"the `{name}:`"
            raise ConfigError(
                f"`{name}:` is another than {place} with which the daemon works",
                hint=f"set it back; or restart the daemon, which is then to work with another one: {RESTART}",
            )


def content(path: Path) -> bytes:
    """What a file holds; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
