"""Made-up players: names from short lists, addresses that end in example.com, invented phone numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from random import Random

__all__ = ["BRANDS", "COUNTRIES", "GAMES", "METHODS", "FakePlayer", "fake_player"]

BRANDS = ("GoldenReef", "NightOwl")
FIRST = (
    "Anna", "Ben", "Carla", "David", "Elena", "Filip", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Luca", "Maria",
    "Nils", "Olga", "Pavel", "Rosa", "Simon", "Tea", "Viktor", "Zoë",
)  # fmt: skip
LAST = (
    "Andersson", "Borg", "Costa", "Díaz", "Eriksson", "Farrugia", "García", "Hansen", "Ivanova", "Jansen", "Kowalski",
    "Lindqvist", "Müller", "Novak", "Ortega", "Petrov", "Rossi", "Schmidt", "Torres", "Vella",
)  # fmt: skip
# country, language, currency, telephone prefix
COUNTRIES = (
    ("MT", "EN", "EUR", "+35699000"),
    ("SE", "SV", "SEK", "+46701740"),
    ("DE", "DE", "EUR", "+49152289"),
    ("PL", "PL", "PLN", "+48699000"),
    ("BR", "PT", "BRL", "+55119000"),
)
GAMES = tuple(
    (f"game-{number:03}", name, category, provider)
    for number, (name, category, provider) in enumerate(
        (
            ("Book of Tides", "slots", "Northwind"),
            ("Lucky Lantern", "slots", "Northwind"),
            ("Moonlit Reels", "slots", "Peartree"),
            ("Fjord Fortune", "slots", "Peartree"),
            ("Copper Canyon", "slots", "Red Kite"),
            ("European Roulette", "table", "Red Kite"),
            ("Blackjack Classic", "table", "Red Kite"),
            ("Live Baccarat", "live", "Studio Nine"),
            ("Live Roulette", "live", "Studio Nine"),
            ("Crash Comet", "crash", "Peartree"),
        ),
        start=1,
    )
)
METHODS = ("card", "bank_transfer", "e_wallet", "voucher")


class FakePlayer(Struct, frozen=True):
    """What a player types at registration."""

    username: str
    first_name: str
    last_name: str
    email: str
    phone: str
    birthdate: str
    gender: str
    country: str
    language: str
    currency: str


def fake_player(random: Random, number: int) -> FakePlayer:
    """Make up the player of that number; the same random state, the same player."""
    first, last = random.choice(FIRST), random.choice(LAST)
    country, language, currency, prefix = random.choice(COUNTRIES)
    return FakePlayer(
        username=f"{first.lower()}{number}",
        first_name=first,
        last_name=last,
        email=f"player{number}@example.com",
        phone=f"{prefix}{number % 1000:03}",
        birthdate=f"{random.randint(1950, 2004)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}",
        gender=random.choice(("MALE", "FEMALE", "UNKNOWN")),
        country=country,
        language=language,
        currency=currency,
    )
