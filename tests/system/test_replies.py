"""Hostile and broken replies (S-20 to S-28): an exact grammar, bounds on everything, and whatever
is read is shown only escaped."""

import json
import re
import threading
import time

import pytest

from gateway import SLOW, Gateway, ms, problem, resident_kb, together
from relay import Relay

PIPELINED = ("PIPELINING", "SIZE 50000000", "8BITMIME", "ENHANCEDSTATUSCODES")
PLAIN = ("SIZE 50000000", "8BITMIME")
CHUNKED = PIPELINED + ("CHUNKING",)
SHORT = {"SMTP_TIMEOUT_COMMAND": ms(1500), "SMTP_TIMEOUT_DOT": ms(1500)}

BAD = [b"2\r\n", b"25\r\n", b"25 ok\r\n", b"2500 ok\r\n", b"250ok\r\n", b"250\tok\r\n", b"-250 ok\r\n",
       b"+250 ok\r\n", b" 250 ok\r\n", b"0250 ok\r\n", b"ok\r\n", b"\r\n", b" \r\n", b"abc def\r\n",
       b"2x0 ok\r\n", b"25O ok\r\n", b"000 ok\r\n", b"099 ok\r\n", b"100 ok\r\n", b"199 ok\r\n",
       b"600 ok\r\n", b"999 ok\r\n", b"250_ok\r\n", b"250=ok\r\n", b"250:ok\r\n", b"250-\r\n251 ok\r\n",
       b"250-a\r\n550 no\r\n", b"550-a\r\n250 ok\r\n", b"250-a\r\njunk\r\n", b"250-a\r\n\r\n",
       b"250-a\r\n250x\r\n", b"\x00250 ok\r\n", b"250\x00ok\r\n", b"\xff\xfe250 ok\r\n", b"\xef\xbb\xbf250 ok\r\n",
       b"\xb2\xb5\xb0 ok\r\n", b"HTTP/1.1 200 OK\r\n", b"* OK IMAP\r\n", b"+OK POP3\r\n",
       b"354 go\r\n", b"334 Z28=\r\n", b"220 hello\r\n", b"235 yes\r\n", b"221 bye\r\n", b"200 fine\r\n",
       b"%s%n%s 250\r\n", b"9" * 5000 + b"\r\n", b"250" * 2000 + b"\r\n"]
GOOD = [b"250\r\n", b"250 \r\n", b"250 ok\r\n", b"250-a\r\n250 b\r\n", b"250-a\r\n250-b\r\n250\r\n",
        b"250 2.1.0\r\n", b"250  ok\r\n", b"250 " + b"x" * 400 + b"\r\n", b"250 \xc3\xa4\xff\r\n",
        b"250-" + b"\r\n250-".join([b"line"] * 30) + b"\r\n250 end\r\n", b"250 2.1.0 %s%n\r\n"]


def for_bad(action):
    """The action for messages from bad@… alone, on whatever session: a silent second try meets it
    again."""
    def act(connection, _step, line):
        mine = connection.transactions[-1:] and connection.transactions[-1].mail.startswith("bad@")
        return action if b"bad@" in line or (mine and not line.startswith(b"MAIL")) else None
    return act


def numbered(replies):
    def mail(_connection, _step, line):
        found = re.search(rb"<n(\d+)@", line)
        return replies[int(found.group(1))] if found else None
    return mail


@pytest.mark.parametrize("keywords", [PLAIN, PIPELINED], ids=["plain", "pipelined"])
def test_what_is_not_a_reply_is_a_protocol_error(keywords):
    """S-20, S-23, S-26: nothing odd counts as a yes, and the session is not used again."""
    with Relay({"mail": numbered(BAD)}, keywords=keywords) as relay, \
            Gateway(relay, **SHORT) as gateway:
        def run(n):
            answer = gateway.send({"from": "n%d@example.com" % n})
            good = gateway.send()
            if good.status != 200:
                return BAD[n], "poisoned the next", good
            if answer["outcome"] != "not_sent" or answer.status not in (502, 503, 504):
                return BAD[n], answer
            if not BAD[n].startswith(b"221") and answer["code"] not in (
                    "protocol_error", "wrong_protocol"):
                return BAD[n], answer
            return None
        wrong = [found for found in together(run, range(len(BAD))) if found]
        assert not wrong, "\n".join(map(repr, wrong))
        assert {t.mail for t in relay.ledger} == {"shop@example.com"}


@pytest.mark.parametrize("split", [None, 1, 3])
def test_odd_but_legal_replies_are_taken(split):
    """S-20: and wherever they are cut."""
    replies = [{"raw": raw, **({"split": split, "pause": 0.0005} if split else {})} for raw in GOOD]
    with Relay({"mail": numbered(replies)}, keywords=PIPELINED) as relay, \
            Gateway(relay, **SHORT) as gateway:
        answers = together(lambda n: gateway.send({"from": "n%d@example.com" % n}), range(len(GOOD)))
        assert [a.status for a in answers] == [200] * len(GOOD), \
            [(GOOD[n], a) for n, a in enumerate(answers) if a.status != 200]


