"""What a network loses (faults F-02, F-16), in a network namespace with a firewall."""

import time

import pytest

from gateway import PACE, SLOW, Gateway, ms, problem
from netns import Namespace
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
