"""Idempotency-Key with a store: what was answered is told again after the process has ended, whichever
way, and what it died over is `unknown`. Nothing is sent twice."""

import collections
import http.client
import random
import threading
import time

import pytest

from gateway import SLOW, Gateway, free_port, mail, metric, problem, together, wait_for
from relay import Relay

KEYED = {"Idempotency-Key": "order-42"}
STALL = {"then": "stall", "reply": ""}


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def is_replay(answer, first):
    assert answer.headers.get("Idempotency-Replayed") == "true", answer
    assert answer.headers["Idempotency-Scope"] == "store"
    assert (answer.status, answer.body) == (first.status, first.body)
    for name in ("Content-Type", "Retry-After", "Location"):
        assert answer.headers.get(name) == first.headers.get(name)
    return True


def is_mismatch(answer):
    assert (answer.status, answer["code"], answer["outcome"]) == (422, "idempotency_mismatch", "not_sent")


def end(gateway, how):
    """It ends, by a signal that it hears of or by one that it does not."""
    getattr(gateway, how)()


def mails(relay):
    return sum(command.startswith("MAIL") for connection in relay.connections for command in connection.commands)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("script,fields,status,outcome", [
    ({}, {}, 200, "accepted"),
    ({"rcpt:2": "550 5.1.1 unknown"}, {"to": ["ann@example.org", "bo@example.org"]}, 200, "partial"),
    ({"rcpt": "550 5.1.1 unknown"}, {}, 422, "rejected"),
    ({"dot": {"then": "reset", "reply": ""}}, {}, 504, "unknown"),
    ({}, {"delivery": "queue"}, 202, "queued"),
    ({"mail": "451 4.3.0 not now"}, {"delivery": "now_then_queue"}, 202, "queued")])
def test_the_first_answer_comes_again_from_the_next_process(store, how, script, fields, status, outcome):
    with Relay(dict(script)) as relay:
        gateway = Gateway(relay, STORE=store)
        first = gateway.send(headers=KEYED, **fields)
        assert (first.status, first["outcome"]) == (status, outcome), first
        assert first.headers["Idempotency-Scope"] == "store"
        assert "Idempotency-Replayed" not in first.headers
        assert is_replay(gateway.send(headers=KEYED, **fields), first)
        end(gateway, how)
        relay.script.clear()
        with Gateway(relay, STORE=store) as gateway:
            assert is_replay(gateway.send(headers=KEYED, **fields), first)
            is_mismatch(gateway.send(headers=KEYED, **{**fields, "subject": "Another"}))
            told = gateway.get("/messages/" + first["id"])
            assert told.status == 200 and told["message_id"] == first["message_id"]
            if outcome == "queued":
                assert relay.wait(lambda: relay.ledger)
                assert is_replay(gateway.send(headers=KEYED, **fields), first), "as it was told first"
        if outcome == "queued":  # at the kill it may have been on its way already
            assert 1 <= len(relay.ledger) <= (2 if how == "kill" else 1)
        else:
            assert len(relay.ledger) == (outcome in ("accepted", "partial"))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_put_off_or_not_sent_frees_the_key(store, how):
    with Relay({"mail": "451 4.3.0 not now"}) as relay:
        gateway = Gateway(relay, STORE=store)
        first = gateway.send(headers=KEYED)
        assert first["outcome"] == "deferred"
        assert gateway.send(headers=KEYED)["outcome"] == "deferred" and mails(relay) == 2
        relay.script["connections"] = {n: {"greeting": "554 go away"} for n in range(9)}
        end(gateway, how)
        gateway = Gateway(relay, STORE=store)
        assert gateway.send(headers=KEYED, timeout=60)["outcome"] == "not_sent"
        end(gateway, how)
        relay.script.clear()
        with Gateway(relay, STORE=store) as gateway:
            second = gateway.send(headers=KEYED)
            assert second["outcome"] == "accepted" and "Idempotency-Replayed" not in second.headers
            assert second["message_id"] == first["message_id"]
            assert is_replay(gateway.send(headers=KEYED), second)
        assert len(relay.ledger) == 1


