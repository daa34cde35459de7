"""Webhooks: events, signed, in order and at least once, whatever the receiver does (F-48, S-51)."""

import base64
import contextlib
import hashlib
import hmac
import json
import signal
import sqlite3
import time

import pytest

from certificates import Authority
from gateway import SLOW, Gateway, wait_for
from receiver import Receiver
from relay import Relay

OLD, NEW = (b"%032d" % n for n in (1, 2))


def secret(key):
    return "whsec_" + base64.b64encode(key).decode()


def signature(key, post):
    """As the specification has it: HMAC-SHA256 over id, timestamp and body with dots between."""
    content = b".".join([post.headers["webhook-id"].encode(),
                         post.headers["webhook-timestamp"].encode(), post.body])
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


@pytest.fixture(scope="module", name="authority")
def _authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", name="context")
def _context(authority):
    return authority.make("127.0.0.1").context()


@pytest.fixture(name="usual")
def _usual(tmp_path, authority):
    return {"STORE": "sqlite:%s" % (tmp_path / "queue.db"), "SSL_CERT_FILE": authority.file,
            "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8"}


def single(receiver, key=OLD):
    return {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": secret(key)}


def behind(gateway, webhook):
    return metric(gateway, webhook, 'lettergate_webhook_behind_seconds{webhook="%s"} ')


def metric(gateway, label, form='lettergate_webhook_deliveries_total{result="%s"} '):
    name = form % label
    for line in gateway.get("/metrics", key=None).body.decode().split("\n"):
        if line.startswith(name):
            return int(line[len(name):])
    raise AssertionError(name)


def test_signed_in_order_on_one_connection(context, usual):
    with Receiver(context) as receiver, Relay() as relay, \
            Gateway(relay, **usual, WEBHOOK_URL=receiver.url,
                    WEBHOOK_SECRET=secret(NEW) + " " + secret(OLD)) as gateway:
        sent = [gateway.send(delivery="queue", tags=["a"], metadata={"order": n})["id"]
                for n in range(10)]
        assert wait_for(lambda: len(receiver.posts) == 20)
        log = gateway.get("/events")["events"]
        assert [post.id for post in receiver.posts] == [event["id"] for event in log]
        assert {number for _type, number in receiver.told} == set(sent)
        for post, event in zip(receiver.posts, log):
            del event["id"]
            assert post.json == event and post.path == "/events"
            assert post.headers["Content-Type"] == "application/json"
            assert abs(int(post.headers["webhook-timestamp"]) - post.at) < 30
            assert post.headers["webhook-signature"] == \
                signature(NEW, post) + " " + signature(OLD, post)
            for name in ("id", "timestamp", "signature"):
                assert post.headers["svix-" + name] == post.headers["webhook-" + name]
        assert len(receiver.connections) == 1 and not receiver.errors
        assert wait_for(lambda: metric(gateway, "delivered") == 20)


def test_receivers_that_do_what_they_want(context, usual, tmp_path):
    """F-48: each one has its own troubles, and none has another's."""
    scripts = {"good": [], "failing": [{"status": 500}, None],
               "throttled": [{"status": 429, "headers": {"Retry-After": "1"}}, None],
               "gone": [{"status": 410}], "stalled": [{"then": "stall"}],
               "closing": [{"then": "close"}, None], "elsewhere": [], "odd": [], "tagged": [],
               "talkative": [{"endless": True}]}
    path = tmp_path / "config.json"
    with contextlib.ExitStack() as stack:
        receivers = {name: stack.enter_context(Receiver(context, script))
                     for name, script in scripts.items()}
        elsewhere = receivers.pop("elsewhere")
        redirecting = stack.enter_context(
            Receiver(context, [{"status": 307, "headers": {"Location": elsewhere.url}}]))
        receivers["redirecting"] = redirecting
        hooks = [{"name": name, "url": receiver.url, "secret": secret(OLD)}
                 for name, receiver in receivers.items()]
        by_name = {hook["name"]: hook for hook in hooks}
        by_name["odd"]["events"] = ["message.failed", "message.cancelled"]
        by_name["tagged"]["tag"] = "x"
        path.write_text(json.dumps({"webhooks": hooks}))
        relay = stack.enter_context(Relay())
        gateway = stack.enter_context(Gateway(relay, args=("--config", path), **usual))
        first = gateway.send()["id"]
        second = gateway.send(tags=["y", "x"])["id"]
        both = [("message.sent", first), ("message.sent", second)]
        assert wait_for(lambda: receivers["good"].told == both)
        assert wait_for(lambda: receivers["tagged"].told == both[1:])
        assert wait_for(lambda: receivers["talkative"].told == both), "64 KB were enough"
        for name in ("failing", "throttled", "closing"):
            posts = receivers[name].posts
            assert wait_for(lambda: receivers[name].told == [both[0]] + both, 20), name
            assert posts[0].id == posts[1].id != posts[2].id
            assert posts[0].body == posts[1].body
            assert posts[0].headers["webhook-signature"] == signature(OLD, posts[0])
            assert posts[1].headers["webhook-signature"] == signature(OLD, posts[1])
            wait = posts[1].at - posts[0].at
            assert wait > (0.9 if name == "throttled" else 4.9), (name, wait)
        assert receivers["gone"].told == both[:1] and receivers["stalled"].told == both[:1]
        assert redirecting.told[0] == both[0] and not elsewhere.connections
        assert not receivers["odd"].posts
        assert metric(gateway, "gone") == 1 and metric(gateway, "throttled") == 1
        assert metric(gateway, "failed") >= 3
        assert behind(gateway, "stalled") >= 4 and behind(gateway, "gone") >= 4
        assert behind(gateway, "good") == behind(gateway, "odd") == 0
        assert "lettergate_webhooks_disabled 1\n" in gateway.get("/metrics").body.decode()
        assert [line["webhook"] for line in gateway.log("webhook_disabled")] == ["gone"]
        # a reload lets it try again; one that is not in the file any more ends
        receivers["gone"].script = []
        path.write_text(json.dumps({"webhooks": [by_name["gone"], by_name["odd"]]}))
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: receivers["gone"].told == both[:1] + both)
        relay.script["mail"] = "550 5.7.1 no"
        third = gateway.send()["id"]
        assert wait_for(lambda: receivers["odd"].told == [("message.failed", third)])
        assert wait_for(lambda: len(receivers["gone"].posts) == 4)
        assert len(receivers["good"].posts) == 2
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 8 * SLOW, "one that never answers does not hold the end up"


