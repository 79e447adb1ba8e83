"""What tables and columns are called, whoever named them: words to look for, and words that values are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.config.personal import plain_name
from smartico_sync.proposal.translation import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MEANINGS", "last_part", "meaning", "own_names", "qualified_names", "schema_of", "subject", "subjects", "view_name",
]  # fmt: skip

PREFIX = re.compile(r"^(?:t|tbl|tb|v|vw|view|crm|smartico|dim|fact|dbo|app|core|stg)_(?=.)")
MARK = re.compile(r"^(?:c|f|fk|pk|col|fld|str|int|dt|dec|n|s|d)_(?=[a-z])")
PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

# A value of a type or a status column, in small letters with `_` between its words, and what it says. The first that fits.
MEANINGS: Mapping[str, re.Pattern[str]] = {
    "win_rollback": re.compile(r".*(?:win|credit|payout).*(?:roll_?back|refund|cancel|void|revers|undo).*"),
    "bet_rollback": re.compile(r".*(?:roll_?back|refund|cancel|void|revers|undo).*"),
    "win": re.compile(r".*(?:win|won|payout|credit|jackpot|prize).*"),
    "bet": re.compile(r".*(?:bet|stake|wager|debit|spin).*"),
    "deposit": re.compile(r".*(?:deposit|pay_?in|cash_?in|top_?up).*|dep"),
    "withdrawal": re.compile(r".*(?:withdraw|pay_?out|cash_?out).*|wd"),
    "final": re.compile(
        r"complete(?:d)?|success(?:ful|ed)?|succeeded|approved|paid(?:_out)?|settled|final(?:i[sz]ed)?|done|confirmed"
        r"|processed|accepted|captured|ok"
    ),
    "failed": re.compile(r".*(?:fail|declin|reject|error|refus|denied).*"),
}


def last_part(relation: str) -> str:
    """A relation's own name, without its schema."""
    quoted, plain = PART.findall(relation)[-1]
    return str(quoted).replace('""', '"') if quoted else str(plain).strip()


def schema_of(relation: str) -> tuple[str, ...]:
    """What stands before a relation's own name, as it is written; nothing where nothing does."""
    parts = [f'"{quoted}"' if quoted else plain.strip() for quoted, plain in PART.findall(relation)]
    return tuple(parts[:-1])


def view_name(relation: str) -> str:
    """A view's own name without what people put before it: `crm.smartico_deposits` is `deposits`."""
    return PREFIX.sub("", plain_name(last_part(relation)))


def singular(word: str) -> str:
    """`payments` to `payment`, `bonuses` to `bonus`, `categories` to `category`."""
    for end, instead in (("ies", "y"), ("uses", "us"), ("sses", "ss"), ("ss", "ss"), ("us", "us"), ("s", "")):
        if word.endswith(end):
            return word[: len(word) - len(end)] + instead
    return word


def subject(relation: str) -> str:
    """What a table is about, in one spelling: `crm.T_CasinoTransactions` is `casino_transaction`."""
    return singular(translated(view_name(relation)))


def subjects(relation: str) -> tuple[str, ...]:
    """Words that stand for the table in other tables' columns: `casino_transaction`, `transaction`."""
    whole = subject(relation)
    return tuple(dict.fromkeys((whole, whole.rpartition("_")[2])))


def own_names(relation: str, column: str) -> tuple[str, ...]:
    """What a column may be meant by in its own table: `id` in `players` is also `player_id`, `player_status` also `status`."""
    written = plain_name(column).strip("_")
    plain = translated(written)
    bare = translated(MARK.sub("", plain))
    words = subjects(relation)
    without = (bare.removeprefix(f"{word}_") for word in words)
    return tuple(dict.fromkeys((plain, bare, *(f"{word}_{bare}" for word in words), *without, written)))


def qualified_names(relation: str, column: str) -> tuple[str, ...]:
    """What a column is called from another table: `name` in `games` is `game_name`."""
    bare = translated(MARK.sub("", plain_name(column).strip("_")))
    return tuple(f"{word}_{bare.removeprefix(f'{word}_')}" for word in subjects(relation))


def meaning(value: object, among: Iterable[str]) -> str | None:
    """Which of these meanings a value has, the first that fits in the order of MEANINGS; None for none."""
    word = translated(re.sub(r"[^a-z0-9]+", "_", plain_name(str(value))).strip("_"))
    wanted = frozenset(among)
    return next((name for name, pattern in MEANINGS.items() if name in wanted and pattern.fullmatch(word)), None)