def test_what_is_refused_here_frees_the_key(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.send(headers=KEYED, relay="unknown")
        problem(answer, 422, "invalid_request", "not_sent")
        assert [error["pointer"] for error in answer["errors"]] == ["/relay"]
        messages = [mail(), mail(relay="unknown")]
        for body, pointer in ((messages, "/1/relay"), ({"messages": messages}, "/messages/1/relay")):
            results = gateway.post("/send/batch", body, {"Idempotency-Key": pointer})["results"]
            assert [result["status"] for result in results] == [200, 422]
            assert [error["pointer"] for error in results[1]["errors"]] == [pointer]
        assert gateway.send(headers=KEYED)["outcome"] == "accepted"
        assert len(relay.ledger) == 3
        page = gateway.get("/metrics", key=None).body.decode()
        assert metric(page, "lettergate_idempotency_total", result="first") == 6


def ids(gateway, state):
    return [message["id"] for message in gateway.get("/messages?state=%s" % state)["messages"]]


def killed_over(relay, store, body, path="/send", settings=None, until=None):
    """A request that nobody hears the answer of: the process dies when the relay has the message."""
    gateway = Gateway(relay, STORE=store, **(settings or {}))

    def ask():
        try:
            gateway.post(path, body, KEYED, timeout=60)
        except (OSError, http.client.HTTPException):
            pass
    asker = threading.Thread(target=ask)
    asker.start()
    assert wait_for(lambda: until(gateway) if until else relay.commands("BDAT") or b"\r\n.\r\n" in relay.received)
    gateway.kill()
    asker.join()


def test_killed_while_the_relay_has_it(store):
    """Nobody knows whether the relay took it, so it is not sent again."""
    with Relay({"dot": STALL}) as relay:
        killed_over(relay, store, mail())
        relay.script.clear()
        with Gateway(relay, STORE=store) as gateway:
            is_mismatch(gateway.send(headers=KEYED, subject="Another"))
            first = gateway.send(headers=KEYED)
            problem(first, 504, "outcome_unknown", "unknown")
            assert first["duplicate_risk"] and "ended" in first["detail"]
            assert [to["outcome"] for to in first["recipients"]] == ["unknown"]
            told = gateway.get("/messages/" + first["id"])
            assert (told["state"], told["outcome"]) == ("unknown", "unknown")
            assert is_replay(gateway.send(headers=KEYED), first)
        with Gateway(relay, STORE=store) as gateway:
            assert is_replay(gateway.send(headers=KEYED), first)
        assert not relay.ledger and mails(relay) == 1


def test_killed_again_over_the_answer(store):
    """It is told once more as unknown, by whoever is there; and only by one of many."""
    with Relay({"dot": STALL}) as relay:
        killed_over(relay, store, mail())
        relay.script.clear()
        Gateway(relay, STORE=store).kill()
        with Gateway(relay, STORE=store) as gateway:
            answers = together(lambda _: gateway.send(headers=KEYED), range(16), 16)
            assert {answer.status for answer in answers} <= {504, 409}, answers
            assert len({answer["id"] for answer in answers if answer.status == 504}) == 1
            assert len(gateway.get("/messages")["messages"]) == 1
        assert not relay.ledger


@pytest.mark.parametrize("policy,count", [("retry", 1), ("hold", 0)])
def test_killed_over_one_that_may_be_queued(store, policy, count):
    """What is unknown is tried again by the queue or set aside, as if the relay had fallen silent."""
    settings = {"ON_UNKNOWN": policy, "RETRY_DELAYS": "200ms"}
    with Relay({"dot": STALL}) as relay:
        killed_over(relay, store, mail(delivery="now_then_queue"), settings=settings)
        relay.script.clear()
        with Gateway(relay, STORE=store, **settings) as gateway:
            first = gateway.send(headers=KEYED, delivery="now_then_queue")
            assert (first.status, first["outcome"]) == ((202, "queued") if count else (504, "unknown"))
            assert is_replay(gateway.send(headers=KEYED, delivery="now_then_queue"), first)
            assert not count or relay.wait(lambda: len(relay.ledger) == 1)
        assert len(relay.ledger) == count


def soon():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))


