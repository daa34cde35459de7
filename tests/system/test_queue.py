"""The queue: what was accepted is delivered, whatever happens in between (docs/durability.md)."""

import json
import os
import signal
import time

import pytest

from gateway import Gateway, SLOW, mail, ms, wait_for
from relay import Relay


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def queued(gateway, **fields):
    answer = gateway.send({"delivery": "queue"}, **fields)
    assert answer.status == 202, answer
    assert answer["outcome"] == "queued"
    assert answer.headers["Location"] == "/messages/" + answer["id"]
    return answer["id"]


def test_accepted_then_sent(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        number = queued(gateway)
        assert relay.wait(lambda: len(relay.ledger) == 1)
        del number


def test_a_relay_that_is_down_gets_it_when_it_is_back(store):
    with Relay({"mail": {"reply": "451 4.3.0 not now\r\n"}}) as relay:
        with Gateway(relay, STORE=store, RETRY_DELAYS="300ms", RETRY_JITTER="0") as gateway:
            queued(gateway)
            assert relay.wait(lambda: len(relay.commands("MAIL")) >= 3)
            relay.script.clear() if hasattr(relay, "script") else None


def test_killed_behind_the_202(store):
    with Relay() as relay:
        gateway = Gateway(relay, STORE=store, SMTP_PORT="1")
        queued(gateway)
        gateway.kill()
        with Gateway(relay, STORE=store) as gateway:
            assert relay.wait(lambda: len(relay.ledger) == 1)
