"""What a desk answers in the tests of Oracle."""

from __future__ import annotations

import datetime as dt

from stand_ins.oracle.values import Answer, Asked, Field

NOW = Answer([Field("T"), Field("T")], [("2026-03-01 10:00:00.250", "PRIMARY")])
NOW_MS = int(dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC).timestamp() * 1000) + 250
ID = Field("ID", "NUMBER", 19, 0)


def says(fields, rows=(), **more):
    """A desk's answer to every question about the view; `more` by words that stand in the statement."""

    def answer(asked: Asked) -> Answer | None:
        for word, told in more.items():
            if word in asked.text:
                return told
        if "SYSTIMESTAMP" in asked.text:
            return NOW
        if not asked.text.startswith("/*"):
            return Answer([Field("T")]) if asked.text.startswith("SELECT") else None
        return Answer(fields, () if "1 = 0" in asked.text else rows)

    return answer


def column(*values):
    return Answer([Field("T")], [(value,) for value in values])
