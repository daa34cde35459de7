"""A relay that refuses, stalls, cuts and lies (faults F-01 to F-10): what is answered is what is certain,
nothing is lost, nothing comes twice."""

import re
import socket
import threading
import time
from itertools import product

import pytest

from gateway import PACE, SLOW, Gateway, free_port, ms, problem, together, wait_for
from ledger import CHUNKED, PIPELINED, PLAIN, SHORT, nothing_lost_nothing_twice
from relay import Relay

BIG = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\n" * (8 * 16384)  # 8 MB


# ---- before a session

def test_a_refused_connection_is_503_at_once():
    """F-01"""
    port = free_port()
    with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=port, SMTP_SECURE="NONE") as gateway:
        began = time.monotonic()
        body = problem(gateway.send(), 503, "relay_unreachable", "not_sent")
        assert time.monotonic() - began < 3 * SLOW
        assert body["phase"] == "connect" and body["retryable"] is True
        with Relay(port=port) as relay:
            assert gateway.send().status == 200
            assert len(relay.ledger) == 1


def test_all_addresses_of_a_name_are_tried():
    """F-01: localhost is ::1 and 127.0.0.1; only one listens."""
    with Relay() as relay, Gateway(None, SMTP_HOST="localhost", SMTP_PORT=relay.port,
                                   SMTP_SECURE="NONE") as gateway:
        assert gateway.send().status == 200, gateway.output


def test_a_name_that_does_not_exist_is_relay_dns():
    """F-25: RFC 6761 promises that .invalid is nowhere."""
    with Gateway(None, SMTP_HOST="no-such-relay.invalid", SMTP_SECURE="NONE", SMTP_PORT=25,
                 SMTP_TIMEOUT_CONNECT=ms(3000)) as gateway:
        answer = gateway.send()
        assert answer.status in (502, 503), answer
        assert (answer["code"], answer["outcome"], answer["phase"]) == ("relay_dns", "not_sent",
                                                                        "dns")


@pytest.mark.parametrize("greeting", [
    {"reply": "", "then": "stall"},
    {"delay": 300},
    {"reply": "220 a greeting that never ends", "dribble": 0.4},
    {"raw": b"220-a\r\n220-b\r\n", "then": "stall"},
], ids=["none", "late", "dribbled", "unfinished"])
def test_a_greeting_that_does_not_come_is_a_timeout_in_all(greeting):
    """F-03, F-15, S-21: patience is total, not per read."""
    with Relay({"greeting": greeting}) as relay, Gateway(relay, **SHORT) as gateway:
        began = time.monotonic()
        body = problem(gateway.send(), 504, "relay_timeout", "not_sent")
        assert body["phase"] == "greeting" and body["duplicate_risk"] is False
        assert time.monotonic() - began < 5 * SLOW


@pytest.mark.parametrize("greeting,statuses", [
    ("220 hello", [200]), ("220-two\n220 lines", [200]), ("221 bye", [502, 503]),
    ("250 hello", [502]), ("354 go", [502]), ("421 4.3.2 shutting down", [503]),
    ("450 4.3.2 not now", [503]), ("500 what", [502]), ("501 what", [502]),
    ("521 no mail here", [502]), ("530 no", [502]), ("554 5.7.1 blocked", [502])])
def test_greetings_by_their_code(greeting, statuses):
    """F-04"""
    with Relay({"greeting": greeting}) as relay, Gateway(relay, **SHORT) as gateway:
        answer = gateway.send()
        assert answer.status in statuses, answer
        if answer.status != 200:
            assert (answer["outcome"], answer["phase"]) == ("not_sent", "greeting"), answer
            assert relay.received == b"" or relay.received == b"QUIT\r\n"
            assert answer["retryable"] is (answer.status == 503) or greeting[:3] in ("250", "354")


# ---- 421 and lost connections, position by position

POSITIONS = ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt:1", "rcpt:3", "data", "body",
             "dot", "rset", "noop", "quit"]
OPENING = POSITIONS[:4] + ["handshake"]


