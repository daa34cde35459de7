"""The queue: what was accepted is delivered, whatever happens in between."""

import signal
import sqlite3
import threading
import time

import pytest

from gateway import SLOW, Gateway, command, free_port, mail, ms, problem, together, wait_for
from fleet import Fleet
from relay import Relay


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def queued(gateway, **fields):
    answer = gateway.send({"delivery": "queue"}, **fields)
    assert answer.status == 202, answer
    assert answer["outcome"] == "queued"
    assert [r["outcome"] for r in answer["recipients"]] == ["queued"] * len(answer["recipients"])
    assert answer.headers["Location"] == "/messages/" + answer["id"]
    return answer["id"]


def state(gateway, number):
    return gateway.get("/messages/" + number)["state"]


def reaches(gateway, number, *states):
    assert wait_for(lambda: state(gateway, number) in states, 10), gateway.get("/messages/" + number)
    return gateway.get("/messages/" + number)


def test_accepted_then_sent(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        number = queued(gateway, tags=["a"], metadata={"order": "7"})
        assert relay.wait(lambda: len(relay.ledger) == 1)
        told = reaches(gateway, number, "sent")
        assert told["outcome"] == "accepted" and told["tags"] == ["a"]
        assert told["metadata"] == {"order": "7"} and told["next_attempt"] is None
        assert len(told["attempts"]) == 1 and told["attempts"][0]["outcome"] == "accepted"
        assert told["attempts"][0]["time"] >= told["created"]
        assert gateway.get("/messages/%s/raw" % number).status == 410, "KEEP_BODY is 0s"


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "a"}])
def test_a_relay_that_there_is_not_is_told_at_once(store, key):
    """Before it is accepted, as for what is sent directly; and what was asked with its key is free."""
    waiting = {**key, "Prefer": "wait=5"}
    in_an_hour = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        for fields, headers in (({"delivery": "queue"}, key), ({"delivery": "now_then_queue"}, key), ({}, waiting),
                                ({"delivery": "queue", "send_at": in_an_hour}, key)):
            answer = gateway.send({"relay": "tow", **fields}, headers=headers)
            problem(answer, 422, "invalid_request", "not_sent")
            assert answer["errors"][0]["pointer"] == "/relay", answer
        answer = gateway.post("/send/batch", [mail(delivery="queue", relay="tow"), mail(delivery="queue")], key)
        assert [one["status"] for one in answer["results"]] == [422, 202], answer
        assert not gateway.get("/messages")["messages"][1:]
        assert gateway.send({"delivery": "queue", "relay": "default"}, headers=key).status == 202


def test_a_relay_that_a_reload_took_away(store, tmp_path):
    """What is for it alone waits, is not tried time after time, and goes when it is back."""
    with Relay({"mail": "451 4.3.0 later"}) as one, Relay() as two:
        both, rest = [("one", one, {}), ("two", two, {})], [("two", two, {})]
        with Fleet(tmp_path, both, STORE=store, RETRY_DELAYS=ms(300), RETRY_JITTER="0") as gateway:
            numbers = [queued(gateway, relay="one") for _ in range(5)]
            assert one.wait(lambda: len(one.commands("MAIL")) >= 5)
            gateway.reload(rest)
            one.script.clear()
            for number in numbers:
                assert wait_for(lambda: gateway.get("/messages/" + number).json.get("why")), number
                told = gateway.get("/messages/" + number)
                assert told["why"] == "no relay of the settings in force has this name" and told["state"] == "deferred"
            shown = command("queue", "show", number, settings={"LETTERGATE_URL": gateway.url, "LETTERGATE_KEY": gateway.key})
            assert "\nwhy           no relay of the settings in force" in shown.stdout, shown
            attempts, lines = len(told["attempts"]), len(gateway.log("send"))
            reaches(gateway, queued(gateway), "sent")
            time.sleep(1.5)
            assert len(gateway.log("no_relay")) == 1 and len(gateway.log("send")) == lines + 1
            assert len(gateway.get("/messages/" + numbers[-1])["attempts"]) == attempts
            gateway.reload(both)
            for number in numbers:
                assert "why" not in reaches(gateway, number, "sent").json
            assert len(one.ledger) == 5


