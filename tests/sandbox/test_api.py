"""The sandbox over HTTP."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time

import httpx
import orjson
import pytest

from smartico_sync.errors import ConfigError
from smartico_sync.sandbox.api import Sandbox
from smartico_sync.sandbox.limits import Limits, Ticket


def adds_up(stats):
    """Whether every event of a judged request was counted once."""
    return (
        stats["received"]
        == stats["accepted"] + stats["duplicates"] + sum(stats["refused"].values()) + stats["returned"]
    )


@pytest.mark.parametrize("check", ["full", "count"])
def test_accepts_and_counts(running, make, check):
    """Good events are accepted with err_code 0 and counted by type."""
    caller = running(check=check)
    answer = caller.post([make(1), make(2, "update_profile", payload={}), make(3)])
    assert (answer.status_code, answer.json()["err_code"]) == (200, 0)
    assert "event_errors" not in answer.json()
    assert caller.stats["accepted"] == 3
    assert caller.stats["by_event_type"] == {"casino_bet": 2, "update_profile": 1}
    assert adds_up(caller.stats)


def test_counting_by_a_glance_counts_the_same(running, make):
    """Counting without parsing tells the same as parsing, whatever a payload holds and however the body is written."""
    odd = make(4, payload={"note": '"eid":"x","event_type":"y"', "eid": "inner", "event_type": "inner"})
    bodies = [
        orjson.dumps(events)
        for events in ([make(1), make(2)], [make(2), make(3)], [odd], [make(5, "update_profile", payload={})])
    ]
    bodies += [
        orjson.dumps([make(6), make(7)], option=orjson.OPT_INDENT_2),
        b"[]",
        orjson.dumps([make(8, "custom")]) + b"\n",
    ]
    callers = [running(check="count"), running(check="full")]
    for body in bodies:
        first, second = (caller.post(body).json() for caller in callers)
        assert first.get("event_errors") == second.get("event_errors")
    for name in ("accepted", "duplicates", "received", "by_event_type", "eids", "players"):
        assert callers[0].stats[name] == callers[1].stats[name], name


@pytest.mark.parametrize("check", ["full", "count"])
def test_duplicates(running, make, check):
    """An eid is accepted once, within one request and over many; the answer names it with 20056."""
    caller = running(check=check)
    caller.post([make(1)])
    errors = caller.post([make(1), make(2), make(2)]).json()["event_errors"]
    assert {eid: entry[0]["error_code"] for eid, entry in errors.items()} == {
        make(1)["eid"]: 20056,
        make(2)["eid"]: 20056,
    }
    assert (caller.stats["accepted"], caller.stats["duplicates"]) == (2, 2)
    assert adds_up(caller.stats)


@pytest.mark.parametrize("check", ["full", "count"])
@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"eid":"x"}', b"17", b'[{"eid":', b"[1]", b"[[]]", b'["x"]', b'[{"eid":5}]', b"[{}]"]
)
def test_bad_bodies(running, check, body):
    """What is no array of events is refused and nothing is accepted; the connection lives on."""
    caller = running(check=check)
    answer = caller.post(body)
    assert answer.status_code in {200, 400}
    assert answer.json()["err_code"] == 2 or answer.json()["event_errors"]
    assert caller.stats["accepted"] == 0
    assert caller.post([]).json()["err_code"] == 0


def test_event_errors_dialect_takes_the_rest(running, make):
    """In the dialect event_errors a bad event is named with code 2 and the others are accepted."""
    caller = running()
    answer = caller.post([make(1), make(2, payload={"casino_last_bet_amount": None})])
    assert answer.status_code == 200
    assert answer.json()["event_errors"][make(2)["eid"]][0]["error_code"] == 2
    assert caller.stats["accepted"] == 1
    assert adds_up(caller.stats)


@pytest.mark.parametrize(("keys", "name"), [("eid", "eid"), ("user_ext_id", "user_ext_id")])
def test_failed_events_dialect_takes_nothing(running, make, keys, name):
    """In the dialect failed_events a bad event is named with HTTP 400, and nothing of the request is accepted."""
    caller = running(dialect="failed_events", error_keys=keys)
    answer = caller.post([make(1), make(2, user="8", payload={"casino_last_bet_amount": None})])
    assert answer.status_code == 400
    assert list(answer.json()["failed_events"]) == [make(2, user="8")[name]]
    assert (caller.stats["accepted"], caller.stats["returned"]) == (0, 1)
    assert adds_up(caller.stats)
    assert caller.post([make(1)]).json() | {"req_id": 0, "pd": 0} == {"req_id": 0, "pd": 0, "err_code": 0}


def test_authorization(running, make):
    """Only the raw token is let in; without a configured one any but an empty or a Bearer one."""
    for options, bad in (({"token": "right"}, ["wrong", "", "Bearer right"]), ({}, ["", "Bearer x"])):
        caller = running(**options)
        for token in bad:
            answer = caller.post([make(1)], headers={"Authorization": token})
            assert (answer.status_code, answer.json()["errCode"]) == (401, 4)
        assert caller.stats["accepted"] == 0
        assert caller.post([make(1)], headers={"Authorization": "right"}).status_code == 200


def test_gzip_and_limits_of_size(running, make):
    """A gzip body is read; one over 10 MB is refused with 413 and counted as a violation."""
    caller = running()
    zipped = gzip.compress(orjson.dumps([make(1)]))
    assert caller.post(zipped, headers={"Content-Encoding": "gzip"}).json()["err_code"] == 0
    for body, headers in ((b" " * 10_000_001, {}), (gzip.compress(b" " * 10_000_001), {"Content-Encoding": "gzip"})):
        with contextlib.suppress(httpx.WriteError):  # it answered and closed while the body was still on its way
            assert caller.post(body, headers=headers).status_code == 413
    assert caller.stats["violations"] == {"a body over 10 MB": 2}


def test_unknown_users(running, make):
    """On demand a transaction before its player's profile is refused with 10001, and accepted after it."""
    caller = running(faults=["unknown-users"])
    error = caller.post([make(1)]).json()["event_errors"][make(1)["eid"]][0]
    assert error["error_code"] == 10001
    assert caller.post([make(2, "update_profile", payload={}), make(1)]).json()["err_code"] == 0
    assert caller.stats["accepted"] == 2
    assert adds_up(caller.stats)


