"""Which tables mean what: by names, types and values, and never by a guess that could lose or double money."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from smartico_sync.core.relation import Column
from smartico_sync.core.tables import Reference, Structure, Table
from smartico_sync.proposal.document import Heading, configuration, script
from smartico_sync.proposal.names import meaning, own_names, subject
from smartico_sync.proposal.propose import propose
from smartico_sync.sources.sql.ddl import shortened

FAMILIES = {"i": "integer", "t": "text", "d": "decimal", "ts": "timestamp", "b": "boolean"}


def table(name, columns, *references, key=("id",), view="table"):
    """A table of `column:family` words."""
    pairs = [word.partition(":") for word in columns.split()]
    structure = Structure(references=references, view=view)
    structure = structure if view == "view" or not key else structure.with_key(key)
    return Table(
        name, tuple(Column(column, family or "t", FAMILIES[family or "t"]) for column, _, family in pairs), structure
    )


PLAYERS = table("players", "id:i brand email password_hash status updated_at:ts")
PAYMENTS = table("payments", "id:i player_id:i type status amount:d created_at:ts completed_at:ts")


def found(*tables, **values):
    """The proposal; what columns hold, by name."""
    return propose(tables, lambda _, column: values.get(column.name, ()))


def named(proposal, name):
    return next((view for view in proposal.views if view.recipe.name == name), None)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("BET", "bet"), ("bet_placed", "bet"), ("GameWin", "win"), ("JACKPOT_WIN", "win"), ("BetRollback", "bet_rollback"), ("WIN_CANCELLED", "win_rollback"),
        ("refund", "bet_rollback"), ("27", None), ("bonus_grant", None),
    ],
)  # fmt: skip
def test_what_a_casino_calls_its_transactions(value, means):
    """Rollbacks are not taken for what they take back."""
    assert meaning(value, ("bet", "win", "bet_rollback", "win_rollback")) == means


@pytest.mark.parametrize(
    ("value", "means"),
    [("Completed", "final"), ("SUCCESS", "final"), ("paid out", "final"), ("unpaid", None), ("pending_approval", None), ("DECLINED", "failed"),
     ("payment_failed", "failed"), ("incomplete", None), ("not_approved", None)],
)  # fmt: skip
def test_what_a_status_means(value, means):
    """What is not final is never taken for it."""
    assert meaning(value, ("final", "failed")) == means


def test_names_in_any_spelling():
    """Capitals, prefixes and plurals of tables and columns make no difference."""
    assert subject('crm."T_CasinoTransactions"') == "casino_transaction"
    assert "player_id" in own_names("players", "ID")
    assert "updated_at" in own_names("players", "c_UpdatedAt")
    assert "status" in own_names("tbl_players", "playerStatus")


@pytest.mark.parametrize(
    "tables",
    [
        (
            table("Spieler", "id:i marke mailadresse Währung geändert_am:ts"),
            table("einzahlungen", "id:i spieler_id:i betrag:d erstellt_am:ts bestätigt_am:ts"),
            table("auszahlungen", "id:i spieler_id:i betrag:d erstellt_am:ts ausgezahlt_am:ts"),
            table("casino_wetten", "id:i spieler_id:i betrag:d spiel_id datum:ts"),
            table("casino_gewinne", "id:i spieler_id:i betrag:d spiel_id datum:ts"),
            table("boni", "id:i spieler_id:i code betrag:d vergeben_am:ts"),
        ),
        (
            table("jugadores", "id:i marca correo moneda fecha_actualizacion:ts"),
            table("depositos", "id:i jugador_id:i importe:d fecha_creacion:ts fecha_pago:ts"),
            table("retiros", "id:i jugador_id:i monto:d creado_en:ts pagado_en:ts"),
            table("casino_apuestas", "id:i jugador_id:i monto:d juego_id fecha:ts"),
            table("casino_ganancias", "id:i jugador_id:i monto:d juego_id fecha:ts"),
            table("bonos", "id:i jugador_id:i codigo monto:d otorgado_en:ts"),
        ),
    ],
    ids=["german", "spanish"],
)
def test_a_casino_in_another_language(tables):
    """Players, payments, bets, wins and bonuses are found by the words that its operators use."""
    proposal = found(*tables)
    wanted = ("users", "deposits", "withdrawals", "casino_bets", "casino_wins", "bonuses")
    views = {name: named(proposal, name) for name in wanted}
    assert [name for name, view in views.items() if view is None] == [], proposal.missing
    assert [view.table for view in views.values()] == [each.name for each in tables]
    picked = {pick.name for pick in views["users"].plan.columns}
    assert {"user_ext_id", "ext_brand_id", "user_email", "core_wallet_currency"} <= picked
    for name in wanted[1:]:
        assert views[name].brand, name  # told by the player's row


@pytest.mark.parametrize(
    ("value", "means"),
    [("abgeschlossen", "final"), ("Completado", "final"), ("nicht abgeschlossen", None), ("no pagado", None), ("abgelehnt", "failed"), ("rechazado", "failed"), ("offen", None)],
)  # fmt: skip
def test_a_status_in_another_language(value, means):
    """Only what says so is final."""
    assert meaning(value, ("final", "failed")) == means


def test_only_what_is_final_is_a_deposit():
    """The view lets final rows of deposits through, and is tracked by the moment at which they became so."""
    view = named(
        found(PLAYERS, PAYMENTS, type=("IN", "deposit", "payout"), status=("new", "ok", "rejected")), "deposits"
    )
    assert [(each.column, each.values) for each in view.plan.conditions] == [
        ("type", ("deposit",)),
        ("status", ("ok",)),
    ]
    assert (view.cursor, view.index.columns) == ("dt_finalized", ("completed_at", "id"))


def test_a_status_that_nobody_knows_is_told():
    """Where no value that was seen means final, no view is guessed; the file says which values were seen."""
    proposal = found(PLAYERS, PAYMENTS, type=("deposit",), status=("10", "20"))
    assert named(proposal, "deposits") is None
    assert "10, 20" in proposal.missing["deposits"]
    assert "10, 20" in configuration(Heading("http://x", "sqlite:///x", "db"), proposal)


def test_numbers_for_types_are_told():
    """A ledger whose types are numbers is not taken for anything."""
    bets = table("casino_transactions", "id:i player_id:i game_id amount:d type:i created_at:ts")
    proposal = found(PLAYERS, bets, type=(1, 27, 45))
    assert named(proposal, "casino") is None
    assert "1, 27, 45" in proposal.missing["casino"]


def test_a_table_of_players_never_sends_what_nobody_named():
    """Profiles send every column of their view: of a table there is always a view, with the catalogue's columns alone."""
    view = named(found(PLAYERS), "users")
    assert {each.name for each in view.plan.columns} == {
        "user_ext_id",
        "ext_brand_id",
        "user_email",
        "core_account_status",
        "dt_update",
    }
    assert view.left_out == ("password_hash",)


