"""What becomes of values that break a rule, of a currency that changes and of a first load, poll by poll, on a real PostgreSQL."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from daemon.deposits import TrackedView as Polling
from smartico_sync.cli.status import show
from smartico_sync.errors import ConfigError
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.health import assess

USERS = (
    """CREATE TABLE users (user_ext_id int PRIMARY KEY, ext_brand_id text DEFAULT 'b', dt_update timestamptz DEFAULT clock_timestamp(),
        core_account_status text DEFAULT 'ACTIVE', core_registration_date timestamptz DEFAULT '2020-01-01', core_user_language text DEFAULT 'EN',
        core_wallet_currency text DEFAULT 'EUR', user_birthdate date, user_first_name text DEFAULT 'Ann', core_tags text DEFAULT '["vip"]',
        core_is_email_disabled boolean DEFAULT true)""",
    "CREATE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
)
VIEW = "  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 50ms%s}\n"
POLICIES = ["report", "omit", "dead_letter"]


class TrackedUsers(Polling):
    """The daemon's parts over the users, and the database they are in."""

    def __init__(self, operator, stack, database):
        super().__init__(operator, stack)
        self.database = database

    def insert(self, number, **values):
        names, texts = (
            ", ".join(["user_ext_id", *values]),
            ", ".join([str(number), *(f"'{text}'" for text in values.values())]),
        )
        self.database.execute(f"INSERT INTO users ({names}) VALUES ({texts})")

    def change(self, number, **values):
        sets = ", ".join(f"{name} = '{text}'" for name, text in values.items())
        self.database.execute(f"UPDATE users SET {sets}, dt_update = clock_timestamp() WHERE user_ext_id = {number}")

    def sent(self):
        """(player, payload) of every event, in order."""
        return [(int(event["user_ext_id"]), event["payload"]) for event in self.operator.accepted()]

    def dead_letters(self):
        return [(each.row.key, each.code, each.reason) for each in self.parts.store.all_dead_letters()]

    def asked(self, path):
        """What the daemon's endpoint says."""
        endpoint = Endpoint("127.0.0.1:0", self.parts.board, self.parts.delivery.status)
        try:
            status, _, body = endpoint.answer(path)
        finally:
            endpoint.close()
        assert status == 200
        return body.decode()

    def adds_up(self):
        counts = dict(self.status.counts)
        return counts.pop("read") == sum(counts.values())


@pytest.fixture
def tracked(operator, postgresql):
    """A tracked view over the users of a real PostgreSQL, configured by `more` keys of the view; made again, it takes up the state."""
    postgresql.execute(*USERS)
    with ExitStack() as stack:

        def made(more=""):
            stack.close()
            operator.configure(postgresql.url, VIEW % more)
            return TrackedUsers(operator, stack, postgresql)

        yield made


@pytest.mark.parametrize("policy", POLICIES)
def test_a_value_that_breaks_a_rule_follows_the_policy(tracked, policy):
    """Sent and counted, left out and counted, or given up with the property as the reason; good rows are never touched."""
    day = tracked(f", on_invalid: {policy}")
    day.insert(1)
    day.insert(2, core_user_language="english", user_birthdate="2999-01-01")
    day.insert(3, core_account_status="GONE")
    status = day.poll()
    assert status.state == "live"
    assert status.invalid == {"core_user_language": 1, "user_birthdate": 1, "core_account_status": 1}
    sent = dict(day.sent())
    assert sent[1]["core_user_language"] == "EN"
    if policy == "report":
        assert sent[2]["core_user_language"] == "english"
        assert sent[2]["user_birthdate"] > 32_000_000_000_000
        assert sent[3]["core_account_status"] == "GONE"
    elif policy == "omit":
        assert not {"core_user_language", "user_birthdate"} & set(sent[2])
        assert "core_account_status" not in sent[3]
        assert sent[2]["user_first_name"] == sent[3]["user_first_name"] == "Ann"
    else:
        assert set(sent) == {1}
        (second, third) = day.dead_letters()
        assert (second[0], second[1]) == ("b,2", 0)
        assert second[2] == "core_user_language must be two capitals such as EN"
        assert (third[0], third[1]) == ("b,3", 0)
        assert third[2].startswith("core_account_status must be one of ACTIVE, ")
        assert "GONE" not in third[2]
    assert day.adds_up()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_mended_value_is_delivered(tracked, policy):
    """Once the row is mended it goes out whole, whatever became of it before."""
    day = tracked(f", on_invalid: {policy}")
    day.insert(1, core_user_language="english")
    day.poll()
    day.change(1, core_user_language="MT")
    day.poll()
    assert day.sent()[-1][1]["core_user_language"] == "MT"
    assert day.status.invalid == {"core_user_language": 1}
    assert day.adds_up()


