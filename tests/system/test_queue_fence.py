"""A queued message and the moments at which it may be lost or doubled: between MAIL, the end of the
data and its answer the process is killed, or the store cannot be written any more."""

import http.client
import json
import resource
import threading
import time

import pytest

from gateway import SLOW, Gateway, free_port, mail, ms, problem, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401  the fixtures `store` and `server`
from test_queue import queued, reaches, state

WAYS = {"data": {"keywords": ("8BITMIME",)}, "pipelined": {"keywords": ("8BITMIME", "PIPELINING")},
        "bdat": {}}


def killed_at(store, step, way="data", policy="hold", receive_buffer=None, **fields):
    """The process is killed when the relay hears `step`; the relay, and how often it was tried."""
    gateways, answered = [], threading.Event()

    def kill(connection, step, line):
        answered.wait(20)
        gateways[0].kill()
        return {"reply": "", "then": "close"}

    relay = Relay({step: kill}, receive_buffer=receive_buffer, **WAYS[way])
    gateways.append(Gateway(relay, STORE=store, ON_UNKNOWN=policy, RETRY_DELAYS=ms(200)))
    number = queued(gateways[0], **fields)
    answered.set()
    assert wait_for(lambda: gateways[0].process.poll() is not None, 20)
    relay.script.clear()
    store.takes_back()
    return relay, number


@in_both
@pytest.mark.parametrize("way,step", [
    ("data", "mail"), ("data", "rcpt"), ("data", "data"), ("pipelined", "data")])
def test_killed_before_the_end(store, way, step):
    """F-32: the end had not been written, and was not noted: it is sent, also where what is unknown
    would be held."""
    relay, number = killed_at(store, step, way)
    with relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 1


@in_both
@pytest.mark.parametrize("way", sorted(WAYS))
def test_killed_behind_the_end(store, way):
    """F-32: all of it had gone, and nobody heard the answer: it is held, and never sent again."""
    relay, number = killed_at(store, "dot", way)
    with relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        told = reaches(gateway, number, "held")
        assert told["recipients"][0]["outcome"] == "unknown"
        other = queued(gateway)
        reaches(gateway, other, "sent")
        assert len(relay.ledger) == 1


def test_killed_amid_the_content(store):
    """More than there is room for on the way: the end had not been reached."""
    relay, number = killed_at(store, "body", receive_buffer=65536, text="line\n" * 2000000)
    with relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 1


def limit_files(gateway, most):
    """From now on no file of the gateway's grows: its disk is as good as full."""
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.mark.parametrize("way", sorted(WAYS))
def test_without_a_mark_the_end_is_not_sent(store, way):
    """F-31: the store cannot be written when it comes to the end of the data: the connection is closed
    without it, the relay is not to blame, and the message goes when the store is well again."""
    def stop_writing(connection, step, line):
        limit_files(gateway, 1)

    with Relay({"1/rcpt": stop_writing} if way != "bdat" else {}, hold=0.1, **WAYS[way]) as relay, \
            Gateway(relay, STORE=store, ON_UNKNOWN="hold", RETRY_DELAYS=ms(200)) as gateway:
        if way == "bdat":  # MAIL and all go out in one write: the first greeting is the moment
            relay.script["greeting"] = stop_writing
        number = queued(gateway)
        assert wait_for(lambda: gateway.log("send"), 20)
        assert not relay.ledger
        told = gateway.log("send")[0]
        assert told["outcome"] == "not_sent" and told["code"] == "storage_unavailable", told
        relay.script.clear()
        limit_files(gateway, resource.RLIM_INFINITY)
        told = reaches(gateway, number, "sent")
        assert len(relay.ledger) == 1
        assert told["attempts"][0]["outcome"] == "not_sent"
        assert gateway.get("/relays")["relays"][0]["state"] == "working"


def test_ready_while_the_store_can_be_written(store):
    """F-31: while it cannot, /readyz says so and nothing is taken into the queue; then all is as before."""
    def is_ready(status):
        return wait_for(lambda: gateway.get("/readyz", key=None).status == status, 10)

    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        assert "reason" not in gateway.get("/readyz", key=None).json
        limit_files(gateway, 1)
        told = problem(gateway.send(delivery="queue"), 503, "storage_unavailable", "not_sent")
        assert (told["detail"], told["retry_after"]) == ("the disk failed to read or to write", 5), told
        answer = gateway.get("/readyz", key=None)
        assert answer.status == 503 and answer["ready"] is False and answer["draining"] is False
        assert "store" in answer["reason"]
        for _ in range(3):  # at once, and the answer does not change for it
            problem(gateway.send(delivery="queue"), 503, "storage_unavailable", "not_sent")
            assert gateway.get("/readyz", key=None).status == 503
        direct = gateway.send()
        assert direct.status == 200, "what needs no queue goes on"
        assert wait_for(lambda: [line["id"] for line in gateway.log("not_recorded")] == [direct["id"]])
        limit_files(gateway, resource.RLIM_INFINITY)
        assert is_ready(200)
        reaches(gateway, queued(gateway), "sent")


