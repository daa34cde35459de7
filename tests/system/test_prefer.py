"""Prefer: wait=N (RFC 7240): the message is on disk first, then its sender hears the verdict if there is one
in time, else 202. Whoever leaves, and a gateway that ends, lose nothing."""

import concurrent.futures
import socket
import struct
import threading
import time

import pytest

from gateway import KEY, SLOW, Gateway, free_port, mail, problem, together, wait_for
from relay import Relay


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def wait(seconds, **more):
    return {"Prefer": "wait=%d" % seconds, **more}


LATER = {"mail": "451 4.3.0 not now"}


@pytest.mark.parametrize("delivery", ["now", "queue", "now_then_queue"])
@pytest.mark.parametrize("prefer", ["wait=20", "respond-async, wait=20", 'foo; wait, Wait = "20"; x=y, wait=0'])
def test_the_verdict_in_time(store, delivery, prefer):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.send(headers={"Prefer": prefer}, delivery=delivery)
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert answer.headers["Preference-Applied"] == "wait=20" and "Location" not in answer.headers
        assert answer["recipients"][0]["smtp"]["code"] == 250
        assert answer["relay"]["host"] == "127.0.0.1" and answer["smtp"]["code"] == 250
        assert [attempt["outcome"] for attempt in answer["attempts"]] == ["accepted"]
        told = gateway.get("/messages/" + answer["id"])
        assert told["state"] == "sent" and len(relay.ledger) == 1


@pytest.mark.parametrize("delivery", ["now", "queue", "now_then_queue"])
def test_it_is_queued_whatever_delivery_says(store, delivery):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.send(headers={"Prefer": "respond-async"}, delivery=delivery)
        assert (answer.status, answer["outcome"]) == (202, "queued")
        assert answer.headers["Preference-Applied"] == "respond-async"
        answer = gateway.post("/send/batch", [mail(delivery=delivery)] * 2, {"Prefer": "respond-async"})
        assert [one["status"] for one in answer["results"]] == [202, 202]
        assert answer.headers["Preference-Applied"] == "respond-async"


@pytest.mark.parametrize("script,status,code,outcome", [
    ({"rcpt": "550 5.1.1 unknown"}, 422, "recipient_rejected", "rejected"),
    ({"dot": {"then": "reset", "reply": ""}}, 504, "outcome_unknown", "unknown")])
def test_a_bad_verdict_in_time(store, script, status, code, outcome):
    with Relay(script) as relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        answer = gateway.send(headers=wait(20))
        problem(answer, status, code, outcome)
        assert answer.headers["Preference-Applied"] == "wait=20"
        assert answer["duplicate_risk"] == (outcome == "unknown")
        if outcome == "unknown":
            says_nothing(answer)
        answer = gateway.send()
        problem(answer, status, code, outcome)
        if outcome == "unknown":
            says_nothing(answer)


def says_nothing(answer):
    """What the relay said to RCPT is no answer to the message."""
    assert "smtp" not in answer.json and "smtp" not in answer["recipients"][0], answer
    assert "smtp" not in answer["attempts"][0], answer
    assert "last byte was sent" in answer["detail"], answer


def test_it_is_cancelled_meanwhile(store):
    with Relay(LATER) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h", SEND_DEADLINE="300s") as gateway, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        keyed = wait(300, **{"Idempotency-Key": "one"})
        asked = [pool.submit(gateway.send, headers=keyed, timeout=60)]
        assert wait_for(lambda: [m["state"] for m in gateway.get("/messages")["messages"]] == ["deferred"])
        asked.append(pool.submit(gateway.send, headers=keyed, timeout=60))
        number = gateway.get("/messages")["messages"][0]["id"]
        assert gateway.request("DELETE", "/messages/" + number).status == 200
        for answer in [one.result() for one in asked] + [gateway.send(headers=keyed, timeout=60)]:
            problem(answer, 409, "cancelled", "not_sent")
            assert answer["id"] == number and not answer["retryable"]
            assert [to["code"] for to in answer["recipients"]] == ["cancelled"]
        told = gateway.get("/messages/" + number)
        assert (told["state"], told["outcome"], told["code"]) == ("cancelled", "not_sent", "cancelled")
        assert gateway.send(headers={"Idempotency-Key": "one"}).status == 202, "the first answer"


def test_some_of_them(store):
    with Relay({"rcpt:2": "550 5.1.1 unknown"}) as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.send(headers=wait(20), to=["ann@example.org", "bo@example.org"])
        assert (answer.status, answer["outcome"]) == (200, "partial")
        assert [to["outcome"] for to in answer["recipients"]] == ["accepted", "rejected"]


