"""What the broker's management API tells beyond AMQP; it is asked by commands only, and only where the source names it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from smartico_sync.errors import SourceRefused, SourceUnreachable
from smartico_sync.sources.stream import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.sources.rabbitmq.queues import Kind
    from smartico_sync.sources.rabbitmq.settings import Settings
    from smartico_sync.sources.stream import Feed

__all__ = ["Management"]

ASK_S = 10.0
REFUSED = (401, 403)
FEW_DELIVERIES = 100  # a limit below it is soon reached where a connection breaks now and then


class Management:
    """Asks as the source's own user, which needs the tag `monitoring` or `management`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def names(self) -> tuple[str, ...]:
        """The queues of the virtual host."""
        return tuple(sorted(str(each["name"]) for each in self._ask("")))

    def remarks(self, feed: Feed, queue: str, kind: Kind, own_limit: int) -> Iterator[Remark]:
        """What a queue's arguments and policy mean for a feed."""
        told = self._ask(f"/{quote(queue, safe='')}")
        policy = told.get("effective_policy_definition") or {}
        arguments = told.get("arguments") or {}
        limit = arguments.get("x-delivery-limit", policy.get("delivery-limit", own_limit if kind == "quorum" else 0))
        if not arguments.get("x-single-active-consumer"):
            yield Remark(
                "advice",
                f"queue {queue} has no x-single-active-consumer: a second consumer would break each player's order",
                "declare it with the argument x-single-active-consumer",
            )
        if limit and limit < FEW_DELIVERIES:
            yield Remark(
                "advice",
                f"queue {queue}: the broker gives a message up after {limit} deliveries, and each broken connection is one",
                f"rabbitmqctl set_policy NAME '^{queue}$' '{{\"delivery-limit\": 1000}}' --apply-to queues",
            )
        exchange = arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
        if feed.dead_letters == "broker" and exchange is None:
            yield Remark(
                "wrong",
                f"queue {queue} has no dead-letter exchange: with `dead_letters: broker` what is given up would be deleted",
                "set dead-letter-exchange in its policy, or take `dead_letters` out",
            )
        if (arguments.get("x-message-ttl") or policy.get("message-ttl")) or (
            arguments.get("x-max-length") or policy.get("max-length")
        ):
            yield Remark(
                "advice",
                f"queue {queue} drops messages by age or number: an outage that lasts longer loses them",
                "take message-ttl and max-length out of its arguments and policy",
            )

    def _ask(self, path: str) -> Any:
        settings = self._settings
        address = f"{settings.management.rstrip('/')}/api/queues/{quote(settings.vhost, safe='')}{path}"
        try:
            answer = httpx.get(
                address,
                auth=(settings.user, settings.password),
                timeout=ASK_S,
                verify=settings.tls if settings.tls is not None else ssl.create_default_context(),
                trust_env=False,  # the broker itself is reached without a proxy too
            )
        except httpx.HTTPError:
            raise SourceUnreachable(
                f"{settings.place}: the management API does not answer", hint="check the option `management`"
            ) from None
        if answer.status_code in REFUSED:
            raise SourceRefused(
                f"{settings.place}: the management API refuses the user",
                hint=f"rabbitmqctl set_user_tags {settings.user} monitoring",
            )
        if answer.is_error:
            raise SourceUnreachable(
                f"{settings.place}: the management API answers {answer.status_code}",
                hint="check the option `management`, and the url's virtual host",
            )
        return answer.json()