@pytest.mark.parametrize("policy", POLICIES)
def test_broken_values_are_counted_where_an_operator_looks(tracked, policy, capsys):
    """Metrics count them by property, the status names view and property, and both answer while rows are dead letters."""
    day = tracked(f", on_invalid: {policy}")
    day.insert(1, core_user_language="english")
    day.insert(2, core_user_language="maltese", core_account_status="GONE")
    day.poll()
    metrics = day.asked("/metrics")
    assert 'smartico_sync_invalid_values_total{property="core_user_language",view="users"} 2.0' in metrics
    assert 'smartico_sync_invalid_values_total{property="core_account_status",view="users"} 1.0' in metrics
    told = json.loads(day.asked("/status.json"))
    assert told["views"][0]["invalid"] == {"core_user_language": 2, "core_account_status": 1}
    assert told["views"][0]["dead"] == ({"0": 2} if policy == "dead_letter" else {})
    show(told)
    shown = capsys.readouterr().out
    assert "3 values broke a rule" in shown
    assert "core_user_language 2" in shown
    headline = "Delivered, but for 2 rows given up" if policy == "dead_letter" else "Everything is delivered"
    assert headline in day.asked("/")
    assert not any(
        value in metrics + shown + json.dumps(told) + day.asked("/") for value in ("english", "maltese", "GONE")
    )


