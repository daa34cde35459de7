"""A session whose way is lost without a word (fault F-16): gateway and relay in a network namespace
each, and between them a firewall that has forgotten the connection."""

import shutil
import subprocess
import time

import pytest

from gateway import SLOW, Gateway, together
from ledger import WAYS, attempts, nobody_heard_of_it, nothing_lost_nothing_twice
from netns import Namespace, run
from relay import Relay
from syscalls import Strace

NEAR, FAR = "10.113.7.1", "10.113.7.2"


class Beyond(Namespace):
    """A second namespace, at the other end of a cable."""

    def __init__(self, near):
        self.name = near.name + "-far"
        try:
            run("ip", "netns", "add", self.name)
            run("ip", "-n", self.name, "link", "set", "lo", "up")
            run("ip", "-n", near.name, "link", "add", "cable", "type", "veth", "peer", "name",
                "cable", "netns", self.name)
            for name, address in ((near.name, NEAR), (self.name, FAR)):
                run("ip", "-n", name, "address", "add", address + "/30", "dev", "cable")
                run("ip", "-n", name, "link", "set", "cable", "up")
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            near.close()
            pytest.skip("no veth between network namespaces here: %s" % error)


@pytest.fixture
def ends():
    near = Namespace()
    far = Beyond(near)
    yield near, far
    far.close()
    near.close()


def lose(ends, connection):
    """From now on its packets vanish, both ways, and nobody gets to hear so."""
    port = str(connection.peer[1])
    for end, way in zip(ends, ("--dport", "--sport")):
        end.firewall("-A", "INPUT", "-p", "tcp", way, port, "-j", "DROP")


def test_a_half_open_session_costs_a_short_probe_and_no_error(ends, tmp_path):
    """F-16: with all that a relay may offer, and for a caller who has little time. The command's
    time-out is a minute: it is not what ends this."""
    near, far = ends

    def one(case):
        way, deadline = case
        with Relay(listener=far.listener(), host=FAR, keywords=WAYS[way]) as relay, \
                Gateway(None, wrap=near.wrap, unix=tmp_path / ("%s-%s" % case), SMTP_HOST=FAR,
                        SMTP_PORT=relay.port, SMTP_SECURE="NONE") as gateway:
            answers = [gateway.send()]
            assert relay.connections[0].peer[0] == NEAR
            lose(ends, relay.connections[0])
            time.sleep(2.5)  # it is not taken for alive any more
            said = len(relay.connections[0].received)
            began = time.monotonic()
            answers.append(gateway.send(subject="second", deadline=deadline))
            assert time.monotonic() - began < 3 + 2 * SLOW
            answers.append(gateway.send(subject="third"))
            assert [a.status for a in answers] == [200] * 3, answers
            assert [attempts(a) for a in answers] == [["accepted"], ["not_sent", "accepted"],
                                                      ["accepted"]], answers
            assert answers[1]["attempts"][0]["code"] == "relay_timeout"
            assert len(relay.connections) == 2
            assert len(relay.connections[0].received) == said, "nothing may get through"
            assert relay.connections[0].ended is None, "nothing may be heard of the end"
            nothing_lost_nothing_twice(relay, answers)
            nobody_heard_of_it(gateway)
    together(one, [(way, None) for way in WAYS] + [(way, "2500ms") for way in WAYS], 6)


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_kernel_looks_after_sessions_as_well(tmp_path):
    """Nobody answers: found out within a minute of silence, or of bytes that nobody acknowledges."""
    with Relay() as relay, Gateway(relay) as gateway:
        with Strace(gateway, "-o", tmp_path / "calls", "-e", "trace=setsockopt"):
            assert gateway.send().status == 200
        calls = (tmp_path / "calls").read_text()
    for option in ("SOL_SOCKET, SO_KEEPALIVE, [1]", "SOL_TCP, TCP_KEEPIDLE, [30]", "SOL_TCP, TCP_KEEPINTVL, [10]",
                   "SOL_TCP, TCP_KEEPCNT, [3]", "SOL_TCP, TCP_USER_TIMEOUT, [60000]"):
        assert calls.count(option) == 1, calls
