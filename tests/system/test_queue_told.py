"""What records, events and answers tell of what went through the queue: the relay's own words for what it took, why
it did not, until when it is tried; and nothing that is not certain."""

import concurrent.futures
import datetime
import json
import threading
import time

import pytest

from gateway import KEY, SLOW, Gateway, command, free_port, ms, problem, wait_for
from relay import Relay
from test_keys import entry, secret_of


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def wait(seconds, **more):
    return {"Prefer": "wait=%d" % seconds, **more}


def reaches(gateway, number, *states):
    assert wait_for(lambda: gateway.get("/messages/" + number)["state"] in states, 10), gateway.get("/messages/" + number)
    return gateway.get("/messages/" + number).json


def queued(gateway, **fields):
    answer = gateway.send(delivery="queue", **fields)
    assert answer.status == 202, answer
    return answer["id"]


def events(gateway, kind):
    return [event["data"] for event in gateway.get("/events?type=message." + kind)["events"]]


def seconds(moment):
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


TAKEN = {"code": 250, "enhanced": "2.0.0", "text": "Ok: queued as R1T1"}
HERE = {"name": "default", "host": "127.0.0.1"}
LONG = 60 * ("x" * 9999 + "\n")
SILENT = {"then": "close", "reply": ""}


@pytest.mark.parametrize("delivery", ["queue", "now"])
def test_the_relays_answer_to_the_message(store, delivery):
    """Of what was sent directly, too: with a store as without one."""
    with Relay() as relay:
        with Gateway(relay, STORE=store) as gateway:
            number = gateway.send(delivery=delivery)["id"]
            assert relay.wait(lambda: len(relay.ledger) == 1)
            told = reaches(gateway, number, "sent")
            assert told["smtp"] == TAKEN and told["relay"] == {**HERE, "queue_id": "R1T1"}
            assert (told["attempts"][0]["phase"], told["attempts"][0]["smtp"]) == ("dot", TAKEN)
            assert told["recipients"][0]["smtp"]["enhanced"] == "2.1.5", "that was to RCPT"
            assert set(told["timing_ms"]) == {"queue", "connect", "send", "total"} and told["timing_ms"]["total"] > 0
            assert "detail" not in told and "why" not in told and "expires" not in told
            listed = gateway.get("/messages")["messages"][0]
            assert "smtp" not in listed and "attempts" not in listed
            sent = events(gateway, "sent")[0]
            assert (sent["phase"], sent["smtp"], sent["queue_id"]) == ("dot", TAKEN, "R1T1")
        with Gateway(relay, STORE=store) as gateway:
            assert gateway.get("/messages/" + number).json == told, "from the next process as well"


def test_of_several_attempts(store):
    """The reply that counts is that of the last one that took it."""
    with Relay({"mail:1": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200)) as gateway:
        told = reaches(gateway, queued(gateway), "sent")
        assert [a["smtp"]["code"] for a in told["attempts"]] == [451, 250]
        assert told["smtp"]["code"] == 250 and told["relay"]["queue_id"].startswith("R1T")
        assert events(gateway, "deferred")[0]["smtp"]["code"] == 451


def test_in_parts_nobody_has_anothers_answer(store):
    """One event each, and the last part's reply is not that to the first."""
    limit = {"rcpt:3": "452 4.5.3 too many recipients", "dot:2": "250 2.0.0 Ok: queued as OTHER"}
    with Relay(limit) as relay, Gateway(relay, STORE=store) as gateway:
        number = queued(gateway, to=["n%d@example.org" % n for n in range(4)])
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 2
        sent = events(gateway, "sent")
        assert len(sent) == 4 and not any("smtp" in one or "queue_id" in one for one in sent), sent


@pytest.mark.parametrize("policy,state", [("hold", "held"), ("retry", "deferred")])
def test_an_unknown_outcome_shows_no_yes(store, policy, state):
    """Some took it before, and nobody knows of the other: what is told of the whole is theirs alone."""
    script = {"rcpt:2": "450 4.2.0 later", "dot:2": SILENT}
    with Relay(script) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="%s,1h" % ms(200), ON_UNKNOWN=policy) as gateway:
        alone = queued(gateway, to=["ann@example.org", "bo@example.org"])
        told = reaches(gateway, alone, state if policy == "hold" else "deferred")
        assert wait_for(lambda: len(gateway.get("/messages/" + alone)["attempts"]) == 2)
        told = gateway.get("/messages/" + alone).json
        assert told["state"] == state and "smtp" not in told["attempts"][1]
        assert "last byte was sent, and no answer came" in told["attempts"][1]["detail"]
        unknown = events(gateway, "unknown")[0]
        assert "smtp" not in unknown and "queue_id" not in unknown and "no answer came" in unknown["detail"]
        assert [r["outcome"] for r in told["recipients"]] == ["accepted", "unknown"]
        assert "smtp" not in told["recipients"][1]
        if policy == "hold":
            assert told["outcome"] == "partial" and told["smtp"]["code"] == 250
        else:
            assert told["outcome"] == "queued" and "smtp" not in told and "relay" not in told
        relay.script.clear()
        relay.script["dot"] = SILENT
        number = queued(gateway, on_unknown="hold")
        told = reaches(gateway, number, "held")
        assert told["outcome"] == "unknown" and "smtp" not in told and told["relay"] == HERE
        assert "no answer came" in told["detail"] and told["recipients"][0]["hint"]


