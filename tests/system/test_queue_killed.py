"""The queue and kill -9 (F-32): whatever was answered with 202 arrives, and only what a relay may have
had in its hands when the process died arrives twice."""

import bisect
import collections
import contextlib
import hashlib
import http.client
import os
import random
import sqlite3
import threading
import time

import pytest

from gateway import SLOW, Gateway, metric, wait_for
from relay import Relay

KILLS = int(os.environ.get("LETTERGATE_KILLS", "26" if SLOW == 1 else "8"))
SESSIONS, CLAIMED = 4, 64  # out at a time, at the most


def tell_tale():
    """A message whose subject tells what its text was."""
    text = "%s\n" % os.urandom(30).hex() * random.choice((1, 10, 300))
    return {"text": text, "subject": hashlib.sha256(text.encode()).hexdigest()}


def is_as_it_was(taken):
    head, _, text = taken.body.partition(b"\r\n\r\n")
    return b"\r\nSubject: %s\r\n" % hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest().encode() in head


def keep_sending(gateway, accepted, stop, lock):
    while not stop.is_set():
        try:
            answer = gateway.send(delivery="queue", timeout=10, **tell_tale())
        except (OSError, http.client.HTTPException):  # it was killed
            return
        if answer.status == 202:
            with lock:
                accepted.append(answer["message_id"])


def all_in(gateway, state):
    """The Message-IDs of all messages in that state, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        page = gateway.get("/messages?limit=500&state=%s%s" % (state, cursor and "&cursor=" + cursor))
        found += [m["message_id"].strip("<>") for m in page["messages"]]
        cursor = page["cursor"]
    return found


@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_random_kills(tmp_path, policy):
    """What each process that died had sent, and not yet noted, is sent again; none sends one twice
    itself."""
    settings = {"STORE": "sqlite:%s" % (tmp_path / "queue.db"), "ON_UNKNOWN": policy,
                "RETRY_DELAYS": "200ms", "SMTP_SESSIONS": SESSIONS}
    accepted, lock, chance = [], threading.Lock(), random.Random(7)
    lives = []  # the number of the last connection of each process
    with Relay() as relay:
        for _ in range(KILLS):
            gateway, stop = Gateway(relay, **settings), threading.Event()
            senders = [threading.Thread(target=keep_sending, args=(gateway, accepted, stop, lock))
                       for _ in range(4)]
            for sender in senders:
                sender.start()
            time.sleep(chance.uniform(0.05, 0.4) * SLOW)
            gateway.kill()
            stop.set()
            for sender in senders:
                sender.join()
            assert relay.wait(lambda: not relay.open_connections)
            lives.append(len(relay.connections))
        with Gateway(relay, **settings) as gateway:
            assert wait_for(lambda: not any(all_in(gateway, state)
                                            for state in ("queued", "deferred", "sending")), 60)
            held, sent = set(all_in(gateway, "held")), set(all_in(gateway, "sent"))
            page = gateway.get("/metrics", key=None).body.decode()
            for state, wanted in (("held", held), ("sent", sent)):
                assert metric(page, "lettergate_queue_messages", state=state) == len(wanted)
    assert all(map(is_as_it_was, relay.ledger)), "it reads otherwise"
    copies = collections.defaultdict(list)  # in which lives it arrived
    for taken in relay.ledger:
        copies[taken.message_id.strip("<>")].append(bisect.bisect_left(lives, taken.connection))
    accepted = {number.strip("<>") for number in accepted}
    assert len(accepted) > 3 * KILLS
    assert accepted <= set(copies) | held, "something was lost: %s" % (accepted - set(copies) - held)
    assert sent <= set(copies) <= sent | held, "what is told of them is what the relay had"
    assert not sent & held and accepted <= sent | held
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert all(len(found) == len(set(found)) for found in copies.values()), "one process sent it twice"
    again = collections.Counter(life for found in copies.values() for life in found[:-1])
    print("%d kills, %d accepted, %d held, %d arrived again, %d at once, one of them %d times" % (
        KILLS, len(accepted), len(held), sum(again.values()), max(again.values(), default=0),
        max(map(len, copies.values()))))
    if policy == "hold":
        assert not again, "what is held is never sent twice"
    # how many depends on how long the disk took to note them
    assert max(again.values(), default=0) <= CLAIMED