def test_killed_over_one_for_which_there_is_no_room(store):
    """That the queue is full says nothing of what the relay has: it is unknown, and told so again."""
    settings, asked = {"QUEUE_MAX": "1"}, {"delivery": "now_then_queue", "headers": KEYED}
    with Relay({"dot": STALL}) as relay:
        killed_over(relay, store, mail(delivery="now_then_queue"), settings=settings)
        relay.script.clear()
        with Gateway(relay, STORE=store, **settings) as gateway:
            assert gateway.send(send_at=soon()).status == 202
            first = gateway.send(**asked)
            problem(first, 504, "outcome_unknown", "unknown")
            assert first["duplicate_risk"] and is_replay(gateway.send(**asked), first)
        assert not relay.ledger


def test_where_nothing_was_tried_and_there_is_no_room_the_key_is_free(store):
    """All relays rest and the queue is full: nothing was sent, so the next one with this key may try."""
    with Relay() as relay, Gateway(relay, STORE=store, QUEUE_MAX="1", SMTP_PORT=str(free_port())) as gateway:
        assert gateway.send(send_at=soon()).status == 202
        assert wait_for(lambda: not gateway.send().json.get("attempts"))
        for _ in range(2):
            answer = gateway.send(headers=KEYED, delivery="now_then_queue")
            problem(answer, 503, "queue_full", "not_sent")
            assert not answer.json.get("attempts"), answer


def test_a_batch_that_was_cut_short_goes_on(store):
    """Those that were answered are told again, those under way are unknown, the others are sent."""
    messages = [mail(to="m%d@example.org" % n, **({"delivery": "queue"} if n == 3 else {})) for n in range(4)]
    messages.append(mail(to="m4@example.org", send_at="2000-01-01T00:00:00Z"))
    with Relay({"rcpt:m1@example.org": "550 5.1.1 unknown", "rcpt:m2@example.org": STALL}) as relay:
        killed_over(relay, store, messages, "/send/batch",
                    until=lambda gateway: b"<m2@" in relay.received and len(ids(gateway, "sent")) == 3
                    and ids(gateway, "failed"))
        relay.script.clear()
        with Gateway(relay, STORE=store) as gateway:
            assert wait_for(lambda: len({taken.recipients[0] for taken in relay.ledger}) == 3)
            answer = gateway.post("/send/batch", messages, KEYED)
            outcomes = [result["outcome"] for result in answer["results"]]
            assert outcomes[0] == "accepted" and outcomes[3:] == ["queued", "queued"], outcomes
            assert outcomes[1] == "rejected" and outcomes[2] == "unknown", outcomes
            again = gateway.post("/send/batch", messages, KEYED)
            assert again.headers["Idempotency-Replayed"] == "true"
            assert [{**one, "replayed": True} for one in answer["results"]] == again["results"]
        sent = collections.Counter(taken.recipients[0] for taken in relay.ledger)
        assert sent["m0@example.org"] == 1 and sent["m2@example.org"] == 0


def test_of_fifty_at_a_time_one_is_sent(store):
    gate = threading.Event()
    with Relay({"dot": lambda *_: gate.wait(60 * SLOW) and None}) as relay, \
            Gateway(relay, STORE=store) as gateway:
        results = []
        askers = [threading.Thread(target=lambda: results.append(gateway.send(headers=KEYED, timeout=60)))
                  for _ in range(50)]
        for asker in askers:
            asker.start()
        assert wait_for(lambda: len(results) == 49, 30)
        for answer in results:
            assert (answer.status, answer["code"]) == (409, "idempotency_running") and "outcome" not in answer.json
        gate.set()
        for asker in askers:
            asker.join()
        assert is_replay(gateway.send(headers=KEYED), results[-1])
        assert len(relay.ledger) == 1