def test_not_now_and_then_yes(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(300), RETRY_JITTER="0") as gateway:
        number = queued(gateway)
        assert relay.wait(lambda: len(relay.commands("MAIL")) >= 3)
        told = reaches(gateway, number, "deferred")
        assert told["attempts"][0]["smtp"]["code"] == 451 and told["next_attempt"]
        relay.script.clear()
        told = reaches(gateway, number, "sent")
        assert len(told["attempts"]) >= 4 and len(relay.ledger) == 1


def test_only_the_deferred_ones_are_tried_again(store):
    script = {"rcpt:1": "550 5.1.1 never", "rcpt:2": "450 4.2.0 later"}
    to = ["never@example.org", "later@example.org", "yes@example.org"]
    with Relay(script) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200), RETRY_JITTER="0") as gateway:
        number = queued(gateway, to=to)
        assert relay.wait(lambda: relay.ledger)
        relay.script.clear()
        told = reaches(gateway, number, "partial")
        assert [r["outcome"] for r in told["recipients"]] == ["rejected", "accepted", "accepted"]
        assert [sorted(t.recipients) for t in relay.ledger] == [["yes@example.org"],
                                                                ["later@example.org"]]


def test_killed_behind_the_202(store):
    with Relay() as relay:
        gateway = Gateway(relay, STORE=store, SMTP_PORT=free_port())
        numbers = [queued(gateway) for _ in range(20)]
        gateway.kill()
        with Gateway(relay, STORE=store) as gateway:
            for number in numbers:
                reaches(gateway, number, "sent")
            assert len(relay.ledger) == 20


def test_a_relay_that_is_away_and_comes_back(store):
    """F-24: it rests, nothing is lost, and it all goes when it is there again."""
    port = free_port()
    with Gateway(None, STORE=store, SMTP_HOST="127.0.0.1", SMTP_PORT=port, SMTP_SECURE="NONE",
                 RETRY_DELAYS=ms(200)) as gateway:
        numbers = [queued(gateway) for _ in range(10)]
        time.sleep(1)
        with Relay(port=port) as relay:
            for number in numbers:
                reaches(gateway, number, "sent")
            assert len(relay.ledger) == 10


def test_given_up_when_its_time_is_over(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200), RETRY_FOR="1s") as gateway:
        told = reaches(gateway, queued(gateway), "failed")
        assert told["outcome"] == "deferred" and told["next_attempt"] is None
        assert not relay.ledger


@pytest.mark.parametrize("policy,outcome", [("retry", "sent"), ("hold", "held")])
def test_unknown(store, policy, outcome):
    """F-07: tried again, or set aside; that is for ON_UNKNOWN, or the message, to say."""
    silence = {"then": "close", "reply": ""}
    with Relay({"dot": silence}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200), ON_UNKNOWN=policy) as gateway:
        number = queued(gateway)
        assert relay.wait(lambda: relay.commands("MAIL"))
        assert wait_for(lambda: gateway.get("/messages/" + number)["attempts"])
        relay.script.clear()
        told = reaches(gateway, number, outcome)
        assert told["attempts"][0]["outcome"] == "unknown"
        assert len(relay.ledger) == (1 if policy == "retry" else 0)
        other = "hold" if policy == "retry" else "retry"
        relay.script["dot"] = silence
        number = queued(gateway, on_unknown=other)
        reaches(gateway, number, *(["held"] if other == "hold" else ["deferred"]))


def test_unknown_where_it_is_tried_before_it_is_queued(store):
    """Held with its text, though its sender heard what came of it; where there is no room, remembered."""
    with Relay({"dot": {"then": "close", "reply": ""}}) as relay, \
            Gateway(relay, STORE=store, ON_UNKNOWN="hold", QUEUE_MAX="1") as gateway:
        keyed = {"Idempotency-Key": "one"}
        answer = gateway.send(headers=keyed, delivery="now_then_queue")
        problem(answer, 504, "outcome_unknown", "unknown")
        number = answer["id"]
        assert state(gateway, number) == "held"
        again = gateway.send(headers=keyed, delivery="now_then_queue")
        assert (again.status, again["id"]) == (504, number) and again.headers["Idempotency-Replayed"] == "true"
        other = gateway.send(delivery="now_then_queue")
        problem(other, 504, "outcome_unknown", "unknown")
        assert state(gateway, other["id"]) == "unknown", "the queue is full"
        assert [e["type"] for e in gateway.get("/events")["events"]] == ["message.unknown"] * 2
        relay.script.clear()
        assert b"Thank you." in gateway.get("/messages/%s/raw" % number).body
        assert gateway.post("/messages/%s/retry" % number, "").status == 200
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 1