class Case:
    """One relay and one gateway; sends two messages, the fault comes in the first (fresh) or in the
    second (reused)."""

    def __init__(self, authority, certificate, position, action, keywords, reused):
        self.position, self.reused = position, reused
        script = {"rcpt:no@example.org": "550 5.1.1 no"}
        if position in OPENING:
            # a fresh session each, the first one ends after its message
            script["connections"] = {"2" if reused else "1": {position: action}}
            if reused:
                script["connections"]["1"] = {"dot": {"then": "close"}}
        elif position == "body":
            script["connections"] = {"1": {("2/" if reused else "1/") + "body": {
                "after": 60000, **(action if isinstance(action, dict) else {"reply": action})}}}
        elif position in ("rset", "noop", "quit"):
            script["connections"] = {"1": {position: action}}
        else:
            script["connections"] = {"1": {("2/" if reused else "1/") + position: action}}
        self.relay = Relay(script, keywords=keywords, tls="starttls", users={"me": "secret"},
                           context=certificate.context(), receive_buffer=65536)
        self.gateway = Gateway(self.relay, SMTP_USER="me", SMTP_PASS="secret", SMTP_SESSIONS=1,
                               SMTP_CA_FILE=authority.file, SMTP_IDLE="1s",
                               SMTP_TIMEOUT_COMMAND=ms(3000))

    def send(self, **fields):
        if self.position == "body":
            fields["text"] = BIG
        return self.gateway.send(to=["a@example.org", "b@example.org", "c@example.org"], **fields)

    def run(self):
        """The answer to the message in which the fault comes."""
        try:
            first = self.send(subject="first")
            answers = [first]
            if self.position == "rset":
                answers.append(self.gateway.send(to="no@example.org"))
                assert answers[-1].status == 422
            if self.reused or self.position in ("rset", "noop", "quit"):
                assert first.status == 200, (self.position, first)
                if self.position in OPENING:
                    assert self.relay.wait(lambda: self.relay.connections[0].ended)
                first = self.send(subject="second")
                answers.append(first)
            after = self.send(subject="after")
            assert after.status == 200, (self.position, after)
            answers.append(after)
            nothing_lost_nothing_twice(self.relay, answers)
            self.gateway.stop()
            return first
        finally:
            self.gateway.kill()
            self.relay.stop()


def variants(authority, certificate, position, actions, keyword_sets):
    cases = list(product(actions, keyword_sets, (False, True)))

    def run(case):
        action, keywords, reused = case
        return reused, keywords, Case(
            authority, certificate, position, action, keywords, reused).run()
    return together(run, cases, 4)


@pytest.mark.parametrize("position", POSITIONS)
def test_421_at_any_step(authority, certificate, position):
    """F-05: pipelined or not, fresh or reused."""
    action = "421 4.3.2 shutting down"
    if position == "body":
        action = {"reply": action, "then": "deaf"}
    for reused, _keywords, answer in variants(authority, certificate, position, [action],
                                              [PIPELINED, PLAIN]):
        if position == "dot":
            body = problem(answer, 503, answer["code"], "deferred")
            assert body["smtp"]["code"] == 421 and body["duplicate_risk"] is False
        elif position in ("rset", "noop", "quit") or (reused and position not in OPENING):
            assert (answer.status, answer["outcome"]) == (200, "accepted"), (reused, answer)
        else:
            problem(answer, 503, answer["code"], "not_sent")


@pytest.mark.parametrize("position", ["greeting", "ehlo", "starttls", "handshake", "auth", "mail",
                                      "rcpt:1", "rcpt:3", "data", "body"])
def test_a_connection_lost_before_the_dot_is_never_unknown(authority, certificate, position):
    """F-06: closed or reset, fresh or reused, at each step."""
    ends = ["close", "reset"] if position != "body" else ["deaf", "reset"]
    actions = [{"reply": "", "then": end} for end in ends]
    keyword_sets = [PIPELINED, PLAIN] if position != "body" else [PIPELINED]
    for reused, keywords, answer in variants(authority, certificate, position, actions,
                                             keyword_sets):
        if reused and position not in OPENING:
            assert (answer.status, answer["outcome"]) == (200, "accepted"), (reused, answer)
        elif keywords is PIPELINED and answer.status == 200:
            assert position not in OPENING  # a second try without pipelining (F-18)
        else:
            assert answer.status in (502, 503), answer
            assert answer["outcome"] == "not_sent" and not answer["duplicate_risk"], answer


@pytest.mark.parametrize("position", ["mail", "rcpt:1"])
def test_a_refusal_in_one_write_is_never_unknown(position):
    """F-05: MAIL, RCPT and content left together; MAIL or the only RCPT got a no."""
    for code, outcome in (("421 4.3.2 bye", "not_sent"), ("450 4.7.1 later", "deferred"),
                          ("550 5.7.1 no", "rejected")):
        script = {"connections": {"1": {"1/" + position: code}}}
        with Relay(script, keywords=CHUNKED) as relay, Gateway(relay) as gateway:
            answer = gateway.send()
            assert answer["outcome"] == outcome, answer
            after = gateway.send()
            assert after.status == 200, after
            nothing_lost_nothing_twice(relay, [answer, after])


