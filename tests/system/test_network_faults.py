"""What a network loses (faults F-02, F-16, F-43), in a network namespace with a firewall."""

import collections
import itertools
import re
import threading
import time

import pytest

from gateway import PACE, SLOW, Gateway, ms, problem, wait_for
from netns import Namespace
from postgres import Postgres
from relay import KEYWORDS, Relay


@pytest.fixture
def namespace():
    made = Namespace()
    yield made
    made.close()


def inside(namespace, tmp_path, **settings):
    return Gateway(None, wrap=namespace.wrap, unix=tmp_path / "socket", SMTP_SECURE="NONE",
                   **settings)


def test_a_black_hole_ends_with_the_connect_deadline(namespace, tmp_path):
    """F-02: SYNs are dropped."""
    namespace.firewall("-A", "INPUT", "-p", "tcp", "--dport", "2525", "-j", "DROP")
    with inside(namespace, tmp_path, SMTP_HOST="127.0.0.1", SMTP_PORT=2525,
                SMTP_TIMEOUT_CONNECT=ms(1000)) as gateway:
        began = time.monotonic()
        body = problem(gateway.send(), 504, "relay_timeout", "not_sent")
        assert 0.9 * PACE <= time.monotonic() - began < 4 * SLOW
        assert body["phase"] == "connect" and body["retryable"] is True
        assert gateway.get("/healthz").status == 200


def test_the_next_address_joins_when_the_first_is_a_black_hole(namespace, tmp_path):
    """F-02, RFC 8305: localhost is ::1 and 127.0.0.1; one of them is dead, and nobody waits for it."""
    listener = namespace.listener()
    with Relay(listener=listener) as relay, \
            inside(namespace, tmp_path, SMTP_HOST="localhost", SMTP_PORT=relay.port,
                   SMTP_TIMEOUT_CONNECT=ms(8000)) as gateway:
        namespace.firewall("-A", "INPUT", "-p", "tcp", "-d", "::1", "-j", "DROP", table="ip6tables")
        began = time.monotonic()
        answer = gateway.send()
        assert answer.status == 200, answer
        assert time.monotonic() - began < 4 * SLOW


def test_a_reject_is_seen_at_once(namespace, tmp_path):
    """F-01: REJECT with a TCP reset, and as unreachable."""
    for kind in ("tcp-reset", "icmp-host-unreachable"):
        namespace.firewall("-F")
        namespace.firewall("-A", "INPUT", "-p", "tcp", "--dport", "2525", "-j", "REJECT",
                           "--reject-with", kind)
        with inside(namespace, tmp_path, SMTP_HOST="127.0.0.1", SMTP_PORT=2525) as gateway:
            began = time.monotonic()
            problem(gateway.send(), 503, "relay_unreachable", "not_sent")
            assert time.monotonic() - began < 5 * SLOW


@pytest.mark.parametrize("keywords", [KEYWORDS, ("PIPELINING",)], ids=["chunking", "pipelining"])
def test_a_half_open_session_is_replaced_without_an_error(namespace, tmp_path, keywords):
    """F-16: a NAT box has forgotten the idle connection; packets vanish both ways, no RST."""
    with Relay(listener=namespace.listener(), keywords=keywords) as relay, \
            inside(namespace, tmp_path, SMTP_HOST="127.0.0.1", SMTP_PORT=relay.port,
                   SMTP_TIMEOUT_COMMAND=ms(1000)) as gateway:
        assert gateway.send().status == 200
        port = str(relay.connections[0].peer[1])
        for way in ("--sport", "--dport"):
            namespace.firewall("-A", "INPUT", "-p", "tcp", way, port, "-j", "DROP")
        time.sleep(2.5)  # no longer fresh: the envelope goes first
        answer = gateway.send(subject="second")
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert len(relay.connections) == 2 and len(relay.ledger) == 2
        assert gateway.send().status == 200


class Load:
    """Clients that hand in messages without pause, each by its subject; what they were told."""

    def __init__(self, gateway, clients=4):
        self.gateway, self.told, self.stop = gateway, {}, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=("%d-" % n,)) for n in range(clients)]

    def run(self, name):
        for number in itertools.count():
            if self.stop.is_set():
                return
            answer = self.gateway.send(delivery="queue", subject=name + str(number), timeout=60)
            self.told[name + str(number)] = answer
            if answer.status != 202:
                time.sleep(0.02)

    def count(self, status):
        return sum(answer.status == status for answer in list(self.told.values()))

    def more(self, status):
        """Soon there are more with this answer."""
        enough = self.count(status) + 10
        return wait_for(lambda: self.count(status) >= enough, 20)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60 * SLOW)

    def __exit__(self, *_):
        self.end()


def subjects(relay):
    return collections.Counter(re.search(rb"Subject: (\S+)", t.header).group(1).decode() for t in relay.ledger)


def is_drained(postgres, seconds):
    in_queue = "SELECT count(*) FROM lettergate_message WHERE turn > 0"
    return wait_for(lambda: postgres.sql(in_queue) == ["0"], seconds, 0.1)


def lose(namespace, load, ports, seconds=0):
    """Packets of these ports are lost, for ever or until messages are refused for so long."""
    assert load.more(202)
    lost = len(load.gateway.log("store_lost"))
    for port in ports:
        for way in ("--sport", "--dport"):
            namespace.firewall("-A", "INPUT", "-p", "tcp", way, port, "-j", "DROP")
    assert wait_for(lambda: len(load.gateway.log("store_lost")) > lost, 20)
    if seconds:
        assert load.more(503)
        assert load.gateway.get("/readyz", key=None).status == 503
        time.sleep(seconds)
        namespace.firewall("-F")
    assert load.more(202), "it recovers by itself"


@pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")
def test_a_database_whose_packets_are_dropped(namespace, tmp_path):
    """F-43: all of them for a while, and those of a connection for ever, which the server does not hear
    of: accepted messages are safe, what was refused is nowhere, and it comes back by itself."""
    postgres = Postgres("-c", "listen_addresses=127.0.0.1", wrap=namespace.wrap)
    try:
        store = "postgresql://lettergate@127.0.0.1/postgres?tcp_user_timeout=500"
        with Relay(listener=namespace.listener()) as relay, \
                inside(namespace, tmp_path, SMTP_HOST="127.0.0.1", SMTP_PORT=relay.port, STORE=store,
                       RETRY_DELAYS="200ms") as gateway, Load(gateway) as load:
            lose(namespace, load, ["5432"], 0.5)
            for _ in range(2):
                in_use = "SELECT client_port FROM pg_stat_activity WHERE application_name = 'lettergate'"
                lose(namespace, load, postgres.sql(in_use))
            load.end()
            if not is_drained(postgres, 5):
                postgres.leases_are_over()  # of claims whose commits it never heard of
            assert is_drained(postgres, 20)
    finally:
        postgres.close()
    found = subjects(relay)
    told = {status: {n for n, a in load.told.items() if a.status == status} for status in (202, 503, 504)}
    assert sum(map(len, told.values())) == len(load.told)
    assert told[202] <= set(found), "lost: %s" % (told[202] - set(found))
    assert not told[503] & set(found), "it was said not to be kept"
    assert set(found) <= set(load.told) and max(found.values()) == 1