def test_held_beside_one_that_is_deferred(store):
    """A retry is for whom it would be tried anyway; who is unknown waits for the others, and is then held."""
    script = {"dot": {"then": "close", "reply": ""}, "rcpt:late@example.org": "450 4.2.0 later"}
    with Relay(script) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h", ON_UNKNOWN="hold") as gateway:
        number = queued(gateway, to=["unknown@example.org", "late@example.org"])
        told = reaches(gateway, number, "deferred")
        assert [r["outcome"] for r in told["recipients"]] == ["unknown", "deferred"]
        relay.script.clear()
        assert gateway.post("/messages/%s/retry" % number, "").status == 200
        told = reaches(gateway, number, "held")
        assert [r["outcome"] for r in told["recipients"]] == ["unknown", "accepted"]
        assert [t.recipients for t in relay.ledger] == [["late@example.org"]]
        assert gateway.post("/messages/%s/retry" % number, "").status == 200
        reaches(gateway, number, "sent")
        assert [t.recipients for t in relay.ledger] == [["late@example.org"], ["unknown@example.org"]]


@pytest.mark.parametrize("policy,outcome", [("retry", "sent"), ("hold", "held")])
def test_killed_while_the_relay_has_it(store, policy, outcome):
    """F-32: the process dies between the end of the data and the answer. Who wants no second mail gets
    none."""
    ends = []
    with Relay({"dot": lambda *_: ends.append(1) or {"then": "stall", "reply": ""}}) as relay:
        gateway = Gateway(relay, STORE=store, ON_UNKNOWN=policy)
        number = queued(gateway)
        assert wait_for(lambda: ends), "it has the end, not only what is before it"
        gateway.kill()
        relay.script.clear()
        with Gateway(relay, STORE=store, ON_UNKNOWN=policy) as gateway:
            told = reaches(gateway, number, outcome)
            assert len(relay.ledger) == (1 if policy == "retry" else 0)
            if policy == "hold":
                assert told["recipients"][0]["outcome"] == "unknown"
                assert gateway.request("POST", "/messages/%s/retry" % number).status == 200
                reaches(gateway, number, "sent")


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_unknown_stays_so(store, killed):
    """F-07, F-32: the relay may have it, whatever it says to a later attempt; only a yes changes that."""
    ends = []
    silence = {"then": "stall" if killed else "close", "reply": ""}
    with Relay({"dot": lambda *_: ends.append(1) or silence}) as relay:
        gateway = Gateway(relay, STORE=store, RETRY_DELAYS=ms(300))
        numbers = [queued(gateway, to=to + "@example.org") for to in ("refused", "later")]
        assert wait_for(lambda: len(ends) >= 2)
        if killed:
            gateway.kill()
        relay.script.clear()
        relay.script.update({"rcpt:refused@example.org": "550 5.1.1 no", "rcpt:later@example.org": "450 4.2.0 no"})
        if killed:
            gateway = Gateway(relay, STORE=store, RETRY_DELAYS=ms(300))
        with gateway:
            told = reaches(gateway, numbers[0], "unknown")
            assert told["outcome"] == "unknown" and told["attempts"][-1]["outcome"] == "rejected"
            assert told["attempts"][-1]["smtp"]["code"] == 550 and told["recipients"][0]["duplicate_risk"]
            last = [e for e in gateway.get("/events")["events"] if e["data"]["id"] == numbers[0]][-1]
            assert (last["type"], last["data"]["outcome"]) == ("message.unknown", "unknown")
            assert last["data"]["next_attempt"] is None
            later = "/messages/" + numbers[1]
            assert wait_for(lambda: [a["outcome"] for a in gateway.get(later)["attempts"]][-1:] == ["deferred"], 10)
            assert wait_for(lambda: gateway.request("DELETE", later).status == 200)
            told = gateway.get(later)
            assert (told["state"], told["outcome"]) == ("cancelled", "unknown")
            assert told["recipients"][0]["code"] == "outcome_unknown"


