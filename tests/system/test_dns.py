"""Name servers that say no, nothing, or something else than before (fault F-25): the relay's name is
asked for within the deadline of the connection, nobody else waits for it, and what was once good is
kept for when there is no answer."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet, each_once
from gateway import PACE, SLOW, Gateway, ms, problem, together, wait_for
from ledger import nothing_lost_nothing_twice
from names import Names
from netns import Namespace
from relay import Relay

PORT = 2525
NAME = "mx.relay.test"
HERE, THERE = "127.0.0.2", "127.0.0.3"
NOWHERE = "127.0.0.9"  # nobody listens
HOLE = "fd00:113::9"   # SYNs are dropped
SERVFAIL, SILENT = {"code": "SERVFAIL"}, {"silent": True}


@pytest.fixture(scope="module")
def namespace():
    made = Namespace()
    made.ask("127.0.0.1")
    made.address(HOLE)
    made.firewall("-A", "INPUT", "-d", HOLE, "-j", "DROP", table="ip6tables")
    yield made
    made.close()


@contextlib.contextmanager
def asking(namespace, tmp_path, zone, **settings):
    """A name server, a gateway that asks it, and relays at two addresses."""
    settings = {"SMTP_TIMEOUT_CONNECT": ms(2000), "SMTP_MAX_MESSAGES": 1, **settings}
    with Names({NAME: zone}, sockets=namespace.socket) as names, \
            Relay(listener=namespace.listener(), host=HERE, port=PORT) as here, \
            Relay(listener=namespace.listener(), host=THERE, port=PORT) as there, \
            Gateway(None, wrap=namespace.wrap, unix=tmp_path / "socket", SMTP_SECURE="NONE",
                    SMTP_HOST=NAME, SMTP_PORT=PORT, **settings) as gateway:
        yield names, gateway, here, there


def lost(gateway, status, phase="dns", code="relay_dns", **fields):
    body = problem(gateway.send(fields), status, code, "not_sent")
    assert body["phase"] == phase and body["duplicate_risk"] is False, body
    return body


def test_a_name_that_does_not_exist_yet(namespace, tmp_path):
    """NXDOMAIN, or nothing of that kind, is for the operator; and is not held against it later."""
    with asking(namespace, tmp_path, {"code": "NXDOMAIN"}) as (names, gateway, here, _there):
        assert NAME in lost(gateway, 502)["detail"]
        names.zone[NAME] = []
        lost(gateway, 502)
        names.zone[NAME] = [HERE]
        assert wait_for(lambda: gateway.send().status == 200, 5)
        assert len(here.ledger) == 1


@pytest.mark.parametrize("zone", [
    SERVFAIL, {"code": "REFUSED"}, {"raw": b"\x81\x80junk"}, {"cname": NAME},
    {"cname": "loop.test"}], ids=["servfail", "refused", "junk", "cname-of-itself", "cname-loop"])
def test_name_servers_that_fail(namespace, tmp_path, zone):
    """It ends, within the deadline to connect; what is to be repeated is 503 or 504."""
    with asking(namespace, tmp_path, zone) as (names, gateway, here, _there):
        names.zone["loop.test"] = {"cname": NAME}
        began = time.monotonic()
        answer = gateway.send()
        assert time.monotonic() - began < 2 * PACE + 3 * SLOW
        assert answer.status in (502, 503, 504) and answer["outcome"] == "not_sent", answer
        assert answer["phase"] == "dns" and answer["retryable"] is True, answer
        assert answer.status != 502 or "cname" in zone
        names.zone[NAME] = [HERE]
        assert wait_for(lambda: gateway.send().status == 200, 5)
        assert len(here.ledger) == 1


@pytest.mark.parametrize("zone", [SILENT, {"delay": 20, "addresses": [HERE]}],
                         ids=["silent", "slow"])
def test_name_servers_that_keep_silent_cost_the_deadline_and_nobody_else(namespace, tmp_path, zone):
    """The look-up is part of SMTP_TIMEOUT_CONNECT; many that wait for it hold up nothing."""
    with asking(namespace, tmp_path, zone, SMTP_TIMEOUT_CONNECT=ms(1500)) as (names, gateway, here,
                                                                          _there):
        began = time.monotonic()
        answers = together(lambda n: gateway.send(subject=str(n)) if n else gateway.get("/healthz"),
                           range(20), 20)
        assert answers[0].status == 200
        for answer in answers[1:]:
            body = problem(answer, 504, "relay_timeout", "not_sent")
            assert body["phase"] == "dns" and "name servers" in body["detail"]
        assert time.monotonic() - began < 2 * 1.5 * PACE + 4 * SLOW
        names.zone[NAME] = [HERE]
        assert wait_for(lambda: gateway.send().status == 200, 5)
        assert len(here.ledger) == 1


def test_an_answer_that_is_late_is_in_time(namespace, tmp_path):
    """Slow is not dead; nor is a server that answers the second time that it is asked."""
    def second(_kind, asked):
        return SILENT if asked == 0 else [HERE]

    for zone in ({"delay": 1.0, "addresses": [HERE]}, second,
                 {"aaaa": SILENT, "a": [HERE]}, {"aaaa": SERVFAIL, "a": [HERE]},
                 {"aaaa": {"delay": 20, "addresses": ["::1"]}, "a": [HERE]}):
        with asking(namespace, tmp_path, zone, SMTP_TIMEOUT_CONNECT=ms(8000)) as (_n, gateway, here,
                                                                              _there):
            assert gateway.send().status == 200, zone
            assert len(here.ledger) == 1


@pytest.mark.parametrize("broken", [SERVFAIL, SILENT, [NOWHERE], []],
                         ids=["servfail", "silent", "refused", "none"])
def test_one_family_that_works_is_enough(namespace, tmp_path, broken):
    """F-25: A is broken, AAAA is not."""
    listener = namespace.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with asking(namespace, tmp_path, {"a": broken, "aaaa": ["::1"]},
                SMTP_TIMEOUT_CONNECT=ms(8000)) as (_names, gateway, _here, _there), \
            Relay(listener=listener, host="::1", port=PORT) as relay:
        answers = [gateway.send(subject=str(n)) for n in range(2)]
        assert [a.status for a in answers] == [200] * 2, answers
        nothing_lost_nothing_twice(relay, answers)


FULL = ["127.0.1.%d" % n for n in range(1, 21)] + ["fd00:113::1:%x" % n for n in range(1, 21)]


@pytest.mark.parametrize("zone", [
    FULL + [HERE], [HERE] + FULL, [HOLE, HERE], [HOLE, NOWHERE, HERE], ["100::1", HERE]],
    ids=["last-of-41", "first-of-41", "hole", "hole-and-refused", "no-route"])
def test_one_address_that_works_is_enough(namespace, tmp_path, zone):
    """20 A and 20 AAAA, some of them refused, without a route, or into the void; what does not fit
    a datagram is asked for by TCP."""
    with asking(namespace, tmp_path, zone) as (_names, gateway, here, _there):
        answers = [gateway.send(subject=str(n)) for n in range(3)]
        assert [a.status for a in answers] == [200] * 3, answers
        nothing_lost_nothing_twice(here, answers)


@pytest.mark.parametrize("greeting", [
    "554 5.3.2 never", {"reply": "", "then": "close"}, {"reply": "", "then": "stall"},
    "HTTP/1.1 400 Bad Request"], ids=["554", "closes", "silent", "http"])
def test_an_address_that_is_no_relay_does_not_take_the_others_down(namespace, tmp_path, greeting):
    """F-25, F-26: it lets us connect, and is of no use. The next one is tried, in time for the same
    message, and it is not the first choice again for a while."""
    with Names({NAME: [HERE, THERE]}, sockets=namespace.socket) as names, \
            Relay({"greeting": greeting}, listener=namespace.listener(), host=HERE, port=PORT) as bad, \
            Relay(listener=namespace.listener(), host=THERE, port=PORT) as good, \
            Gateway(None, wrap=namespace.wrap, unix=tmp_path / "socket", SMTP_SECURE="NONE",
                    SMTP_HOST=NAME, SMTP_PORT=PORT, SMTP_TIMEOUT_COMMAND=ms(1500),
                    SMTP_MAX_MESSAGES="1") as gateway:
        del names
        answers = [gateway.send(subject=str(n)) for n in range(8)]
        assert [a.status for a in answers] == [200] * 8, answers
        nothing_lost_nothing_twice(good, answers)
        assert 1 <= len(bad.connections) <= 3, "each worker finds it out once"
        assert not gateway.log("relay_rests")


def test_an_address_that_is_busy_is_heard(namespace, tmp_path):
    """F-13: "not now" is about the relay, not about the address."""
    with asking(namespace, tmp_path, [HERE, THERE]) as (_names, gateway, here, there):
        here.script["greeting"] = there.script["greeting"] = "421 4.3.2 not now"
        assert gateway.send(deadline=ms(1500)).status == 503
        assert len(here.connections) >= 1 and not there.connections


def test_a_name_that_moves_is_followed(namespace, tmp_path):
    """Each session asks anew, as far as the answer's TTL has passed; a CNAME is a name like others."""
    with asking(namespace, tmp_path, {"addresses": [HERE], "ttl": 1}) as (names, gateway, here, there):
        assert gateway.send().status == 200
        names.zone[NAME] = {"cname": "other.test", "ttl": 1}
        names.zone["other.test"] = {"addresses": [THERE], "ttl": 1}
        assert wait_for(lambda: gateway.send().status == 200 and there.ledger, 5)
        had = len(here.ledger)
        here.stop()
        assert [gateway.send().status for _ in range(3)] == [200] * 3
        assert len(here.ledger) == had


