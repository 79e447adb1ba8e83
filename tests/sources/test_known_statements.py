"""Statements that a run before wrote are those that would be written now, or they are not found."""

from __future__ import annotations

import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy.sql import quoted_name

from smartico_sync.core.relation import Column, Relation
from smartico_sync.sources.mssql.types import MSSQL
from smartico_sync.sources.oracle.types import ORACLE
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.redshift.types import REDSHIFT
from smartico_sync.sources.sql import compiler, known_statements, statements
from smartico_sync.sources.sql.known_statements import ENDING, KnownStatements
from smartico_sync.sources.sqlite.types import SQLITE

SECRET = b"s" * 32
ADAPTERS = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "redshift": REDSHIFT, "mssql": MSSQL, "oracle": ORACLE}
ASKED = [
    ("page", "from the start", "open"),
    ("page", "after, ties by key", "through"),
    ("keys", "after", "low", "below"),
    ("newest", "low"),
    ("among", (("@cursor", "at"),), 3),
    ("without_cursor", "after"),
    ("head", "low and through"),
    ("null_cursors", "key"),
    ("null_rows",),
    ("count", "open", "through"),
    ("star",),
]
NEED_KEYS = ("without_cursor", "null_cursors")
BETS = Relation(
    "bets",
    "at",
    ("id",),
    relation="crm.bets",
    columns=(
        Column("at", "timestamptz", "instant"),
        Column("id", "int8", "integer"),
        Column("sum", "money", "decimal"),
    ),
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8) | st.just("at")
columns = st.builds(
    Column,
    names | names.map(lambda name: quoted_name(name, quote=True)),
    st.sampled_from(["text", "int8", "money", "bpchar", "timestamptz", "hstore", "INTEGER", "varchar(10)"]),
    st.sampled_from(["text", "integer", "decimal", "instant", "json", "array", "binary"]),
)


@st.composite
def relations(draw):
    told = draw(st.lists(columns, min_size=2, max_size=5, unique_by=lambda column: column.name))
    place = draw(st.sampled_from(["bets", 'crm."Bets"', None]))
    query = None if place else draw(st.sampled_from(["SELECT 1 AS x", "SELECT ':y' -- done", "SELECT a::text FROM b;"]))
    key = (told[1].name,) if draw(st.booleans()) else ()
    return Relation(draw(names), told[0].name, key, relation=place, query=query, columns=tuple(told))


@pytest.fixture
def known(tmp_path, monkeypatch):
    """What a run knows: nothing yet. Called, it is the next run's, which has read the file."""

    def begun() -> KnownStatements:
        made = KnownStatements()
        made.open(tmp_path / "sync.db", SECRET)
        monkeypatch.setattr(statements, "known", made)
        return made

    return begun


@pytest.fixture
def unwritten(monkeypatch):
    """From when it is called on, nothing can be written any more."""

    def now() -> None:
        for kind in {kind for kind, *_ in ASKED}:
            monkeypatch.delattr(compiler, kind)

    return now


def asked(adapter, relation, kind, *how):
    return getattr(statements, kind).__wrapped__(adapter, relation, *how)


@pytest.mark.parametrize("engine", ADAPTERS)
@settings(max_examples=20)
@given(relation=relations(), question=st.sampled_from(ASKED))
def test_what_is_found_is_what_would_be_written(tmp_path_factory, engine, relation, question):
    kind, *how = question
    assume(relation.key or kind not in NEED_KEYS)
    assume(kind != "among" or relation.cursor == "at")
    adapter = ADAPTERS[engine]
    real = adapter.adapter() if isinstance(adapter, statements.LateAdapter) else adapter
    written = getattr(compiler, kind)(real, relation, *how)
    state, name = tmp_path_factory.getbasetemp() / f"{engine}.db", (type(real).__module__, kind, relation, tuple(how))
    state.with_name(state.name + ENDING).unlink(missing_ok=True)
    before, after = KnownStatements(), KnownStatements()
    before.open(state, SECRET)
    before.note(
        name,
        relation.columns,
        (written.text, written.columns, written.width, written.positions, written.constants),
    )
    before.save()
    after.open(state, SECRET)
    assert statements.Statement(*after.find(name, relation.columns)) == written


def test_what_no_module_is_known_to_write_is_not_remembered(known):
    first = known()
    first.note(("nowhere", "star", BETS, ()), BETS.columns, ("SELECT", (), 1, (), ()))
    first.save()
    assert known().find(("nowhere", "star", BETS, ()), BETS.columns) is None


@pytest.mark.parametrize("engine", ADAPTERS)
@pytest.mark.parametrize("question", ASKED, ids=lambda question: " ".join(map(str, question)))
def test_the_next_run_writes_nothing(known, unwritten, engine, question):
    first = known()
    written = asked(ADAPTERS[engine], BETS, *question)
    first.save()
    known()
    unwritten()
    assert asked(ADAPTERS[engine], BETS, *question) == written