def test_killed_between_receiving_and_noting(context, usual):
    with Receiver(context, [None, {"then": "stall"}, None]) as receiver, Relay() as relay:
        gateway = Gateway(relay, **usual, **single(receiver))
        sent = [gateway.send()["id"] for _ in range(4)]
        assert wait_for(lambda: len(receiver.posts) == 2)
        gateway.process.send_signal(signal.SIGKILL)
        gateway.wait()
        receiver.release()
        with Gateway(relay, **usual, **single(receiver)) as gateway:
            assert wait_for(lambda: receiver.told and receiver.told[-1][1] == sent[3])
            told = [number for _type, number in receiver.told]
            assert told[:2] == sent[:2]
            assert told[2:] in (sent, sent[1:]), "from where that was noted last"
            again = receiver.posts[len(told) - 3]
            assert receiver.posts[1].id == again.id and receiver.posts[1].body == again.body


def test_stopped_and_there_again(context, usual):
    """What it has not got it gets from the next process; a new one begins with what is new."""
    with Receiver(context, [{"status": 503, "headers": {"Retry-After": "600"}}, None]) as receiver, \
            Receiver(context) as late, Relay() as relay:
        with Gateway(relay, **usual, **single(receiver)) as gateway:
            first = gateway.send()["id"]
            assert wait_for(lambda: len(receiver.posts) == 1)
        with Gateway(relay, **usual, **single(receiver)) as gateway:
            second = gateway.send()["id"]
            time.sleep(0.5)
            assert len(receiver.posts) == 1, "600 s are not over"
            gateway.process.send_signal(signal.SIGHUP)  # but a reload is a reason to try
            assert wait_for(lambda: len(receiver.posts) == 3)
            assert [number for _type, number in receiver.told] == [first, first, second]
        with Gateway(relay, **usual, **single(late)) as gateway:  # the same, moved
            third = gateway.send()["id"]
            assert wait_for(lambda: late.told == [("message.sent", third)])
            assert len(receiver.posts) == 3