def test_unknown_brand(running, make):
    """On demand a brand is unknown: the request is refused with 125 when all of it is of that brand, else its events."""
    caller = running(faults=["unknown-brand=dark"])
    dark = make(1, ext_brand_id="dark")
    assert caller.post([dark]).json()["err_code"] == 125
    mixed = caller.post([dark, make(2)]).json()
    assert (mixed["err_code"], mixed["event_errors"][dark["eid"]][0]["error_code"]) == (0, 125)
    assert caller.stats["accepted"] == 1


@pytest.mark.parametrize("dialect", ["event_errors", "failed_events"])
def test_partial_refusals(running, make, dialect):
    """A share of the events is refused, the same ones each time."""
    caller = running(faults=["refuse=0.3"], dialect=dialect)
    field = dialect
    first, second = (caller.post([make(n) for n in range(200)]).json()[field] for _ in range(2))
    refused = {eid for eid, entry in first.items() if dialect == "failed_events" or entry[0]["error_code"] == 2}
    again = {eid for eid, entry in second.items() if dialect == "failed_events" or entry[0]["error_code"] == 2}
    assert refused == again
    assert 30 < len(refused) < 90
    assert adds_up(caller.stats)


@pytest.mark.parametrize("check", ["full", "count"])
def test_a_careless_api_repeats_what_it_was_sent(running, make, check):
    """With `quote` a share of the events is refused in words that hold their values, plainly and encoded."""
    caller = running(faults=["quote=0.5"], check=check)
    events = [make(n, user="anna@post.example", payload={"client_action": "Known Value"}) for n in range(200)]
    listed = caller.post(events).json()["event_errors"]
    told = [entry[0]["error_message"] for entry in listed.values()]
    assert 60 < len(told) < 140
    for form in (
        "Known Value",
        "KNOWN VALUE",
        '"Known Value"',
        "Known%20Value",
        "S25vd24gVmFsdWU=",
        "anna%40post.example",
    ):
        assert any(form in message for message in told), form
    assert adds_up(caller.stats)


