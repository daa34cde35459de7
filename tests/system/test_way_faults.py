"""What the way between gateway and relay does to bytes (F-06, F-07, F-15, F-16): resets at any of them, replies
cut short, a byte a segment, a byte a second, handshakes that never end, and a balancer in front of
relays of which one is bad."""

import time

import pytest

from gateway import SLOW, Gateway, ms, problem, together, wait_for
from ledger import (CHUNKED, PIPELINED, PLAIN, SHORT, WAYS, attempts, nobody_heard_of_it,
                    nothing_lost_nothing_twice)
from proxy import Proxy
from relay import Relay

TO = ["ann@example.org", "bo@example.org"]
BIG = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\n" * (8 * 16384)  # 8 MB


def stored(relay, answer):
    return sum(t.message_id == answer["message_id"] for t in relay.ledger)


# ---- the end at a byte

RESETS = [("up", at) for at in (b"EH", b"EHLO client.test\r\n", b"MAIL FR", b"example.com>", b"RCPT",
                                b"ann@example.org>", b"bo@example.org>\r\n", b"DATA")]
RESETS += [("down", at) for at in (b"220 rel", b"ESMTP scripted\r\n", b"250-SIZE", b"250 2.1.0 se",
                                   b"250 2.1.5 reci", b"354 go on")]


@pytest.mark.parametrize("then", ["reset", "close"])
def test_an_end_at_any_byte_before_the_data_is_never_unknown(then):
    """F-06: in the midst of a command and of a reply; on a fresh session, and on one in use, which
    callers do not get to hear of."""
    def run(case):
        way, at, reused = case
        fault = {way: {"at": at, "then": then}}
        opening = way == "down" and at.startswith((b"220", b"ESMTP", b"250-")) or at.startswith(b"EH")
        if reused and opening:
            return
        with Relay(keywords=PLAIN) as relay, \
                Proxy(relay, {} if reused else {"connections": {"1": fault}}) as proxy, \
                Gateway(proxy, SMTP_SESSIONS=1, **SHORT) as gateway:
            answers = []
            if reused:  # the bytes are looked for behind the first message
                answers.append(gateway.send(to=TO))
                one = proxy.connections[0]
                wait_for(lambda: one.down.passed == len(relay.connections[0].sent))
                getattr(one, way).meet(at, then)
            answers.append(gateway.send(to=TO, subject="the one"))
            answers.append(gateway.send(to=TO, subject="after"))
            assert answers[-1].status == 200, (case, answers)
            if reused:
                assert [a.status for a in answers] == [200] * 3, (case, answers)
                assert attempts(answers[1]) == ["not_sent", "accepted"], (case, answers)
                nobody_heard_of_it(gateway)
            else:
                problem(answers[0], 503, "relay_disconnected", "not_sent")
            nothing_lost_nothing_twice(relay, answers)
    together(run, [(*reset, reused) for reset in RESETS for reused in (False, True)], 7)


def test_a_reset_in_the_midst_of_the_content_is_never_unknown():
    """F-06: more than all buffers on the way can hold, so that the last byte was not gone."""
    def run(case):
        keywords, reused, at = case
        with Relay(keywords=keywords) as relay, Proxy(relay) as proxy, \
                Gateway(proxy, SMTP_SESSIONS=1) as gateway:
            answers = [gateway.send()] if reused else []
            proxy.script = {"connections": {"1": {"up": {"at": at, "then": "reset"}}}}
            if reused:
                proxy.connections[0].up.meet(at, "reset")
            answers.append(gateway.send(text=BIG))
            if reused:
                assert attempts(answers[1]) == ["not_sent", "accepted"], (case, answers[1])
            else:
                assert (answers[0].status, answers[0]["outcome"]) == (503, "not_sent"), answers[0]
                assert answers[0]["duplicate_risk"] is False
            answers.append(gateway.send())
            nothing_lost_nothing_twice(relay, answers)
    together(run, [(keywords, reused, at) for keywords in (PLAIN, CHUNKED) for reused in (False, True)
                   for at in (5000, 1000000)], 4)


