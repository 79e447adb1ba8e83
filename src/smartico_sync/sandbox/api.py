"""The sandbox as a server: a local stand-in for Smartico's ingest API."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from smartico_sync.errors import ConfigError
from smartico_sync.sandbox.faults import Fault, parse
from smartico_sync.sandbox.handler import PATH, Server
from smartico_sync.sandbox.ingest import Check, Ingest
from smartico_sync.sandbox.limits import MAX_IN_FLIGHT, REQUESTS_PER_MINUTE, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.sandbox.answers import Dialect, ErrorKeys

__all__ = ["Sandbox"]

POLL_S = 0.05  # how soon `stop` is noticed


class Sandbox:
    """A local ingest API that enforces the contract and misbehaves on demand.

    `listen` is HOST:PORT (port 0: any free one). `log` gets every accepted event as one JSON line, exactly as received;
    eids of an existing log are known. `faults` are texts or parsed ones, see `smartico_sync.sandbox.faults`. `token`: the
    only one that is let in (None: any but an empty one or `Bearer …`). `check` full or count, `dialect` event_errors or
    failed_events, `error_keys` eid or user_ext_id. `seed` makes the faults repeatable. The limits are Smartico's; what
    breaks one is answered with 429 and counted in `violations`.

    Raises ConfigError for a fault, an address or a log that cannot be used. Works as a context manager.
    """

    def __init__(
        self,
        listen: str = "127.0.0.1:0",
        *,
        log: Path | str | None = None,
        faults: Iterable[Fault | str] = (),
        token: str | None = None,
        check: Check = "full",
        dialect: Dialect = "event_errors",
        error_keys: ErrorKeys = "eid",
        seed: int = 0,
        max_in_flight: int = MAX_IN_FLIGHT,
        requests_per_minute: int = REQUESTS_PER_MINUTE,
    ) -> None:
        self.ingest = Ingest(
            log=Path(log) if log is not None else None,
            faults=parsed(faults),
            check=check,
            dialect=dialect,
            error_keys=error_keys,
            seed=seed,
            limits=Limits(max_in_flight, requests_per_minute),
        )
        try:
            self.server = Server(address(listen), self.ingest, token)
        except OSError as error:
            self.ingest.accepted_events.close()
            raise ConfigError(
                f"cannot listen on {listen}: {error.strerror}",
                hint="--listen another address, or port 0 for any free port",
            ) from None
        self.thread: threading.Thread | None = None

    @property
    def base(self) -> str:
        """`http://host:port`, where the summary is."""
        host, port = self.server.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{name}:{port}"

    @property
    def url(self) -> str:
        """The ingest URL: what `smartico.url` is set to."""
        return self.base + PATH

    def start(self) -> Self:
        """Serve in a thread; returns at once, ready to be asked."""
        if self.thread is None:
            self.thread = threading.Thread(
                target=self.server.serve_forever, kwargs={"poll_interval": POLL_S}, name="sandbox", daemon=True
            )
            self.thread.start()
        return self

    def stop(self) -> None:
        """End serving, idle and hanging connections included; the log is closed. Idempotent."""
        self.server.hang_up()
        if self.thread is not None:
            self.server.shutdown()
            self.thread.join()
            self.thread = None
        self.server.hang_up()  # a connection may have come in between
        self.server.server_close()
        self.ingest.accepted_events.close()

    def stats(self) -> dict[str, Any]:
        """Count since the start, as `GET /stats` gives them; see `Ingest.stats`."""
        return self.ingest.stats()

    def events(self, limit: int = 100) -> list[Any]:
        """List the last accepted events, newest last; 1,000 are kept."""
        with self.ingest.lock:
            return list(self.ingest.accepted_events.recent)[-limit:] if limit > 0 else []

    def set_faults(self, faults: Iterable[Fault | str]) -> None:
        """Replace the faults from now on."""
        self.ingest.faults = parsed(faults)

    def release(self) -> None:
        """Let what the fault `hold` keeps be accepted, as `POST /release` does."""
        self.server.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def parsed(faults: Iterable[Fault | str]) -> tuple[Fault, ...]:
    """Faults, whether written or parsed."""
    return tuple(parse(fault) if isinstance(fault, str) else fault for fault in faults)


def address(listen: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"not an address: {listen!r}", hint="HOST:PORT, for example 127.0.0.1:9000")
    return host.strip("[]"), int(port)
