"""The short form of `make torture`: real primary, real replica, writers that take their ids early and stay open."""

from __future__ import annotations

import pytest
from bench import torture as long_form
from bench.stages import Mysql, Postgres
from bench.torture import Result, torture

from servers.mariadb import Server
from servers.postgresql import binaries

SECONDS, LONGEST_S = 8, 4


@pytest.mark.slow
@pytest.mark.parametrize("stage", [Postgres, Mysql], ids=lambda stage: stage.name)
def test_no_mechanism_loses_a_row_where_naive_polling_does(stage):
    """Through views on a replica, with SELECT alone: fence, gaps and lookback deliver every committed row, and once."""
    if (stage is Postgres and binaries() is None) or (stage is Mysql and Server.missing()):
        pytest.skip(f"{stage.name} is not installed: tests/servers/provision")
    with stage() as staged:
        results = {result.name: result for result in torture(staged, SECONDS, LONGEST_S)}
    for name in stage.views:
        assert (results[name].lost, results[name].twice) == (0, 0), name
    assert results["naive: id > W"].lost
    assert results["naive: ts > W"].lost


class Staged:
    """A stage on which nothing happens."""

    name, views, writers = "postgresql", ("fence",), 24

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize(
    ("lost", "twice", "code"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1)],
    ids=["only a naive reader loses rows", "a row is lost", "a row is sent twice"],
)
def test_the_long_form_ends_with_1_when_a_row_is_lost_or_sent_twice(monkeypatch, lost, twice, code):
    """Whoever runs it every night learns from the exit code alone that a promise broke."""
    results = [Result("fence", 100, lost, twice, 0, 1.0, 2.0), Result("naive: id > W", 100, 9, 0, 0, 1.0, 2.0)]
    monkeypatch.setattr(long_form, "Postgres", Staged)
    monkeypatch.setattr(long_form, "torture", lambda *_: results)
    monkeypatch.setattr("sys.argv", ["torture", "--stage", "postgresql"])
    assert long_form.main() == code