def test_a_view_of_players_sends_no_contact_unasked():
    """A view is taken as it is; an address that is not the catalogue's is left out of what is sent."""
    view = named(
        found(table("crm.user_profile", "user_ext_id:i ext_brand_id dt_update:ts second_email", view="view")), "users"
    )
    assert (view.plan, view.columns) == (None, {"second_email": None})


def test_players_without_a_column_that_moves_are_told():
    """Without a moment of change nothing can be tracked."""
    assert "updated_at" in found(table("players", "id:i email status")).missing["users"]


def test_several_wallets_a_player_are_no_profile():
    """Two balances of one player would overwrite each other for ever."""
    wallets = table("wallets", "id:i player_id:i real_balance:d updated_at:ts")
    assert "several rows a player" in found(PLAYERS, wallets).missing["users_balances"]


def test_a_declared_reference_goes_before_a_name():
    """The brand comes through the column that the database says refers to players."""
    owner = Reference(("owner",), "players", ("id",))
    payments = table("payments", "id:i owner:i player_id:i type status amount:d completed_at:ts", owner)
    view = named(found(PLAYERS, payments, type=("deposit",), status=("done",)), "deposits")
    assert view.plan.joins[0].on == (("owner", "id"),)


def test_amounts_in_whole_numbers_are_asked_about():
    """Cents look like units: the file says how to tell them."""
    payments = table("payments", "id:i player_id:i type status amount:i completed_at:ts")
    text = configuration(
        Heading("http://x", "sqlite:///x", "db"), found(PLAYERS, payments, type=("deposit",), status=("done",))
    )
    assert "# columns: {deposit_amount: {scale: 2}} # if these whole numbers are cents" in text