def test_421_to_mail_in_one_write_on_a_reused_session_is_tried_afresh():
    """F-05, F-12"""
    with Relay({"connections": {"1": {"2/mail": "421 4.7.0 too many"}}}, keywords=CHUNKED) as relay, \
            Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = [gateway.send(subject=str(n)) for n in range(3)]
        assert [answer.status for answer in answers] == [200] * 3, answers
        nothing_lost_nothing_twice(relay, answers)
        assert len(relay.connections) == 2


# ---- behind the dot

AFTER = {
    "a-not-stored-closed": {"reply": "", "then": "close", "take": False},
    "b-stored-closed": {"reply": "", "then": "close", "take": True},
    "c-stored-reset": {"reply": "", "then": "reset", "take": True},
    "d-stored-silent": {"reply": "", "then": "stall", "take": True},
    "e-stored-garbled": {"raw": b"garbage\r\n250 ok\r\n", "take": True},
    "f-stored-cut-in-the-reply": {"raw": b"250 2.0.0 O", "then": "close", "take": True},
    "g-stored-other-reply": {"raw": b"354 go on\r\n", "take": True},
    "h-stored-closing": {"raw": b"221 bye\r\n", "then": "close", "take": True},
    "i-stored-mixed-codes": {"raw": b"250-ok\r\n550 no\r\n", "take": True},
}


@pytest.mark.parametrize("keywords", [PIPELINED, CHUNKED], ids=["data", "bdat"])
@pytest.mark.parametrize("fault", AFTER)
def test_a_lost_answer_to_the_data_is_unknown_and_never_resent(fault, keywords):
    """F-07, S-23, S-33: 504, duplicate_risk, the id stays readable; fresh and reused alike."""
    def run(reused):
        script = {"connections": {"1": {("2/" if reused else "1/") + "dot": AFTER[fault]}}}
        with Relay(script, keywords=keywords) as relay, \
                Gateway(relay, SMTP_TIMEOUT_DOT=ms(1500)) as gateway:
            if reused:
                assert gateway.send().status == 200
            answer = gateway.send(subject="the one")
            body = problem(answer, 504, "outcome_unknown", "unknown")
            assert body["duplicate_risk"] is True and body["retryable"] is False
            assert body["phase"] == "dot"
            assert body["recipients"][0]["outcome"] == "unknown"
            assert gateway.get("/messages/" + body["id"])["state"] == "unknown"
            assert len(relay.commands("MAIL")) == 1 + reused
            assert gateway.send(subject="next").status == 200
            stored = sum(t.message_id == body["message_id"] for t in relay.ledger)
            assert stored == AFTER[fault]["take"]
            assert len(relay.connections) == 2, "an odd session is not reused"
    together(run, [False, True])


def test_a_stalled_answer_is_bounded_by_the_callers_deadline():
    """F-07d with SEND_DEADLINE, and a request that asks for less."""
    with Relay({"dot": {"reply": "", "then": "stall", "take": True}}) as relay, \
            Gateway(relay, SEND_DEADLINE=ms(2000)) as gateway:
        for fields, least, most in (({}, 1.8, 8), ({"deadline": ms(500)}, 0.4, 5),
                                    ({"deadline": ms(60000)}, 1.8, 8)):
            began = time.monotonic()
            problem(gateway.send(fields), 504, "outcome_unknown", "unknown")
            assert least * PACE <= time.monotonic() - began < most * SLOW


@pytest.mark.parametrize("position", ["ehlo", "mail", "rcpt:1", "data"])
def test_silence_before_the_dot_is_a_timeout_and_not_sent(position):
    """F-15: command deadline, fresh session."""
    with Relay({"connections": {"1": {position: {"reply": "", "then": "stall"}}}},
               keywords=PLAIN) as relay, Gateway(relay, **SHORT) as gateway:
        body = problem(gateway.send(), 504, "relay_timeout", "not_sent")
        assert body["phase"] == position.split(":")[0]
        assert gateway.send().status == 200