@pytest.mark.parametrize(
    "other",
    [
        replace(BETS, columns=(*BETS.columns[:2], Column("sum", "numeric", "decimal"))),
        replace(BETS, columns=BETS.columns[::-1]),
        replace(BETS, key=()),
        replace(BETS, cursor="id"),
        replace(BETS, name="wins"),
        replace(BETS, relation="bets"),
    ],
    ids=["type", "order", "key", "cursor", "view", "table"],
)
def test_another_relation_is_not_known(known, other):
    first = known()
    asked(POSTGRESQL, BETS, "page", "after", "open")
    first.save()
    known()
    assert asked(POSTGRESQL, other, "page", "after", "open") == compiler.page(
        POSTGRESQL.adapter(), other, "after", "open"
    )


def test_a_name_in_quotes_is_another_one(known):
    """As databases have it that store names in capitals."""
    quoted = replace(BETS, columns=(*BETS.columns[:2], Column(quoted_name("sum", quote=True), "money", "decimal")))
    first = known()
    asked(ORACLE, BETS, "page", "after", "open")
    first.save()
    known()
    assert asked(ORACLE, quoted, "page", "after", "open") == compiler.page(ORACLE, quoted, "after", "open")


def test_a_state_that_is_closed_is_written_down_and_of_no_consequence_any_more(known):
    first = known()
    written = asked(SQLITE, BETS, "star")
    first.close()
    assert first.find((SQLITE.module, "star", BETS, ()), BETS.columns) is None
    assert known().find((SQLITE.module, "star", BETS, ()), BETS.columns)[0] == written


def test_what_another_release_wrote_is_not_found(known, unwritten, monkeypatch):
    first = known()
    asked(SQLITE, BETS, "star")
    first.save()
    known()
    unwritten()
    monkeypatch.setattr(known_statements, "writers", lambda _: b"another")
    with pytest.raises(AttributeError):
        asked(SQLITE, BETS, "star")


def test_every_module_that_writes_is_part_of_the_name(monkeypatch):
    """Also SQLAlchemy's release, and when it was installed."""
    read, read_bytes = [], known_statements.Path.read_bytes
    monkeypatch.setattr(known_statements.Path, "read_bytes", lambda path: read.append(str(path)) or read_bytes(path))
    known_statements.writers.__wrapped__(SQLITE.module)
    parts = ["sql/compiler.py", "sql/names.py", "kit/positions.py", "sqlite/dialect.py", "sqlalchemy/__init__.py"]
    assert all(any(path.endswith(part) for path in read) for part in parts)


@settings(max_examples=30)
@given(place=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_a_damaged_file_is_as_good_as_none(tmp_path_factory, place, bits):
    state = tmp_path_factory.getbasetemp() / "damaged.db"
    file = state.with_name(state.name + ENDING)
    file.unlink(missing_ok=True)
    known = KnownStatements()
    known.open(state, SECRET)
    known.note((SQLITE.module, "star", BETS, ()), BETS.columns, ("SELECT", (), 1, (), ()))
    known.save()
    whole = bytearray(file.read_bytes())
    whole[place % len(whole)] ^= bits
    file.write_bytes(whole)
    known.open(state, SECRET)
    assert known.find((SQLITE.module, "star", BETS, ()), BETS.columns) is None


@pytest.mark.parametrize("length", [0, 1, 32, 33, 60])
def test_a_file_that_was_cut_is_as_good_as_none(tmp_path, length):
    state = tmp_path / "sync.db"
    known = KnownStatements()
    known.open(state, SECRET)
    known.note((SQLITE.module, "star", BETS, ()), BETS.columns, ("SELECT", (), 1, (), ()))
    known.save()
    file = state.with_name(state.name + ENDING)
    file.write_bytes(file.read_bytes()[:length])
    known.open(state, SECRET)
    assert known.find((SQLITE.module, "star", BETS, ()), BETS.columns) is None


def test_the_file_of_another_state_is_not_believed(known, tmp_path):
    first = known()
    asked(SQLITE, BETS, "star")
    first.save()
    other = KnownStatements()
    other.open(tmp_path / "sync.db", b"o" * 32)
    assert other.find((SQLITE.module, "star", BETS, ()), BETS.columns) is None


def test_nobody_else_may_read_the_file_and_a_folder_that_cannot_be_written_is_no_trouble(known, tmp_path):
    first = known()
    asked(SQLITE, BETS, "star")
    first.save()
    file = tmp_path / f"sync.db{ENDING}"
    assert file.stat().st_mode & 0o777 == 0o600
    gone = KnownStatements()
    gone.open(tmp_path / "gone" / "sync.db", SECRET)
    gone.note((SQLITE.module, "star", BETS, ()), BETS.columns, ("SELECT", (), 1, (), ()))
    gone.save()


def test_without_a_state_nothing_is_known(monkeypatch):
    alone = KnownStatements()
    monkeypatch.setattr(statements, "known", alone)
    asked(SQLITE, BETS, "star")
    alone.save()
    assert alone.find((SQLITE.module, "star", BETS, ()), BETS.columns) is None
    assert "sqlalchemy" in sys.modules
