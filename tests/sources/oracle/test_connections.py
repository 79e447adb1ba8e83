"""Oracle's connections beyond the contract: failures, silence, time limits, restarts."""

from __future__ import annotations

import gc
import threading

import oracledb
import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import (
    RowsTooWide,
    SourceCancelled,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    ViewBroken,
)
from smartico_sync.sources.kit import intake
from smartico_sync.sources.kit.abandonable import MOST_ABANDONED
from smartico_sync.sources.oracle import session
from sources.oracle.answers import ID, NOW_MS, says
from stand_ins.oracle.values import Answer, Field
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")
FAILURES = [
    (942, ViewBroken), (904, ViewBroken), (4063, ViewBroken), (1722, ViewBroken), (6512, ViewBroken), (932, ViewBroken),
    (1031, SourceRefused), (1017, SourceRefused), (28000, SourceRefused), (1456, SourceRefused),
    (1555, SourceCancelled), (1466, SourceCancelled), (1013, SourceCancelled), (8103, SourceCancelled),
    (1033, SourceUnreachable), (1089, SourceUnreachable), (3113, SourceUnreachable), (600, SourceUnreachable),
]  # fmt: skip


@pytest.mark.parametrize(("code", "failure"), FAILURES)
def test_failures_are_ours_and_show_no_value(listener, configured, code, failure):
    """The server's words may quote a row; ours say what happened and what to do, with its number."""
    heard, _ = listener(says([ID], **{"1 = 0": Answer(error=code, message="invalid number: secret@mail")}))
    with pytest.raises(failure) as told:
        configured(heard.url()).describe(BETS)
    assert type(told.value) is failure
    assert "secret" not in told.value.message + told.value.hint
    assert told.value.hint


def test_a_dropped_column_is_named(listener, configured):
    """A view that loses a column after describe(): ViewBroken that names it."""
    heard, desk = listener(says([ID, Field("AMOUNT", "NUMBER", 18, 2)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID, Field("AMOUNT_REAL", "NUMBER", 18, 2)], ROWNUM=Answer(error=904))
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_page_that_fails_leaves_no_cursor_to_the_garbage_collector(listener, configured):
    """The driver takes a lock when a cursor is forgotten: in the midst of a statement it would wait for itself, for ever."""
    heard, desk = listener(says([ID]))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID], ROWNUM=Answer(error=1555))
    gc.collect()
    gc.disable()
    try:
        others = cursors()
        with pytest.raises(SourceCancelled), source.reading(described) as reading:
            reading.page(None, 5)
        assert cursors() == others
    finally:
        gc.enable()


def test_wide_rows_are_given_up_behind_the_first_of_them(listener, configured, monkeypatch):
    """Of an answer that is too large no more is fetched than a portion, and its cursor is not left to the collector either."""
    monkeypatch.setattr(intake, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(session, "COUNTED_BATCH", 20)
    heard, desk = listener(says([ID, Field("NOTE")]))
    source = configured(heard.url())
    described = source.describe(BETS)
    wide = [(number, "x" * 3_000) for number in range(1_000)]
    desk.says = says([ID, Field("NOTE"), Field("C"), Field("K")], ROWNUM=wide_answer(wide))
    gc.collect()
    gc.disable()
    try:
        others = cursors()
        with pytest.raises(RowsTooWide) as told, source.reading(described) as reading:
            reading.page(None, 999)
        assert 333 <= told.value.rows < 360
        assert cursors() == others
    finally:
        gc.enable()
    with source.reading(described) as reading:
        assert reading.clock_ms == NOW_MS


def wide_answer(rows):
    """As a page of them."""
    return Answer(
        [ID, Field("NOTE"), Field("C"), Field("K")], [(number, note, str(number), str(number)) for number, note in rows]
    )


def cursors():
    """Those of the driver that somebody still holds."""
    return [each for each in gc.get_objects() if type(each) is oracledb.Cursor]


@pytest.mark.parametrize(
    ("code", "words"), [(12514, "does not know the service"), (12505, "does not know the SID"), (12528, "cannot serve us"),
                        (12516, "takes no more connections"), (1033, "cannot serve us")]
)  # fmt: skip
def test_a_listener_that_refuses_is_tried_again(listener, configured, code, words):
    """A service that is not registered yet, a database that is full or starting: SourceUnreachable, so it is tried again."""
    heard, _ = listener(refuse=code)
    with pytest.raises(SourceUnreachable, match=words):
        configured(heard.url()).facts()


def calls():
    """The threads in which calls wait that nobody can interrupt."""
    return {thread for thread in threading.enumerate() if thread.name == "source-calls"}


def test_a_silent_listener_is_given_up(configured, proxied, listener):
    """Between TCP and login the driver has no limit of its own: ours ends the wait, and no more than a few hang at once."""
    heard, _ = listener(says([ID]))
    proxy = proxied(heard.port)
    proxy.black_hole()
    before = calls()  # other tests of the process may have left some
    source = configured(heard.url(port=proxy.port) + "?connect_timeout=0.1")
    for attempt in range(MOST_ABANDONED + 2):
        with pytest.raises(SourceUnreachable, match="in time" if attempt < MOST_ABANDONED else "earlier calls"):
            source.facts()
    assert len(calls() - before) == MOST_ABANDONED
    proxy.mend()
    proxy.drop()
    until(lambda: not calls() - before)
    assert source.describe(BETS).columns


def test_a_slow_query_is_cancelled(listener, configured):
    """statement_timeout: the driver asks the server to stop, SourceCancelled, and the session goes on."""
    never = threading.Event()
    heard, desk = listener(says([ID]))
    source = configured(heard.url(), statement_timeout="100ms", pool=1)
    described = source.describe(BETS)
    desk.says = says([ID], ROWNUM=Answer([ID], after=never))
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 5)
    desk.says = says([ID], [(7,)])
    with source.reading(described) as reading:
        assert reading.page(None, 5)["id"].to_list() == [7]


def test_a_server_that_went_away_is_found_again(listener, configured):
    """Restarted while idle: the next reading works. Restarted while reading: at most that reading fails."""
    heard, _ = listener(says([ID], [(7,)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    heard.drop()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        heard.drop()
        reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_close_ends_what_is_under_way(listener, configured):
    """close() from another thread ends a waiting read with a SourceError."""
    never = threading.Event()
    heard, desk = listener(says([ID]))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID], ROWNUM=Answer([ID], after=never))
    failures = []

    def read():
        try:
            with source.reading(described) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: any("ROWNUM" in asked.text for asked in desk.asked))
    source.close()
    reader.join()
    assert failures