@pytest.mark.parametrize("what", [b"250-endless\r\n", b"a" * 100, b"250 x", b"\0" * 100],
                         ids=["lines", "no-line", "no-end", "nul"])
@pytest.mark.parametrize("step", ["greeting", "mail"])
def test_endless_replies_are_cut_off_without_memory(step, what):
    """S-21"""
    flood = {"reply": "", "endless": what}
    script = {"connections": {"1": {step: flood}}} if step == "greeting" else {step: for_bad(flood)}
    with Relay(script, keywords=PIPELINED) as relay, Gateway(relay, **SHORT) as gateway:
        before = resident_kb(gateway.pid)
        began = time.monotonic()
        answer = gateway.send({"from": "bad@example.com"})
        assert answer["outcome"] == "not_sent" and answer.status in (502, 504), answer
        assert time.monotonic() - began < 6 * SLOW
        assert relay.flooded > 0 and relay.wait(lambda: not relay.open_connections, 10 * SLOW)
        if SLOW == 1:
            assert resident_kb(gateway.pid) - before < 4096
        assert gateway.send().status == 200


def test_a_reply_of_a_byte_a_second_is_bounded_in_all():
    """S-21"""
    with Relay({"mail": {"reply": "250 " + "x" * 100, "dribble": 0.2}}, keywords=PLAIN) as relay, \
            Gateway(relay, **SHORT) as gateway:
        began = time.monotonic()
        problem(gateway.send(), 504, "relay_timeout", "not_sent")
        assert time.monotonic() - began < 6 * SLOW


def test_every_byte_in_a_reply_is_shown_escaped():
    """S-22: in the answer, the record, the log and the metrics."""
    words = bytes(b for b in range(256) if b not in b"\r\n")
    nasty = b"550 5.1.1 %s%n<script>alert(1)</script>\x1b[31m\"\\ " + words + b"\r\n"
    with Relay({"rcpt": nasty}) as relay, Gateway(relay) as gateway:
        answer = gateway.send(trace=True)
        assert answer.status == 422, answer
        text = answer["smtp"]["text"]
        assert "<script>" in text and "%s%n" in text
        assert not re.search(r"[\x00-\x1f\x7f]", text)
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", answer.body)
        assert len(text.encode()) <= 512 * 6
        assert gateway.get("/messages/" + answer["id"]).status == 200
        metrics = gateway.get("/metrics", key=None).body
        assert b"script" not in metrics
        gateway.stop()
        for line in gateway.lines:
            json.loads(line)
            assert not re.search(r"[\x00-\x1f\x7f\udc80-\udcff]", line), line


def test_a_very_long_reply_text_is_kept_short():
    """S-22"""
    with Relay({"rcpt": "550 5.1.1 " + "long " * 200}) as relay, Gateway(relay) as gateway:
        answer = gateway.send()
        assert answer.status == 422 and len(answer["smtp"]["text"]) <= 1000


STATES = ["greeting", "ehlo", "mail", "rcpt", "data", "dot", "rset"]


@pytest.mark.parametrize("keywords", [PLAIN, PIPELINED, CHUNKED], ids=["plain", "pipelined", "bdat"])
@pytest.mark.parametrize("state", STATES)
def test_a_reply_nobody_asked_for_ends_the_session(state, keywords):
    """S-24: nothing is taken for the answer to the wrong question."""
    if state == "data" and keywords is CHUNKED:
        state = "mail"
    script = {"connections": {"1": {state: {"extra": b"250 2.0.0 Ok: surplus\r\n"}}},
              "rcpt:no@example.org": "550 5.1.1 no"}
    with Relay(script, keywords=keywords) as relay, Gateway(relay, SMTP_SESSIONS=1, **SHORT) as gateway:
        if state == "rset":
            assert gateway.send(to="no@example.org").status == 422
        answer = gateway.send(subject="odd")
        after = [gateway.send(subject="after") for _ in range(2)]
        assert [a.status for a in after] == [200, 200], after
        stored = [t for t in relay.ledger if b"Subject: odd" in t.body]
        if answer.status == 200:
            assert len(stored) == 1
        elif answer["outcome"] == "not_sent":
            assert stored == [] and answer["code"] in ("protocol_error", "relay_busy"), answer
        else:
            assert answer["outcome"] == "unknown" and (keywords is CHUNKED or state == "dot"), answer
        if state in ("mail", "rcpt", "data") and keywords is not CHUNKED:
            # or taken by a second try, which is right as long as nothing was before
            assert answer["outcome"] == "not_sent" or {t.connection for t in stored} == {2}, answer
        assert relay.wait(lambda: relay.connections[0].ended is not None)
        assert 1 not in {t.connection for t in relay.ledger if b"after" in t.body}


