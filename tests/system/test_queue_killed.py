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
SESSIONS, IN_FLIGHT = 4, 64
OUT = IN_FLIGHT // 2  # of the queue's, at the most: a message is out until what came of it is on disk


def tell_tale():
    """A message whose subject tells what its text was."""
    text = "%s\n" % os.urandom(30).hex() * random.choice((1, 10, 300))
    return {"text": text, "subject": hashlib.sha256(text.encode()).hexdigest()}


def is_as_it_was(taken):
    head, _, text = taken.body.partition(b"\r\n\r\n")
    return b"\r\nSubject: %s\r\n" % hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest().encode() in head


def keep_sending(gateway, accepted, stop, lock):
    while not stop.is_set():
        began = time.monotonic()
        try:
            answer = gateway.send(delivery="queue", timeout=10, **tell_tale())
        except (OSError, http.client.HTTPException):  # it was killed
            return
        if answer.status == 202:
            with lock:
                accepted.append((answer["message_id"].strip("<>"), began))


def all_in(gateway, state):
    """The Message-IDs of all messages in that state, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        page = gateway.get("/messages?limit=500&state=%s%s" % (state, cursor and "&cursor=" + cursor))
        found += [m["message_id"].strip("<>") for m in page["messages"]]
        cursor = page["cursor"]
    return found


def surely_noted(relay, life, lasts):
    """What a process has sent and must have noted, however slow the disk is, with its number. Its session had begun
    with the second message after it: a session goes on to the next message, tells the queue's thread what came of the
    last one, and only then reads again. Behind that, the process was sent a message that had its 202: that thread
    does all in order, and had noted the verdict before it took this one."""
    found = []
    for taken in relay.ledger:
        after = relay.connections[taken.connection - 1].transactions[taken.number + 1:]
        if after and after[0].began < lasts.get(life(taken), 0):
            found.append((taken.message_id.strip("<>"), life(taken)))
    return found


@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_random_kills(tmp_path, policy):
    """What each process that died had sent, and not yet noted, is sent again; none sends one twice
    itself."""
    settings = {"STORE": "sqlite:%s" % (tmp_path / "queue.db"), "ON_UNKNOWN": policy,
                "RETRY_DELAYS": "200ms", "SMTP_SESSIONS": SESSIONS, "MAX_IN_FLIGHT": IN_FLIGHT}
    accepted, lock, chance = [], threading.Lock(), random.Random(7)
    lives = []  # the number of the last connection of each process
    lasts = {}  # when the last message was sent to it that had its 202
    with Relay() as relay:
        for number in range(KILLS):
            before = len(accepted)
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
            lasts[number] = max((began for _, began in accepted[before:]), default=0)
        with Gateway(relay, **settings) as gateway:
            assert wait_for(lambda: not any(all_in(gateway, state)
                                            for state in ("queued", "deferred", "sending")), 60)
            held, sent = set(all_in(gateway, "held")), set(all_in(gateway, "sent"))
            page = gateway.get("/metrics", key=None).body.decode()
            for state, wanted in (("held", held), ("sent", sent)):
                assert metric(page, "lettergate_queue_messages", state=state) == len(wanted)
    assert all(map(is_as_it_was, relay.ledger)), "it reads otherwise"

    def life(taken):
        return bisect.bisect_left(lives, taken.connection)

    copies = collections.defaultdict(list)  # in which lives it arrived
    for taken in relay.ledger:
        copies[taken.message_id.strip("<>")].append(life(taken))
    accepted = {number for number, _ in accepted}
    assert len(accepted) > 3 * KILLS
    assert accepted <= set(copies) | held, "something was lost: %s" % (accepted - set(copies) - held)
    assert sent <= set(copies) <= sent | held, "what is told of them is what the relay had"
    assert not sent & held and accepted <= sent | held
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert all(len(found) == len(set(found)) for found in copies.values()), "one process sent it twice"
    noted = surely_noted(relay, life, lasts)
    again = collections.Counter(number for found in copies.values() for number in found[:-1])
    print("%d kills, %d accepted, %d held, %d arrived again, %d at once, one of them %d times; %d of %d "
          "had to be noted" % (KILLS, len(accepted), len(held), sum(again.values()), max(again.values(), default=0),
                               max(map(len, copies.values())), len(noted), len(relay.ledger)))
    if policy == "hold":
        assert not again, "what is held is never sent twice"
    assert max(again.values(), default=0) <= OUT, "so many were out"
    assert noted, "or else this shows nothing"
    late = [one for one, number in noted if one in held or copies[one][-1] > number]
    assert not late, "their process had noted them: %s" % late
