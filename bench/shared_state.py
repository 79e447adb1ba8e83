"""What a state in PostgreSQL costs against one in a file: the same rows, `run --once`, in turn and in the same run.

Seconds, and CPU seconds of the daemon alone. At most 25 % more of either for profiles and 10 % for bets is what we aim at.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

from bench.figures import keep
from servers.postgresql import ADMIN_PASSWORD, Server, free_port
from smartico_sync.pii.keys import new_key

COMMAND = Path(sys.executable).parent / "smartico-sync"
TABLES = (
    """CREATE TABLE users AS SELECT 'b' AS ext_brand_id, g AS user_ext_id, now() - interval '1 day' + g * interval '1 ms' AS dt_update,
        'ACTIVE' AS core_account_status, 'p' || g AS core_username, g % 90 AS level FROM generate_series(1, {rows}) g""",
    "CREATE UNIQUE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
    """CREATE TABLE bets AS SELECT g AS id, 'b' AS ext_brand_id, g % 5000 AS user_ext_id, now() - interval '1 day' AS at, 'r' || g AS bet_id
        FROM generate_series(1, {rows}) g""",
    "CREATE UNIQUE INDEX ON bets (id)",
)
VIEWS = {
    "users": "{name: users, source: db, relation: users, kind: users, cursor: dt_update, start_from: first}",
    "bets": "{name: bets, source: db, relation: bets, kind: custom, event_type: bet, cursor: id, key: [id], event_date: at, start_from: first}",
}
AIM = {"users": 1.25, "bets": 1.10}


def measured(home: Path, api: str, config: str) -> tuple[float, float]:
    """One run from nothing, with an API that has seen nothing: seconds, and CPU seconds of the process."""
    file = home / "views.yaml"
    file.write_text(config)
    sandbox = subprocess.Popen([COMMAND, "sandbox", "--listen", api, "--check", "count"], stdout=subprocess.DEVNULL)
    try:
        ready(f"http://{api}")
        began, before = time.monotonic(), os.times()
        done = subprocess.run([COMMAND, "run", "--once", "--config", file], capture_output=True, text=True, check=False)
        after, wall = os.times(), time.monotonic() - began
    finally:
        sandbox.terminate()
        sandbox.wait()
    if done.returncode:
        raise RuntimeError(done.stderr)
    spent = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return wall, spent


def ready(base: str) -> None:
    """Wait until the API answers."""
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{base}/stats"):
            return
        time.sleep(0.05)


def main() -> int:
    """Measure, compare, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with ExitStack() as stack:
        source, server = Server.create(), Server.create()
        for each in (source, server):
            stack.callback(each.remove)
        source.admin(*(statement.format(rows=given.rows) for statement in TABLES), "ANALYZE")
        figures: dict[str, dict[str, list[tuple[float, float]]]] = {}
        api, key = f"127.0.0.1:{free_port()}", new_key()
        for view, text in VIEWS.items():
            took: dict[str, list[tuple[float, float]]] = {"file": [], "server": []}
            for number in range(given.rounds):
                for kind, samples in took.items():
                    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smartico-sync-shared-")))
                    (home / "state.key").write_text(key)
                    state = "state: ./sync.db"
                    if kind == "server":
                        name = f"s_{view}_{number}"
                        server.admin(f"CREATE DATABASE {name}")
                        url = f"postgresql://admin:{ADMIN_PASSWORD}@127.0.0.1:{server.port}/{name}"
                        state = f"state: '{url}'\ncluster: {{key_file: state.key}}"
                    samples.append(
                        measured(
                            home,
                            api,
                            f"version: 1\nsmartico: {{url: 'http://{api}/api/external/events/v2', token: t{view}{kind}{number}}}\n{state}\n"
                            f"pii: {{key: {key}}}\nhealth: {{listen: off}}\nsources: {{db: {{url: '{source.url()}'}}}}\nviews:\n  - {text}\n",
                        )
                    )
            figures[view] = took
            for place, what in enumerate(("seconds", "CPU seconds")):
                file, shared = (median(sample[place] for sample in took[kind]) for kind in ("file", "server"))
                verdict = "" if shared <= AIM[view] * file else f", more than {AIM[view] - 1:.0%}"
                print(
                    f"  {view:<6} {given.rows:,} rows, {what}: file {file:.2f}, server {shared:.2f} ({shared / file - 1:+.0%}{verdict})",
                    flush=True,
                )
    keep("shared_state", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
