"""The short form of `make torture`: real primary, real replica, writers that take their ids early and stay open."""

from __future__ import annotations

import pytest
from bench.stages import Mysql, Postgres
from bench.torture import torture

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
