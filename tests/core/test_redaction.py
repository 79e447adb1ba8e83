"""Words of others, without the values in them."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.redaction import LONGEST, from_api, from_database

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOCALS = st.from_regex(r"[A-Za-z][A-Za-z0-9.+_-]{6,18}[a-z0-9]", fullmatch=True)
EMAILS = st.builds("{}@{}.example".format, LOCALS, st.from_regex(r"[a-z]{3,9}", fullmatch=True))
PHONES = st.from_regex(r"(\+|00)?[1-9][0-9]{8,12}", fullmatch=True)
SENTENCES = st.sampled_from(
    [
        "Property user_email faled: %s",
        "Duplicate contact %s, see %s",
        '{"a": "%s"}',
        "a=%s&b=%s",
        "refused <%s>",
        "%s",
        "x" * 630 + " %s",
    ]
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Access denied/Access denied", "Access denied/Access denied"),
        ("User not found", "User not found"),
        ("Unknown ext_brand_id", "Unknown ext_brand_id"),
        (
            "Property acc_last_deposit_amount must be a number, min 0",
            "Property acc_last_deposit_amount must be a number, min 0",
        ),
        ("NumberFormatException in custom_2fa_1", "NumberFormatException in custom_2fa_1"),
        ("Property user_email faled to parse value joe, error: x", "Property user_email faled to parse value …"),
        ("Property user_phone: (356) 99 07-7003 is taken", "Property user_phone: … is taken"),
        ("Cannot store {'user_email': 'joe@x.example'} of 17", "Cannot store … of 17"),
        ("Property loyalty_level is missing", "Property loyalty_level is missing"),
        ("Player John Smith, Baker Street 12 already exists", "Player … 12 already exists"),
        ("Contact O'Brien-Lopez is blocked", "Contact … is blocked"),
        ("user john_smith not found", "user … not found"),
        ("Invalid token qwertyuiopasdfg", "Invalid token …"),
        ("TypeError: MARIA ROSSI has no e-mail", "TypeError: … has no …"),
        ("", ""),
    ],
)
def test_words_stay_and_values_go(said, kept):
    """What an operator needs to know of a refusal stays: its words and the names of properties."""
    assert from_api(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('relation "crm.users_20260101" does not exist', 'relation "crm.users_20260101" does not exist'),
        ("column u.user_email does not exist", "column u.user_email does not exist"),
        ('relation "joe@mail" does not exist', 'relation "…" does not exist'),
        ("nobody may see +35699017003", "nobody may see …"),
    ],
)
def test_a_database_may_name_what_is_missing(said, kept):
    """Names of tables and columns stay, addresses and phone numbers go."""
    assert from_database(said) == kept


@given(SENTENCES, EMAILS | PHONES)
def test_no_address_and_no_number_in_any_writing_gets_through(sentence, value):
    """Plain, in capitals, encoded for a URL or in base64: neither the API's words nor the database's repeat it."""
    told = sentence.replace("%s", value)
    digits = value.lstrip("+0") if value[-1].isdigit() and "@" not in value else value.split("@")[0]
    for said in (told, told.upper(), told.replace("@", "%40"), sentence.replace("%s", quote(value, safe=""))):
        for heard in (from_api(said), from_database(said)):
            assert digits.lower() not in heard.lower()
            assert quote(digits, safe="").lower() not in heard.lower()
    for encode in (b64encode, urlsafe_b64encode):
        encoded = encode(value.encode()).decode()
        assert encoded not in from_api(sentence.replace("%s", encoded))


@given(st.text(max_size=2000))
def test_anything_can_be_heard(message):
    """Whatever is said, at most a sentence is kept."""
    assert len(from_api(message)) <= LONGEST
    assert len(from_database(message)) <= LONGEST
