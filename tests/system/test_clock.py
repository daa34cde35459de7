"""F-36: the wall clock is set while the gateway runs. Nothing is lost, nothing is sent twice, and nobody waits longer than the
longest delay. The database's clock, and the monotonic one, go on as they did."""

import calendar
import glob
import threading
import time

import pytest

from gateway import SLOW, Gateway, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401  the fixtures `store` and `server`
from test_queue import queued, reaches, state

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
HOUR, DAY = 3600, 86400
LONGEST = 1.2 * HOUR  # the delay and the chance that is added to it

pytestmark = [pytest.mark.skipif(SLOW > 1, reason="sanitizers do not get along with another clock"),
              pytest.mark.skipif(not LIBRARIES, reason="faketime is not installed")]


class Clock:
    def __init__(self, folder):
        self.file = folder / "clock"
        self.ahead_s = 0
        self.settings = {"LD_PRELOAD": LIBRARIES[0], "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_NO_CACHE": "1",
                         "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        self.set(0)

    def set(self, ahead_s):
        """From the next look at it on it is so far from the true one."""
        new = self.file.with_suffix(".new")
        new.write_text("%+d" % ahead_s)
        new.rename(self.file)
        self.ahead_s = ahead_s

    def now(self):
        return time.time() + self.ahead_s


@pytest.fixture(name="clock")
def _clock(tmp_path):
    return Clock(tmp_path)


def moment(words):
    return calendar.timegm(time.strptime(words[:19], "%Y-%m-%dT%H:%M:%S"))


class Slow:
    """A relay that puts all off for later, but for those from slow@: their end is answered when we say so."""

    def __init__(self):
        self.ends, self.answers = threading.Event(), threading.Event()
        self.relay = Relay({"rcpt": self.rcpt, "dot": self.dot})
        self.is_back = False

    def rcpt(self, connection, step, line):
        sender = connection.transactions[-1].mail
        is_later = "late@" in sender or not (self.is_back or "slow@" in sender)
        return "451 4.3.0 later" if is_later else None

    def dot(self, connection, step, line):
        if "slow@" in connection.transactions[-1].mail:
            self.ends.set()
            self.answers.wait(60)

    def tries(self, sender):
        return len([line for line in self.relay.commands("MAIL") if sender in line])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.set()
        self.relay.stop()


def start(slow, store, clock, **more):
    return Gateway(slow.relay, STORE=store, RETRY_DELAYS="1h", RETRY_FOR="24h", **clock.settings, **more)


def put(gateway, count, *senders):
    """Deferred ones, and one whose end is on its way."""
    numbers = [queued(gateway) for _ in range(count)] + [queued(gateway, **{"from": one}) for one in senders]
    for number in numbers:
        reaches(gateway, number, "deferred")
    return numbers, queued(gateway, **{"from": "slow@example.com"})


def created(gateway, number):
    return moment(gateway.get("/messages/" + number)["created"])


def events(gateway, after=0):
    answer = gateway.get("/events?limit=500&after=%s" % after)
    return [(event["type"], event["data"]["id"]) for event in answer["events"]], int(answer["cursor"])


@in_both
def test_set_forward(store, clock):
    """What waits goes, once, and whose time is over by that clock has its last try; what is on its way stays there."""
    with Slow() as slow, start(slow, store, clock) as gateway:
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2 * DAY))
        scheduled = queued(gateway, send_at=soon)
        numbers, under_way = put(gateway, 5, "late@example.com")
        assert slow.ends.wait(10)
        slow.is_back = True
        clock.set(3 * DAY)
        for number in numbers[:5] + [scheduled]:
            assert len(reaches(gateway, number, "sent")["attempts"]) == 1 + (number != scheduled)
        assert len(reaches(gateway, numbers[5], "failed")["attempts"]) == 2 == slow.tries("late@")
        fresh = queued(gateway, **{"from": "late@example.com"})
        told = reaches(gateway, fresh, "deferred")
        assert abs(moment(told["created"]) - clock.now()) < 60
        assert HOUR - 60 < moment(told["next_attempt"]) - clock.now() < LONGEST
        assert state(gateway, under_way) == "sending" and slow.tries("slow@") == 1
        slow.answers.set()
        reaches(gateway, under_way, "sent")
        assert len(slow.relay.ledger) == 7 == len({t.message_id for t in slow.relay.ledger})


@in_both
def test_set_back(store, clock):
    """What waits goes within the longest delay; nothing is forgotten, and events go on behind those that there are."""
    keeps = {"KEEP_SENT": "1h", "KEEP_FAILED": "1h"}
    with Slow() as slow:
        with start(slow, store, clock, **keeps) as gateway:
            numbers, under_way = put(gateway, 5)
            assert slow.ends.wait(10)
            before, cursor = events(gateway)
            clock.set(-3 * DAY)
            for number in numbers:
                assert wait_for(lambda n=number: moment(gateway.get("/messages/" + n)["next_attempt"]) <=
                                clock.now() + LONGEST + 1)
            assert state(gateway, under_way) == "sending" and slow.tries("slow@") == 1
            slow.is_back = True
            slow.answers.set()
            fresh = queued(gateway)
            assert abs(created(gateway, fresh) - clock.now()) < 60
            settled = [under_way, fresh]
            for number in settled:
                reaches(gateway, number, "sent")
            told, later = events(gateway, cursor)
            assert {id for type, id in told if type == "message.sent"} == set(settled) and later > cursor
        with start(slow, store, clock, **keeps) as gateway:  # which begins with what is to be forgotten
            again = queued(gateway)
            reaches(gateway, again, "sent")
            clock.set(-3 * DAY + LONGEST + 60)
            for number in numbers:
                reaches(gateway, number, "sent")
            told, _ = events(gateway)
            assert told[:len(before)] == before and len({one for one in told if one[0] == "message.sent"}) == 8
            assert len(gateway.get("/messages?state=sent")["messages"]) == 8
        assert len(slow.relay.ledger) == 8 == len({t.message_id for t in slow.relay.ledger})
