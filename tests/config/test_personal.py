"""Contact details never leave in the clear unasked."""

from __future__ import annotations

import pytest

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.config.personal import looks_identifying, looks_personal, undecided_pii, unprotected_pii

from .conftest import MINIMAL


@pytest.mark.parametrize(
    "name",
    [
        "user_email",
        "email",
        "e_mail",
        "Email",
        "contactEmail",
        "email_address",
        "mail",
        "e_mail_2",
        "user_phone",
        "phone",
        "phone2",
        "mobile",
        "mobile_no",
        "mobileNumber",
        "msisdn",
        "telephone",
        "tel",
        "whatsapp_id",
        "contact-phone",
        "PHONE_NUMBER",
        "secondary.email",
        "cell_phone",
        "telefono",
        "Telefonnummer",
        "correo_electronico",
        "courriel",
        "e-post",
        "móvil",
        "contact_number",
        "puhelin",
    ],
)
def test_names_of_contact_details(name):
    """However a column for an e-mail address or a phone number is written, it is noticed."""
    assert looks_personal(name)


@pytest.mark.parametrize(
    "name",
    [
        "core_is_email_disabled_by_platform",
        "mail_last_clicked_date",
        "email_verified",
        "is_phone_confirmed",
        "phone_model",
        "mobile_os",
        "is_mobile",
        "mobile_app_version",
        "telemetry_id",
        "hotel",
        "cellar_id",
        "user_first_name",
        "email_opt_in",
        "microphone",
        "detail",
        "phone_country_code",
        "telefon_status",
        "post",
    ],
)
def test_names_that_only_speak_of_them(name):
    """Flags, dates and models of phones are no contact details."""
    assert not looks_personal(name)


def test_of_smarticos_own_properties_only_two_are_contact_details():
    """The catalogue knows which of its properties need protection."""
    assert {name for name in PROPERTIES if looks_personal(name)} == {"user_email", "user_phone"}


@pytest.mark.parametrize(
    "name",
    ["user_first_name", "user_last_name", "user_birthdate", "firstName", "last_name", "surname", "dob", "date_of_birth", "birth_date", "birthdate",
     "address", "address_line_1", "home_street", "city", "zip", "postcode", "ip", "last_ip", "login_ip_address", "ipAddress", "iban",
     "bank_account", "passport_no", "passport", "document_number", "national_id", "tax_id", "card_number", "ssn", "username", "userName", "fname",
     "sur_name", "player_name", "cardholder_name", "ipv4", "client_ipv6", "remote_addr", "lastLoginIp", "accountNo", "sort_code", "card_last4",
     "credit_card", "vat_number", "identity_number", "latitude", "house_number", "nombre", "apellidos", "Vorname", "prénom", "nazwisko", "cognome",
     "Geburtsdatum", "fecha_nacimiento", "data_nascita", "Straße", "PLZ", "dirección", "código_postal", "indirizzo", "CPF", "DNI", "pesel",
     "codice_fiscale", "password_hash", "nachname", "strasse", "apellido", "codigo_postal", "addr_1", "Anschrift", "password", "pwd"],
)  # fmt: skip
def test_names_that_say_who_somebody_is(name):
    """Names, birth dates, addresses, IP addresses, accounts and documents are noticed, and are no contact details."""
    assert looks_identifying(name)
    assert not looks_personal(name)


@pytest.mark.parametrize(
    "name",
    ["core_account_status", "user_country", "game_name", "ship", "recipe", "zipped", "velocity", "capacity", "equip", "bicycle", "passport_verified",
     "address_verified", "document_status", "pandemic", "username_length", "provider_name", "team_name", "ip_country_code", "birthday_bonus", "latest", "longest_win", "card_type",
     "account_status", "tournament_name", "nombre_juego", "tier", "core_registration_date", "vip", "description"],
)  # fmt: skip
def test_names_that_say_nothing_of_somebody(name):
    """Words that only resemble one, and what is said about a document, ask for no decision."""
    assert not looks_identifying(name)


def test_a_decision_is_asked_for_once(desk):
    """What the configuration names, protected or in the clear, is decided; so is everything where all is sent plain."""
    sent = {
        "user_first_name": ["fname"],
        "user_birthdate": ["dob"],
        "note": ["passport"],
        "tier": ["tier"],
        "user_email": ["mail"],
    }
    configuration = desk.load(MINIMAL)
    assert undecided_pii(configuration, sent) == ("user_first_name", "user_birthdate", "note")
    decided = desk.load(
        MINIMAL.replace(
            "pii:\n", "pii:\n  properties: [user_email, note]\n  in_the_clear: [user_first_name, user_birthdate]\n"
        )
    )
    assert undecided_pii(decided, sent) == ()
    assert undecided_pii(desk.load(MINIMAL.replace("pii:\n", "pii:\n  mode: plain\n")), sent) == ()


WIRE = ("core_username", "user_email", "user_phone", "email", "lottery")


@pytest.mark.parametrize(
    ("pii", "expected"),
    [
        ("mode: encrypt", ("email",)),
        ("mode: drop", ("email",)),
        ("mode: plain", ()),
        ("properties: []", ("user_email", "user_phone", "email")),
        ("properties: [user_email, user_phone, email]", ()),
        ("in_the_clear: email", ()),
        ("{properties: user_email, in_the_clear: [email]}", ("user_phone",)),
    ],
)
def test_what_would_leave_in_the_clear(desk, pii, expected):
    """Every contact detail on the wire is protected, or in the clear because the configuration says so by name."""
    lines = pii.strip("{}").replace(", in_the", "\n  in_the")
    found = desk.edited("pii:\n", f"pii:\n  {lines}\n")
    assert unprotected_pii(found, found.views[0], WIRE) == expected


def test_a_renamed_contact_detail_is_still_one(desk):
    """A column of e-mail addresses under an innocent name is refused, at its line, with the ways out."""
    assert desk.error("cursor: dt_update", "cursor: dt_update\n    columns: {user_email: contact, x: y}") == (
        "18:27: views[0].columns.user_email: user_email as contact would leave in the clear; add contact to "
        "`pii.properties`, map the column to user_email or user_phone, or write null to leave it out (`pii.in_the_clear` "
        "says that it may)"
    )


@pytest.mark.parametrize("target", ["user_email", "null"])
def test_ways_out(desk, target):
    """Mapping a contact column to a protected property, or leaving it out, is fine."""
    assert desk.edited("cursor: dt_update", f"cursor: dt_update\n    columns: {{email: {target}}}")


def test_plain_says_it_in_words(desk):
    """With `mode: plain` everything may leave, and no key is needed."""
    text = MINIMAL.replace("key: ${SYNC_PII_KEY}", "mode: plain").replace("dt_update", "dt\n    columns: {email: mail}")
    assert desk.load(text).pii.mode == "plain"
