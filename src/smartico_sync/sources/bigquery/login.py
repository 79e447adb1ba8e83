"""How to connect, from a URL as operators write it, and what each query may cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import google.auth
import grpc
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import bigquery, bigquery_storage
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2 import service_account

from smartico_sync.config.units import Bytes
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["SCOPES", "Login"]

SCOPES = ("https://www.googleapis.com/auth/bigquery",)  # not the whole cloud
QUANTITY = Bytes(at_least=10_000_000, never="off")  # the least that BigQuery bills for a table
UNLIMITED = (("grpc.max_receive_message_length", -1),)  # as the client's own channels
WAYS = ("auto", "never")


class Login(BaseLogin):
    """Whose project pays for queries, what each may cost, and the clients for them."""

    levels: ClassVar[tuple[Encryption, ...]] = ("verified", "off")
    usual: ClassVar[Encryption] = "verified"

    def written(self) -> Encryption:
        """HTTPS, unless `protocol` says otherwise."""
        return "off" if self.parameters.get("protocol", "https").lower() == "http" else "verified"

    def machines(self) -> tuple[str, ...]:
        """An endpoint of the operator's own, or the service's."""
        return (self.parameters.get("host", "googleapis.com"),)

    @property
    def project(self) -> str:
        """The project that runs the queries, and pays for them."""
        return self.url.hosts[0][0] if self.url.hosts else ""

    @property
    def dataset(self) -> str | None:
        """`project.dataset` of relations that name none."""
        path = self.url.path
        if not path:
            return None
        return path if "." in path else f"{self.project}.{path}"

    @property
    def location(self) -> str | None:
        """Where jobs run; None lets BigQuery find it."""
        return self.parameters.get("location")

    @property
    def storage(self) -> str:
        """Whether large answers may come through the Storage API: `auto` or `never`."""
        return self.one_of(WAYS, "storage_api", self.given("storage_api"))

    def limits(self) -> dict[str, Any]:
        """What every query is told: whose tables, how long, how much, and who asks."""
        try:
            most = QUANTITY.parse(self.given("maximum_bytes_billed"))
        except ValueError as error:
            raise self.wrong(f"maximum_bytes_billed: expected {error}", "maximum_bytes_billed=1GB, or off") from None
        return {
            **({"default_dataset": self.dataset} if self.dataset else {}),
            **({} if most is None else {"maximum_bytes_billed": most}),
            "job_timeout_ms": self.timeout_ms,
            "labels": {"application": "smartico-sync"},
            "use_legacy_sql": False,
            "use_query_cache": True,
        }

    def client(self) -> bigquery.Client:
        """A client, with credentials read anew, so that a key may be changed."""
        endpoint = self._endpoint("port")
        return bigquery.Client(
            project=self.project,
            credentials=self._credentials(),
            location=self.location,
            default_query_job_config=bigquery.QueryJobConfig(**self.limits()),
            # A short query needs no job of its own, which takes longer to make than to run.
            default_job_creation_mode="JOB_CREATION_OPTIONAL",
            client_options={"api_endpoint": endpoint} if endpoint else None,
        )

    def storage_client(self) -> bigquery_storage.BigQueryReadClient:
        """A client of the Storage API."""
        endpoint = self._endpoint("storage_port")
        if endpoint.startswith("http://"):
            channel = grpc.insecure_channel(endpoint.removeprefix("http://"), UNLIMITED)
            return bigquery_storage.BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
        return bigquery_storage.BigQueryReadClient(  # type: ignore[no-untyped-call]
            credentials=self._credentials(),
            client_options={"api_endpoint": endpoint.removeprefix("https://")} if endpoint else None,
        )

    def check(self) -> None:
        """Tell what cannot be used, before the first poll."""
        if not self.project:
            raise ConfigError(f"{self.url.scheme}:// names no project", hint="write bigquery://project/dataset")
        self.limits()
        _ = self.storage, self._endpoint("port"), self._endpoint("storage_port")
        if file := self.parameters.get("credentials_file"):
            _service_account(file)

    def _credentials(self) -> Credentials:
        """A service account's key, or what the environment gives; none over an open network."""
        parameters = self.parameters
        if parameters.get("protocol") == "http":
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        if file := parameters.get("credentials_file"):
            credentials: Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                _service_account(file), scopes=SCOPES
            )
        else:
            credentials, _ = google.auth.default(scopes=SCOPES)
        if quota := parameters.get("quota_project"):
            credentials = credentials.with_quota_project(quota)  # type: ignore[attr-defined]  # all but anonymous ones have it
        return credentials

    def _endpoint(self, port: str) -> str:
        """An endpoint of the operator's own (a private one, or an emulator's), or nothing."""
        if "host" not in self.parameters:
            return ""
        return f"{self.given('protocol')}://{self.parameters['host']}:{self.number(port)}"


def _service_account(path: str) -> dict[str, Any]:
    hint = "credentials_file is the JSON key of a service account; leave it out for the environment's own credentials"
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=hint) from None
    except ValueError:
        raise ConfigError(f"{path}: not JSON", hint=hint) from None
    if not isinstance(content, dict) or content.get("type") != "service_account":
        raise ConfigError(f"{path}: not the key of a service account", hint=hint)
    return content