@pytest.mark.parametrize("failure", [SERVFAIL, SILENT, {"raw": b"\x81\x80junk"}, None],
                         ids=["servfail", "silent", "junk", "dead"])
def test_the_last_good_addresses_are_kept(namespace, tmp_path, failure):
    """Stale if error (RFC 8767): mail goes on while name servers do not, and nobody sees it but for
    a delay; what they say when they are back counts at once."""
    with asking(namespace, tmp_path, [HERE], SMTP_TIMEOUT_CONNECT="10s") as (names, gateway, here,
                                                                       there):
        answers = [gateway.send()]
        if failure:
            names.zone[NAME] = failure
        else:
            names.stop()
        answers += [gateway.send(subject=str(n)) for n in range(4)]  # by all workers
        answers += together(lambda n: gateway.send(subject=str(n)), range(16), 8)
        assert [a.status for a in answers] == [200] * 21, answers
        nothing_lost_nothing_twice(here, answers)
        if failure:
            assert failure is not SILENT or names.asked.count((NAME, "A")) < 10, \
                "who gives no answer is not asked for each session"
            names.zone[NAME] = [THERE]
            assert wait_for(lambda: gateway.send().status == 200 and there.ledger, 15)


def test_a_name_that_is_gone_is_gone(namespace, tmp_path):
    """NXDOMAIN is an answer: nothing is kept against it."""
    with asking(namespace, tmp_path, [HERE]) as (names, gateway, here, _there):
        assert gateway.send().status == 200
        names.zone[NAME] = {"code": "NXDOMAIN"}
        lost(gateway, 502)
        names.zone[NAME] = SERVFAIL
        lost(gateway, 503)
        assert len(here.ledger) == 1


