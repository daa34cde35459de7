"""Sessions to a relay as it sees them: how many there are, what is said in them and what not, which are
kept ready, how long they live (faults F-13, F-14, F-16, F-20)."""

import re
import socket
import subprocess
import threading
import time

import pytest

from fleet import Fleet, tries
from gateway import SLOW, Gateway, metric, problem, together, wait_for
from ledger import PIPELINED, WAYS, attempts, nothing_lost_nothing_twice
from relay import Relay
from test_relay_pipelining import Liar, closes_at_mail


def relay_of(gateway):
    return gateway.get("/relays")["relays"][0]


def verbs(connection):
    return [line.split(" ")[0] for line in connection.commands]


# ---- how many

@pytest.mark.parametrize("reply", ["421 4.4.5 too many connections from you", "421 4.3.2 too many", None],
                         ids=["4.4.5", "4.3.2", "refused"])
def test_no_more_sessions_than_the_relay_takes(reply):
    """F-13: three are let in, twenty are wanted; the fourth is told so, or refused by the kernel."""
    def greet(connection, _step, _line):
        relay = connection.relay
        if reply is None and len(relay.connections) >= 3:
            relay.stop_listening()
        return reply if reply and len(relay.open_connections) > 3 else None

    with Relay({"greeting": greet, "dot": {"delay": 0.02}}) as relay, \
            Gateway(relay, SMTP_SESSIONS=20) as gateway:
        answers = [gateway.send(subject="first")]  # who refuses all is not one who takes few
        answers += together(lambda n: gateway.send(subject=str(n)), range(300), 30)
        assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:2]
        nothing_lost_nothing_twice(relay, answers)
        assert len(relay.connections) <= 40, "no storm"
        known = relay_of(gateway)
        assert known["window"] <= 10 and "too_many_connections" in known["held_back_by"], known


# ---- what is said

@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_said_that_nobody_needs(way):
    """No NOOP before a message, however long the session idled; no RSET before the first, nor between
    messages that were taken."""
    with Relay(keywords=WAYS[way]) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        for pause in (0, 0, 2.5, 0):
            time.sleep(pause)
            assert gateway.send().status == 200
        assert len(relay.connections) == 1
        content = {"plain": "DATA", "pipelined": "DATA", "bdat": "BDAT"}[way]
        assert verbs(relay.connections[0]) == ["EHLO"] + ["MAIL", "RCPT", content] * 4


def test_the_kernel_looks_after_idle_sessions():
    """F-16: a probe after half a minute keeps the way open, and finds out where it is not."""
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200
        found = subprocess.run(["ss", "-tnoH", "dst", "127.0.0.1:%d" % relay.port], check=True,
                               capture_output=True, timeout=30).stdout.decode()
        timer = re.search(r"timer:\(keepalive,(?:(\d+)(?:\.\d+)?sec|(\d+)ms)", found)
        assert timer and int(timer.group(1) or 0) <= 30, found


