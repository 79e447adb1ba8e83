"""`smartico-sync doctor`: what support needs to see, in one file, without secrets and without anything of a person."""

from __future__ import annotations

import io
import os
import platform
import re
import shutil
import sys
import tarfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
from msgspec import to_builtins
from msgspec.structs import asdict

from smartico_sync import __version__
from smartico_sync.cli.check import everything, told
from smartico_sync.cli.check_report import ViewReport
from smartico_sync.cli.findings import Finding, failed
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.cli.output import echo
from smartico_sync.cli.status import current
from smartico_sync.config.state_checks import shown_state
from smartico_sync.errors import ConfigError, ExitCode, StateUnwritable, SyncError
from smartico_sync.observe.logs import redacted
from smartico_sync.sources.kit.url import parse
from smartico_sync.state.place import FilePlace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.state.place import Place
    from smartico_sync.state.store import Store

__all__ = ["doctor"]

NAME = re.compile(r"[\w.-]+")  # of a package, where its requirement begins
LITERAL = re.compile(r"'(?:[^']|'')*'")  # of SQL: it may hold anything
KEY = re.compile(
    r"\b(keys?|eids?|users?|players?|examples?:?) (?!column)[^\s,;()]+"
)  # that a message names as an example
UNTOLD = frozenset(
    {"key", "keys", "eid", "eids", "row", "first", "examples", "example", "value", "values"}
)  # fields that say which row
MODE = 0o600


@click.command()
@click.option(
    "--output",
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where it goes; else smartico-sync-doctor-TIME.tar.gz here.",
)
@click.option("--offline", is_flag=True, help="Ask neither the databases nor the API.")
@config_option
def doctor(output: Path | None, offline: bool, path: Path) -> ExitCode:
    """Write a file for support: versions, configuration, status, state and what `smartico-sync check` finds.

    Secrets, keys of rows, values and texts inside queries are left out. Look into it before you send it: tar -xzOf FILE.
    Nothing is sent and nothing is changed.
    """
    output = output or Path(time.strftime("smartico-sync-doctor-%Y%m%d-%H%M%S.tar.gz"))
    if output.exists():
        raise ConfigError(f"{output} is there already", hint="name another file with --output")
    parts: dict[str, Callable[[], Any]] = {"machine.json": lambda: machine(path)}
    try:
        context = OperatorContext(path)
    except SyncError as error:
        parts["configuration.json"] = lambda error=error: {"error": error.message}  # type: ignore[misc]
    else:
        parts |= {
            "configuration.json": lambda: configured(context),
            "status.json": lambda: current(context),
            "state.json": lambda: remembered(context),
        }
        if not offline:
            parts["check.json"] = lambda: checked(path)
    write(output, {name: attempt(made) for name, made in parts.items()})
    echo(f"{output}: {', '.join(parts)}")
    echo(f"look into it, then send it: tar -xzOf {output}")
    return ExitCode.FINE


def attempt(made: Callable[[], Any]) -> Any:
    """A part, without what names a row; what keeps it from being made is a part as well."""
    try:
        return without_rows(made())
    except SyncError as error:
        return {"error": without_rows(error.message), "hint": error.hint, "exit_code": int(error.exit_code)}


def without_rows(value: Any) -> Any:
    """The same without keys of rows, values, secrets and addresses."""
    if isinstance(value, dict):
        return {str(name): "…" if name in UNTOLD and value[name] else without_rows(value[name]) for name in value}
    if isinstance(value, list | tuple):
        return [without_rows(each) for each in value]
    return KEY.sub(r"\1 …", redacted(value)) if isinstance(value, str) else value


def machine(path: Path) -> dict[str, Any]:
    """Versions, space and names of variables."""
    versions = {}
    for name in sorted({NAME.match(each)[0] for each in metadata.requires("smartico-sync") or ()}):  # type: ignore[index]
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    folder = path.absolute().parent
    return {
        "smartico_sync": __version__, "python": sys.version, "platform": platform.platform(), "packages": versions,
        "free_bytes": shutil.disk_usage(folder).free if folder.is_dir() else None, "now_ms": time.time_ns() // 1_000_000,
        "variables": sorted(name for name in os.environ if name.startswith(("SYNC_", "SMARTICO")) or name.lower().endswith("_proxy")),
    }  # fmt: skip


def configured(context: OperatorContext) -> dict[str, Any]:
    """The configuration as it is understood: secrets as stars, of sources only where they are, of queries only their form."""
    data = context.configuration.model_dump(mode="json")
    data["state"] = shown_state(context.configuration.state)
    for name, source in context.configuration.sources.items():
        url = parse(source.url.get_secret_value())
        data["sources"][name]["url"] = f"{url.scheme}://{','.join(f'{host}:{port}' for host, port in url.hosts)}"
        data["sources"][name]["options"] = sorted(data["sources"][name].get("options") or {})
    for view in data["views"]:
        if view.get("query"):
            view["query"] = LITERAL.sub("'…'", view["query"])
    return data


def remembered(context: OperatorContext) -> dict[str, Any]:
    """What the state knows, counted. StateError where it cannot be read."""
    with context.reading() as store:
        reasons: dict[str, dict[str, int]] = {}
        for each in store.all_dead_letters():
            counts = reasons.setdefault(each.row.view, {})
            counts[f"{each.code} {each.reason}"] = counts.get(f"{each.code} {each.reason}", 0) + 1
        return {
            "bytes": sizes(context.state, store),
            "views": [
                {
                    "view": row.view, "head": row.head.cursor if row.head else "", "watermark": row.watermark.cursor if row.watermark else "",
                    "started_from": row.started_from, "definition": row.definition, "generation": row.generation,
                    "counts": dict(row.counts),
                }
                for row in store.views()
            ],
            "dead_letters": reasons,
            "parked": store.parked_counts(),
            "backfills": [to_builtins(each) | {"position": None} for each in store.backfills()],
        }  # fmt: skip


def sizes(place: Place, store: Store) -> Mapping[str, int]:
    """How large the state's files are, or its tables."""
    if not isinstance(place, FilePlace):
        return asdict(store.sizes())
    state = place.path
    return {file.name: file.stat().st_size for file in sorted(state.parent.glob(f"{state.name}*")) if file.is_file()}


def checked(path: Path) -> dict[str, Any]:
    """What `smartico-sync check --json` says."""
    findings: list[Finding] = []
    reports: list[ViewReport] = []
    try:
        for each in everything(path):
            (reports if isinstance(each, ViewReport) else findings).append(each)  # type: ignore[arg-type]
    except ConfigError as error:
        findings.append(failed(str(path), error))
    wrong = [finding for finding in findings if finding.mark == "wrong"]
    return told(findings, reports, wrong[0].code if wrong else ExitCode.FINE)


def write(output: Path, parts: Mapping[str, Any]) -> None:
    """Write the file whole or not at all, for its owner only. StateUnwritable where it cannot be."""
    draft = output.with_name(output.name + ".new")
    try:
        with (
            os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as bundle,
        ):
            for name, part in parts.items():
                body = orjson.dumps(part, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str) + b"\n"
                entry = tarfile.TarInfo(f"{output.name.removesuffix('.tar.gz')}/{name}")
                entry.size, entry.mode, entry.mtime = len(body), MODE, int(time.time())
                bundle.addfile(entry, io.BytesIO(body))
        draft.replace(output)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StateUnwritable(
            f"{output} cannot be written: {error.strerror}", hint="name another file with --output"
        ) from None
