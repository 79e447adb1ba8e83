"""What `smartico-sync check` tells to do: done to the letter, it mends what it was told of."""

from __future__ import annotations

import json

import pytest

import engines

AT = "'2026-01-03 10:00:00'"
TABLES = (
    (f"CREATE TABLE bets AS SELECT 1 AS id, 'B' AS ext_brand_id, 7 AS user_ext_id, 'r1' AS bet_id, 'BET' AS tx_type, {AT} AS bet_date, {AT} AS settled_at, "
    "2.5 AS amount, 'g' AS game_id UNION ALL SELECT 2, 'B', 7, 'r2', 'WIN', '2026-01-03 10:00:01', '2026-01-03 11:00:01', 3.5, 'g'"),
    (f"CREATE TABLE players AS SELECT 1 AS version, 'B' AS ext_brand_id, 7 AS user_ext_id, {AT} AS dt_update, 'x' AS core_usernam, 'a@b.example' AS e_mail,"
    " 'Anna' AS vorname, 'x' AS password_hash, 'English' AS core_user_language"),
    f"CREATE TABLE bonuses AS SELECT 1 AS id, 'B' AS ext_brand_id, 7 AS user_ext_id, 'done' AS state, {AT} AS issued_at",
)  # fmt: skip
LEDGER = "{name: %s, source: db, relation: bets, kind: casino_bets_and_wins, cursor: id, type: {%s}}"
VIEWS = [
    LEDGER % ("column_of_roles", "column: txtype, bet: BET, win: WIN"),
    LEDGER % ("written_alike", "column: tx_type, bet: BEET, win: WINN, other: ignore"),
    "{name: nobody, source: db, relation: bets, kind: casino_bets, cursor: id, where: {tx_type: Bet}}",
    "{name: placed, source: db, relation: bets, kind: sport_bets_settled, cursor: id, event_date: bet_date, columns: {amount: bet_amount}}",
    "{name: keyless, source: db, relation: bets, kind: casino_bets, cursor: id, key: [bet_idd]}",
    "{name: users, source: db, relation: players, kind: users, cursor: dt_update}",
    "{name: bonuses, source: db, relation: bonuses, kind: bonuses, cursor: id, type: {column: state, issued: new, completed: done}}",
]


@pytest.fixture
def told(operator, request):
    """What `check` says of each of these views: (status, message, hint)."""
    for lite in engines.serve("sqlite", request):
        lite.execute(*TABLES)
        operator.configure(lite.url, "".join(f"  - {view}\n" for view in VIEWS))
        report = json.loads(operator.sync("check", "--json").stdout)
        found: dict[str, list[tuple[str, str, str]]] = {}
        for each in report["findings"]:
            found.setdefault(each["subject"], []).append((each["status"], each["message"], each["hint"]))
        yield found, report


def test_each_hint_names_what_the_view_has_and_the_kind_takes(told):
    """The setting that is wrong is the one that is named, with the words that are right; nothing hides behind the first fault."""
    found, report = told

    def hint(name, *words):
        (hint,) = [hint for _, message, hint in found[f"view {name}"] if all(word in message for word in words)]
        return hint

    assert hint("column_of_roles", "txtype, which `type:` names").startswith(
        "name the one that says what a row is, or write it as the view has it: tx_type"
    )
    assert hint("written_alike", "tx_type has values of no role").startswith(
        "did you mean 'BET' where `type:` has 'BEET', 'WIN' where `type:` has 'WINN'?"
    )
    assert hint("nobody", "`where:` leaves out all of the newest 2 rows: tx_type is never Bet").startswith(
        "write the value"
    )
    assert hint("placed", "`event_date: bet_date` is when it was placed").startswith("take `event_date:` out")
    assert "it has bet_id," in hint("keyless", "bet_idd, which `key:` names")
    assert "completed_at" in hint("bonuses", "of a row that is completed")
    assert "issued_at" not in hint("bonuses", "of a row that is completed")
    assert hint("users", "e_mail would leave in the clear")
    assert hint("users", "vorname, password_hash are personal")
    assert next(view for view in report["views"] if view["name"] == "nobody")["where_without_rows"] == ["tx_type"]


def test_a_hint_that_is_followed_mends(operator, request, told):
    """Each view is changed as it was told, and nothing of that is told again."""
    text = operator.config.read_text()
    for wrong, right in (
        ("column: txtype", "column: tx_type"), ("bet: BEET, win: WINN", "bet: BET, win: WIN"), ("{tx_type: Bet}", "{tx_type: BET}"),
        (", event_date: bet_date", ""), ("[bet_idd]", "[bet_id]"), ("pii:\n", "pii:\n  properties: [e_mail, password_hash]\n  in_the_clear: vorname\n"),
        ("cursor: dt_update", "cursor: dt_update, columns: {core_usernam: core_username}"),
        ("relation: bonuses", "query: 'SELECT *, issued_at AS completed_at FROM bonuses'"),
    ):  # fmt: skip
        assert text.count(wrong) == 1, wrong
        text = text.replace(wrong, right)
    operator.config.write_text(text)
    done = operator.sync("check")
    for words in (
        "which `type:`",
        "did you mean",
        "leaves out",
        "placed or asked",
        "which `key:`",
        "vorname, password_hash are",
        "e_mail would",
        "says when an event",
    ):
        assert words not in done.stdout, done.stdout
    assert done.returncode == 0
    assert "core_user_language must be two capitals such as EN" in done.stdout
