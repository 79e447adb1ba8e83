"""What an answer means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartico_sync.core.verdicts import judge

EIDS, USERS = ["e1", "e2", "e3"], ["u1", "u2", "u3"]


def verdict(body, status=200, outcome="answered"):
    return judge(EIDS, USERS, outcome, status, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_accepted_is_only_what_says_so():
    """`err_code` 0 with HTTP 200 delivers; nothing else does."""
    assert verdict({"req_id": "x", "pd": 26, "err_code": 0}).decision == "done"
    assert verdict({}).decision == "retry"
    assert verdict(b"<html>ok</html>").decision == "retry"


@pytest.mark.parametrize("name", ["event_errors", "failed_events"])
@pytest.mark.parametrize("key", ["e2", "u2"])
def test_errors_find_their_event_by_eid_or_by_user(name, key):
    """Both names of the list and both kinds of key are understood."""
    told = verdict({"err_code": 0, name: {key: [{"error_message": "user not found", "error_code": 10001}]}})
    assert told.decision == "done"
    assert {place: why.code for place, why in told.refused.items()} == {1: 10001}


@pytest.mark.parametrize(("status", "decision"), [(200, "done"), (400, "retry")])
def test_a_name_that_fits_several_events_condemns_none(status, decision):
    """An error by user id says nothing about which of the player's events is meant; the other players' are judged."""
    body = {
        "err_code": 0 if status == 200 else 2,
        "failed_events": {"u1": ["Property x faled to parse"], "e3": ["Bad"]},
    }
    told = judge(EIDS, ["u1", "u1", "u3"], "answered", status, json.dumps(body).encode())
    assert (told.decision, told.vague, set(told.refused)) == (decision, {0, 1}, {2})


def test_a_refused_event_does_not_hide_among_duplicates():
    """Where a player's errors are duplicates and a refusal, the refused event is looked for, and nothing counts as delivered."""
    body = {"err_code": 0, "event_errors": {"u1": [{"error_code": 20056}, {"error_code": 2}]}}
    told = judge(EIDS, ["u1", "u1", "u3"], "answered", 200, json.dumps(body).encode())
    assert (told.vague, told.duplicates, set(told.refused)) == ({0, 1}, set(), set())


def test_what_concerns_a_player_concerns_all_events_of_the_player():
    """An unknown user is unknown in each event; a duplicate among accepted events is delivered, whichever it is."""
    body = {"err_code": 0, "event_errors": {"u1": [{"error_code": 10001}], "u3": [{"error_code": 20056}]}}
    told = judge([*EIDS, "e4"], ["u1", "u1", "u3", "u3"], "answered", 200, json.dumps(body).encode())
    assert (told.vague, set(told.refused), told.duplicates) == (set(), {0, 1}, {2, 3})
    refused = judge(
        [*EIDS, "e4"], ["u1", "u1", "u3", "u3"], "answered", 400, json.dumps({**body, "err_code": 2}).encode()
    )
    assert (refused.vague, refused.duplicates) == ({2, 3}, set())


def test_a_duplicate_is_a_success():
    """20056 is a duplicate, never a refusal."""
    told = verdict({"err_code": 0, "event_errors": {"e1": [{"error_code": 20056, "error_message": "dup"}]}})
    assert told.duplicates == {0}
    assert not told.refused


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {}),
        (403, {}),
        (200, {"errCode": 4, "errMsg": "Access denied"}),
        (200, {"err_code": 10000}),
        (200, {"err_code": 0, "event_errors": {"e2": [{"error_code": 10000}]}}),
    ],
)
def test_a_refusal_of_us_halts(status, body):
    """Denied and a wrong key halt, in both dialects, with any status, and also when only an event says so."""
    told = verdict(body, status)
    assert (told.decision, told.cause) == ("halt", "token")


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308, 404, 405, 410])
@pytest.mark.parametrize("body", [{}, b"<html>", {"err_code": 2}])
def test_a_wrong_url_halts(status, body):
    """An ingest API answers a POST, and sends nobody elsewhere."""
    told = verdict(body, status)
    assert (told.decision, told.cause, told.reason) == ("halt", "url", f"HTTP {status}")


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 530, 599])
def test_what_passes_by_itself_is_tried_again(status):
    """Nothing is wrong that an operator could mend."""
    told = verdict({"err_code": 0}, status)
    assert (told.decision, told.cause, told.reason) == ("retry", "", f"HTTP {status}")


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [("timeout", "unknown"), ("broken", "unknown"), ("not connected", "retry"), ("turned away", "halt")],
)
def test_no_answer_keeps_its_reason(outcome, decision):
    """Why there is none, and what to look at, are told as they are; without them there are words all the same."""
    told = judge(EIDS, USERS, outcome, 0, b"", reason="because", cause="proxy")
    assert (told.decision, told.reason, told.cause) == (decision, "because", "proxy")
    assert judge(EIDS, USERS, outcome, 0, b"").reason


