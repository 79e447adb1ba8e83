"""German and Spanish words in the names of tables and columns, and in values, as the English ones that are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["translated"]

# English → what German and Spanish operators write, as `plain_name` leaves it, umlauts in both spellings.
ENGLISH = {
    "account": "konto konten cuenta cuentas",
    "amount": "betrag betraege betrage importe monto cantidad",
    "approved": "genehmigt freigegeben aprobado aprobada",
    "balance": "guthaben saldo",
    "bet": "wette wetten apuesta apuestas",
    "birthdate": "geburtsdatum geburtstag nacimiento",
    "bonus": "boni bonos bono bonusse",
    "brand": "marke marca",
    "cancelled": "storniert cancelado cancelada anulado anulada",
    "category": "kategorie categoria",
    "client": "cliente clientes",
    "code": "codigo",
    "completed": "abgeschlossen erfolgreich completado completada finalizado finalizada",
    "confirmed": "bestaetigt bestatigt confirmado confirmada",
    "country": "land pais",
    "created": "erstellt angelegt creado creada creacion",
    "currency": "waehrung wahrung moneda divisa",
    "customer": "kunde kunden",
    "date": "datum fecha",
    "deposit": "einzahlung einzahlungen deposito depositos ingreso ingresos",
    "email": "mailadresse correo",
    "failed": "fehlgeschlagen fallido fallida",
    "first_name": "vorname nombre",
    "game": "spiel spiele juego juegos",
    "gender": "geschlecht sexo genero",
    "issued": "vergeben gutgeschrieben otorgado otorgada emitido",
    "language": "sprache idioma",
    "last_name": "nachname familienname apellido apellidos",
    "method": "methode zahlungsart metodo",
    "modified": "geaendert geandert modificado modificacion",
    "odds": "quote quoten cuota cuotas",
    "paid": "bezahlt ausgezahlt pagado pagada",
    "payment": "zahlung zahlungen pago pagos",
    "phone": "telefon telefono handy movil",
    "placed": "platziert realizado realizada",
    "player": "spieler jugador jugadores",
    "processed": "verarbeitet procesado procesada",
    "provider": "anbieter proveedor",
    "registered": "registriert registrado",
    "rejected": "abgelehnt rechazado rechazada",
    "requested": "angefordert beantragt solicitado solicitada",
    "round": "runde runden ronda rondas",
    "settled": "abgerechnet ausgewertet liquidado liquidada",
    "sport_bet": "sportwette sportwetten",
    "stake": "einsatz einsaetze",
    "status": "estado zustand",
    "transaction": "transaktion transaktionen buchung buchungen transaccion transacciones",
    "total_odds": "gesamtquote",
    "type": "typ tipo",
    "updated": "aktualisiert actualizado actualizada actualizacion",
    "user": "benutzer nutzer usuario usuarios",
    "username": "benutzername nutzername",
    "win": "gewinn gewinne ganancia ganancias premio premios",
    "withdrawal": "auszahlung auszahlungen retiro retiros retirada retiradas",
}  # fmt: skip
WORDS: Mapping[str, str] = {word: english for english, words in ENGLISH.items() for word in words.split()}
# Names whose words stand in another order, or mean something else together; after their words were translated.
NAMES = {
    "bet_deportiva": "sport_bet",
    "bet_deportivas": "sport_bet",
    "bet_de_casino": "casino_bet",
    "date": "created_at",
    "date_birthdate": "birthdate",
    "date_de_birthdate": "birthdate",
    "date_alta": "registered_at",
    "date_registro": "registered_at",
    "date_paid": "paid_at",
    "date_pago": "paid_at",
    "date_payment": "paid_at",
    "date_liquidacion": "settled_at",
    "odds_total": "total_odds",
    "first_name_user": "username",
    "first_name_de_user": "username",
}
AT = ("am", "el", "en")  # last in `erstellt_am`, `creado_en`


def translated(name: str) -> str:
    """A plain name with the words that are known in English; one without such words as it is."""
    parts = name.split("_")
    known = [WORDS.get(part, part) for part in parts]
    if known == parts:
        return "type" if name == "art" else name  # a word of its own elsewhere
    if known[-1] in AT and len(known) > 1 and known[-2] != parts[-2]:
        known[-1] = "at"
    joined = "_".join(known)
    return NAMES.get(joined, joined)
