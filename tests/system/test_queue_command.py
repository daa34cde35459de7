"""`lettergate queue`: what is queued, seen and changed from a command line, through HTTP."""

import json
import re
import time

import pytest

from gateway import KEY, Gateway, command, free_port, metric, wait_for
from relay import Relay

STATES = ["scheduled", "queued", "sending", "sent", "partial", "deferred", "failed", "unknown", "held", "cancelled",
          "captured"]


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def queue(gateway, *args, key=KEY, **more):
    settings = {"LETTERGATE_URL": gateway.url if gateway else "http://127.0.0.1:%d" % free_port(), "LETTERGATE_KEY": key}
    return command("queue", *args, settings={**settings, **more})


def waiting(gateway, number, **fields):
    """So many messages that wait, newest last."""
    found = [gateway.send(delivery="queue", to="n%d@example.org" % n, subject="Order %d" % n, **fields)["id"]
             for n in range(number)]
    assert wait_for(lambda: len(gateway.get("/messages?state=deferred&limit=500")["messages"]) >= number)
    return found


LATER = {"mail": "451 4.3.0 not now"}


def test_list(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        ids = waiting(gateway, 7, tags=["a"])
        done = queue(gateway, "list")
        assert done.returncode == 0 and not done.stderr
        head, *lines = done.stdout.splitlines()
        assert head.split()[:2] == ["ID", "STATE"]
        assert [line.split()[0] for line in lines] == ids[::-1]
        assert re.search(r" deferred +20..-..-..T..:..:.. +20\S+ +n6@example.org +Order 6$", lines[0]), lines[0]
        assert queue(gateway, "list", "--ids", "--limit", "3").stdout.split() == ids[:3:-1]
        assert queue(gateway, "list", "--ids", "--all").stdout.split() == ids[::-1]
        one = queue(gateway, "list", "--recipient", "n3@example.org", "--state", "deferred", "--tag", "a", "--json")
        message = json.loads(one.stdout)
        assert message["id"] == ids[3] and message["subject"] == "Order 3"
        assert not queue(gateway, "list", "--ids", "--since", "2036-01-01T00:00:00Z").stdout
        assert not queue(gateway, "list", "--ids", "--tag", "a&tag=b ü%").stdout


def test_more_than_a_page(store):
    with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE", STORE=store) as gateway:
        body = [{"from": "a@example.com", "to": "b@example.org", "text": "x", "delivery": "queue"}] * 600
        ids = [one["id"] for one in gateway.post("/send/batch", body)["results"]]
        assert sorted(queue(gateway, "list", "--ids", "--all").stdout.split()) == sorted(ids)
        assert len(queue(gateway, "list", "--ids", "--limit", "550").stdout.split()) == 550
        assert len(queue(gateway, "list").stdout.splitlines()) == 51


def test_show(store):
    with Relay({**LATER, "rcpt:2": "550 5.1.1 unknown"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        (number,) = waiting(gateway, 1, tags=["a"])
        done = queue(gateway, "show", number)
        assert done.returncode == 0, done
        for wanted in (number, "state         deferred", "tag           a", "n0@example.org  queued",
                       "relay_busy", "451 4.3.0 not now"):
            assert wanted in done.stdout or wanted.replace("queued", "deferred") in done.stdout, done.stdout
        assert json.loads(queue(gateway, "show", number, "--json").stdout)["id"] == number
        none = queue(gateway, "show", "nobody/../x")
        assert none.returncode == 1 and "404" in none.stderr and not none.stdout


def test_retry_and_cancel(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        ids = waiting(gateway, 3)
        relay.script.clear()
        done = queue(gateway, "retry", ids[0], ids[1])
        assert done.returncode == 0 and done.stdout.splitlines() == [number + " queued" for number in ids[:2]]
        assert relay.wait(lambda: len(relay.ledger) == 2)
        assert wait_for(lambda: gateway.get("/messages/" + ids[0])["state"] == "sent")
        done = queue(gateway, "cancel", ids[0], ids[2], "nobody")
        assert done.returncode == 1 and done.stdout == ids[2] + " cancelled\n", done
        assert "409" in done.stderr and "404" in done.stderr
        assert ids[0] + " was left as it is" in done.stderr and "nobody was left" in done.stderr
        assert gateway.get("/messages/" + ids[2])["state"] == "cancelled" and len(relay.ledger) == 2


def test_stats(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        empty = json.loads(queue(gateway, "stats", "--json").stdout)
        assert set(empty["messages"]) == set(STATES) and not any(empty["messages"].values())
        assert (empty["bytes"], empty["oldest_seconds"], empty["ages"]["+Inf"]) == (0, 0, 0)
        ids = waiting(gateway, 4)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        gateway.send(send_at=later)
        queue(gateway, "cancel", ids[0])
        assert wait_for(lambda: json.loads(queue(gateway, "stats", "--json").stdout)["oldest_seconds"] >= 1)
        found = json.loads(queue(gateway, "stats", "--json", key="").stdout)
        assert {state: count for state, count in found["messages"].items() if count} == \
            {"deferred": 3, "scheduled": 1, "cancelled": 1}
        assert found["bytes"] > 800 and found["ages"]["60.0"] == found["ages"]["+Inf"] == 3
        done = queue(gateway, "stats")
        assert done.returncode == 0 and re.search(r"^  deferred +3$", done.stdout, re.M), done.stdout
        page = gateway.get("/metrics", key=None).body.decode()
        assert metric(page, "lettergate_queue_messages", state="deferred") == 3
        assert metric(page, "lettergate_queue_age_messages", le="300.0") == 3
        opened = gateway.get("/metrics", key=None, headers={"Accept": "application/openmetrics-text"})
        assert opened.body.endswith(b"# EOF\n") and b"lettergate_queue_oldest_seconds " in opened.body
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        page = gateway.get("/metrics", key=None).body.decode()
        assert metric(page, "lettergate_queue_messages", state="deferred") == 3, "after a restart"
        assert metric(page, "lettergate_queue_age_messages", le="+Inf") == 3


def test_without_a_store():
    with Relay() as relay, Gateway(relay) as gateway:
        gateway.send()
        done = queue(gateway, "stats")
        assert done.returncode == 1 and "STORE" in done.stderr and not done.stdout
        assert "lettergate_queue_" not in gateway.get("/metrics", key=None).body.decode()
        assert len(queue(gateway, "list", "--ids").stdout.split()) == 1, "what is remembered is listed all the same"


def test_what_is_shown_does_nothing_to_a_terminal(store):
    raw = "From: a@example.com\r\nTo: b@example.org\r\nSubject: a\x1b]0;x\x07\xc2\x9b31m\r\n\r\nx\r\n"
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.request("POST", "/send", raw.encode("latin-1"), {"Content-Type": "message/rfc822"})
        for done in (queue(gateway, "list"), queue(gateway, "show", answer["id"]) if answer.status == 200 else None):
            assert done is None or not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout), done


def test_its_exit_codes(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        for args in ((), ("shows",), ("list", "x"), ("list", "--limit", "0"), ("list", "--limit"), ("show",),
                     ("show", "a", "b"), ("retry",), ("cancel", "--json", "a"), ("stats", "--ids")):
            done = queue(gateway, *args)
            assert done.returncode == 2 and "usage: lettergate queue" in done.stderr and not done.stdout, args
        assert queue(gateway, "--help").returncode == 0
        assert queue(gateway, "list", "--state", "odd").returncode == 1
        wrong = queue(gateway, "list", key="wrong-key-0000000000")
        assert wrong.returncode == 1 and "401" in wrong.stderr
        assert queue(gateway, "list", LETTERGATE_URL="ftp://x").returncode == 1
    assert queue(None, "list").returncode == 1
