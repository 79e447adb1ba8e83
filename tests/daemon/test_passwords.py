"""A password that is changed in the database and in its file is taken up without a restart."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from daemon.deposits import TrackedView
from daemon.test_tracking import DEPOSITS, VIEW, insert
from smartico_sync.config.models import SourceConfig
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources import registry
from smartico_sync.sources.fresh_password import FreshPassword


@pytest.fixture
def rotating(operator, postgresql):
    """A view whose source's password is in a file; `rotate(database, file)` changes it in one, the other, or both."""
    postgresql.execute(*DEPOSITS)
    parts = urlsplit(postgresql.url)
    role, file = f"reader_of_{parts.path[1:]}", operator.home / "password"
    postgresql.execute(
        f"DROP ROLE IF EXISTS {role}",
        f"CREATE ROLE {role} LOGIN PASSWORD 'first'",
        f"GRANT SELECT ON deposits TO {role}",
    )
    file.write_text("first\n")
    place = parts.netloc.rpartition("@")[2]
    url = f"postgresql://{role}@{place}{parts.path}\n    password_file: password"
    operator.configure(url, f"  - {VIEW % ''}\n")
    with ExitStack() as stack:
        yield TrackedView(operator, stack), file, role
    postgresql.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_rotated_password_is_taken_up(rotating, postgresql):
    """Refused in between, and on by itself with the next connection."""
    day, file, role = rotating
    insert(postgresql, 1)
    day.poll()
    assert day.sent() == ["1"]
    file.write_text("second, with @ and /\n")
    postgresql.execute(
        f"ALTER ROLE {role} PASSWORD 'second, with @ and /'",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
    )
    insert(postgresql, 2)
    day.poll()
    assert day.sent() == ["1", "2"]


class Source:
    """One with this password; it is open or not."""

    def __init__(self, url):
        self.url, self.state = url.get_secret_value(), "open"

    @contextmanager
    def reading(self, *_):
        assert self.state == "open"
        yield self
        assert self.state == "open"

    def close(self):
        self.state = "closed"


@pytest.fixture
def source(tmp_path):
    """A source whose password's file is `source.file`; all that were made are `source.made`."""
    file = tmp_path / "password"
    file.write_text("one")
    made = []

    def connect(url):
        made.append(Source(url))
        return made[-1]

    fresh = FreshPassword("db", file, SecretStr("postgresql://u:one@h/d"), connect)
    fresh.file, fresh.made = file, made
    return fresh


def test_a_reading_keeps_its_connection(source):
    """Whoever reads while the password changes reads to the end; then the old connections are closed."""
    with source.reading(None) as before:
        source.file.write_text("two:@")
        with source.reading(None) as after:
            assert (before.url, after.url) == ("postgresql://u:one@h/d", "postgresql://u:two%3A%40@h/d")
        assert before.state == "open"
    assert before.state == "closed"
    assert after.state == "open"
    source.file.touch()
    with source.reading(None) as again:
        assert again is after


@pytest.mark.parametrize("broken", ["", "\n", "two\nlines", None])
def test_a_file_that_is_broken_leaves_the_password(source, broken):
    """What is there may be half written: the old one stays, and the next that can be used is used."""
    if broken is None:
        source.file.unlink()
    else:
        source.file.write_text(broken)
    with source.reading(None) as reading:
        assert reading.url == "postgresql://u:one@h/d"
    source.file.write_text("three")
    with source.reading(None) as reading:
        assert reading.url == "postgresql://u:three@h/d"


def test_a_closed_source_opens_nothing(source):
    """Also when the password has changed."""
    source.close()
    source.file.write_text("two")
    with pytest.raises(SourceUnreachable), source.reading(None):
        pass
    assert [each.state for each in source.made] == ["closed"]


def test_without_a_file_the_engine_is_the_source():
    """Nothing stands in between."""
    opened = registry.open_source("db", SourceConfig(url=SecretStr("sqlite:////nowhere.db")))
    assert not isinstance(opened, FreshPassword)
    opened.close()