def is_over(gateway, number):
    if gateway.process.poll() is not None:
        return "died"
    try:
        return state(gateway, number) == "held"
    except (OSError, http.client.HTTPException):  # it does not listen yet, or was killed
        return False


@in_both
def test_a_message_that_kills(store):
    """F-47: the process dies whenever this message is on its way. Five times, then it is set aside; the
    others are delivered, and soon not one at a time. A database is told of MAIL soon, and
    before the end for sure."""
    deaths, neighbours, answered = [], 20, threading.Event()

    def kill(connection, step, line):
        if "poison" not in connection.transactions[-1].mail:
            return None
        answered.wait(20)
        deaths.append(gateways[-1].pid)
        gateways[-1].kill()
        return {"reply": "", "then": "close"}

    gateways = []
    settings = {"STORE": store, "SMTP_SESSIONS": "4", "RETRY_DELAYS": ms(200)}
    with Relay({"dot" if store.server else "mail": kill}) as relay:
        gateways.append(Gateway(relay, **settings))
        poison = queued(gateways[0], **{"from": "poison@example.com"})
        others = [queued(gateways[0], to="n%d@example.org" % n) for n in range(neighbours)]
        answered.set()
        while len(gateways) < 10 and wait_for(lambda: is_over(gateways[-1], poison), 20) == "died":
            store.takes_back()
            gateways.append(Gateway(relay, wait=False, **settings))
        with gateways[-1] as gateway:
            told = reaches(gateway, poison, "held")
            assert told["recipients"][0]["code"] == "set_aside", told
            for number in others:
                reaches(gateway, number, "sent")
            assert gateway.log("held")[0]["strikes"] == 5
            assert len(set(deaths)) == 5, deaths
            assert len(gateways) == 6
            arrived = {r for t in relay.ledger for r in t.recipients}
            assert len(arrived) == neighbours


def paced(relay_script, seconds):
    """The end of each message is answered after a while; how many were under way at each MAIL, and
    taken before it."""
    seen, state_of, lock = [], {"under": 0, "taken": 0}, threading.Lock()

    def begin(connection, step, line):
        with lock:
            state_of["under"] += 1
            seen.append((state_of["under"], state_of["taken"]))

    def end(connection, step, line):
        time.sleep(seconds)
        with lock:
            state_of["under"] -= 1
            state_of["taken"] += 1

    relay_script.update({"mail": begin, "dot": end})
    return seen


@in_both
def test_a_relay_that_is_back_begins_with_one(store):
    """F-46: behind an outage the first is alone, and with each that is taken there may be one more."""
    port, script = free_port(), {}
    with Gateway(None, STORE=store, SMTP_HOST="127.0.0.1", SMTP_PORT=port, SMTP_SECURE="NONE",
                 SMTP_SESSIONS="20", RETRY_DELAYS=ms(300), RETRY_JITTER="0") as gateway:
        numbers = [queued(gateway) for _ in range(60)]
        reaches(gateway, numbers[0], "deferred")
        seen = paced(script, 0.05)
        with Relay(script, port=port) as relay:
            for number in numbers:
                reaches(gateway, number, "sent")
            assert len(relay.ledger) == 60
    assert all(under <= taken + 1 for under, taken in seen), seen
    assert max(under for under, _ in seen) > 4, "and soon it is as fast as ever"


def test_a_relay_that_hangs_holds_up_nobody_elses(tmp_path, store):
    """F-39: more messages for it than may be out at a time; those for another relay go all the same,
    though nothing in the queue tells which are which."""
    with Relay({"dot": {"then": "stall", "reply": ""}}) as slow, Relay() as quick:
        config = tmp_path / "config.json"
        config.write_text(json.dumps({
            "relays": [{"name": name, "host": relay.host, "port": relay.port, "secure": "NONE",
                        "priority": priority}
                       for name, relay, priority in (("quick", quick, 1), ("slow", slow, 2))],
            "routes": [{"tag": "bulk", "relay": "slow"}]}))
        gateway = Gateway(None, args=("--config", str(config)), STORE=store, SMTP_SESSIONS="4")
        try:
            batch = [mail(delivery="queue", tags=["bulk"])] * 600
            for _ in range(2):
                answer = gateway.post("/send/batch", {"messages": batch}, timeout=60)
                assert {result["status"] for result in answer["results"]} == {202}
            numbers = [queued(gateway, to="n%d@quick.example" % n) for n in range(20)]
            for number in numbers:
                reaches(gateway, number, "sent")
            assert len(quick.ledger) == 20 and not slow.ledger
        finally:
            gateway.kill()