def test_who_leaves_out_what_is_refused_misses_nothing(running, make):
    """An event without the moment is counted, but not while the sandbox itself refuses that property by its name."""
    event = make(1)
    del event["payload"]["casino_last_bet_dt"]
    caller = running(faults=["refuse-property=casino_last_bet_dt"])
    caller.post([event])
    assert (caller.stats["accepted"], caller.stats["violations"]) == (1, {})
    caller.sandbox.set_faults([])
    caller.post([event | {"eid": "other"}])
    assert (caller.stats["accepted"], caller.stats["violations"]) == (2, {"casino_bet without casino_last_bet_dt": 1})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_status_faults(running, make, status):
    """A refused request accepts nothing and says Retry-After when that was asked for."""
    caller = running(faults=[f"{status}=3s"])
    answer = caller.post([make(1)])
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "3")
    caller.sandbox.set_faults([str(status)])
    assert "Retry-After" not in caller.post([make(1)]).headers
    assert caller.stats["accepted"] == 0


@pytest.mark.parametrize(("fault", "status"), [("denied", 401), ("denied=403", 403), ("denied=200", 200)])
def test_denied(running, make, fault, status):
    """Access denied comes with every HTTP status it was seen with, in the other spelling of the fields."""
    caller = running(faults=[fault])
    answer = caller.post([make(1)])
    assert (answer.status_code, answer.json()["errCode"]) == (status, 4)
    assert caller.stats["accepted"] == 0


def test_garbage(running, make):
    """Garbage is HTTP 200 that is not JSON, and nothing is accepted."""
    caller = running(faults=["garbage"])
    answer = caller.post([make(1)])
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()
    assert caller.stats["accepted"] == 0


@pytest.mark.parametrize(("fault", "accepted"), [("reset-before", 0), ("reset-after", 1)])
def test_resets(running, make, fault, accepted):
    """The connection breaks before or after the events were accepted; afterwards the same eids tell which."""
    caller = running(faults=[fault])
    with pytest.raises(httpx.NetworkError):
        caller.post([make(1)])
    assert caller.stats["accepted"] == accepted
    caller.sandbox.set_faults([])
    assert ("event_errors" in caller.post([make(1)]).json()) == bool(accepted)


def test_hang_after(running, make):
    """Accepted, and no answer; the sandbox still stops at once, and the resend is not two requests of one player."""
    caller = running(faults=["hang-after"])
    with pytest.raises(httpx.ReadTimeout):
        caller.post([make(1)], timeout=0.1)
    caller.sandbox.set_faults([])
    assert caller.post([make(1)]).json()["event_errors"]
    assert (caller.stats["accepted"], caller.stats["violations"]) == (1, {})


def test_slow_drip(running, make):
    """A slow answer arrives whole."""
    caller = running(faults=["slow-drip=100ms"])
    begun = time.monotonic()
    assert caller.post([make(1)]).json()["err_code"] == 0
    assert time.monotonic() - begun > 0.05


def test_faults_at_run_time(running):
    """POST /faults replaces the faults and says which hold; a mistake changes nothing and says what is expected."""
    caller = running(faults=["503"])
    base = caller.sandbox.base
    assert caller.client.post(base + "/faults", content=b'["429=2s:0.5","latency=10ms"]').json() == [
        "429=2s:0.5",
        "latency=10ms",
    ]
    wrong = caller.client.post(base + "/faults", content=b'["sharknado"]')
    assert (wrong.status_code, "one of" in wrong.text) == (400, True)
    assert caller.get("/faults").json() == ["429=2s:0.5", "latency=10ms"]
    assert caller.client.post(base + "/faults", content=b"").json() == []


def test_pages(running, make):
    """There is a summary for people, counts for programs, the last events, and a health check."""
    caller = running()
    caller.post([make(1), make(2), make(3)])
    assert "accepted          3" in caller.get("/").text
    assert caller.get("/stats").json()["accepted"] == 3
    assert caller.get("/events?limit=2").json() == [make(2), make(3)]
    assert caller.get("/healthz").text == "ok\n"
    assert caller.get("/nowhere").status_code == 404