@pytest.mark.parametrize("then", ["reset", "close", "drop", "half-open"])
def test_a_reply_to_the_data_that_gets_lost_is_unknown_and_never_resent(then):
    """F-07: the relay has it, and said so; nothing of that comes through, or half of it."""
    def run(case):
        keywords, at = case
        with Relay(keywords=keywords) as relay, \
                Proxy(relay, {"connections": {"1": {"down": {"at": at, "then": then}}}}) as proxy, \
                Gateway(proxy, SMTP_TIMEOUT_DOT=ms(1000)) as gateway:
            body = problem(gateway.send(), 504, "outcome_unknown", "unknown")
            assert body["duplicate_risk"] is True and body["phase"] == "dot"
            assert stored(relay, body) == 1 and len(relay.ledger) == 1
            assert gateway.send().status == 200
            assert len(relay.ledger) == 2
    whole = b"2.1.5 recipient ok\r\n"
    cases = [(PLAIN, b"354 go on\r\n2"), (PLAIN, b"354 go on\r\n250 2.0.0 Ok: queued as R1T1\r"),
             (PIPELINED, b"354 go on\r\n250"), (PIPELINED, b"250 2.0.0 Ok"), (CHUNKED, whole), (CHUNKED, whole + b"25")]
    together(run, cases, 6)


# ---- slow and small

@pytest.mark.parametrize("tls", [None, "starttls", "implicit"])
def test_a_byte_a_segment_and_a_long_way_change_nothing(authority, certificate, tls):
    """F-15: whatever the pieces, both ways, with all that a relay may offer."""
    def run(way):
        with Relay(keywords=WAYS[way], tls=tls, context=certificate.context()) as relay, \
                Proxy(relay, {"up": {"split": 1, "pause": 0.0001, "delay": 0.05},
                              "down": {"split": 1, "pause": 0.0001, "delay": 0.05}}) as proxy, \
                Gateway(proxy, SMTP_CA_FILE=authority.file) as gateway:
            answers = [gateway.send(to=TO) for _ in range(2)]
            assert [attempts(a) for a in answers] == [["accepted"]] * 2, answers
            nothing_lost_nothing_twice(relay, answers)
            nobody_heard_of_it(gateway)
    together(run, WAYS, 3)


def test_patience_is_for_all_of_a_phase_not_for_each_byte():
    """F-15: a few bytes a second are an answer that does not come. Before the content it is not
    sent, behind it it is unknown."""
    def run(case):
        keywords, down, outcome = case
        with Relay(keywords=keywords) as relay, \
                Proxy(relay, {"connections": {"1": {"down": down}}}) as proxy, \
                Gateway(proxy, SMTP_TIMEOUT_DOT=ms(1000), **SHORT) as gateway:
            began = time.monotonic()
            answer = gateway.send()
            assert (answer.status, answer["outcome"]) == (504, outcome), answer
            assert time.monotonic() - began < 6 * SLOW
            assert gateway.send(subject="next").status == 200
            assert len(relay.ledger) == 1 + (outcome == "unknown")
    together(run, [(PLAIN, {"rate": 4}, "not_sent"), (CHUNKED, {"rate": 4}, "not_sent"),
                   (PLAIN, {"at": b"250 2.1.0 ", "then": "drop"}, "not_sent"),
                   (PLAIN, {"at": b"354 go on\r\n2", "then": "drop"}, "unknown")], 4)


def test_a_window_that_closes_ends_with_the_time_for_the_content():
    """F-15: the way takes no more bytes, the last of them is not gone."""
    with Relay(keywords=PIPELINED) as relay, \
            Proxy(relay, {"connections": {"1": {"up": {"at": 100000, "then": "deaf"}}}},
                  receive_buffer=65536) as proxy, \
            Gateway(proxy, SMTP_TIMEOUT_DATA=ms(500), SEND_DEADLINE=ms(4000)) as gateway:
        answer = gateway.send(text=BIG)
        assert (answer.status, answer["outcome"]) == (504, "not_sent"), answer
        answers = [answer, gateway.send()]
        nothing_lost_nothing_twice(relay, answers)