def test_amounts_whose_name_says_cents_are_taken_for_cents():
    """A deposit is found by it, and what else is written of a column stays beside it."""
    payments = table("payments", "id:i player_id:i type status amount_cents:i balance_after:i completed_at:ts")
    proposal = found(PLAYERS, payments, type=("deposit",), status=("done",))
    assert named(proposal, "deposits").cents == ("deposit_amount",)
    text = configuration(Heading("http://x", "sqlite:///x", "db"), proposal)
    assert "    columns: {deposit_amount: {scale: 2}} # cents, as their names say" in text
    seen = table("deposits", "id:i player_id:i amount_cents:i completed_at:ts ext_brand_id", view="view")
    text = configuration(Heading("http://x", "sqlite:///x", "db"), found(seen))
    assert "amount_cents: {property: deposit_amount, scale: 2}" in text


def test_a_bonus_that_nobody_dates_is_not_proposed():
    """An event needs a moment: the view would be refused by the first check."""
    bonuses = table("bonuses", "id:i player_id:i code amount:d updated_at:ts")
    proposal = found(PLAYERS, bonuses)
    assert named(proposal, "bonuses") is None
    assert "issued_at" in proposal.missing["bonuses"]


def test_nothing_of_a_name_or_value_leaves_its_place():
    """Names and values with the marks of YAML and SQL in them are what they were."""
    odd = 'it\'s: "done" # $HOME'
    payments = table('"my.crm"."Payments"', "id:i player_id:i type status amount:d completed_at:ts")
    proposal = found(PLAYERS, payments, type=(f"deposit {odd}",), status=("done",))
    view = named(proposal, "deposits")
    assert view.relation == '"my.crm".smartico_deposits'
    assert view.plan.conditions[0].values == (f"deposit {odd}",)
    text = configuration(Heading("http://x", "sqlite:///x", "db"), proposal)
    assert """relation: "\\"my.crm\\".smartico_deposits\"""" in text
    assert all(
        line.startswith("--") or line == "made" for line in script(proposal, lambda _: ("made",)).splitlines() if line
    )


def test_what_no_index_can_hold_is_in_none():
    """A brand in a long text: neither the index nor the key has it where the player's id is enough."""
    players = replace(PLAYERS, structure=replace(PLAYERS.structure, unindexed=frozenset({"brand"})))
    users = named(found(players), "users")
    assert (users.index.columns, users.key) == (("updated_at", "id"), ("user_ext_id",))


def test_a_table_without_a_key_has_an_index_in_the_order_of_its_poll():
    """The daemon takes an `id` for the key, whatever the catalogue knows, and so does the index."""
    payments = table("deposits", "id:i player_id:i brand amount:d completed_at:ts", key=())
    assert named(found(payments), "deposits").index.columns == ("completed_at", "id")


def test_names_are_as_long_as_the_database_takes_them():
    """Oracle before 12.2 has 30 characters: views are called otherwise, and columns stay as their table calls them."""
    players = table("players", "id:i brand status sms_opt_out:b updated_at:ts")
    legs = table("sport_legs", "id:i slip_id:i player_id:i brand settled_at:ts placed_at:ts odds:d")
    proposal = propose((players, legs), lambda *_: (), "free", 30)
    users = named(proposal, "users")
    assert users.columns == {"sms_opt_out": "core_is_sms_disabled_by_platform"}
    assert named(proposal, "sport_selections_settled").plan.name == "crm_sport_selections_settled"
    plans = [each.plan for each in proposal.views if each.plan]
    names = [name for plan in plans for name in (plan.name, *(pick.name for pick in plan.columns))]
    assert max(map(len, names)) <= 30
    assert shortened("smartico_casino_transactions_created_at", 30) != shortened(
        "smartico_casino_transactions_created", 30
    )
    assert len(shortened("smartico_casino_transactions_created_at", 30)) == 30
