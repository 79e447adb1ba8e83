"""Personal data by the name of its column.

E-mail addresses and phone numbers must not leave in the clear unasked; of names, birth dates, addresses, IP addresses, bank
accounts and documents an operator is asked to decide.

A name is all there is to go by: no value is looked at. Smartico's own flags (`core_is_email_disabled_by_platform`) and
names that say something *about* an address (`email_verified`, `phone_model`) are no addresses.
"""

from __future__ import annotations

import re
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
    r"e_?mail|phone|telefon|msisdn|whatsapp|correo"  # anywhere in the name: contactemail, phone2
    r"|(?:^|_)(?:mail|mobile|tel|telephone|cell|cellular)(?:_?(?:no|nr|num|number|address|addr)?_?\d*$)"
)
NO_ADDRESS = re.compile(
    r"^(?:is|has|can|allow|allows|accepts)_|_is_|(?:micro|head|gramo|saxo)phone"
    r"|_(?:disabled|enabled|verified|confirmed|validated|valid|date|dt|at|time|count|status|subscribed|subscription"
    r"|optin|opt_in|optout|opt_out|consent|allowed|bounced|bounces|type|model|os|brand|version|verification"
    r"|template|language|frequency|marketing|notifications?|permission)$"
)


# What says who somebody is or where he lives, as a word of the name.
IDENTITY = re.compile(
    r"(?:^|_)(?:(?:first|last|middle|full|given|family|maiden|real)_?name|forename|surname|patronymic"
    r"|birth_?(?:date|day|place)?|dob|date_of_birth|born(?:_on)?"
    r"|addr(?:ess)?(?:_?line)?_?\d*|street|city|town|zip(?:_?code)?|post_?code|postal_?code"
    r"|ip|ip_?v?[46]?_?addr(?:ess)?|ip_?[46]|iban|bic|swift|bank_?account|account_?number|card_?(?:number|no|pan)|pan"
    r"|passport|ssn|national_?id|personal_?(?:id|code|number)|tax_?id|id_?(?:card|document)|(?:document|doc|id)_?(?:number|no|nr)"
    r"|driv(?:er|ers|ing)_?licen[cs]e|pass_?(?:word|wd|phrase)|pwd"
    r"|vorname|nachname|geburts_?(?:datum|tag)|stra(?:ss|ß)e|anschrift|plz"
    r"|nombres?$|apellidos?|fecha_(?:de_)?nacimiento|direcci[oó]n|calle|ciudad|codigo_postal|dni|nif|cpf|curp)(?:_?(?:number|no|nr|id))?(?:_|$)"
)
KNOWN_IDENTITY = frozenset({"user_first_name", "user_last_name", "user_birthdate", "core_username"})


def plain_name(name: str) -> str:
    """A name in one spelling."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_").replace(" ", "_").lower()


def looks_personal(name: str) -> bool:
    """Whether a column or property of this name probably holds an e-mail address or a phone number."""
    if name in PROPERTIES:
        return name in CONTACT
    plain = plain_name(name)
    return bool(ADDRESS.search(plain)) and not NO_ADDRESS.search(plain)


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
