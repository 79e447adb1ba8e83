"""What the encryptors promise to operators and to readers of the values."""

from __future__ import annotations

import base64
import hashlib
import re
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from parts import parts
from smartico_sync.core.events import BRAND, USER, Events
from smartico_sync.core.few_texts import FEW
from smartico_sync.errors import ConfigError
from smartico_sync.pii.aes_gcm import AesGcm
from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.hpke import SUITE, Hpke
from smartico_sync.pii.keys import new_key, new_pair, parse_key
from smartico_sync.pii.protection import Protection

KEY = bytes(range(32))
PRIVATE, PUBLIC = new_pair()
KINDS = {"aes-256-gcm": (AesGcm, KEY, KEY), "hpke": (Hpke, parse_key(PUBLIC), parse_key(PRIVATE))}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return KINDS[request.param]


@given(st.lists(st.text(), max_size=5), st.sampled_from(sorted(KINDS)))
@settings(max_examples=50, deadline=None)
def test_every_value_comes_back(values, name):
    """Whatever text a value is, also empty or a megabyte, the reader gets it back, in order."""
    make, key, read = KINDS[name]
    texts = make(key, "k-1").encrypt("user_email", values)
    assert [decrypt(text, "user_email", {"k-1": read}) for text in texts] == values


def test_the_text_describes_itself(kind):
    """A text names its version and its key and needs no escaping in JSON or a URL."""
    make, key, _ = kind
    (text,) = make(key, "2026").encrypt("user_phone", ["+35699123456"])
    assert re.fullmatch(r"sch?1\.2026\.[A-Za-z0-9_-]+", text)
    assert make(key, "2026").encrypt("user_phone", []) == []


def test_equal_values_give_different_texts(kind):
    """Nobody sees that two players share a value."""
    make, key, _ = kind
    texts = make(key, "1").encrypt("user_phone", ["same"] * 50)
    assert len(set(texts)) == 50


def test_a_value_cannot_be_moved_or_changed(kind):
    """Another property, another key id, another key, a flipped letter: none decrypts, and nothing is quoted."""
    make, key, read = kind
    (text,) = make(key, "1").encrypt("user_email", ["secret@example.com"])
    version, _, body = text.split(".")
    flipped = body[:-4] + ("A" if body[-4] != "A" else "B") + body[-3:]
    tries = [(text, "user_phone", {"1": read}), (f"{version}.2.{body}", "user_email", {"2": read})]
    tries += [(text, "user_email", {"1": bytes(32)}), (f"{version}.1.{flipped}", "user_email", {"1": read})]
    tries += [(f"{version}.1.AAAA", "user_email", {"1": read}), (f"{version}.1.ä", "user_email", {"1": read})]
    for attempt in tries:
        with pytest.raises(ConfigError, match="does not decrypt"):
            decrypt(*attempt)
    for attempt in [("user@example.com", "user_email", {"1": read}), (text, "user_email", {})]:
        with pytest.raises(ConfigError) as caught:
            decrypt(*attempt)
        assert "example.com" not in caught.value.message


def test_a_value_cannot_be_moved_to_another_player(kind):
    """Of each text it is sealed whose it is: another user, another brand, or both run together otherwise do not open it."""
    make, key, read = kind
    (text,) = make(key, "1").encrypt_for("user_email", ["secret@example.com"], [("One", "2.3")])
    assert re.fullmatch(r"sch?2\.1\.[A-Za-z0-9_-]+", text)
    assert decrypt(text, "user_email", {"1": read}, ("One", "2.3")) == "secret@example.com"
    for player in [("One", "3"), ("Two", "2.3"), ("One.2", "3"), ("", "One.2.3")]:
        with pytest.raises(ConfigError, match="does not decrypt"):
            decrypt(text, "user_email", {"1": read}, player)
    with pytest.raises(ConfigError, match="bound to its player"):
        decrypt(text, "user_email", {"1": read})


def test_the_version_is_sealed_too(kind):
    """Nobody makes a text of the first version, which fits any player, of one that is bound."""
    make, key, read = kind
    (text,) = make(key, "1").encrypt_for("user_email", ["secret@example.com"], [("One", "2")])
    version, _, rest = text.partition(".")
    with pytest.raises(ConfigError, match="does not decrypt"):
        decrypt(f"{version[:-1]}1.{rest}", "user_email", {"1": read})