def test_a_broken_promise_is_shown():
    """F-18: in GET /relays and as a metric, while it is not believed."""
    liar = Liar(closes_at_mail)
    with Relay(liar.script(), keywords=PIPELINED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        assert relay_of(gateway)["held_back_by"] == []
        answers = [gateway.send() for _ in range(2)]
        assert {a.status for a in answers} == {200} and liar.lies == [1], answers
        assert relay_of(gateway)["held_back_by"] == ["pipelining_went_wrong"]
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_relay_held_back", reason="pipelining_went_wrong") == 1
        nothing_lost_nothing_twice(relay, answers)


# ---- kept ready

def test_sessions_that_are_kept_ready_are_opened_anew_off_the_path():
    """The relay ends them while they idle: others take their place, logged in, with nobody waiting."""
    with Relay(users={"me": "secret"}, auth_in_clear=True, require_auth=True) as relay, \
            Gateway(relay, SMTP_MIN_SESSIONS=2, SMTP_USER="me", SMTP_PASS="secret") as gateway:
        def ready():
            return [c for c in relay.open_connections if c.user == "me"]
        assert wait_for(lambda: len(ready()) == 2)
        for connection in ready():
            connection.transmit(b"421 4.4.2 idle\r\n")
            connection.wire.close()
        assert wait_for(lambda: len(ready()) == 2 and not relay.connections[0] in ready(), 20)
        assert wait_for(lambda: relay_of(gateway)["sessions"]["idle"] == 2)
        assert not relay.commands("MAIL")
        count = len(relay.connections)
        answer = gateway.send()
        assert attempts(answer) == ["accepted"] and len(relay.connections) == count
        assert not [line for line in gateway.log() if line.get("level") in ("warn", "error")]


# ---- how long

def test_an_idle_time_is_learned_and_kept_under():
    """Shown in GET /relays and as a metric; behind it no session is ended by the relay any more."""
    ends = []

    def dot(connection, _step, _line):
        said = len(connection.commands)

        def hang_up():
            if len(connection.commands) == said and connection.ended is None:
                ends.append(connection.number)
                connection.wire.sock.shutdown(socket.SHUT_RDWR)
        timer = threading.Timer(2.0, hang_up)
        timer.daemon = True
        timer.start()

    with Relay({"dot": dot}) as relay, Gateway(relay, SMTP_SESSIONS=1, SMTP_IDLE="60s") as gateway:
        for n in range(2):
            assert gateway.send().status == 200
            assert wait_for(lambda: len(gateway.log("session_closed")) > n, 20)
        told = wait_for(lambda: gateway.log("limit_learned"))
        assert [(line["limit"], line["relay"]) for line in told] == [("idle", "default")]
        learned = relay_of(gateway)["learned"]
        assert 1 < learned["idle_s"] <= 3 * SLOW and learned["messages"] is None, learned
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_relay_limit_learned", limit="idle") == learned["idle_s"]
        assert gateway.send().status == 200
        assert relay.wait(lambda: relay.connections[-1].ended == "quit", 20 * SLOW)
        assert len(ends) == 2


def test_a_lifetime_is_learned_and_kept_under():
    """Sessions are cut at the same age, busy as they are, behind now more, now fewer messages."""
    def mail(connection, _step, _line):
        return "421 4.4.2 too old" if time.monotonic() - connection.began > 5.2 else None

    with Relay({"mail": mail}, keywords=PIPELINED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = []
        while not gateway.log("limit_learned") and len(relay.connections) < 10:
            answers.append(gateway.send())
            time.sleep(0.15 + 0.1 * (len(relay.connections) % 2))
        assert {a.status for a in answers} == {200}
        learned = relay_of(gateway)["learned"]
        assert learned["lifetime_s"] > 5 and learned["messages"] is None, learned
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_relay_limit_learned", limit="lifetime") == learned["lifetime_s"]
        nothing_lost_nothing_twice(relay, answers)
        newest = relay.connections[-1]
        assert relay.wait(lambda: newest.ended, 10 * SLOW) and newest.ended == "quit", "before it is too old"


# ---- who is told to slow down

@pytest.mark.parametrize("step,code", [("mail", "relay_throttled"), ("rcpt", "recipient_throttled")])
def test_a_mailbox_that_gets_too_much_is_not_the_relay(step, code):
    """F-14, 450 4.2.1: to MAIL it means us; to RCPT, that recipient, and nobody else is slower for it."""
    reply = "450 4.2.1 Peak SMTP relay limit exceeded for customer" if step == "mail" else \
        "450 4.2.1 this mailbox is receiving mail too quickly"
    with Relay({step: reply}, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
        body = problem(gateway.send(), 503, code, "deferred")
        assert body["retryable"] is True and body["retry_after"] >= 1
        assert ("too_fast" in relay_of(gateway)["held_back_by"]) == (step == "mail")
        relay.script = {}
        assert wait_for(lambda: gateway.send().status == 200)


# ---- another relay, where this one's certificate is not to be trusted

@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_relay_that_cannot_be_trusted_is_passed_over(tmp_path, authority, certificate, tls):
    """F-20: nothing was sent, so that the next one gets it; the words name what was shown."""
    from certificates import Authority
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "Other Root")
    unknown, misnamed = other.make("127.0.0.1"), authority.make("other.relay.test", "third.relay.test")
    secure = {"implicit": "TLS", "starttls": "STARTTLS"}[tls]
    entry = {"secure": secure, "ca_file": authority.file}
    with Relay(tls=tls, context=unknown.context()) as one, \
            Relay(tls=tls, context=misnamed.context()) as two, \
            Relay(tls=tls, context=certificate.context()) as good, \
            Fleet(tmp_path, [("unknown", one, entry), ("misnamed", two, {**entry, "priority": 2}),
                             ("good", good, {**entry, "priority": 3})]) as gateway:
        answer = gateway.send()
        assert tries(answer) == [("unknown", "not_sent"), ("misnamed", "not_sent"), ("good", "accepted")]
        assert [a.get("code") for a in answer["attempts"]][:2] == ["tls_verify_failed"] * 2
        relays = gateway.relays()
        errors = {name: relays[name]["last_error"] for name in ("unknown", "misnamed")}
        words = {name: error["detail"] + " " + error["hint"] for name, error in errors.items()}
        assert "Other Root" in words["unknown"] and unknown.pin in words["unknown"], words
        assert "other.relay.test" in words["misnamed"] and "third.relay.test" in words["misnamed"], words
        assert not one.ledger and not two.ledger and len(good.ledger) == 1
