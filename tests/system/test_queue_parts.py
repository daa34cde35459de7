"""A queued message for more recipients than the relay takes in one transaction: the process is killed,
or its store fails, between one part and the next."""

import resource
import threading
from collections import Counter

import pytest

from gateway import Gateway, metric, ms, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401  the fixtures `store` and `server`
from test_queue import queued, reaches

TO = ["u%d@example.org" % n for n in range(6)]
TWO_AT_A_TIME = ("PIPELINING", "LIMITS RCPTMAX=2")


def copies(relay):
    return dict(Counter(r for t in relay.ledger for r in t.recipients))


def events(gateway):
    page = gateway.get("/events?after=0")["events"]
    return sorted((e["data"]["recipient"], e["type"]) for e in page if e["type"] != "message.queued")


def killed_at(store, first, policy):
    """The process is killed when the relay has the part with this recipient, of three that there are."""
    gateways, answered = [], threading.Event()

    def kill(connection, step, line):
        if first not in connection.transactions[-1].recipients:
            return None
        answered.wait(20)
        gateways[0].kill()
        return {"reply": "", "then": "close", "take": True}

    relay = Relay({"dot": kill}, keywords=TWO_AT_A_TIME)
    gateways.append(Gateway(relay, STORE=store, ON_UNKNOWN=policy))
    number = queued(gateways[0], to=TO)
    answered.set()
    assert wait_for(lambda: gateways[0].process.poll() is not None, 20)
    relay.script.clear()
    store.takes_back()
    return relay, number


@in_both
def test_killed_between_parts(store):
    """F-32: who had a 250 in an earlier part is not sent a second copy, and is told of once."""
    relay, number = killed_at(store, TO[2], "retry")
    with relay, Gateway(relay, STORE=store) as gateway:
        told = reaches(gateway, number, "sent")
        assert copies(relay) == {to: 2 if to in TO[2:4] else 1 for to in TO}
        assert [(a["outcome"], a["relay"]) for a in told["attempts"]] == [("partial", "default"), ("accepted", "default")]
        assert events(gateway) == [(to, "message.sent") for to in TO]


@in_both
@pytest.mark.parametrize("first", [0, 2, 4])
def test_killed_between_parts_that_are_held(store, first):
    """F-32: … nor is it unknown whether he has it; and who is in a later part is sent it."""
    relay, number = killed_at(store, TO[first], "hold")
    unknown = TO[first:first + 2]
    with relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        told = reaches(gateway, number, "held")
        assert {r["address"]: r["outcome"] for r in told["recipients"]} == {
            to: "unknown" if to in unknown else "accepted" for to in TO}
        assert {r["phase"] for r in told["recipients"] if r["outcome"] == "unknown"} == {"dot"}
        assert events(gateway) == [(to, "message.unknown" if to in unknown else "message.sent") for to in TO]
        assert copies(relay) == dict.fromkeys(TO, 1)


def test_a_part_that_cannot_be_noted_is_the_last(store):
    """F-31: the disk is full behind the first part: no other ends, so that those of one part alone can
    come twice. It goes on when that is over."""
    def stop_writing(connection, step, line):
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    with Relay({"1/dot": stop_writing}, keywords=TWO_AT_A_TIME) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS=ms(200)) as gateway:
        number = queued(gateway, to=TO)
        assert wait_for(lambda: gateway.log("send"), 20)
        assert copies(relay) == dict.fromkeys(TO[:2], 1)
        told = gateway.log("send")[0]
        assert (told["outcome"], told["detail"]) == ("partial", "the store did not let the end of the message go")
        relay.script.clear()
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        reaches(gateway, number, "sent")
        assert copies(relay) == dict.fromkeys(TO, 1)
        assert Counter(e for e in events(gateway) if e[1] == "message.sent") == Counter(
            (to, "message.sent") for to in TO)


