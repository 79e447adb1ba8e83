"""Personal data by the name of its column.

E-mail addresses and phone numbers must not leave in the clear unasked; of names, birth dates, addresses, IP addresses, bank
accounts and documents an operator is asked to decide.

A name is all there is to go by, in English and in the languages that casinos' databases are written in: no value is looked at. Smartico's own flags (`core_is_email_disabled_by_platform`) and
names that say something *about* an address (`email_verified`, `phone_model`) are no addresses.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from smartico_sync.catalogue.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.config.models import Configuration, Pii, View

__all__ = [
    "holds_personal",
    "looks_identifying",
    "looks_personal",
    "says_who",
    "undecided_pii",
    "unprotected_mappings",
    "unprotected_pii",
]

CONTACT = frozenset({"user_email", "user_phone"})
ADDRESS = re.compile(
    r"e_?mail|phone|msisdn|whatsapp|telefon|correo|courriel|mailadresse|puhelin"  # anywhere: contactemail, phone2
    r"|(?:^|_)(?:(?:mail|mobile|tel|telephone|cell|cellular|gsm|movil|celular|handy)(?:_?(?:no|nr|num|number|nummer|address|addr)?_?\d*$)"
    r"|contact_?(?:no|nr|num|number)$|e_?post(?:_?adresse?)?$)"
)
NO_ADDRESS = re.compile(
    r"^(?:is|has|can|allow|allows|accepts)_|_is_|(?:micro|head|gramo|saxo)phone"
    r"|_(?:disabled|enabled|verified|confirmed|validated|valid|date|dt|at|time|count|status|subscribed|subscription"
    r"|optin|opt_in|optout|opt_out|consent|allowed|bounced|bounces|type|model|os|brand|version|verification"
    r"|template|language|frequency|marketing|notifications?|permission|country|country_code|bonus)$"
)

# What says who somebody is or where he lives, as words of the name.
NAMES = (
    r"(?:first|last|middle|full|given|family|maiden|real|sur|f|l|player|customer|client|nick)_?name|forename|patronymic"
    r"|(?:card|account)_?holder|holder_?name|apellidos?|vorname|nachname|familienname|prenom|nom_de_famille|imie|nazwisko"
    r"|etunimi|sukunimi|cognome|sobrenome|voornaam|achternaam|fornamn|efternamn|fornavn|etternavn|efternavn"
)
BIRTHS = (
    r"birth_?(?:date|day|place|year)?|dob|date_of_birth|born(?:_on)?|geburts?(?:_?(?:datum|tag|ort))?|fecha_(?:de_)?nacimiento"
    r"|data_(?:de_|di_)?(?:nascimento|nascita)|date_(?:de_)?naissance|geboorte_?datum|fodelse_?(?:datum|dag)|syntymaaika"
)
PLACES = (
    r"addr(?:ess)?(?:_?line)?_?\d*|street|city|town|zip(?:_?code)?|post_?code|postal_?code|house_?(?:no|nr|number)|lat(?:itude)?|lng|lon(?:gitude)?"
    r"|geo_?location|adresse?|adres|direccion|indirizzo|endereco|domicilio|strasse|calle|rua|ciudad|cidade|citta|ville|wohnort|plz|anschrift"
    r"|postleitzahl|code_?postal|codigo_?postal"
    r"|ip|ip_?v?[46]?_?addr(?:ess)?|ip_?v?[46]|remote_?addr|x_?forwarded_?for"
)
PAPERS = (
    r"iban|bic|swift|sort_?code|routing_?(?:no|number)|bank_?account|account_?(?:no|nr|number)|cc_?(?:no|nr|number)|credit_?card"
    r"|card_?(?:number|no|nr|pan|last_?4)|last_?(?:4|four)(?:_?digits)?|pan|passport|ssn|social_?security|national_?id"
    r"|personal_?(?:id|code|number)|identity_?(?:card|no|nr|number)|tax_?(?:id|no|nr|number|code)|vat_?(?:id|no|nr|number)"
    r"|id_?(?:card|document)|(?:document|doc|id)_?(?:number|no|nr)|driv(?:er|ers|ing)_?licen[cs]e|ausweis_?(?:nummer|nr)?"
    r"|codice_?fiscale|fiscal_?code|person_?nummer|nif|nie|dni|cpf|cnpj|pesel|bsn|egn|hetu|curp|nin|aadhaar|pass_?(?:word|wd|phrase)|pwd"
)
IDENTITY = re.compile(
    rf"(?:^|_)(?:{NAMES}|{BIRTHS}|{PLACES}|{PAPERS})(?:_?(?:number|no|nr|id))?(?:_|$)"
    r"|(?:^|_)(?:user_?name|nome|nombres?(?:_completo)?)$|surname"  # at the end: `username_length` and `nombre_juego` are none
)
KNOWN_IDENTITY = frozenset({"user_first_name", "user_last_name", "user_birthdate", "core_username"})
NAMES_KEPT = 4096  # views of one database call their columns alike


def plain_name(name: str) -> str:
    """A name in one spelling: small letters without accents, words apart."""
    name = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_").replace(" ", "_").lower()


@lru_cache(maxsize=NAMES_KEPT)
def looks_personal(name: str) -> bool:
    """Whether a column or property of this name probably holds an e-mail address or a phone number."""
    if name in PROPERTIES:
        return name in CONTACT
    plain = plain_name(name)
    return bool(ADDRESS.search(plain)) and not NO_ADDRESS.search(plain)


@lru_cache(maxsize=NAMES_KEPT)
def looks_identifying(name: str) -> bool:
    """Whether a column or property of this name probably says who somebody is, or where he can be found."""
    if name in PROPERTIES:
        return name in KNOWN_IDENTITY
    plain = plain_name(name)
    return bool(IDENTITY.search(plain)) and not NO_ADDRESS.search(
        re.sub(r"_?(?:birth_?date|date_of_birth)$", "_born", plain)
    )


def holds_personal(pii: Pii | None, view: View, column: str) -> bool:
    """Whether a column of the view holds personal data, sent or not, by its own name or that of its property."""
    target = view.targets.get(column) or column
    return looks_personal(column) or looks_personal(target) or (pii is not None and target in pii.properties)


def says_who(pii: Pii | None, view: View, column: str) -> bool:
    """Whether a column holds personal data or says otherwise who somebody is: its values must not be tried out against an id."""
    target = view.targets.get(column) or column
    return holds_personal(pii, view, column) or looks_identifying(column) or looks_identifying(target)


def protected(pii: Pii) -> frozenset[str]:
    """Properties that may leave: protected, or in the clear because the configuration says so by name."""
    return frozenset((*pii.properties, *pii.in_the_clear))


def unprotected_pii(configuration: Configuration, view: View, wire_names: Iterable[str]) -> tuple[str, ...]:
    """Properties of the view that would leave in the clear unasked, in the order given; empty when all is well.

    `wire_names` are the view's payload properties as they go to the wire, once its real columns are known. The daemon
    must not start the view while there are any: list each in `pii.properties` (or `pii.in_the_clear`), map its column to
    `user_email` or `user_phone`, or leave it out with `columns: {name: null}`.
    """
    if configuration.pii.mode == "plain":
        return ()
    allowed = protected(configuration.pii)
    from_contact = {target for column, target in view.targets.items() if target and looks_personal(column)}
    return tuple(name for name in wire_names if name not in allowed and (looks_personal(name) or name in from_contact))


def undecided_pii(configuration: Configuration, wire_names: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Properties that identify somebody and leave in the clear without a word of the configuration, in the order given.

    `wire_names`: the view's payload properties, and the columns that each comes from. Nothing stops the view; who decides
    lists each in `pii.properties`, or in `pii.in_the_clear`, or leaves it out.
    """
    if configuration.pii.mode == "plain":
        return ()
    allowed = protected(configuration.pii)
    return tuple(
        name
        for name, columns in wire_names.items()
        if name not in allowed and (looks_identifying(name) or any(looks_identifying(column) for column in columns))
    )


def unprotected_mappings(pii: Pii, view: View) -> tuple[tuple[str, str], ...]:
    """(column, property) of the view's `columns` that would carry a contact detail in the clear."""
    if pii.mode == "plain":
        return ()
    allowed = protected(pii)
    return tuple(
        (column, target)
        for column, target in view.targets.items()
        if target is not None and target not in allowed and (looks_personal(column) or looks_personal(target))
    )
