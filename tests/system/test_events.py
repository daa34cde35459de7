"""GET /events: what happened to messages, in the order in which it was written down."""

import concurrent.futures
import json
import signal
import threading
import time

import pytest

from gateway import Gateway, ms, together, wait_for
from relay import Relay
from test_keys import entry, secret_of


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def events(gateway, query="after=0", **more):
    answer = gateway.get("/events?" + query, **more)
    assert answer.status == 200, answer
    assert isinstance(answer["cursor"], str)
    return answer["events"]


def types(gateway, query="after=0", **more):
    return [event["type"] for event in events(gateway, query, **more)]


def told(gateway, count, query="after=0"):
    assert wait_for(lambda: len(events(gateway, query)) >= count), events(gateway, query)
    return events(gateway, query)


def refused(answer, status, code):
    assert (answer.status, answer["code"]) == (status, code), answer


def test_from_queued_to_sent(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        sent = gateway.send(delivery="queue", tags=["a"], metadata={"order": "7"},
                            to=["ann@example.org", "bo@example.net"])
        queued, ann, bo = told(gateway, 3)
        assert set(ann) == {"id", "type", "timestamp", "data"}
        assert [e["type"] for e in (queued, ann, bo)] == ["message.queued"] + ["message.sent"] * 2
        for event in (queued, ann, bo):
            assert event["data"]["id"] == sent["id"] and event["data"]["tags"] == ["a"]
            assert event["data"]["metadata"] == {"order": "7"}
            assert event["data"]["message_id"] == gateway.get("/messages/" + sent["id"])["message_id"]
        assert queued["data"]["recipients"] == ["ann@example.org", "bo@example.net"]
        assert ann["data"]["recipient"] == "ann@example.org" and ann["data"]["outcome"] == "accepted"
        assert ann["data"]["smtp"]["code"] == 250 and ann["data"]["relay"] == "default"
        assert ann["data"]["attempt"] == 1 and ann["data"]["next_attempt"] is None
        assert bo["data"]["recipient"] == "bo@example.net"
        assert len({e["id"] for e in (queued, ann, bo)}) == 3
        assert events(gateway) == [queued, ann, bo], "the same each time"


def test_deferred_failed_and_cancelled(store):
    script = {"rcpt:1": "550 5.1.1 never", "rcpt:2": "451 4.2.0 later"}
    with Relay(script) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        number = gateway.send(delivery="queue", to=["no@example.org", "later@example.org"])["id"]
        _queued, failed, deferred = told(gateway, 3)
        assert failed["type"] == "message.failed" and failed["data"]["phase"] == "rcpt"
        assert failed["data"]["code"] == "recipient_rejected"
        assert deferred["type"] == "message.deferred" and deferred["data"]["next_attempt"]
        assert gateway.request("DELETE", "/messages/" + number).status == 200
        cancelled = told(gateway, 4)[3]
        assert cancelled["type"] == "message.cancelled" and cancelled["data"]["id"] == number
        assert cancelled["data"]["recipients"] == ["later@example.org"]
        assert gateway.request("DELETE", "/messages/" + number).status == 409
        assert len(events(gateway)) == 4, "it was cancelled once"


def test_what_is_sent_directly_is_told_too(store):
    with Relay({"rcpt:2": "550 5.1.1 never"}) as relay, Gateway(relay, STORE=store) as gateway:
        sent = gateway.send(to=["ann@example.org", "no@example.org"])
        assert sent["outcome"] == "partial"
        yes, no = told(gateway, 2)
        assert (yes["type"], no["type"]) == ("message.sent", "message.failed")
        assert yes["data"]["id"] == no["data"]["id"] == sent["id"]
        assert gateway.send(dry_run="render").status == 200
        relay.script.clear()
        relay.script.update({"rcpt:1": "451 4.2.0 later"})
        answer = gateway.send(delivery="now_then_queue", to=["later@example.org", "bo@example.org"])
        found = [(e["type"], e["data"].get("recipient")) for e in told(gateway, 5)[2:5]]
        assert found == [("message.queued", None), ("message.deferred", "later@example.org"),
                         ("message.sent", "bo@example.org")], answer


@pytest.mark.parametrize("way", ["now", "queue"])
def test_what_is_captured_has_no_phase(store, way):
    """No relay was spoken to."""
    with Gateway(None, SMTP_HOST="capture", STORE=store) as gateway:
        number = gateway.send(delivery=way)["id"]
        sent = [e for e in told(gateway, 1 if way == "now" else 2) if e["type"] == "message.sent"]
        assert [(e["data"]["outcome"], e["data"].get("phase"), e["data"]["relay"]) for e in sent] == [("captured", None, "capture")]
        assert gateway.get("/messages/" + number)["state"] == "captured"
        assert 'lettergate_sends_total{outcome="captured",phase=""} 1' in gateway.get("/metrics", key=None).body.decode()


def test_pages_and_cursors(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        together(lambda n: gateway.send(tags=["odd" if n % 2 else "even"]), range(10))
        assert len(told(gateway, 10)) == 10
        seen, after = [], "0"
        while True:
            page = gateway.get("/events?limit=3&after=" + after)
            if not page["events"]:
                break
            assert len(page["events"]) <= 3
            seen += page["events"]
            after = page["cursor"]
        assert seen == events(gateway, ""), "without after it is from the start"
        assert after == page["cursor"] == gateway.get("/events?after=now")["cursor"]
        assert len(events(gateway, "tag=odd")) == 5 and events(gateway, "tag=none") == []
        assert types(gateway, "type=message.failed") == []
        assert len(events(gateway, "type=message.failed,message.sent&tag=even&limit=500")) == 5
        refused(gateway.get("/events?after=18446744073709551615"), 422, "invalid_request")


def test_what_is_rare_is_found_whatever_the_limit(store):
    """`limit` bounds what is told, not what is looked at."""
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        together(lambda n: gateway.send(), range(70))
        relay.script["mail"] = "550 5.7.1 no"
        assert gateway.send(tags=["rare"]).status >= 400
        message_id = gateway.get("/messages?tag=rare")["messages"][0]["id"]
        for query in ("type=message.failed", "tag=rare", "id=" + message_id, "tag=rare&id=" + message_id):
            assert types(gateway, "limit=1&" + query) == ["message.failed"]
        assert types(gateway, "limit=1") == ["message.sent"]
        assert types(gateway, "id=" + message_id[:-1]) == types(gateway, "tag=x&id=" + message_id) == []


def test_a_query_that_makes_no_sense(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        for query in ("after=x", "after=-1", "wait=61", "wait=x", "limit=0", "limit=501", "since=1",
                      "type=message.gone", "type=message.sent,,", "type=message.sent&type=message.failed"):
            refused(gateway.get("/events?" + query), 422, "invalid_request")


def test_without_a_store():
    with Relay() as relay, Gateway(relay) as gateway:
        refused(gateway.get("/events"), 422, "store_required")


def test_waiting_for_the_next_one(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        gateway.send()
        cursor = gateway.get("/events?after=now")["cursor"]
        began = time.monotonic()
        assert events(gateway, "after=%s&wait=1" % cursor) == []
        assert time.monotonic() - began > 0.9
        found = []
        waiting = threading.Thread(target=lambda: found.extend(
            events(gateway, "after=%s&wait=30&type=message.failed" % cursor)))
        waiting.start()
        gateway.send()
        relay.script["mail"] = "550 5.7.1 no"
        assert gateway.send().status >= 400
        began = time.monotonic()
        waiting.join(20)
        assert [e["type"] for e in found] == ["message.failed"], "it was woken, and looked further"
        assert time.monotonic() - began < 15


def test_who_waits_holds_no_thread_and_ends_with_the_drain(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            gateway.get("/events?after=now&wait=60", timeout=50))) for _ in range(110)]
        for thread in threads:
            thread.start()
        assert wait_for(lambda: len(answers) == 10), "100 of a key may wait"
        for answer in answers:
            refused(answer, 503, "overloaded")
        assert gateway.get("/healthz").status == 200 and gateway.send().status == 200
        assert wait_for(lambda: len(answers) == 110), "all were woken"
        assert [len(a["events"]) for a in answers[10:]] == [1] * 100
        answers.clear()
        last = threading.Thread(target=lambda: answers.append(
            gateway.get("/events?after=now&wait=60", timeout=50)))
        last.start()
        time.sleep(0.3)
        gateway.terminate()
        last.join(20)
        assert answers[0].status == 200 and answers[0]["events"] == []
        gateway.wait()


def test_who_waits_goes_on_until_nobody_new_is_let_in(store):
    """A balancer still sends requests: one that is answered at once would be asked again and again."""
    with Relay() as relay, concurrent.futures.ThreadPoolExecutor(4) as pool:
        gateway = Gateway(relay, STORE=store, DRAIN_DELAY=ms(2500), DRAIN_TIMEOUT=ms(30000))
        try:
            first = pool.submit(events, gateway, "after=now&wait=60", timeout=50)
            time.sleep(0.3)
            began = time.monotonic()
            gateway.terminate()
            assert wait_for(lambda: gateway.log("drain"))
            assert gateway.send().status == 200
            assert [e["type"] for e in first.result()] == ["message.sent"], "what happens is told"
            last = pool.submit(gateway.get, "/events?after=now&wait=60&type=message.failed", timeout=50)
            queued = pool.submit(gateway.send, headers={"Prefer": "wait=40"}, timeout=50)
            assert (last.result().status, last.result()["events"]) == (200, [])
            assert queued.result().status == 202, "nothing is taken out of the queue any more"
            assert time.monotonic() - began > 2.4, "that is when they are answered"
            assert last.result().headers["Connection"] == "close"
            assert gateway.wait() == 0
        finally:
            gateway.kill()


def test_own_ones_or_all(store, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [
        entry("a", ["send", "read"]), entry("b", ["send", "read"]), entry("boss", ["admin"]),
        entry("sender", ["send"])]}))
    with Relay() as relay, Gateway(relay, STORE=store, key=secret_of("a"), API_KEY=None,
                                   API_KEYS_FILE=path) as gateway:
        mine, theirs = gateway.send()["id"], gateway.send(key=secret_of("b"))["id"]
        all_of_them = events(gateway, key=secret_of("boss"))
        assert [e["data"]["id"] for e in all_of_them] == [mine, theirs]
        assert [e["data"]["id"] for e in events(gateway)] == [mine]
        assert [e["data"]["id"] for e in events(gateway, key=secret_of("b"))] == [theirs]
        refused(gateway.get("/events", key=secret_of("sender")), 403, "forbidden")


def test_killed_and_there_again(store):
    with Relay({"dot": {"delay": 30}}) as relay:
        gateway = Gateway(relay, STORE=store)
        assert gateway.send(delivery="queue").status == 202
        before = events(gateway)
        assert [e["type"] for e in before] == ["message.queued"]
        gateway.process.send_signal(signal.SIGKILL)
        gateway.wait()
        relay.script.clear()
        with Gateway(relay, STORE=store, RETRY_DELAYS=ms(100)) as gateway:
            assert told(gateway, 2)[0] == before[0]