def test_a_proxy_that_wants_a_login_is_no_refusal_of_the_token():
    """407 comes from a proxy and from nobody else."""
    told = verdict({"errCode": 4}, 407)
    assert (told.decision, told.cause) == ("halt", "proxy")


def test_an_unknown_brand_is_neither_a_refused_event_nor_a_refusal_of_us():
    """125 names the brand: of the whole request, or of some events, while the others are delivered."""
    assert verdict({"err_code": 125}).decision == "brand"
    told = verdict({"err_code": 0, "event_errors": {"e2": [{"error_code": 125}], "e3": [{"error_code": 2}]}})
    assert (told.decision, told.brands, set(told.refused)) == ("done", {1}, {2})


def test_the_reason_of_a_refusal_holds_no_value():
    """The API quotes values; a dead letter never does."""
    told = verdict(
        {
            "err_code": 2,
            "failed_events": {"e1": ["Property user_email faled to parse value joe@example.com, error: x"]},
        },
        400,
    )
    assert told.decision == "retry"
    assert "joe" not in told.refused[0].reason
    assert "user_email" in told.refused[0].reason


def test_a_refusal_without_a_name_is_bisected():
    """Where nobody is named, halves find the guilty one."""
    assert verdict({"err_code": 2}, 400).decision == "bisect"


@given(st.binary(max_size=200), st.sampled_from([200, 204, 301, 400, 404, 500, 503]))
def test_bytes_nobody_understands_never_deliver(body, status):
    """Any bytes: no exception, and nothing is delivered that was not accepted in words."""
    told = judge(EIDS, USERS, "answered", status, body)
    assert told.decision != "done" or b"err" in body