def test_why_it_could_not_be_sent(store):
    with Relay() as relay, Gateway(relay, STORE=store, SMTP_PORT=free_port(), RETRY_DELAYS="1h") as gateway:
        told = reaches(gateway, queued(gateway), "deferred")
        assert "refused" in told["attempts"][0]["detail"].lower(), told
        assert events(gateway, "deferred")[0]["detail"] == told["attempts"][0]["detail"]
        assert "detail" not in told and "hint" not in told["recipients"][0], "it is tried again"
        shown = command("queue", "show", told["id"], settings={"LETTERGATE_URL": gateway.url, "LETTERGATE_KEY": KEY}).stdout
        assert told["attempts"][0]["detail"] in shown and "\nexpires" in shown, shown
        answer = gateway.send()
        told = reaches(gateway, answer["id"], "failed")
        assert told["detail"] == answer["detail"] == told["attempts"][0]["detail"]
        assert "why" not in told and "expired" not in told, "it was not to be tried again"


def test_until_when(store):
    due = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h", RETRY_FOR="5h") as gateway:
        number = queued(gateway, send_at=due)
        told = gateway.get("/messages/" + number).json
        assert seconds(told["send_at"]) == seconds(told["next_attempt"]) == seconds(due)
        assert seconds(told["expires"]) == seconds(due) + 5 * 3600
        assert gateway.get("/messages")["messages"][0]["expires"] == told["expires"]
        told = reaches(gateway, queued(gateway), "deferred")
        assert "send_at" not in told and abs(seconds(told["expires"]) - seconds(told["created"]) - 5 * 3600) < 1
        assert gateway.request("DELETE", "/messages/" + number).status == 200
        assert "expires" not in gateway.get("/messages/" + number).json


def test_what_cannot_be_done_says_why(store):
    gate = threading.Event()
    with Relay({"dot": lambda *_: gate.wait(60 * SLOW) and None}) as relay, \
            Gateway(relay, STORE=store) as gateway:
        number = queued(gateway)
        assert relay.wait(lambda: relay.commands("MAIL"))
        answer = gateway.request("DELETE", "/messages/" + number)
        assert (answer.status, answer["code"], answer["state"]) == (409, "already_settled", "sending")
        assert answer["retryable"] is True and int(answer.headers["Retry-After"]) == answer["retry_after"] > 0
        keyed = {"Idempotency-Key": "one"}
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(gateway.send, headers=keyed)
            assert relay.wait(lambda: len(relay.commands("MAIL")) == 2)
            running = gateway.send(headers=keyed)
            assert (running.status, running["code"]) == (409, "idempotency_running"), running
            gate.set()
            assert first.result().status == 200 and "no answer yet" in running["detail"]
        other = problem(gateway.send(headers=keyed, to="bo@example.org"), 422, "idempotency_mismatch", "not_sent")
        assert "differs" in other["detail"]
        reaches(gateway, number, "sent")
        answer = gateway.request("DELETE", "/messages/" + number)
        assert (answer.status, answer["state"], answer["retryable"]) == (409, "sent", False)
        assert answer["retry_after"] is None and "Retry-After" not in answer.headers
        raw = gateway.get("/messages/%s/raw" % number)
        assert (raw.status, raw["code"]) == (410, "not_kept") and "KEEP_BODY" in raw["detail"]
        answer = gateway.get("/messages?state=held&limit=9&state=failed")
        assert answer.status == 422 and answer["detail"].endswith(", each once"), "else half of it would be told"
        for query in ("state=bogus", "state=sent,failed"):
            assert "deferred, failed, unknown, held" in gateway.get("/messages?" + query)["detail"]
        assert "%2B" in gateway.get("/messages?since=2026-11-24T10:00:00+01:00")["detail"]


