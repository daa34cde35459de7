"""A gateway that stands still for longer than its leases (F-42), at each point of a message's way, while
another one takes over: nothing is lost, and only what had its last byte out may come a second time."""

import contextlib
import os
import signal
import threading

import pytest

from gateway import SLOW, wait_for
from relay import Relay
from test_postgres import _postgres, _server, arrived, queued, replica  # noqa: F401  the fixtures
from test_queue_fence import WAYS

pytestmark = pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")

LONG = pytest.mark.skipif(not os.environ.get("LETTERGATE_LONG"), reason="by hand: LETTERGATE_LONG=1")
POINTS = {"data": ("mail", "rcpt", "data", "body", "dot"), "pipelined": ("data", "body", "dot"),
          "bdat": ("body", "dot")}  # where all goes out in one write, there are fewer
POLICIES = ("retry", "hold")
LARGE = "line\n" * 1200000  # there is not so much room on the way


class Stops:
    """What a relay does that is heard of each step, and goes on when it is told to: each message stops
    at the point that its sender is named after."""

    def __init__(self):
        self.reached, self.over, self.is_taken_over = set(), threading.Event(), False

    def __call__(self, connection, step, line):
        sender = connection.transactions[-1].mail
        if step == sender.split(".")[0] and not self.is_taken_over:
            self.reached.add(sender)
            self.over.wait(120)

    def script(self):
        return dict.fromkeys(("mail", "rcpt", "data", "body", "dot"), self)


def bring_to(stops, gateway, point, policy):
    """A message, as far as there; its Message-ID."""
    sender = "%s.%s@example.com" % (point, policy)
    number = queued(gateway, on_unknown=policy, text=LARGE if point == "body" else "Hello.\n",
                    **{"from": sender})
    assert point == "waiting" or wait_for(lambda: sender in stops.reached), sender
    return number


@contextlib.contextmanager
def standing_still(gateway):
    os.kill(gateway.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(gateway.pid, signal.SIGCONT)


def there_are(postgres, count, turns, seconds=20):
    words = "SELECT count(*) FROM lettergate_message WHERE turn IN (%s)" % turns
    return wait_for(lambda: postgres.sql(words) == [str(count)], seconds, 0.1)


@pytest.mark.parametrize("leases", ["moved", pytest.param("awaited", marks=LONG)])
@pytest.mark.parametrize("way", sorted(WAYS))
def test_it_wakes_when_another_has_taken_over(postgres, way, leases):
    """Before MAIL, behind it, behind DATA, amid the content, and between the end and its answer."""
    stops, sent = Stops(), {}
    with Relay(stops.script(), receive_buffer=65536, **WAYS[way]) as relay:
        steps = [(point, policy) for point in POINTS[way]
                 for policy in (POLICIES[:1] if point == "body" else POLICIES)]
        with replica(relay, postgres.url(), SMTP_SESSIONS=str(len(steps))) as first:
            for point, policy in steps + [("waiting", policy) for policy in POLICIES]:
                sent[bring_to(stops, first, point, policy)] = (point, policy)
            assert there_are(postgres, len(sent), "4"), "all of them are out"
            with standing_still(first):
                stops.is_taken_over = True
                if leases == "moved":
                    postgres.leases_are_over()
                with replica(relay, postgres.url()) as second:
                    assert there_are(postgres, len(sent), "0, 5", 20 if leases == "moved" else 70)
                    assert not second.log("lease_lost")
                held = {number for number, how in sent.items() if how == ("dot", "hold")}
                assert set(arrived(relay)) == set(sent) - held, "the other one sends them all"
            stops.over.set()
            assert wait_for(lambda: len(first.log("lease_lost")) == len(sent)), first.output
            last = queued(first)
            assert wait_for(lambda: last in arrived(relay))
    found = arrived(relay)
    assert set(found) == set(sent) | {last}
    twice = {sent[number]: count for number, count in found.items() if count > 1}
    assert twice == {("dot", "retry"): 2}, "its last byte was out, and nobody knew"