def test_a_late_answer_is_noted(store):
    """F-08: what it says is written to the message, and who was to be tried again is not sent a second time."""
    with Relay({"dot": {"delay": 1.5 * SLOW, "reply": "250 2.0.0 Ok: queued as LATE12345"}}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        ways = {"now": 504, "now_then_queue": 202}
        answers = together(lambda way: gateway.send(delivery=way, deadline=ms(500)), ways, len(ways))
        for answer, status in zip(answers, ways.values()):
            assert answer.status == status, answer
            told = reaches(gateway, answer["id"], "sent")
            assert (told["outcome"], told["next_attempt"]) == ("accepted", None)
            assert told["recipients"][0]["smtp"]["code"] == 250 and not told["recipients"][0].get("duplicate_risk")
            assert [(a["outcome"], a["smtp"]["code"]) for a in told["attempts"]] == [("accepted", 250)]
            last = [e for e in gateway.get("/events")["events"] if e["data"]["id"] == answer["id"]][-1]
            assert last["type"] == "message.sent" and last["data"]["queue_id"] == "LATE12345"
        assert len(relay.ledger) == 2


def test_who_waits_hears_that_it_stays_unknown(store):
    answers = ["550 5.1.1 no", "250 ok"]
    script = {"dot": {"then": "close", "reply": ""}, "rcpt": lambda *_: answers.pop() if answers else "550 no"}
    with Relay(script) as relay, Gateway(relay, STORE=store, RETRY_DELAYS=ms(100)) as gateway:
        answer = gateway.send(headers={"Prefer": "wait=20"})
        problem(answer, 504, "outcome_unknown", "unknown")
        assert answer["duplicate_risk"] and answer.get("smtp") is None and "an earlier try" in answer["detail"]
        assert [a["outcome"] for a in answer["attempts"]] == ["unknown", "rejected"]


def test_now_then_queue(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200)) as gateway:
        answer = gateway.send(delivery="now_then_queue")
        assert answer.status == 202 and answer["outcome"] == "queued", answer
        relay.script.clear()
        told = reaches(gateway, answer["id"], "sent")
        assert told["attempts"][0]["outcome"] == "deferred"
        assert told["attempts"][-1]["outcome"] == "accepted" and len(relay.ledger) == 1
        assert gateway.send(delivery="now_then_queue").status == 200
        relay.script["mail"] = "550 5.7.1 no"
        answer = gateway.send(delivery="now_then_queue")
        assert answer.status == 422 and answer["outcome"] == "rejected", "that will not change"
        assert state(gateway, answer["id"]) == "failed"


