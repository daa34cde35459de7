"""Ten thousand messages through a relay that hangs up behind 1, 2 or 10 messages, lets three sessions
in, and says 421 at random at every step (faults F-05, F-12, F-13): each arrives once, and callers
see no error that could have been avoided.

LETTERGATE_MESSAGES sets how many; LETTERGATE_SEED which random ones."""

import os
import random
import re
import threading
import time
from collections import Counter

import pytest

from gateway import SLOW, Gateway, mail, together
from ledger import CHUNKED, PIPELINED, PLAIN
from relay import Relay

COUNT = int(os.environ.get("LETTERGATE_MESSAGES", "10000" if SLOW == 1 else "1000"))
SEED = int(os.environ.get("LETTERGATE_SEED", "1"))
ROOM, BATCH = 3, 250
CHANCE = 0.004
IN_SESSION = ("mail", "rcpt", "data", "dot", "rset", "noop", "quit")
EVERYWHERE = ("greeting", "ehlo") + IN_SESSION


class Moody:
    """The script of such a relay, and what it did."""

    def __init__(self, steps, closes):
        self.steps, self.closes = steps, closes
        self.random = random.Random(SEED)
        self.lock = threading.Lock()
        self.said = Counter()  # 421 at each step

    def script(self):
        return {step: self.at for step in EVERYWHERE}

    def at(self, connection, step, _line):
        with self.lock:
            return self.mood(connection, step)

    def mood(self, connection, step):
        behind = (1, 2, 10)[connection.number % 3]
        if step == "greeting" and len(connection.relay.open_connections) > ROOM:
            self.said["full"] += 1
            return "421 4.7.0 too many connections"
        if step == "mail" and connection.times["mail"] > behind:
            self.said["used up"] += 1
            return "421 4.7.0 too many messages"
        if step in self.steps and self.random.random() < CHANCE:
            self.said[step] += 1
            return "421 4.3.2 not in the mood"
        if step == "dot" and self.closes and connection.times["dot"] >= behind:
            return {"then": "close"}
        return None


def send(gateway, numbers):
    """A batch; gives number → result."""
    answer = gateway.post("/send/batch", [mail(subject="message %d" % n) for n in numbers],
                          timeout=120)
    assert answer.status == 200, answer
    return dict(zip(numbers, answer["results"]))


def send_all(gateway, numbers):
    numbers, results = list(numbers), {}
    batches = [numbers[at:at + BATCH] for at in range(0, len(numbers), BATCH)]
    for found in together(lambda batch: send(gateway, batch), batches, 4):
        results.update(found)
    return results


def subjects(relay):
    return Counter(re.search(rb"Subject: (message \d+)\r", t.header).group(1).decode()
                   for t in relay.ledger)


@pytest.mark.parametrize("name,keywords,closes,steps,share", [
    ("pipelined", PIPELINED, True, IN_SESSION, 1), ("bdat", CHUNKED, False, IN_SESSION, 5),
    ("plain", PLAIN, True, IN_SESSION, 5), ("opening", PIPELINED, True, EVERYWHERE, 5)],
    ids=["pipelined", "bdat", "plain", "opening"])
def test_each_message_once_through_a_moody_relay(name, keywords, closes, steps, share):
    moody = Moody(steps, closes)
    with Relay(moody.script(), keywords=keywords) as relay, \
            Gateway(relay, SMTP_SESSIONS=8, LOG_LEVEL="error") as gateway:
        results = send_all(gateway, range(COUNT // share))
        refused = {n: result for n, result in results.items() if result["status"] != 200}
        print(name, "said:", dict(moody.said), "refused:", len(refused))
        outcomes = Counter(result["outcome"] for result in refused.values())
        assert set(outcomes) <= {"deferred", "not_sent"}, outcomes
        assert outcomes["deferred"] == moody.said["dot"], "that was the relay's own answer"
        for result in refused.values():
            assert result["retryable"] is True and result["duplicate_risk"] is False, result
            assert result["status"] == 503 and result["retry_after"] >= 1, result
        if steps is IN_SESSION:
            # hanging up and being used up are mended; a session that came to replace one, and was
            # refused as well, is the caller's to know
            moods = sum(moody.said[step] for step in ("mail", "rcpt", "data", "full"))
            assert outcomes["not_sent"] <= moods, (outcomes, moody.said)
        for _ in range(50):  # who is told to come again comes again
            if not refused:
                break
            time.sleep(0.5)
            again = send_all(gateway, refused)
            refused = {n: result for n, result in again.items() if result["status"] != 200}
            assert {result["outcome"] for result in refused.values()} <= {"deferred", "not_sent"}
        assert not refused
        assert subjects(relay) == Counter("message %d" % n for n in range(COUNT // share))
        assert max(Counter(t.connection for t in relay.ledger).values()) <= 10
