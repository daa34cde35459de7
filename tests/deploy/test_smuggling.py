"""S-41: requests whose framing is in doubt, through HAProxy with deploy/haproxy.cfg itself. Whatever
the two make of them, they make the same: each request that HAProxy passed on is one to the gateway,
and the gateway knows of no other. Needs the addresses to itself: see alone.sh."""

import contextlib
import re
import socket

import pytest

from balancer import Names, balancer_is_ready, haproxy, start
from framing import LENIENT, REFUSED, SERVED, SMUGGLED
from gateway import SLOW, metric, read_all, wait_for
from relay import Relay

LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# libmicrohttpd refuses this one before we see it: it is answered, and counted by nobody but HAProxy
BEFORE_US = {"no host": [("POST", 400)]}
LOG_LINE = re.compile(r'\S+ \[[^]]*\] mail \S+/(\S+) \S+ (-?\d+) \d+ - - \S+ \S+ \S+ "(\S+)(.*)"')


@pytest.fixture(name="chain", scope="module")
def _chain(alone, tmp_path_factory):
    del alone
    folder = tmp_path_factory.mktemp("haproxy")
    with Relay() as relay, Names() as names:
        one = start("127.0.0.2", relay, DRAIN_DELAY="0s")
        try:
            names.addresses.add("127.0.0.2")
            with haproxy(folder):
                assert wait_for(balancer_is_ready), (folder / "haproxy.log").read_text()
                yield relay, one, folder / "haproxy.log"
            one.stop()
        finally:
            one.kill()


def through(data):
    """All that is answered. A body that is refused before it came holds HAProxy up until its end:
    when nothing more comes, we end it."""
    found = b""
    with socket.create_connection(("127.0.0.1", 8000), 2 * SLOW) as sock:
        with contextlib.suppress(OSError):  # refused, and closed, before all was sent
            sock.sendall(data)
        with contextlib.suppress(TimeoutError):
            while True:
                more = sock.recv(65536)
                if not more:
                    return found
                found += more
        sock.settimeout(20 * SLOW)
        sock.shutdown(socket.SHUT_WR)
        return found + read_all(sock)


def answers_in(data, methods):
    """The status of each answer, told apart by their lengths alone."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) ", head).group(1))
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head + b"\r\nContent-Length: 0").group(1))
        bodiless = methods[len(found):][:1] == ["HEAD"] or status < 200
        data = rest if bodiless else rest[length:]
        if status >= 200:
            found.append(status)
    return found


class Seen:
    """What HAProxy and the gateway say of one connection."""

    def __init__(self, relay, gateway, log):
        self.relay, self.gateway, self.log = relay, gateway, log
        self.before = len(self.lines()), len(self.events()), len(relay.ledger)

    def lines(self):
        found = (LOG_LINE.match(line) for line in self.log.read_text(errors="replace").splitlines())
        return [(server, int(status), method) for server, status, method, rest in
                (line.groups() for line in found if line) if "/readyz" not in rest]

    def events(self):
        return [(line["method"], line["status"]) for line in self.gateway.log("request")
                if line["route"] != "/readyz"]

    def told(self):
        """HAProxy's lines, the gateway's, and the number of messages."""
        lines, events, sent = self.before
        return self.lines()[lines:], self.events()[events:], len(self.relay.ledger) - sent


def agree(told, answer, uncounted):
    """The client has as many answers as HAProxy has lines; those that it did not give itself are the
    gateway's; and each message stands behind one of them."""
    lines, events, sent = told
    passed_on = [(method, status) for server, status, method in lines if server != "<NOSRV>"]
    return (lines and answers_in(answer, [method for _server, _status, method in lines]) ==
            [status for _server, status, _method in lines] and
            sorted(passed_on) == sorted(events + uncounted) and sent == passed_on.count(("POST", 200)))


@pytest.mark.parametrize("table", [REFUSED, SERVED, LENIENT], ids=["refused", "served", "lenient"])
def test_haproxy_and_the_gateway_count_the_same(chain, table):
    wrong = []
    for name, data in table.items():
        seen = Seen(*chain)
        answer = through(data + SMUGGLED + LAST)
        uncounted = BEFORE_US.get(name, [])
        wait_for(lambda s=seen, a=answer, u=uncounted: agree(s.told(), a, u), 2)
        lines, events, sent = seen.told()
        if not agree((lines, events, sent), answer, uncounted) or sent > 1 or \
                table is SERVED and [status for _server, status, _method in lines][1:] != [200, 200]:
            wrong.append((name, lines, events, sent, answer))
    assert not wrong, "\n".join(map(repr, wrong))


def test_the_metrics_count_no_more_either(chain):
    """The sum over all that went before: a request that is in no log would be in here."""
    _relay, one, _log = chain
    events = len(one.log("request"))
    text = one.get("/metrics", key=None).body.decode()
    assert wait_for(lambda: len(one.log("request")) > events)
    own = sum(line["route"] == "/readyz" for line in one.log("request"))
    counted = metric(text, "lettergate_http_requests_total") - metric(
        text, "lettergate_http_requests_total", route="/readyz")
    assert counted == len(one.log("request")) - own - 1, "the one for the metrics is not counted yet"