def test_half_open_sessions_are_replaced_without_an_error(authority, certificate):
    """F-16: nothing comes through any more, and nobody said so; in TLS, too."""
    def run(case):
        way, tls = case
        with Relay(keywords=WAYS[way], tls=tls, context=certificate.context()) as relay, \
                Proxy(relay) as proxy, Gateway(proxy, SMTP_CA_FILE=authority.file) as gateway:
            answers = [gateway.send()]
            proxy.fault("half-open")
            time.sleep(2.5)  # no longer taken for alive
            answers.append(gateway.send())
            assert [attempts(a) for a in answers] == [["accepted"], ["not_sent", "accepted"]], answers
            assert len(proxy.connections) == 2
            nothing_lost_nothing_twice(relay, answers)
            nobody_heard_of_it(gateway)
    together(run, [(way, tls) for way in WAYS for tls in (None, "implicit")], 6)


# ---- handshakes

@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_handshake_that_stalls_anywhere_is_a_timeout(authority, certificate, tls):
    """S-06, F-20: five places on either way, and a byte at a time; the next connection is fine."""
    base = 0 if tls == "implicit" else 700  # behind what STARTTLS takes in clear; not to the byte
    faults = [{"down": {"at": base + at, "then": "drop"}} for at in (1, 60, 200, 500)]
    faults += [{"up": {"at": (0 if tls == "implicit" else 40) + at, "then": "drop"}} for at in (1, 150)]
    faults += [{"down": {"rate": 30}}, {"connect": "silent"}]

    def run(fault):
        with Relay(tls=tls, context=certificate.context()) as relay, \
                Proxy(relay, {"connections": {"1": fault}}) as proxy, \
                Gateway(proxy, SMTP_CA_FILE=authority.file, **SHORT) as gateway:
            began = time.monotonic()
            answer = gateway.send()
            assert time.monotonic() - began < 6 * SLOW
            problem(answer, 504, "relay_timeout", "not_sent")
            assert answer["phase"] in ("greeting", "ehlo", "starttls", "tls", "connect"), answer
            good = gateway.send()
            assert good.status == 200, good
            nothing_lost_nothing_twice(relay, [answer, good])
    together(run, faults, 8)


# ---- a balancer

BAD = {"421": {"greeting": "421 4.3.2 not today"}, "554": {"greeting": "554 5.3.2 never"},
       "closes": {"greeting": {"reply": "", "then": "close"}},
       "at-mail": {"mail": "421 4.3.2 shutting down"},
       "at-dot": {"dot": {"reply": "451 4.3.0 disk"}}}


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_backend_is_no_reason_against_the_others(bad):
    """F-26: of three behind one name, one is bad. What is known of a session is not held against the
    name: once there are sessions, messages go on those; nothing is lost, nothing comes twice."""
    with Relay() as one, Relay(BAD[bad]) as two, Relay() as three, \
            Proxy([one, two, three]) as proxy, Gateway(proxy, SMTP_SESSIONS=4) as gateway:
        answers = [gateway.send()]
        answers += together(lambda n: gateway.send(subject=str(n)), range(150), 12)
        assert answers[0].status == 200
        refused = [a for a in answers if a.status != 200]
        assert bad == "at-dot" or len(refused) <= 2, refused
        for answer in refused:
            assert answer["outcome"] == ("deferred" if bad == "at-dot" else "not_sent"), answer
        taken = one.ledger + two.ledger + three.ledger
        assert sorted(t.message_id for t in taken) == sorted(
            a["message_id"] for a in answers if a.status == 200)
        assert len({t.message_id for t in taken}) == len(taken)
        assert not two.ledger and gateway.send().status in (200, 503)
