"""The queue and kill -9 (F-32): whatever was answered with 202 arrives, and only what a relay may have
had in its hands when the process died arrives twice."""

import collections
import http.client
import os
import random
import threading
import time

import pytest

from gateway import SLOW, Gateway, wait_for
from relay import Relay

KILLS = int(os.environ.get("LETTERGATE_KILLS", "26" if SLOW == 1 else "8"))


def keep_sending(gateway, accepted, stop, lock):
    while not stop.is_set():
        try:
            answer = gateway.send(delivery="queue", timeout=10)
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
    settings = {"STORE": "sqlite:%s" % (tmp_path / "queue.db"), "ON_UNKNOWN": policy,
                "RETRY_DELAYS": "200ms", "SMTP_SESSIONS": "4"}
    accepted, lock, chance = [], threading.Lock(), random.Random(7)
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
        with Gateway(relay, **settings) as gateway:
            assert wait_for(lambda: not any(all_in(gateway, state)
                                            for state in ("queued", "deferred", "sending")), 60)
            held = set(all_in(gateway, "held"))
        arrived = collections.Counter(t.message_id.strip("<>") for t in relay.ledger)
    accepted = {number.strip("<>") for number in accepted}
    assert len(accepted) > 3 * KILLS
    assert accepted <= set(arrived) | held, "something was lost: %s" % (accepted - set(arrived) - held)
    twice = sum(count - 1 for count in arrived.values())
    if policy == "hold":
        assert twice == 0, "what is held is never sent twice"
    assert max(arrived.values()) <= 3 and twice <= KILLS * 4, "at most what was on the way at a kill"