def test_log_survives_a_restart(running, make, tmp_path):
    """Accepted events are in the log, as received and in order, before the answer; a restart knows their eids and players."""
    log = tmp_path / "deep" / "accepted.jsonl"
    caller = running(log=log)
    body = b'[{"eid":"a","event_date":1717508861954,"ext_brand_id":"b","user_ext_id":"1","event_type":"update_profile","payload":{"x":1.10}},\n'
    body += b'{"eid":"c","event_date":1717508861954,"ext_brand_id":"b","user_ext_id":"1","event_type":"casino_bet","payload":{"casino_last_bet_amount":null}},'
    body += b'{"eid":"d","event_date":1717508861954,"ext_brand_id":"b","user_ext_id":"1","event_type":"casino_bet","payload":{}}]'
    caller.post(body)
    lines = log.read_bytes().splitlines()
    assert [orjson.loads(line)["eid"] for line in lines] == ["a", "d"]
    assert b'{"x":1.10}' in lines[0]
    caller.sandbox.stop()
    with log.open("ab") as cut:
        cut.write(b'{"eid":"never acknow')
    again = running(log=log, faults=["unknown-users"])
    assert set(again.post(body).json()["event_errors"]) == {"a", "c", "d"}
    assert again.post([make(9, user="1", ext_brand_id="b")]).json()["err_code"] == 0
    assert [orjson.loads(line)["eid"] for line in log.read_bytes().splitlines()] == ["a", "d", make(9)["eid"]]


def test_profile_order(running, make):
    """A profile older than the one before it is accepted and counted; other players and other properties have their own order."""
    caller = running()

    def profile(number, date, **payload):
        return make(number, "update_profile", event_date=date, payload=payload)

    caller.post([profile(1, 1_700_000_000_000, a=1), profile(2, 1_700_000_000_500, a=2)])
    caller.post([profile(3, 1_700_000_000_100, b=1)])
    assert caller.stats["order_violations"] == 0
    caller.post([profile(4, 1_700_000_000_400, a=3)])
    assert caller.stats["order_violations"] == 1
    assert caller.stats["accepted"] == 4


def test_too_many_parallel_requests(running, make):
    """More requests at once than allowed are refused with 429 and counted; the peak is known."""
    caller = running(faults=["latency=500ms"], max_in_flight=2)
    codes: list[int] = []

    def one(number):
        codes.append(
            httpx.post(
                caller.sandbox.url, json=[make(number, user=str(number))], headers={"Authorization": "x"}
            ).status_code
        )

    threads = [threading.Thread(target=one, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 200, 429]
    assert caller.stats["violations"] == {"too many parallel requests": 1}
    assert (caller.stats["max_in_flight"], caller.stats["in_flight"]) == (3, 0)


def test_one_player_in_two_requests(running, make):
    """A player whose events are in two requests at once is a violation."""
    caller = running(faults=["latency=2s"])
    threads = [
        threading.Thread(
            target=lambda n=n: httpx.post(caller.sandbox.url, json=[make(n)], headers={"Authorization": "x"})
        )
        for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caller.stats["violations"] == {"a player in two requests at once": 1}


def test_requests_a_minute():
    """The limit holds over every sliding minute, and a minute later requests pass again."""
    limits = Limits(12, 3)

    def enter(now):
        ticket = Ticket(lambda: True)
        welcome = limits.enter(ticket, now)
        limits.leave(ticket)
        return welcome

    assert [enter(now) for now in (0.0, 30.0, 31.0, 32.0)] == [True, True, True, False]
    assert [enter(now) for now in (60.0, 61.0, 90.0)] == [True, False, True]
    assert limits.violations == {"too many requests a minute": 2}


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "256.0.0.1:80"])
def test_bad_address(listen):
    """An address that cannot be used is a configuration error with a hint."""
    with pytest.raises(ConfigError) as error:
        Sandbox(listen)
    assert error.value.hint


def test_stop_is_quick_and_repeatable(make):
    """Stopping ends idle kept-alive connections, and may be done twice, or without a start."""
    sandbox = Sandbox().start()
    with httpx.Client(headers={"Authorization": "x"}) as client:
        client.post(sandbox.url, json=[make(1)])
        sandbox.stop()
        sandbox.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox"]
    Sandbox().stop()
