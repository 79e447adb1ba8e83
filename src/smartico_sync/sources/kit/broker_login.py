"""How a broker is reached: its scheme says whether with TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["BrokerLogin"]


class BrokerLogin(BaseLogin):
    """See BaseLogin. `kafka://` is in the clear and `kafkas://` verified, unless the source's `encryption:` says otherwise."""

    @property
    def secure(self) -> bool:
        """Whether the scheme asks for TLS."""
        return self.url.scheme.endswith("+tls")

    def written(self) -> Encryption | None:
        """What the scheme promises. ConfigError where it promises nothing on the way to another machine, and no word allows it."""
        if self.secure:
            return None if self.said == "unverified" else "verified"
        if self.said is None and self.remote:
            scheme = self.engine.scheme
            raise self.wrong(
                f"{scheme}:// is in the clear, on the way to another machine",
                f"write {scheme}s:// for verified TLS, or `encryption: off` of the source",
            )
        return "off"