@given(
    st.dictionaries(
        st.sampled_from(["err_code", "errCode", "event_errors", "failed_events", "err_msg"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_any_answer_has_a_verdict(answer):
    """Any JSON object is judged without an exception."""
    told = verdict(answer)
    if told.decision == "done" and not told.duplicates:
        assert 0 in (answer.get("err_code"), answer.get("errCode")) or "0" in (
            answer.get("err_code"),
            answer.get("errCode"),
        )


NAMES_OF_ERRORS = ["event_errors", "failed_events", "eventErrors", "failedEvents", "errors", "rejected"]


def told_by(shape, name, errors, events):
    """The list of errors of an answer, in one of the shapes that are conceivable; `errors` maps a place to its code."""
    told = {place: {"error_code": code, "error_message": "told"} for place, code in errors.items()}
    keys = {
        "eid": lambda place: events[place][0],
        "upper eid": lambda place: events[place][0].upper(),
        "user": lambda place: events[place][1],
        "index": str,
        "brand:user": lambda place: f"b:{events[place][1]}",
        "number": lambda place: f"#{place}",
    }
    if shape == "listed":
        return {name: list(told.values())}
    if shape == "listed with eid":
        return {name: [{"eid": events[place][0], **error} for place, error in told.items()]}
    if shape == "sentences":
        return {name: [f"event {place} is wrong" for place in told]}
    if shape == "counted":
        return {"failed_count": len(told)}
    if shape == "counted in text":
        return {"failed": str(len(told))}
    if shape == "in one sentence":
        return {"error": "events are wrong"}
    if shape == "no success":
        return {"success": False}
    if shape == "within":
        return {"result": [{name: {events[place][0]: error for place, error in told.items()}}]}
    if shape == "each event":
        clear = {"errorCode": "0", "status": "OK"}
        coded = {place: {"errorCode": str(error["error_code"]), "status": "failed"} for place, error in told.items()}
        return {"events": [{"eid": eid, **coded.get(place, clear)} for place, (eid, _) in enumerate(events)]}
    if shape == "each event by name":
        return {"events": {eid: {"err_code": errors.get(place, 0)} for place, (eid, _) in enumerate(events)}}
    if shape == "all, with codes":
        return {name: {eid: [{"error_code": errors.get(place, 0)}] for place, (eid, _) in enumerate(events)}}
    found: dict[str, list] = {}
    for place, error in told.items():
        found.setdefault(keys[shape](place), []).append(error)
    return {name: found}


NAMELESS = ["sentences", "counted", "counted in text", "in one sentence", "no success"]
SHAPES = st.sampled_from([
    *("eid", "upper eid", "user", "index", "brand:user", "number", "listed", "listed with eid", *NAMELESS),
    *("within", "each event", "each event by name", "all, with codes"),
])  # fmt: skip
CODES = st.sampled_from([0, 0, 2, 77, 20056])


@settings(max_examples=150)
@given(
    st.lists(st.tuples(CODES, st.sampled_from(["1", "2", "77"])), min_size=1, max_size=7),
    SHAPES,
    st.sampled_from(NAMES_OF_ERRORS),
    st.sampled_from(["take in part", "refuse as a whole", "one code for all"]),
)
def test_nothing_counts_as_delivered_that_an_answer_does_not_clear(fates, shape, name, manner):
    """Whatever names the errors, in the end each event is delivered that was taken, and refused that was refused."""
    events = [(f"e-{place}", user) for place, (_, user) in enumerate(fates)]
    wrong = {place for place, (code, _) in enumerate(fates) if code not in (0, 20056)}
    taken = {place for place, (code, _) in enumerate(fates) if code == 20056}

    def answer(request):
        errors = {n: (20056 if place in taken else fates[place][0]) for n, place in enumerate(request)}
        errors = {n: code for n, code in errors.items() if code}
        mine = [events[place] for place in request]
        if manner == "take in part" or not errors:
            taken.update(place for place in request if place not in wrong)
            return {"err_code": 0, **(told_by(shape, name, errors, mine) if errors else {})}, 200
        if manner == "one code for all":
            return {"err_code": next(iter(errors.values()))}, 200
        return {"err_code": 2, **told_by(shape, name, errors, mine)}, 400

    delivered, refused, asked = set(), set(), 0
    waiting = [list(range(len(fates)))]
    while waiting:
        request = waiting.pop()
        asked += 1
        assert asked < 200
        body, status = answer(request)
        mine = [events[place] for place in request]
        told = judge(
            [eid for eid, _ in mine], [user for _, user in mine], "answered", status, json.dumps(body).encode()
        )
        if told.decision == "bisect":
            if len(request) == 1:
                refused.add(request[0])
            else:
                waiting += [request[len(request) // 2 :], request[: len(request) // 2]]
            continue
        assert told.decision in ("done", "retry")
        refused |= {request[n] for n in told.refused}
        named = told.refused.keys() | told.duplicates | told.vague
        rest = [place for n, place in enumerate(request) if n not in named]
        delivered |= {request[n] for n in told.duplicates} | (set(rest) if told.decision == "done" else set())
        again = [*(rest if told.decision == "retry" else []), *(request[n] for n in sorted(told.vague))]
        assert len(again) < len(request) or told.vague
        waiting += [[place] for place in again]
    if shape in NAMELESS and manner != "one code for all":
        # A duplicate that is only counted, or told in words, is a refusal like any other.
        assert delivered <= taken - wrong
        assert delivered | refused == set(range(len(fates)))
    else:
        assert delivered == set(range(len(fates))) - wrong
        assert refused == wrong


@pytest.mark.parametrize("depth", [10, 100, 300, 100_000])
def test_parts_within_parts_never_pass_for_a_success(depth):
    """However deep the errors are; and what nobody can read is asked for again."""
    body = b'{"err_code": 0, "a": ' + b'[{"a": ' * depth + b'{"errors": ["x"]}' + b"}]" * depth + b"}"
    told = judge(EIDS, USERS, "answered", 200, body)
    assert told.decision == ("retry" if depth == 100_000 else "bisect")


def test_a_small_number_is_no_name():
    """A key that may count the events or name a player says nothing of either."""
    body = {"err_code": 0, "event_errors": {"1": [{"error_code": 2}]}}
    told = judge(EIDS, ["1", "2", "3"], "answered", 200, json.dumps(body).encode())
    assert told.decision == "bisect"
    assert judge(
        EIDS, ["1001", "1", "3"], "answered", 200, json.dumps(body | {"event_errors": {"1001": [1]}}).encode()
    ).refused


def test_a_duplicate_that_names_nobody_is_that_of_one_event_only():
    """Alone an event is the duplicate; among others any of them may be."""
    assert verdict({"err_code": 20056}).decision == "bisect"
    assert judge(["e1"], ["u1"], "answered", 200, b'{"err_code": 20056}').duplicates == {0}


@pytest.mark.parametrize(
    "more",
    [
        *({"warnings": ["old"]}, {"pd": 3}, {"failed_events": {}}, {"errors": []}, {"failed": 0}, {"failed": "0"}),
        *({"error": ""}, {"error": None}, {"error": "none"}, {"success": True}, {"status": "OK"}, {"errors": 0.0}),
        *({"result": {"errors": {}, "code": 200}}, {"events": [{"eid": "e1", "err_code": 0}]}),
        {"event_errors": {"e1": [{"error_code": 0}], "e2": {"errorCode": "0", "errorMessage": ""}}},
    ],
)
def test_what_speaks_of_no_error_is_none(more):
    """Empty lists, noughts and other words leave an accepted request accepted."""
    assert verdict({"err_code": 0, **more}) == verdict({"err_code": 0})