def test_a_relay_that_stops_reading_is_a_timeout_and_not_sent():
    """F-15: slow reads; the last byte is provably not gone."""
    def deaf(connection, _step, _line):
        connection.relay.pause(30)
        return {"reply": "", "then": "reset"}
    with Relay({"connections": {"1": {"body": deaf}}}, keywords=PIPELINED,
               receive_buffer=65536) as relay, \
            Gateway(relay, SMTP_TIMEOUT_DATA=ms(500), SEND_DEADLINE=ms(4000)) as gateway:
        answer = gateway.send(text=BIG)
        assert answer.status == 504 and answer["outcome"] == "not_sent", answer
        assert gateway.send().status == 200


# ---- recipients

def by_address(_connection, _step, line):
    found = re.search(rb"<x(\d)", line)
    return {b"2": None, b"4": "450 4.2.0 later", b"5": "550 5.1.1 never"}[found.group(1)]


@pytest.mark.parametrize("keywords", [PLAIN, PIPELINED, CHUNKED], ids=["plain", "pipelined", "bdat"])
def test_every_mixture_of_refusals_is_answered_exactly(keywords):
    """F-10: 3^5 combinations of yes, not now and no; the ledger agrees to the address."""
    with Relay({"rcpt": by_address}, keywords=keywords) as relay, Gateway(relay) as gateway:
        def run(combination):
            to = ["x%s.%d.%s@example.org" % (kind, n, "".join(combination))
                  for n, kind in enumerate(combination)]
            return combination, to, gateway.send(to=to)

        for combination, to, answer in together(run, product("245", repeat=5)):
            taken = [address for address, kind in zip(to, combination) if kind == "2"]
            want = (200, "accepted") if len(taken) == 5 else (200, "partial") if taken else \
                (503, "deferred") if "4" in combination else (422, "rejected")
            assert (answer.status, answer["outcome"]) == want, answer
            assert [(r["address"], r["outcome"], r["smtp"]["code"]) for r in answer["recipients"]] \
                == [(address, {"2": "accepted", "4": "deferred", "5": "rejected"}[kind],
                     {"2": 250, "4": 450, "5": 550}[kind]) for address, kind in zip(to, combination)]
            entries = [t for t in relay.ledger if t.message_id == answer["message_id"]]
            assert [t.recipients for t in entries] == ([taken] if taken else [])
        assert len(relay.ledger) == 3**5 - 2**5


def test_nobody_taken_and_354_all_the_same_gets_a_lone_dot():
    """S-27: RFC 2920 3.1; whatever is said to the dot, nobody was taken."""
    for dot in ("554 5.5.1 no valid recipients", "250 2.0.0 Ok: queued as NOBODY1"):
        script = {"rcpt": "550 5.1.1 no", "data": "354 go on", "dot": {"reply": dot, "take": False}}
        with Relay(script, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
            body = problem(gateway.send(), 422, "recipient_rejected", "rejected")
            assert body["recipients"][0]["outcome"] == "rejected"
            assert wait_for(lambda: b"DATA\r\n.\r\n" in relay.received)


def test_concurrent_faults_do_not_touch_other_messages():
    """F-39 in small: every third message is cut at MAIL, the others must not notice."""
    def mail(connection, _step, line):
        return {"reply": "", "then": "reset"} if b"cut" in line else None

    with Relay({"mail": mail}, keywords=CHUNKED) as relay, Gateway(relay, SMTP_SESSIONS=4) as gateway:
        def run(n):
            return n, gateway.send({"from": "cut@example.com" if n % 10 == 0 else "ok@example.com"})
        answers = together(run, range(60))
        for n, answer in answers:
            if n % 10:
                assert answer.status in (200, 503), answer
                assert answer.status == 200 or answer["outcome"] == "not_sent"
            else:
                assert answer.status != 200
        assert sum(a.status == 200 for _n, a in answers) >= 40
        nothing_lost_nothing_twice(relay, [a for _n, a in answers])


def test_a_relay_that_never_accepts_does_not_hold_up_health():
    """F-02, F-45 in small: a listener whose backlog is full."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
            fillers.append(filler)
        with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=sock.getsockname()[1],
                     SMTP_SECURE="NONE", SMTP_TIMEOUT_CONNECT=ms(1500)) as gateway:
            waiting = threading.Thread(target=gateway.send)
            waiting.start()
            assert gateway.get("/healthz", timeout=3).status == 200
            waiting.join()
            body = problem(gateway.send(), 504, "relay_timeout", "not_sent")
            assert body["phase"] == "connect"
        for filler in fillers:
            filler.close()