def test_several_keys_while_one_replaces_the_other(kind):
    """During a rotation the reader holds both keys and reads old and new values."""
    make, key, read = kind
    old, new = AesGcm(bytes(32), "old").encrypt("p", ["a"]) + make(key, "new").encrypt("p", ["b"])
    ring = {"old": bytes(32), "new": read}
    assert [decrypt(old, "p", ring), decrypt(new, "p", ring)] == ["a", "b"]


def test_no_key_is_shown(kind):
    """An encryptor's repr tells the key's id, not the key."""
    make, key, _ = kind
    shown = repr(make(key, "7"))
    assert "'7'" in shown
    assert str(key) not in shown


@pytest.mark.parametrize("key_id", ["", "a.b", "ä", "x" * 33, "1\n"])
def test_a_key_id_that_cannot_travel_is_refused(kind, key_id):
    """A key id must be readable inside the text."""
    make, key, _ = kind
    with pytest.raises(ConfigError, match="key_id"):
        make(key, key_id)


def test_keys_are_read_in_every_dialect_of_base64():
    """Standard and URL-safe, padded or not, with a line break: one key. Two new keys are never the same."""
    key = bytes([255] * 16 + [251] * 16)
    for text in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode().rstrip("=") + "\n"):
        assert parse_key(text) == key
    assert new_key() != new_key()
    assert len(parse_key(new_key())) == 32


@pytest.mark.parametrize("text", ["", "hunter2", "not base64!", "ключ", "QUJD", "A" * 88])
def test_a_bad_key_is_refused_without_being_quoted(text):
    """What is no key of 32 bytes is a configuration error that does not show it."""
    with pytest.raises(ConfigError) as caught:
        parse_key(text)
    assert not text or text not in caught.value.message + caught.value.hint
    assert "smartico-sync keys new" in caught.value.hint


def test_hpke_is_that_of_the_rfc():
    """The suite is the RFC's: a ciphertext made step by step from its key schedule opens."""
    from cryptography.hazmat.primitives import hashes, hmac
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def extract(salt, data):
        mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
        mac.update(data)
        return mac.finalize()

    def expand(key, info, length):  # one block is enough for every length here
        return extract(key, info + b"\x01")[:length]

    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    reader, ephemeral = X25519PrivateKey.from_private_bytes(parse_key(PRIVATE)), X25519PrivateKey.generate()
    enc, public = ephemeral.public_key().public_bytes_raw(), reader.public_key().public_bytes_raw()
    eae = extract(b"", b"HPKE-v1" + kem + b"eae_prk" + ephemeral.exchange(reader.public_key()))
    shared = expand(eae, b"\x00\x20HPKE-v1" + kem + b"shared_secret" + enc + public, 32)
    context = b"\x00" + extract(b"", b"HPKE-v1" + suite + b"psk_id_hash")
    context += extract(b"", b"HPKE-v1" + suite + b"info_hash" + b"sch1.1.p")
    secret = extract(shared, b"HPKE-v1" + suite + b"secret")
    key = expand(secret, b"\x00\x20HPKE-v1" + suite + b"key" + context, 32)
    nonce = expand(secret, b"\x00\x0cHPKE-v1" + suite + b"base_nonce" + context, 12)
    assert SUITE.decrypt(enc + AESGCM(key).encrypt(nonce, b"value", b""), reader, b"sch1.1.p") == b"value"


def test_values_are_bound_to_the_player_that_smartico_knows():
    """A brand of another name at Smartico is the one of the event there, and NULLs stay NULL."""
    frame = pl.DataFrame({BRAND: ["one", "two", "one"], USER: ["1", "1", "2"], "user_email": ["a@x", "b@x", None]})
    protection = Protection("encrypt", ("user_email",), AesGcm(KEY, "1"), {"one": "Uno"})
    texts = protection.apply(Events(frame)).frame.get_column("user_email").to_list()
    assert decrypt(texts[0], "user_email", {"1": KEY}, ("Uno", "1")) == "a@x"
    assert decrypt(texts[1], "user_email", {"1": KEY}, ("two", "1")) == "b@x"
    assert texts[2] is None