def test_a_message_for_a_thousand(context, usual):
    to = ["%s%d@%s.example.org" % ("n" * 55, n, "d" * 60) for n in range(1000)]
    with Receiver(context) as receiver, Relay() as relay, \
            Gateway(relay, **usual, **single(receiver)) as gateway:
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))
        assert gateway.send(to=to, send_at=later, tags=["t%d" % n for n in range(10)]).status == 202
        assert wait_for(lambda: receiver.posts)
        assert receiver.posts[0].json["data"]["recipients"] == to


def test_given_up_after_the_last_try(context, usual):
    with Receiver(context, [{"status": 500}]) as receiver, Relay() as relay:
        with Gateway(relay, **usual, **single(receiver)) as gateway:
            gateway.send()
            second = gateway.send()["id"]
            assert wait_for(lambda: len(receiver.posts) == 1)
        with contextlib.closing(sqlite3.connect(usual["STORE"][7:])) as store:
            (content,), = store.execute("SELECT content FROM note WHERE name = 'webhook/default'")
            version, cursor, head, tries, _due = content.decode().split()
            assert (version, tries) == ("1", "1")
            store.execute("UPDATE note SET content = ?",
                          ((" ".join([version, cursor, head, "9", "0"])).encode(),))
            store.commit()
        with Gateway(relay, **usual, **single(receiver)) as gateway:
            assert wait_for(lambda: gateway.log("webhook_given_up"))
            assert metric(gateway, "given_up") == 1
            assert gateway.log("webhook_given_up")[0]["attempts"] == 10
            assert wait_for(lambda: len(receiver.posts) == 3)
            assert receiver.told[2] == ("message.sent", second), "it goes on with the next"


def test_what_was_forgotten_before_it_was_taken(context, usual, tmp_path):
    """One goes on with what there is, and it is told; one that had all misses nothing."""
    path = tmp_path / "config.json"
    later = {"status": 503, "headers": {"Retry-After": "600"}}
    with Receiver(context) as good, Receiver(context, [None, later, None]) as late, Relay() as relay:
        path.write_text(json.dumps({"webhooks": [
            {"name": name, "url": receiver.url, "secret": secret(OLD)} for name, receiver in (("good", good), ("late", late))]}))
        with Gateway(relay, args=("--config", path), **usual) as gateway:
            sent = [gateway.send()["id"] for _ in range(4)]
            assert wait_for(lambda: len(good.posts) == 4 and len(late.posts) == 2)
        with contextlib.closing(sqlite3.connect(usual["STORE"][7:])) as store:
            store.execute("UPDATE event SET at_ms = at_ms - 7200000")
            store.commit()
        with Gateway(relay, **usual, KEEP_FAILED="1h") as gateway:
            assert wait_for(lambda: not gateway.get("/events")["events"])
            sent.append(gateway.send()["id"])
        with Gateway(relay, args=("--config", path), **usual) as gateway:
            assert wait_for(lambda: len(good.posts) == 5 and len(late.posts) == 3)
            assert [number for _type, number in good.told] == sent
            assert [number for _type, number in late.told] == [sent[0], sent[1], sent[4]]
            told, = gateway.log("webhook_trouble")
            assert told["webhook"] == "late" and "kept no longer" in told["detail"]


def test_an_untrusted_certificate(context, usual):
    usual["SSL_CERT_FILE"] = "/etc/ssl/certs/ca-certificates.crt"
    with Receiver(context) as receiver, Relay() as relay, \
            Gateway(relay, **usual, **single(receiver)) as gateway:
        gateway.send()
        assert wait_for(lambda: gateway.log("webhook_failed"))
        assert "certificate" in gateway.log("webhook_failed")[0]["why"]
        assert not receiver.posts
        gateway.stop()
        assert secret(OLD) not in gateway.output
