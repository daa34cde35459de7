"""A queued message and the moments at which it may be lost or doubled: between MAIL, the end of the
data and its answer the process is killed, or the store cannot be written any more."""

import resource
import threading

import pytest

from gateway import Gateway, ms, wait_for
from relay import Relay
from test_queue import queued, reaches

WAYS = {"data": {"keywords": ("8BITMIME",)}, "pipelined": {"keywords": ("8BITMIME", "PIPELINING")},
        "bdat": {}}


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def killed_at(store, step, way="data", policy="hold", **fields):
    """The process is killed when the relay hears `step`; the relay, and how often it was tried."""
    gateways, answered = [], threading.Event()

    def kill(connection, step, line):
        answered.wait(20)
        gateways[0].kill()
        return {"reply": "", "then": "close"}

    relay = Relay({step: kill}, **WAYS[way])
    gateways.append(Gateway(relay, STORE=store, ON_UNKNOWN=policy, RETRY_DELAYS=ms(200)))
    number = queued(gateways[0], **fields)
    answered.set()
    assert wait_for(lambda: gateways[0].process.poll() is not None, 20)
    relay.script.clear()
    return relay, number


@pytest.mark.parametrize("way,step", [
    ("data", "mail"), ("data", "rcpt"), ("data", "data"), ("pipelined", "data")])
def test_killed_before_the_end(store, way, step):
    """F-32: the end had not been written, and was not noted: it is sent, also where what is unknown
    would be held."""
    relay, number = killed_at(store, step, way)
    with relay, Gateway(relay, STORE=store, ON_UNKNOWN="hold") as gateway:
        reaches(gateway, number, "sent")
        assert len(relay.ledger) == 1


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
    relay, number = killed_at(store, "body", text="line\n" * 500000)
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