def test_a_verdict_that_comes_with_a_later_attempt(store):
    with Relay({"mail:1": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="200ms") as gateway:
        answer = gateway.send(headers=wait(30))
        assert answer.status == 200, answer
        assert [attempt["outcome"] for attempt in answer["attempts"]] == ["deferred", "accepted"]


def test_no_verdict_in_time(store):
    with Relay(LATER) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        for prefer, applied in (("wait=1", "wait=1"), ("wait=0", "wait=0"),
                                ("wait=1, respond-async", "respond-async, wait=1")):
            began = time.monotonic()
            answer = gateway.send(headers={"Prefer": prefer})
            assert (answer.status, answer["outcome"]) == (202, "queued")
            assert answer.headers["Preference-Applied"] == applied
            assert answer.headers["Location"] == "/messages/" + answer["id"]
            assert time.monotonic() - began >= ("wait=0" != prefer)
            assert wait_for(lambda: gateway.get(answer.headers["Location"])["state"] == "deferred")


def test_it_is_bounded(store):
    """By SEND_DEADLINE, and by the request's own deadline."""
    with Relay(LATER) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h", SEND_DEADLINE="1s") as gateway:
        for number in (3, 18446744073709551615, 99999999999999999999):
            answer = gateway.send(headers=wait(number))
            assert answer.status == 202 and answer.headers["Preference-Applied"] == "wait=1"
        answer = gateway.send(headers=wait(9), deadline="100ms")
        assert answer.status == 202 and answer.headers["Preference-Applied"] == "wait=1"


def test_what_is_no_such_preference_is_ignored(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        for prefer in ("wait", "wait=", "wait=-1", "wait=soon", "waiting=3", ",;=,"):
            answer = gateway.send(headers={"Prefer": prefer})
            assert answer.status == 200 and "Preference-Applied" not in answer.headers
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        answer = gateway.send(headers=wait(20), send_at=later)
        assert answer.status == 202 and "Preference-Applied" not in answer.headers
        assert "Preference-Applied" not in gateway.send(headers=wait(20), dry_run="envelope").headers


def test_without_a_store_it_is_ignored():
    with Relay() as relay, Gateway(relay) as gateway:
        answer = gateway.send(headers=wait(20))
        assert answer.status == 200 and "Preference-Applied" not in answer.headers


def test_it_stands_in_lines_of_its_own(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        body = b'{"from":"a@example.com","to":"b@example.org","text":"x"}'
        answer = gateway.raw((
            "POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nPrefer: respond-async\r\nPrefer: wait=9\r\n"
            "Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % (KEY, len(body))).encode() + body, timeout=20)
        assert b" 200 OK" in answer and b"Preference-Applied: wait=9\r\n" in answer, answer


def test_with_a_key_the_verdict_is_told_again(store):
    """Also to who asks again while it is under way, and in the next process."""
    keyed = wait(30, **{"Idempotency-Key": "one"})
    gate = threading.Event()
    with Relay({"dot": lambda *_: gate.wait(60 * SLOW) and None}) as relay:
        with Gateway(relay, STORE=store) as gateway, concurrent.futures.ThreadPoolExecutor(4) as pool:
            first = pool.submit(gateway.send, headers=keyed, timeout=60)
            assert relay.wait(lambda: relay.commands("MAIL"))
            others = [pool.submit(gateway.send, headers=keyed, timeout=60) for _ in range(3)]
            assert gateway.send(headers={"Idempotency-Key": "one"}).status == 202, "who does not wait"
            gate.set()
            first, others = first.result(), [other.result() for other in others]
            assert first.status == 200 and "Idempotency-Replayed" not in first.headers
            for other in others:
                assert other.headers["Idempotency-Replayed"] == "true"
                assert (other.status, other["outcome"], other["id"]) == (200, "accepted", first["id"])
        with Gateway(relay, STORE=store) as gateway:
            again = gateway.send(headers=keyed)
            assert (again.status, again["outcome"], again["id"]) == (200, "accepted", first["id"])
            assert again["recipients"] == first["recipients"]
        assert len(relay.ledger) == 1


def test_a_batch(store):
    with Relay({"rcpt:m1@example.org": "550 5.1.1 unknown", "rcpt:m2@example.org": "450 4.2.0 later"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        messages = [mail(to="m%d@example.org" % n) for n in range(3)]
        answer = gateway.post("/send/batch", messages, wait(1))
        assert [(one["status"], one["outcome"]) for one in answer["results"]] == \
            [(200, "accepted"), (422, "rejected"), (202, "queued")]


def test_killed_while_somebody_waits(store):
    with Relay() as relay:
        gateway = Gateway(relay, STORE=store, SMTP_PORT=free_port())
        asker = threading.Thread(target=lambda: pytest.raises(OSError, gateway.send, headers=wait(40)))
        asker.start()
        assert wait_for(lambda: gateway.get("/messages")["messages"])
        gateway.kill()
        asker.join()
        with Gateway(relay, STORE=store):
            assert relay.wait(lambda: len(relay.ledger) == 1)


def test_who_leaves_loses_nothing(store):
    gate = threading.Event()
    with Relay({"dot": lambda *_: gate.wait(60 * SLOW) and None}) as relay, \
            Gateway(relay, STORE=store) as gateway:
        body = b'{"from":"a@example.com","to":"b@example.org","text":"x"}'
        sock = gateway.socket()
        sock.sendall(("POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nPrefer: wait=30\r\n"
                      "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                      % (KEY, len(body))).encode() + body)
        assert relay.wait(lambda: relay.commands("MAIL"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        gate.set()
        assert relay.wait(lambda: len(relay.ledger) == 1)
        assert wait_for(lambda: [m["state"] for m in gateway.get("/messages")["messages"]] == ["sent"])


def test_a_gateway_that_stops_says_202_at_once(store):
    with Relay(LATER) as relay:
        gateway = Gateway(relay, STORE=store, RETRY_DELAYS="1h", SEND_DEADLINE="100s")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(gateway.send, headers=wait(100), timeout=120) for _ in range(8)]
            assert relay.wait(lambda: len(relay.commands("MAIL")) == 8)
            gateway.stop()
            assert [one.result().status for one in asked] == [202] * 8
        assert not relay.ledger


def test_many_at_once(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answers = together(lambda n: gateway.send(headers=wait(30), to="n%d@example.org" % n), range(200), 32)
        assert [answer.status for answer in answers] == [200] * 200
        assert [answer["recipients"][0]["address"] for answer in answers] == \
            ["n%d@example.org" % n for n in range(200)]
        assert len(relay.ledger) == 200