class OneByOne:
    """AES-GCM as a plug-in is that knows nothing of columns."""

    name = "one-by-one"

    def __init__(self):
        self.inner = AesGcm(KEY, "k-1")

    def encrypt(self, prop, values):
        return self.inner.encrypt(prop, values)

    def encrypt_for(self, prop, values, players):
        return self.inner.encrypt_for(prop, values, players)


TEXTS = st.text(max_size=12)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.none() | TEXTS), min_size=FEW + 1, max_size=FEW + 20)


@parts(5)
@given(ROWS)
@settings(max_examples=10, deadline=None)
def test_a_column_is_encrypted_as_its_values_are(part, rows):
    """A page is encrypted as a column, to the very bytes that it would be value by value: brands of any bytes, NULLs, empty texts."""
    frame = pl.DataFrame(rows, orient="row", schema=dict.fromkeys((BRAND, USER, "user_email", "user_phone"), pl.String))
    made = []
    for encryptor in (AesGcm(KEY, "k-1"), OneByOne()):
        with mock.patch("os.urandom", lambda size: hashlib.shake_128(b"nonces").digest(size)):
            protection = Protection("encrypt", ("user_email", "user_phone"), encryptor, {"one": "Uno"})
            made.append(protection.apply(Events(frame)).frame)
    assert_frame_equal(*made)
    for brand, user, email, text in (
        made[0]
        .select(pl.col(BRAND).replace({"one": "Uno"}), USER, pl.Series("plain", frame["user_email"]), "user_email")
        .iter_rows()
    ):
        assert (decrypt(text, "user_email", {"k-1": KEY}, (brand, user)) if text is not None else None) == email


def test_no_nonce_is_used_twice_in_a_page():
    """Each value of a page has random bytes of its own, also where all values are the same."""
    count = 3_000
    frame = pl.DataFrame({BRAND: ["b"] * count, USER: ["1"] * count, "user_email": ["a@x"] * count})
    texts = Protection("encrypt", ("user_email",), AesGcm(KEY, "1")).apply(Events(frame)).frame["user_email"]
    nonces = {base64.urlsafe_b64decode(text.split(".")[2][:16]) for text in texts}
    assert len(nonces) == count


def test_every_value_needs_its_player():
    """No value is encrypted where it is not known whose it is."""
    with pytest.raises(ValueError, match="1 values of 0 players"):
        AesGcm(KEY, "1").seal_for("user_email", [b"a@x"], [])


FEW_ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.none() | st.integers(-3, 3)), min_size=1, max_size=3)


@given(FEW_ROWS, st.sampled_from([AesGcm(KEY, "k-1"), OneByOne()]))
@settings(max_examples=25, deadline=None)
def test_a_handful_of_values_is_encrypted_as_many_are(rows, encryptor):
    """To the very bytes: texts, numbers, NULLs; whoever they belong to."""
    schema = {BRAND: pl.String, USER: pl.String, "user_email": pl.String, "user_phone": pl.Int64}
    few = pl.DataFrame(rows, orient="row", schema=schema)
    protection = Protection("encrypt", ("user_phone", "user_email"), encryptor, {"one": "Uno"})
    with mock.patch("os.urandom", bytes):
        alone, many = (protection.apply(Events(frame)).frame for frame in (few, pl.concat([few] * (FEW + 1))))
    assert_frame_equal(alone, many.head(few.height))


@pytest.mark.parametrize("rows", [1, FEW + 1])
def test_an_encryptor_gives_a_text_for_each_value(rows):
    """Nothing is sent of a page of which it gives fewer."""
    frame = pl.DataFrame({BRAND: ["b"] * rows, USER: ["1"] * rows, "user_email": ["a@x"] * rows})
    with pytest.raises(ValueError, match="zip"), mock.patch.object(OneByOne, "encrypt_for", return_value=[]):
        Protection("encrypt", ("user_email",), OneByOne()).apply(Events(frame))