@pytest.mark.parametrize("step,codes", [
    ("ehlo", ["220 no", "354 no", "334 no"]),
    ("mail", ["354 go", "220 no", "334 no"]),
    ("rcpt", ["354 go", "220 no", "334 no"]),
    ("data", ["250 ok", "220 no", "200 ok"])])
@pytest.mark.parametrize("keywords", [PLAIN, PIPELINED], ids=["plain", "pipelined"])
def test_a_wrong_kind_of_yes_is_no_yes(step, codes, keywords):
    """S-26: 250 to DATA is not delivered, 354 to MAIL is no answer."""
    for code in codes:
        action = for_bad(code) if step != "ehlo" else None
        script = {step: action} if action else {"connections": {"1": {step: code}}}
        with Relay(script, keywords=keywords) as relay, Gateway(relay, **SHORT) as gateway:
            answer = gateway.send({"from": "bad@example.com"})
            assert answer.status == 502 and answer["outcome"] == "not_sent", (code, answer)
            assert answer["code"] == "protocol_error", (code, answer)
            assert relay.ledger == []
            assert gateway.send().status == 200


@pytest.mark.parametrize("banner,word", [
    (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "HTTP"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH"),
    (b"\x15\x03\x01\x00\x02\x02\x28", "TLS")])
def test_another_protocol_is_recognised_and_named(banner, word):
    """S-28"""
    with Relay({"greeting": {"raw": banner, "then": "stall"}}) as relay, \
            Gateway(relay, **SHORT) as gateway:
        body = problem(gateway.send(), 502, "wrong_protocol", "not_sent")
        assert word in body["detail"], body
        assert "SMTP_PORT" in body["hint"] or "SMTP_SECURE" in body["hint"]


def test_plain_smtp_on_a_tls_port_is_recognised(authority):
    """S-28: SMTP_SECURE=TLS against a relay that greets in clear."""
    with Relay() as relay, Gateway(relay, SMTP_SECURE="TLS", SMTP_CA_FILE=authority.file,
                                   SMTP_TIMEOUT_CONNECT=ms(3000)) as gateway:
        body = problem(gateway.send(), 502, "wrong_protocol", "not_sent")
        assert "STARTTLS" in body["hint"] + body["detail"]


def test_a_tls_relay_on_a_plain_setting_is_told_apart(certificate):
    """S-28: SMTP_SECURE=NONE or STARTTLS against implicit TLS: it waits for our ClientHello."""
    with Relay(tls="implicit", context=certificate.context()) as relay, \
            Gateway(relay, SMTP_SECURE="STARTTLS", **SHORT) as gateway:
        answer = gateway.send()
        assert answer.status in (502, 504) and answer["outcome"] == "not_sent", answer
        assert "SMTP_SECURE" in answer["hint"], answer


def test_replies_cut_anywhere_read_the_same():
    """S-20: a whole conversation in pieces of 1, 2 and 7 bytes."""
    for size in (1, 2, 7):
        script = {step: {"split": size, "pause": 0.0003}
                  for step in ("greeting", "ehlo", "mail", "rcpt", "data", "dot")}
        with Relay(script, keywords=PIPELINED) as relay, \
                Gateway(relay, SMTP_SESSIONS=1) as gateway:
            answers = [gateway.send() for _ in range(2)]
            assert [a.status for a in answers] == [200, 200]
            assert answers[0]["smtp"]["text"].startswith("Ok: queued as")
            assert len(relay.connections) == 1


def test_the_relays_lines_are_joined_in_order():
    with Relay({"rcpt": "550-5.1.1 first\n550-5.1.1 second\n550 5.1.1 third"}) as relay, \
            Gateway(relay) as gateway:
        smtp = gateway.send()["smtp"]
        assert smtp["code"] == 550 and smtp["enhanced"] == "5.1.1"
        assert re.search("first.*second.*third", smtp["text"]) and "5.1.1" not in smtp["text"]


def test_a_slow_relay_does_not_hold_up_other_answers():
    """S-21, F-15: the gateway goes on while one reply dribbles."""
    with Relay({"connections": {"1": {"mail": {"reply": "250 ok", "dribble": 0.1}}}},
               keywords=PLAIN) as relay, Gateway(relay, SMTP_TIMEOUT_COMMAND=ms(5000)) as gateway:
        slow = threading.Thread(target=gateway.send)
        slow.start()
        assert relay.wait(lambda: relay.commands("MAIL"))
        assert [gateway.send().status for _ in range(5)] == [200] * 5
        slow.join()