def test_parts_are_one_try(store):
    """One attempt, one event for each recipient, and his outcome is there as soon as his part is over."""
    goes_on = threading.Event()

    def wait(connection, step, line):
        if TO[4] in connection.transactions[-1].recipients:
            goes_on.wait(20)

    with Relay({"dot": wait}, keywords=TWO_AT_A_TIME) as relay, Gateway(relay, STORE=store) as gateway:
        number = queued(gateway, to=TO)
        assert wait_for(lambda: len(events(gateway)) == 4, 10)
        told = gateway.get("/messages/" + number)
        assert told["state"] == "sending"
        assert [r["outcome"] for r in told["recipients"]] == ["accepted"] * 4 + ["queued"] * 2
        goes_on.set()
        told = reaches(gateway, number, "sent")
        assert len(told["attempts"]) == 1 and copies(relay) == dict.fromkeys(TO, 1)
        assert events(gateway) == [(to, "message.sent") for to in TO]


def stopped_at(gateway, relay, ends, gate, first):
    """SIGTERM while the relay has the part with this recipient, which it then answers."""
    assert wait_for(lambda: any(first in c.transactions[-1].recipients for c in ends), 20)
    gateway.terminate()
    assert wait_for(lambda: gateway.log("drain"))
    gate.set()
    return gateway.wait()


@in_both
def test_a_gateway_that_stops_begins_no_other_part(store):
    """F-40: who was in the part that was under way has it, and is told of; the others wait for the next process,
    untouched, and are due at once."""
    to = ["u%d@example.org" % n for n in range(12)]
    ends, gate = [], threading.Event()
    with Relay({"dot": lambda c, *_: ends.append(c) or gate.wait(60) and {"delay": 0.2}}, keywords=TWO_AT_A_TIME) as relay:
        gateway = Gateway(relay, STORE=store, RETRY_DELAYS="1h")
        number = queued(gateway, to=to)
        assert stopped_at(gateway, relay, ends, gate, to[0]) == 0
        assert copies(relay) == dict.fromkeys(to[:2], 1) and len(relay.connections[0].transactions) == 1
        with Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
            told = reaches(gateway, number, "sent")
            assert copies(relay) == dict.fromkeys(to, 1)
            assert [(a["outcome"], a.get("code")) for a in told["attempts"]] == [("partial", "draining"), ("accepted", None)]
            assert events(gateway) == sorted((t, "message.sent") for t in to)


def test_a_direct_send_goes_on_with_its_parts(store):
    """F-40: its sender waits for the answer, and is told of all of them."""
    ends, gate, answers = [], threading.Event(), []
    with Relay({"dot": lambda c, *_: ends.append(c) or gate.wait(60) and None}, keywords=TWO_AT_A_TIME) as relay:
        gateway = Gateway(relay, STORE=store)
        sender = threading.Thread(target=lambda: answers.append(gateway.send(to=TO)))
        sender.start()
        assert stopped_at(gateway, relay, ends, gate, TO[0]) == 0
        sender.join(20)
        assert [r["outcome"] for r in answers[0]["recipients"]] == ["accepted"] * 6
        assert copies(relay) == dict.fromkeys(TO, 1)


def test_who_was_not_got_to_is_not_counted(store):
    """F-40: he is where he was before."""
    ends, gate = [], threading.Event()
    with Relay({"dot": lambda c, *_: ends.append(c) or gate.wait(60) and None}, keywords=TWO_AT_A_TIME) as relay:
        gateway = Gateway(relay, STORE=store, DRAIN_DELAY="60s", DRAIN_TIMEOUT="90s")
        queued(gateway, to=TO)
        assert wait_for(lambda: ends, 20)
        gateway.terminate()
        assert wait_for(lambda: gateway.log("drain"))
        gate.set()
        assert wait_for(lambda: gateway.log("send"))
        text = gateway.get("/metrics", key=None).body.decode()
        counted = {o: metric(text, "lettergate_recipients_total", outcome=o) for o in ("accepted", "not_sent")}
        assert counted["accepted"] == 2 and not counted["not_sent"], counted
        gateway.kill()