def test_the_name_of_one_relay_holds_up_no_other(namespace, tmp_path):
    """F-25, F-39: many wait for silent name servers, and for an address that swallows all; messages
    for a relay beside them go, and those that may go elsewhere do."""
    class At:
        def __init__(self, host):
            self.host, self.port, self.tls = host, PORT, None
    with Names({"silent.test": SILENT, "hole.test": [HOLE]}, sockets=namespace.socket), \
            Relay(listener=namespace.listener(), host=HERE, port=PORT) as here, \
            Fleet(tmp_path, [("silent", At("silent.test"), {}), ("hole", At("hole.test"), {}),
                             ("here", here, {"priority": 2})],
                  [{"tag": "hole", "relay": "hole"}, {"tag": "silent", "relay": "silent"}],
                  wrap=namespace.wrap, unix=tmp_path / "socket",
                  SMTP_TIMEOUT_CONNECT=ms(2000)) as gateway, ThreadPoolExecutor(30) as pool:
        stuck = [pool.submit(gateway.send, tags=[tag]) for tag in ("silent", "hole") * 15]
        answers = together(lambda n: gateway.send(subject=str(n), relay="here"), range(100))
        assert {a.status for a in answers} == {200}
        for send in stuck:
            answer = send.result()
            assert answer.status in (503, 504) and answer["outcome"] == "not_sent", answer
        answers.append(gateway.send())
        assert answers[-1].status == 200 and answers[-1]["relay"]["name"] == "here", answers[-1]
        each_once([here], answers)
