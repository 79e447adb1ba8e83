"""What Oracle says of itself: standbys and their lag, rights, RAC."""

from __future__ import annotations

from smartico_sync.core.relation import Relation
from sources.oracle.answers import ID, NOW_MS, column, says
from stand_ins.oracle.values import Answer, Field

BETS = Relation("bets", "id", ("id",), relation="bets")


def standby(lag, age=0):
    """A standby's answers: `lag` as V$DATAGUARD_STATS has it, computed so many seconds ago; an error number: not shown."""
    fields = [Field("T"), Field("T")]
    shown = (
        Answer(error=lag) if isinstance(lag, int) else Answer([Field("T"), Field("N", "NUMBER", 0, -127)], [(lag, age)])
    )
    return {"DATAGUARD_STATS": shown, "SYSTIMESTAMP": Answer(fields, [("2026-03-01 10:00:00.250", "PHYSICAL STANDBY")])}


def test_a_standbys_clock_is_what_it_has_applied(listener, configured):
    """The lag, and the age of that figure, are taken from now; the clock never runs backwards, and stands when nothing is known."""
    heard, desk = listener(says([ID]))
    source = configured(heard.url())
    described = source.describe(BETS)
    clocks = []
    for lag, age in [
        ("+00 00:01:30", 5),
        ("+00 01:00:00", 0),
        ("+00 00:00:10.5", 2),
        (None, 0),
        ("+00 00:00:00", -3600),
    ]:
        desk.says = says([ID], **standby(lag, age))
        with source.reading(described) as reading:
            clocks.append(NOW_MS - reading.clock_ms)
    assert clocks == [96_000, 96_000, 13_000, 13_000, 13_000]
    desk.says = says([ID], **standby("+00 00:00:07", 1))
    facts = source.facts
    desk.says = says([ID], PRODUCT_COMPONENT_VERSION=SERVER, **standby("+00 00:00:07", 1))
    assert (facts().role, facts().replay_lag_ms) == ("physical standby", 8000)


SERVER = Answer([Field("T")] * 4, [("19.0.0.0.0", "+02:00", "READER", "FALSE")])


def told_facts(listener, configured, **more):
    heard, _ = listener(says([ID], PRODUCT_COMPONENT_VERSION=SERVER, **more))
    return configured(heard.url()).facts()


def test_a_standby_that_hides_its_lag_is_told(listener, configured):
    """Without a right to V$DATAGUARD_STATS the clock is now, and a warning says what to grant."""
    facts = told_facts(listener, configured, **standby(942))
    assert facts.role == "physical standby"
    assert facts.replay_lag_ms is None
    assert any("V_$DATAGUARD_STATS" in warning for warning in facts.warnings)


def test_a_reader_draws_no_warning(listener, configured):
    """A user that may only connect and read: no warnings; and the fence is said to be impossible."""
    facts = told_facts(listener, configured, SESSION_PRIVS=column("CREATE SESSION"))
    assert facts.warnings == ()
    assert (facts.engine, facts.version, facts.role, facts.timezone) == ("oracle", "19.0.0.0.0", "primary", "UTC+02:00")
    assert facts.fence


def test_rights_beyond_reading_are_told(listener, configured):
    """System privileges, rights to change tables, and tables of the user's own."""
    facts = told_facts(
        listener, configured, SESSION_PRIVS=column("CREATE SESSION", "DROP ANY TABLE"), ALL_TAB_PRIVS=column("3"), USER_TABLES=column("2")
    )  # fmt: skip
    (warning,) = facts.warnings
    assert "DROP ANY TABLE" in warning
    assert "change 3 tables" in warning
    assert "2 tables that it owns" in warning


def test_rac_is_told_with_its_unordered_sequences(listener, configured):
    """On a cluster ids of NOORDER sequences are not in order: the warning names them."""
    facts = told_facts(
        listener, configured, IS_CLUSTER_DATABASE=Answer(error=20001), ALL_SEQUENCES=column("CASINO.BET_IDS"), SESSION_PRIVS=column()
    )  # fmt: skip
    (warning,) = facts.warnings
    assert "RAC" in warning
    assert "CASINO.BET_IDS" in warning