def test_a_202_tells_why_each_was_put_off(store):
    """As GET does; what to do about it is the gateway's own affair. The same to who asks again with his key."""
    with Relay({"rcpt:2": "450 4.2.1 not yet"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        asked = {"headers": {"Idempotency-Key": "1"}, "delivery": "now_then_queue", "to": ["a@example.org", "b@example.org"]}
        answer = gateway.send(**asked)
        assert (answer.status, answer["outcome"]) == (202, "queued")
        taken, late = answer["recipients"]
        assert taken["outcome"] == "accepted" and "code" not in taken and "phase" not in taken
        assert late == {"address": "b@example.org", "outcome": "queued", "code": "recipient_throttled", "phase": "rcpt",
                        "smtp": {"code": 450, "enhanced": "4.2.1", "text": "not yet"}}
        found = gateway.get("/messages/" + answer["id"])["recipients"][1]
        assert found["outcome"] == "deferred" and {n: found[n] for n in ("code", "phase", "smtp")} == {
            n: late[n] for n in ("code", "phase", "smtp")}
        assert gateway.send(**asked)["recipients"] == answer["recipients"]
        relay.script.update({"mail": "451 4.3.0 not now"})
        late = gateway.send(delivery="now_then_queue")["recipients"][0]
        assert (late["outcome"], late["phase"], late["smtp"]["code"]) == ("queued", "mail", 451)
        assert gateway.send(delivery="queue")["recipients"] == [{"address": "ann@example.org", "outcome": "queued"}]


def test_respond_async(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.send(headers={"Prefer": "respond-async"})
        assert answer.status == 202 and answer.headers["Preference-Applied"] == "respond-async"
        reaches(gateway, answer["id"], "sent")
        assert "Preference-Applied" not in gateway.send().headers


def test_without_a_store_preferences_are_ignored():
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send(headers={"Prefer": "respond-async"}).status == 200
        problem(gateway.send(delivery="queue"), 422, "store_required", "not_sent")
        problem(gateway.send(send_at="2026-12-01T08:00:00Z"), 422, "store_required", "not_sent")
        assert gateway.request("DELETE", "/messages/1")["code"] == "store_required"


def test_scheduled_and_cancelled(store):
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        later = gateway.send(send_at=when)
        assert later.status == 202
        told = gateway.get("/messages/" + later["id"])
        assert told["state"] == "scheduled" and told["next_attempt"][:19] == when[:19]
        number = gateway.send(send_at=soon)["id"]
        assert state(gateway, number) == "scheduled"
        reaches(gateway, number, "sent")
        answer = gateway.request("DELETE", "/messages/" + later["id"])
        assert answer.status == 200 and answer["state"] == "cancelled"
        refused = gateway.request("DELETE", "/messages/" + number)
        assert refused.status == 409 and refused["code"] == "already_settled", refused
        assert refused["detail"] == "the message is sent" and "outcome" not in refused.json, "nothing is said of it"
        assert "duplicate_risk" not in refused.json
        assert gateway.request("DELETE", "/messages/nobody").status == 404
        problem(gateway.send(send_at="2036-01-01T00:00:00Z"), 422, "invalid_request", "not_sent")
        assert len(relay.ledger) == 1


def test_retry_now(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        number = queued(gateway)
        reaches(gateway, number, "deferred")
        relay.script.clear()
        assert gateway.request("POST", "/messages/%s/retry" % number).status == 200
        reaches(gateway, number, "sent")
        assert gateway.request("POST", "/messages/%s/retry" % number).status == 409


def test_what_is_settled_is_tried_again_where_it_was_not_taken(store):
    """Of a partial one that is who was refused; one that nobody knows of may come a second time, as its sender asks."""
    with Relay({"rcpt:1": "550 5.1.1 never"}) as relay, \
            Gateway(relay, STORE=store, KEEP_BODY="1h", RETRY_DELAYS=ms(200), RETRY_FOR="1s") as gateway:
        partial = queued(gateway, to=["no@example.org", "yes@example.org"])
        reaches(gateway, partial, "partial")
        relay.script.clear()
        assert gateway.request("POST", "/messages/%s/retry" % partial).status == 200
        told = reaches(gateway, partial, "sent")
        assert [r["outcome"] for r in told["recipients"]] == ["accepted"] * 2
        assert [sorted(t.recipients) for t in relay.ledger] == [["yes@example.org"], ["no@example.org"]]
        relay.script["dot"] = {"then": "close", "reply": ""}
        number = queued(gateway)
        reaches(gateway, number, "unknown")
        relay.script.clear()
        assert gateway.request("POST", "/messages/%s/retry" % number).status == 200
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 3
        assert gateway.request("POST", "/messages/%s/retry" % number).status == 409, "it was taken"


def test_listing(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        numbers = [queued(gateway, to="n%d@example.org" % n, tags=["t%d" % (n % 2)])
                   for n in range(7)]
        direct = gateway.send()["id"]
        for number in numbers:
            reaches(gateway, number, "sent")
        seen, cursor = [], ""
        while cursor is not None:
            page = gateway.get("/messages?limit=3" + ("&cursor=" + cursor if cursor else ""))
            seen += [m["id"] for m in page["messages"]]
            cursor = page["cursor"]
        assert seen == [direct] + numbers[::-1]
        tagged = gateway.get("/messages?tag=t1")["messages"]
        assert [m["id"] for m in tagged] == numbers[5::-2]
        one = gateway.get("/messages?recipient=N3@example.org")["messages"]
        assert [m["id"] for m in one] == [numbers[3]]
        assert gateway.get("/messages?state=held")["messages"] == []
        for cursor in ("abc", direct + "0", direct[:-1] + "x"):
            refused = gateway.get("/messages?cursor=" + cursor)
            assert refused.status == 422 and "cursor" in refused["detail"], refused


def test_full(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, QUEUE_MAX="3", RETRY_DELAYS="1h") as gateway:
        for _ in range(3):
            queued(gateway)
        answer = gateway.send(delivery="queue")
        problem(answer, 503, "queue_full", "not_sent")
        assert int(answer.headers["Retry-After"]) > 0 and answer["outcome"] == "not_sent"
        assert gateway.send().status != 202


def test_no_room_for_what_is_to_be_tried_again(store):
    with Relay({"mail": "551 5.7.1 never"}) as relay, \
            Gateway(relay, STORE=store, QUEUE_MAX="1", KEEP_BODY="1h") as gateway:
        number = queued(gateway)
        reaches(gateway, number, "failed")
        assert gateway.send(send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))).status == 202
        answer = gateway.request("POST", "/messages/%s/retry" % number)
        assert answer.status == 503 and answer["code"] == "queue_full", answer
        assert answer.headers["Retry-After"] == "60" and "outcome" not in answer.json


def test_what_is_damaged_is_held_and_told(store):
    """One wrong bit in what is kept of a message loses that one, and not without a word."""
    with Relay() as relay:
        with Gateway(relay, STORE=store, SMTP_PORT="1", RETRY_DELAYS=ms(200)) as gateway:
            numbers = [queued(gateway, to="n%d@example.org" % n) for n in range(2)]
        with sqlite3.connect(store[len("sqlite:"):]) as database:
            [(place, head)] = database.execute("SELECT place, head FROM message ORDER BY place LIMIT 1").fetchall()
            database.execute("UPDATE message SET head = ? WHERE place = ?", (head[:20] + bytes([head[20] ^ 4]) + head[21:], place))
        database.close()
        with Gateway(relay, STORE=store, RETRY_DELAYS=ms(200)) as gateway:
            reaches(gateway, numbers[1], "sent")
            assert wait_for(lambda: gateway.get("/messages?state=held")["messages"], 10)  # the first may have been tried, and waits
            [held] = gateway.get("/messages?state=held")["messages"]
            assert held["id"] == numbers[0] and held["damaged"] is True and held["recipients"] == []
            assert gateway.get("/messages/" + numbers[0])["state"] == "held"
            shown = command("queue", "show", numbers[0], settings={"LETTERGATE_URL": gateway.url, "LETTERGATE_KEY": gateway.key})
            assert "\ndamaged       " in shown.stdout, shown
            told = [e["data"] for e in gateway.get("/events?type=message.failed")["events"]]
            assert [(d["id"], d["damaged"]) for d in told] == [(numbers[0], True)]
            assert [line for line in gateway.lines if '"error"' in line and numbers[0] in line]
            refused = gateway.request("POST", "/messages/%s/retry" % numbers[0])
            assert refused.status == 409 and "damaged" in refused["detail"]
            assert gateway.request("DELETE", "/messages/" + numbers[0])["state"] == "cancelled"
            assert gateway.get("/messages?state=held")["messages"] == []


def test_drain_leaves_the_rest_for_later(store):
    """F-40: what is under way is finished, what waits stays in the file."""
    ends, gate = [], threading.Event()
    with Relay({"dot": lambda *_: ends.append(1) or gate.wait(60 * SLOW) and {"delay": 0.2}}) as relay:
        gateway = Gateway(relay, STORE=store, SMTP_SESSIONS="2")
        numbers = [queued(gateway) for _ in range(12)]
        assert wait_for(lambda: len(ends) == 2)
        gateway.terminate()
        assert wait_for(lambda: gateway.log("drain"))
        gate.set()
        assert gateway.wait() == 0
        assert 2 <= len(relay.ledger) == len(ends) == len(gateway.log("send")) < 12, "nothing is told of the others"
        with Gateway(relay, STORE=store) as gateway:
            for number in numbers:
                reaches(gateway, number, "sent")
            assert len(relay.ledger) == 12


def test_two_processes_on_one_file(store):
    """F-35"""
    with Relay() as relay, Gateway(relay, STORE=store):
        second = Gateway(relay, wait=False, STORE=store)
        assert second.wait(10) in (1, 2)
        assert "another process" in second.output, second.output


def test_many_at_once(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answers = together(lambda _: gateway.send(delivery="queue"), range(64), 64)
        assert [a.status for a in answers] == [202] * 64
        assert relay.wait(lambda: len(relay.ledger) == 64, 20 * SLOW)


def test_a_reload_cannot_move_it(store, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{ "store": "%s" }' % store)
    with Relay() as relay, Gateway(relay, args=("--config", str(file))) as gateway:
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload")) and not gateway.log("restart_needed")
        file.write_text('{ "store": "%s.other", "queue_max": 5, "queue_max_bytes": "1M", "queue_max_per_key": 2 }' % store)
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: len(gateway.log("restart_needed")) == 4), gateway.output
        assert [line["setting"] for line in gateway.log("restart_needed")] == \
            ["STORE", "QUEUE_MAX", "QUEUE_MAX_BYTES", "QUEUE_MAX_PER_KEY"]
        reaches(gateway, queued(gateway), "sent")
        assert not (tmp_path / "queue.db.other").exists()
