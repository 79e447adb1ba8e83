"""A disk that is really full: a small file system of its own under the state."""

from __future__ import annotations

import subprocess

import pytest

from operations.rehearsal import TABLE, rows, view
from operations.table import situations
from waiting import until

SIZE = "80m"  # with less than 50 MB left the daemon is not ready


@pytest.fixture
def disk(operator):
    """A small file system where the state lies."""
    place = operator.home / "state"
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place):
    """Leave no byte on it."""
    with (place / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 512):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_disk_that_is_full(disk, rehearsal, postgresql):
    """At work it is told and waited for; at the start too; with room again all goes on by itself, and nothing is lost or sent twice."""
    full = situations()["the disk of the state is full"]
    postgresql.execute(
        TABLE.format(name="deposits"), "CREATE INDEX ON deposits (dt_finalized, transaction_id)", rows("deposits", 1, 5)
    )
    rehearsal.configure(view("deposits"), db=postgresql.url)
    rehearsal.start()
    until(lambda: len(rehearsal.operator.accepted()) == 5)

    fill(disk)
    postgresql.execute(rows("deposits", 10, 20_009))
    rehearsal.is_told(full)
    (disk / "ballast").unlink()
    rehearsal.is_over(full)
    until(lambda: len({event["eid"] for event in rehearsal.operator.accepted()}) == 20_005)

    rehearsal.daemon.terminate()
    rehearsal.daemon.wait()
    fill(disk)
    with rehearsal.log.open("ab") as err:
        rehearsal.daemon = rehearsal.operator.start("run", err=err, quiet_s=2.0)
    until(lambda: told_of_the_start(rehearsal, "began"))
    postgresql.execute(rows("deposits", 30_000, 30_004))
    (disk / "ballast").unlink()
    until(rehearsal.is_ready)
    until(lambda: len({event["eid"] for event in rehearsal.operator.accepted()}) == 20_010)
    assert len(rehearsal.operator.accepted()) == 20_010
    until(lambda: told_of_the_start(rehearsal, "over"))


def told_of_the_start(rehearsal, change):
    """What the webhook heard of a start that waits: that it does, with what to do, or that this is over."""
    posted = [each for body in rehearsal.webhook.bodies for each in body["changes"]]
    return [each for each in posted if (each["code"], each["change"]) == ("start", change) and each["message"]]
