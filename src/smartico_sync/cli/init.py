"""`smartico-sync init`: a first `views.yaml` from what a database or a broker holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from smartico_sync.catalogue.engines import find
from smartico_sync.cli.output import echo_lines, secho
from smartico_sync.cli.stream_init import topics_proposed
from smartico_sync.config.document import parse as parse_yaml
from smartico_sync.config.environment_file import NAME, add_environment_file
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SyncError
from smartico_sync.proposal.document import Heading, configuration, needed, script
from smartico_sync.proposal.propose import propose
from smartico_sync.proposal.samples import ROWS, Samples
from smartico_sync.proposal.secrets import without_secrets
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.registry import open_source, open_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from smartico_sync.core.tables import IndexPlan
    from smartico_sync.proposal.propose import Proposal, Proposed
    from smartico_sync.sources.protocol import Source

__all__ = ["init"]

NOTHING = "-- The database has all that the views.yaml beside this file needs.\n"
API = "https://apis6.smartico.ai/api/external/events/v2"  # its form; each environment has its own


@click.command()
@click.option(
    "--url", required=True, envvar="SYNC_SOURCE_URL",
    help="The database or broker; also from $SYNC_SOURCE_URL. A password belongs there or into ${VARIABLE}, in single quotes: `ps` "
    "shows command lines to everybody.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), default=Path("views.yaml"), show_default=True,
    help="The file to write; what the database lacks goes beside it, as .sql.",
)  # fmt: skip
@click.option("--source", default="casino", show_default=True, help="What the configuration calls it.")
@click.option("--brand", default="", help="The ext_brand_id of rows of which no column says it.")
@click.option("--api", default=API, help="The ingest API's URL.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
def init(*, url: str, output: Path, source: str, brand: str, api: str, force: bool) -> None:
    """Ask a database or a broker what it has, and write a first views.yaml; of a database also the views that it still needs.

    Tables and topics are found by names, types and the values of type and status columns. Only reads; nothing leaves the
    machine. A password may be given as ${VARIABLE}, and is never written.
    """
    sql = output.with_suffix(".sql")
    if sql == output:
        raise ConfigError(
            f"{output} is to hold YAML, and {sql.suffix} what the database lacks", hint="--output views.yaml"
        )
    for path in (output, sql):
        if path.exists() and not force:
            raise ConfigError(
                f"{path} is there already", hint="give another one with --output, or write over it with --force"
            )
    add_environment_file(output)
    shown, variables = without_secrets(url)
    engine = find(url.partition("://")[0])
    if engine is not None and engine.reads == "messages":
        stream = open_stream(source, SourceConfig(url=SecretStr(expanded(url))))
        try:
            text, asked = topics_proposed(Heading(api, shown, source, brand), stream)
        finally:
            stream.close()
        write(output, text, force=force)
        say_next(output, [], asked, variables)
        return
    opened = open_source(source, SourceConfig(url=SecretStr(expanded(url))))
    try:
        proposal, problems = found(opened)
        heading = Heading(api, shown, source, brand, sql.name)
        statements = script(proposal, lambda each: missing(opened, each), parse(shown).user)
    finally:
        opened.close()
    write(output, configuration(heading, proposal), force=force)
    if statements or sql.exists():
        write(sql, statements or NOTHING, force=force)
    tell(proposal, problems)
    say_next(output, [sql] if statements else [], needed(proposal, heading), variables)


def say_next(output: Path, scripts: Sequence[Path], asked: Sequence[str], variables: Collection[str]) -> None:
    """What was written, and what comes next."""
    echo_lines("\nwritten: " + ", ".join(map(str, (output, *scripts))))
    steps = [f"let the database's owner read and run {script}" for script in scripts]
    steps.append(
        f"write {', '.join(f'{name}=…' for name in asked)} into {output.with_name(NAME)}, a line each"
        + (f" ({', '.join(variables)} as in the URL)" if variables else "")
    )
    steps += [f"read {output}, and correct it", f"smartico-sync check --config {output}"]
    for number, step in enumerate(steps, 1):
        echo_lines(f"  {number}. {step}")


def expanded(url: str) -> str:
    """The URL with its variables filled in, as the configuration will have it. ConfigError for one that is not set."""
    place = ("sources", "init", "url")
    document = parse_yaml(json.dumps({"sources": {"init": {"url": url}}}, ensure_ascii=False), os.environ)
    if document.problems:
        raise ConfigError(f"--url: {document.problems[0].text}", hint="export it, then the same command again")
    return str(document.at(place))


def found(source: Source) -> tuple[Proposal, dict[str, str]]:
    """What to propose, and what could not be read. Raises ConfigError where nothing is to be proposed."""
    tables = source.tables()
    samples = Samples(source)
    proposal = propose(tables, samples.values, source.cursor_names, source.longest_name)
    if not any(view.recipe.use == "propose" for view in proposal.views):
        seen = ", ".join(table.name for table in tables[:10]) or "none"
        raise ConfigError(
            f"no table looks like players, payments, bets or bonuses: {len(tables)} may be read ({seen})",
            hint="let the user read the casino's tables, or write views.yaml by hand: config/views.minimal.yaml is one to begin with",
        )
    return proposal, samples.problems


def missing(source: Source, view: Proposed) -> Sequence[str]:
    """The statements that a view needs."""
    index = view.index
    if index is not None and index.when == "where the poll sorts" and not sorts(source, index):
        index = None
    return source.ddl((view.plan,) if view.plan else (), (index,) if index else ())


def sorts(source: Source, index: IndexPlan) -> bool:
    """Whether the engine sorts to read the table in this order, or reads all of it."""
    cursor, *key = index.columns
    try:
        relation = source.describe(Relation("init", cursor, tuple(key), relation=index.table))
        return source.plan(relation, None, ROWS).uses_index is False
    except SyncError:
        return False


def write(path: Path, text: str, *, force: bool) -> None:
    """Write a file; one that appeared meanwhile is not written over."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", hint="give another one with --output, or --force") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="give another place with --output") from None


def tell(proposal: Proposal, problems: dict[str, str]) -> None:
    """One line a view."""
    for view in proposal.views:
        made = f"a view of {view.table} to be made" if view.plan else f"{view.table} as it is"
        secho("✓ " if view.recipe.use == "propose" else "! ", fg="green", nl=False)
        echo_lines(f"{view.recipe.name}: {made}, kind {view.recipe.kind}, cursor {view.cursor}")
    for name, why in proposal.missing.items():
        secho("· ", nl=False)
        echo_lines(f"{name}: {why}")
    for table, why in problems.items():
        secho("! ", fg="yellow", nl=False)
        echo_lines(f"{table}: no values could be read: {why}")