@pytest.mark.parametrize("bound,value", [("QUEUE_MAX", "1"), ("QUEUE_MAX_BYTES", "1M"), ("QUEUE_MAX_PER_KEY", "1")])
def test_which_bound_is_reached(store, bound, value):
    with Relay({"mail": "551 5.7.1 never"}) as relay, \
            Gateway(relay, STORE=store, KEEP_BODY="1h", **{bound: value}) as gateway:
        number = queued(gateway, text=LONG)
        reaches(gateway, number, "failed")
        waiting = {"send_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))}
        queued(gateway, text=LONG, **waiting)
        answer = problem(gateway.send(text=LONG, **waiting), 503, "queue_full", "not_sent")
        assert answer["detail"].startswith(bound + " is reached"), answer
        answer = gateway.request("POST", "/messages/%s/retry" % number)
        assert (answer.status, answer["code"]) == (503, "queue_full"), answer
        assert answer["detail"].startswith(bound + " is reached"), answer


def test_which_scope_it_takes(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [entry("sender", ["send"])]}))
    with Relay() as relay, Gateway(relay, key=secret_of("sender"), API_KEY=None, API_KEYS_FILE=keys) as gateway:
        answer = gateway.get("/messages")
        assert (answer.status, answer["code"]) == (403, "forbidden") and "scope read" in answer["detail"]
        answer = gateway.send(trace=True)
        assert (answer.status, answer["code"]) == (403, "forbidden") and "scope trace" in answer["detail"]
        assert answer["errors"][0]["pointer"] == "/trace"


def test_given_up_says_so(store):
    """Also to who waits for it; and there is nothing to wait for."""
    with Relay({"rcpt:bo@example.org": "450 4.2.0 later"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(300), RETRY_FOR="1s") as gateway:
        answer = gateway.send(headers=wait(30 * SLOW), to="bo@example.org")
        assert (answer.status, answer["outcome"], answer["code"]) == (503, "deferred", "recipient_deferred"), answer
        assert answer["expired"] is answer["recipients"][0]["expired"] is True
        assert answer["retryable"] is False and answer["retry_after"] is None and "Retry-After" not in answer.headers
        told = gateway.get("/messages/" + answer["id"]).json
        assert told["state"] == "failed" and told["expired"] is True and "RETRY_FOR" in told["why"]
        assert told["smtp"]["code"] == 450 and told["recipients"][0]["expired"] is True
        assert [one.get("expired") for one in events(gateway, "failed")] == [True]
        told = reaches(gateway, queued(gateway, to=["ann@example.org", "bo@example.org"]), "partial")
        assert "expired" not in told and [r.get("expired") for r in told["recipients"]] == [None, True]
        answer = problem(gateway.send(to="bo@example.org"), 503, "recipient_deferred", "deferred")
        assert answer["retryable"] is True and "expired" not in answer, "a direct send has its own pause"


def test_who_waits_in_vain_hears_what_was_tried(store):
    keyed = wait(1, **{"Idempotency-Key": "one"})
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="%s,1h" % ms(100)) as gateway:
        answer = gateway.send(headers=wait(3))
        assert (answer.status, answer["outcome"]) == (202, "queued")
        assert [a["smtp"]["code"] for a in answer["attempts"]] == [451, 451]
        assert answer["timing_ms"]["total"] >= 2999 and answer["timing_ms"]["queue"] > 2000
        assert "smtp" not in answer.json and "relay" not in answer.json
        first, again = (gateway.send(headers=keyed) for _ in range(2))
        assert first["timing_ms"]["total"] >= 999 and first["attempts"]
        assert again.status == 202 and again.headers["Idempotency-Replayed"] == "true" and again["id"] == first["id"]


def test_a_verdict_is_that_of_a_direct_send(store):
    """And who asks again, in the next process too, hears the same: relay, reply, hint."""
    script = {"rcpt:no@example.org": "550 5.1.1 no such user"}
    with Relay(script) as relay:
        with Gateway(relay, STORE=store) as gateway:
            yes = gateway.send(headers=wait(30, **{"Idempotency-Key": "yes"}))
            no = gateway.send(headers=wait(30, **{"Idempotency-Key": "no"}), to="no@example.org")
            direct = gateway.send(to="no@example.org")
            assert no["hint"] == direct["hint"] and no["recipients"] == direct["recipients"], no
            assert yes["relay"] == {**HERE, "queue_id": "R1T1"} and yes["timing_ms"]["queue"] > 0
            timing = yes["timing_ms"]
            assert abs(timing["queue"] + timing["connect"] + timing["send"] - timing["total"]) < 0.01
        with Gateway(relay, STORE=store) as gateway:
            again = gateway.send(headers=wait(30, **{"Idempotency-Key": "yes"}))
            assert (again["relay"], again["smtp"], again["attempts"]) == (yes["relay"], yes["smtp"], yes["attempts"])
            again = gateway.send(headers=wait(30, **{"Idempotency-Key": "no"}), to="no@example.org")
            assert (again.status, again["hint"], again["recipients"]) == (422, no["hint"], no["recipients"])
            assert again["relay"] == no["relay"] and again["detail"] == no["detail"]
            plain = gateway.send(headers={"Idempotency-Key": "yes"})
            assert (plain.status, plain["outcome"], plain["id"]) == (202, "queued", yes["id"]), "as it was kept"