@pytest.mark.parametrize("way", ["queue", "now"])
def test_what_was_accepted_is_told_again_when_the_queue_is_full(store, way):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, QUEUE_MAX="1", RETRY_DELAYS="1h") as gateway:
        first = gateway.send(headers=KEYED, delivery=way)
        assert gateway.send(delivery="queue", headers={"Idempotency-Key": "2"}).status == \
            (503 if way == "queue" else 202)
        if way == "queue":
            assert is_replay(gateway.send(headers=KEYED, delivery=way), first)
        refused = gateway.send(headers={"Idempotency-Key": "3"}, delivery="queue")
        problem(refused, 503, "queue_full", "not_sent")
        assert [to["outcome"] for to in refused["recipients"]] == ["not_sent"]
        late = gateway.send(headers={"Idempotency-Key": "4"}, delivery="now_then_queue")
        problem(late, 503, "relay_busy", "deferred")
        relay.script.clear()
        late = gateway.send(headers={"Idempotency-Key": "4"}, delivery="now_then_queue")
        assert late.status == 200, "that it could not be kept frees the key"


def test_another_way_to_ask_does_not_send_it_again(store):
    """Prefer is no part of the message: whoever asks so later hears what was told first."""
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        first = gateway.send(headers=KEYED)
        assert is_replay(gateway.send(headers={**KEYED, "Prefer": "respond-async"}), first)
        other = {"Idempotency-Key": "other", "Prefer": "respond-async"}
        queued = gateway.send(headers=other)
        assert queued.status == 202
        assert is_replay(gateway.send(headers={"Idempotency-Key": "other"}), queued)
        assert relay.wait(lambda: len(relay.ledger) == 2)
        assert len(gateway.get("/messages")["messages"]) == 2


def test_of_a_very_long_answer_the_outcome_is_told_again(store):
    with Relay({"rcpt": "550 5.1.1 " + '"' * 480}) as relay, Gateway(relay, STORE=store) as gateway:
        to = ["u%d@example.org" % n for n in range(1000)]
        first = gateway.send(headers=KEYED, to=to)
        assert first.status == 422 and len(first.body) > 1 << 20
        again = gateway.send(headers=KEYED, to=to)
        assert again.headers["Idempotency-Replayed"] == "true" and again.status == 422
        for name in ("code", "outcome", "id", "message_id"):
            assert again[name] == first[name], name
        assert len(again.body) < 1000 and not relay.ledger


def keep_asking(gateway, numbers, told, lock):
    """As a client does that wants an answer: the same again until there is one."""
    for number in list(numbers):
        try:
            answer = gateway.send(headers={"Idempotency-Key": "n%d" % number}, to="n%d@example.org" % number,
                                  delivery="queue" if number % 3 == 0 else "now", timeout=20)
        except (OSError, http.client.HTTPException):  # it was killed
            return
        if answer.status in (200, 202, 504):
            with lock:
                told[number] = answer["outcome"]
                numbers.discard(number)


def test_random_kills(store):
    """Whatever the moment: each is sent once, or nobody knows; who was told so was told the truth."""
    told, lock, chance = {}, threading.Lock(), random.Random(5)
    wanted = [set(range(n, 800, 4)) for n in range(4)]
    with Relay() as relay:
        settings = {"STORE": store, "ON_UNKNOWN": "hold", "RETRY_DELAYS": "200ms", "SMTP_SESSIONS": "4",
                    "SMTP_PORT": relay.port or free_port()}
        for _ in range(30):
            gateway = Gateway(relay, **settings)
            askers = [threading.Thread(target=keep_asking, args=(gateway, numbers, told, lock))
                      for numbers in wanted]
            for asker in askers:
                asker.start()
            time.sleep(chance.uniform(0.03, 0.25) * SLOW)
            gateway.kill()
            for asker in askers:
                asker.join()
            if not any(wanted):
                break
        with Gateway(relay, **settings) as gateway:
            for numbers in wanted:
                keep_asking(gateway, numbers, told, lock)
            assert not any(wanted)
            assert wait_for(lambda: not any(gateway.get("/messages?state=" + state)["messages"]
                                            for state in ("queued", "deferred", "sending")), 30)
            held = {m["recipients"][0]["address"] for m in gateway.get("/messages?state=held&limit=500")["messages"]}
    sent = collections.Counter(taken.recipients[0] for taken in relay.ledger)
    assert max(sent.values()) == 1, "nothing is sent twice"
    for number, outcome in told.items():
        address = "n%d@example.org" % number
        assert outcome == "unknown" or address in held or sent[address] == 1, (number, outcome)