@pytest.mark.parametrize("payload", ["full", "changed"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_currency_never_changes_unnoticed(tracked, policy, payload):
    """A player's changed currency is held back and counted, or given up, also with every later change and after a restart."""
    more = f", on_invalid: {policy}, payload: {payload}"
    day = tracked(more)
    day.insert(1)
    day.insert(2)
    day.poll()
    assert day.status.invalid == {}
    day.change(1, core_wallet_currency="USD", user_first_name="Bea")
    day.change(2, user_first_name="Eve")
    day.poll()
    assert day.status.invalid == {"core_wallet_currency": 1}
    day = tracked(more)
    day.change(1, user_first_name="Cat")
    day.poll()
    mine = [payload for player, payload in day.sent() if player == 1]
    currencies = [payload.get("core_wallet_currency") for payload in mine]
    if policy in ("report", "omit"):
        assert currencies == ["EUR", None, None]
        assert [payload["user_first_name"] for payload in mine] == ["Ann", "Bea", "Cat"]
    else:
        assert currencies == ["EUR"]
        assert [reason for _, _, reason in day.dead_letters()] == [
            "core_wallet_currency must be what it was: it can never change"
        ] * 2
    assert [payload["user_first_name"] for player, payload in day.sent() if player == 2] == ["Ann", "Eve"]
    day.change(1, core_wallet_currency="EUR", user_first_name="Dee")
    day.poll()
    last = day.sent()[-1][1]
    assert last["user_first_name"] == "Dee"
    assert day.adds_up()


def test_a_currency_that_is_left_out_alone_says_nothing(tracked):
    """With `payload: changed` an event that would hold nothing but the changed currency is not sent."""
    day = tracked(", on_invalid: omit, payload: changed")
    day.insert(1)
    day.poll()
    day.change(1, core_wallet_currency="USD")
    day.poll()
    assert len(day.sent()) == 1
    assert day.status.invalid == {"core_wallet_currency": 1}
    assert day.status.counts["unchanged"] == 1
    day.change(1, user_first_name="Bea")
    day.poll()
    assert day.sent()[1][1] == {"user_first_name": "Bea"}
    assert day.adds_up()


def test_a_currency_that_comes_late_is_no_change(tracked):
    """A wallet without a currency may get one, and lose it again."""
    day = tracked(", on_invalid: dead_letter")
    day.database.execute("INSERT INTO users (user_ext_id, core_wallet_currency) VALUES (1, NULL)")
    day.poll()
    day.change(1, core_wallet_currency="EUR")
    day.poll()
    assert [payload.get("core_wallet_currency") for _, payload in day.sent()] == [None, "EUR"]
    assert day.status.invalid == {}


def test_what_smartico_computes_is_never_sent(tracked):
    """Properties that Smartico owns stay behind, a change of them alone sends nothing, and none can be mapped to."""
    day = tracked()
    day.insert(1)
    day.poll()
    day.change(1, core_tags='["gone"]', core_is_email_disabled="false")
    day.poll()
    ((_, payload),) = day.sent()
    assert not {"core_tags", "core_is_email_disabled"} & set(payload)
    assert day.status.counts["unchanged"] == 1
    assert day.operator.sandbox.stats()["violations"] == {}
    with pytest.raises(ConfigError, match=r"views.yaml"):
        tracked(", columns: {user_birthdate: core_user_last_time_online}")


@pytest.mark.parametrize(
    ("policy", "marked"), [("never", [False] * 4), ("first_load", [True, True, False, False]), ("always", [True] * 4)]
)
def test_automations_are_skipped_as_configured(tracked, policy, marked):
    """Profiles of the first load, of every load or none say that they start no automation; a restart begins no first load."""
    day = tracked(f", skip_cjm: {policy}, page_rows: 1")
    day.insert(1)
    day.insert(2)
    day.poll()
    day.change(2, user_first_name="Bea")
    day.poll()
    day = tracked(f", skip_cjm: {policy}, page_rows: 1")
    day.insert(3)
    day.poll()
    sent = sorted(day.sent(), key=lambda event: event[0])  # requests of two players may overtake each other
    assert [player for player, _ in sent] == [1, 2, 2, 3]
    assert [payload.get("skip_cjm", False) for _, payload in sent] == marked
    day.database.execute("UPDATE users SET dt_update = clock_timestamp()")
    day.poll()
    assert len(day.sent()) == 4


def test_a_first_load_that_ends_early_goes_on_as_one(tracked, monkeypatch):
    """A daemon that dies after some pages of its first load marks the rest as well, when it is back."""
    day = tracked(", skip_cjm: first_load, page_rows: 2")
    for number in range(1, 7):
        day.insert(number)
    committed = day.parts.store.commit

    def once(commit):
        seq = committed(commit)
        if commit.counts:
            raise SystemExit
        return seq

    monkeypatch.setattr(day.parts.store, "commit", once)
    with pytest.raises(SystemExit):
        day.poll()
    monkeypatch.undo()
    day = tracked(", skip_cjm: first_load, page_rows: 2")
    day.operator.sandbox.set_faults([])
    day.insert(7)
    day.poll()
    day.insert(8)
    day.poll()
    marked = {player: payload.get("skip_cjm", False) for player, payload in day.sent()}
    assert marked == {**dict.fromkeys(range(1, 8), True), 8: False}


def test_nothing_to_load_is_a_first_load_too(tracked):
    """Where a view begins at the present, or empty, the first player who registers is a new one."""
    day = tracked(", skip_cjm: first_load, start_from: now")
    day.insert(1)
    day.poll()
    day.insert(2)
    day.poll()
    assert [(player, payload.get("skip_cjm", False)) for player, payload in day.sent()] == [(2, False)]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_cannot_be_read_costs_itself_only(tracked, policy):
    """An optional value that no one can read is left out and counted, and its player delivered; or given up where that is asked for."""
    day = tracked(f", on_invalid: {policy}")
    day.database.execute(
        "ALTER TABLE users ADD core_affiliate_id text, ADD acc_bonus_abuser text, ADD core_ftd_date text"
    )
    day = tracked(f", on_invalid: {policy}")
    day.insert(1, core_affiliate_id="12", acc_bonus_abuser="on", core_ftd_date="2026-01-01")
    day.insert(2, core_affiliate_id="", acc_bonus_abuser="maybe", core_ftd_date="0000-00-00")
    day.insert(3, core_affiliate_id="john24", core_ftd_date="yesterday")
    day.poll()
    sent = dict(day.sent())
    assert {name: sent[1][name] for name in ("core_affiliate_id", "acc_bonus_abuser", "core_ftd_date")} == {
        "core_affiliate_id": 12, "acc_bonus_abuser": True, "core_ftd_date": 1_767_225_600_000,
    }  # fmt: skip
    if policy == "dead_letter":
        assert set(sent) == {1}
        assert [reason for _, _, reason in day.dead_letters()] == [
            "column acc_bonus_abuser: not a boolean, which acc_bonus_abuser must be",
            "column core_ftd_date: not a date, which core_ftd_date must be",
        ]
    else:
        assert day.status.invalid == {"acc_bonus_abuser": 1, "core_ftd_date": 1}
        assert not {"core_affiliate_id", "acc_bonus_abuser", "core_ftd_date"} & set(sent[2])
        assert sent[3]["core_affiliate_str"] == "john24"
        assert sent[3]["user_first_name"] == "Ann"
    assert day.adds_up()


@pytest.mark.parametrize("payload", ["full", "changed"])
@pytest.mark.parametrize(
    ("on_null", "cleared"),
    [("", {"!user_email"}), (", on_null: clear", {"!user_email", "!user_first_name"}), (", on_null: omit", set())],
)
def test_what_was_sent_and_is_gone_is_cleared(tracked, payload, on_null, cleared):
    """A player who is anonymised is so at Smartico: personal data always, unless `on_null:` says otherwise; what was never sent is not cleared."""
    day = tracked()
    day.database.execute("ALTER TABLE users ADD user_email text, ADD user_phone text")
    more = f", payload: {payload}{on_null}"
    day = tracked(more)
    day.insert(1, user_email="a@example.com")
    day.insert(2)
    day.poll()
    day.database.execute(
        "UPDATE users SET user_email = NULL, user_phone = NULL, user_first_name = NULL, core_account_status = 'BLOCKED', dt_update = clock_timestamp()"
    )
    day = tracked(more)
    day.poll()
    day.change(1, core_account_status="ACTIVE")
    day.poll()
    said = [(player, {name for name in payload if name.startswith("!")}) for player, payload in day.sent()]
    assert said == [(1, set()), (2, set()), (1, cleared), (2, cleared - {"!user_email"}), (1, set())]
    assert day.operator.sandbox.stats()["violations"] == {}
    assert day.adds_up()


def test_rows_that_are_left_out_are_counted(tracked):
    """Test players never go out, and the rows add up all the same: read = … + skipped."""
    day = tracked()
    day.database.execute("ALTER TABLE users ADD is_test boolean")
    day = tracked(", where: {is_test: false}, columns: {is_test: null}")
    day.insert(1)
    day.insert(2, is_test="true")
    day.insert(3, is_test="false")
    status = day.poll()
    assert [player for player, _ in day.sent()] == [1, 3]
    assert status.counts["skipped"] == 1
    assert day.adds_up()


def test_statuses_and_codes_are_written_as_smartico_has_them(tracked):
    """What differs in the way it is written is folded, or sent as it is and counted."""
    day = tracked()
    # A time that ends in whole milliseconds would be read again under the second configuration, as one that may not be over.
    written = {"core_account_status": "Self excluded", "core_user_language": "en-GB", "core_wallet_currency": "eur"}
    day.insert(1, dt_update="2026-01-01T10:00:00.123457Z", **written)
    day.poll()
    ((_, payload),) = day.sent()
    assert [payload[name] for name in ("core_account_status", "core_user_language", "core_wallet_currency")] == [
        "SELF_EXCLUDED",
        "EN",
        "EUR",
    ]
    assert day.status.invalid == {}
    day = tracked(", columns: {core_user_language: {fold: off}}")
    day.insert(2, core_account_status="Active", core_user_language="en-GB")
    day.poll()
    assert (day.sent()[-1][1]["core_account_status"], day.sent()[-1][1]["core_user_language"]) == ("ACTIVE", "en-GB")
    assert day.status.invalid == {"core_user_language": 1}


def test_a_view_with_several_rows_of_one_player_says_so(operator, postgresql):
    """Two rows of a player in one page are logged once, counted by each poll that sees them, and a finding."""
    postgresql.execute(
        *USERS, "CREATE VIEW doubled AS SELECT * FROM users UNION ALL SELECT * FROM users WHERE user_ext_id = 2"
    )
    operator.configure(postgresql.url, (VIEW % "").replace("relation: users", "relation: doubled"))
    with ExitStack() as stack:
        day = TrackedUsers(operator, stack, postgresql)
        day.insert(1)
        assert day.poll().repeated_profiles == 0
        day.insert(2)
        assert day.poll().repeated_profiles == 2
        day.change(2, core_user_language="MT")
        status = day.poll()
        assert status.repeated_profiles == 4
        (told,) = [each for each in assess([status], ()).findings if each.code == "repeated_profiles"]
        assert "the key is not unique" in told.message
        assert "one row for each player" in told.hint
        assert [player for player, _ in day.sent()] == [1, 2, 2]
