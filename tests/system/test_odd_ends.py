"""Words out of turn and ends without one, at the steps where logins, TLS and content are under way (faults
F-06, F-15, S-24, S-32, S-33): no yes that was not asked for, and nobody goes on behind an end."""

import os
import pty
import re
import subprocess
import threading

import pytest

from gateway import SLOW, Gateway, free_port, ms, problem, together, wait_for
from ledger import PLAIN, SHORT, WAYS, attempts, nobody_heard_of_it, nothing_lost_nothing_twice
from proxy import Proxy
from relay import Relay

SURPLUS = b"250 2.0.0 Ok: queued as SURPLUS\r\n"
BIG = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\n" * (8 * 16384)  # 8 MB
LOGIN = {"SMTP_USER": "me", "SMTP_PASS": "secret", "SMTP_SESSIONS": 1}


# ---- words out of turn

@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_surplus_words_while_a_session_is_opened(authority, certificate, tls):
    """S-24: behind the greeting, EHLO and AUTH, inside TLS, in the same write and a moment later."""
    def run(case):
        step, odd = case
        begun = []

        def act(connection, _step, _line):
            if not connection.tls_version or begun:
                return None
            begun.append(connection)
            return odd
        with Relay({step: act}, tls=tls, context=certificate.context(), users={"me": "secret"}) as relay, \
                Gateway(relay, SMTP_CA_FILE=authority.file, **LOGIN, **SHORT) as gateway:
            answers = [gateway.send(subject=str(n)) for n in range(3)]
            assert [a.status for a in answers[1:]] == [200] * 2, (case, answers)
            assert answers[0].status == 200 or answers[0]["outcome"] == "not_sent", (case, answers)
            assert "SURPLUS" not in answers[0].body.decode() or answers[0].status != 200
            nothing_lost_nothing_twice(relay, answers)
            assert begun and begun[0].number not in {t.connection for t in relay.ledger}, case
    steps = ["ehlo", "auth"] + ["greeting"] * (tls == "implicit")
    together(run, [(step, odd) for step in steps
                   for odd in ({"extra": SURPLUS}, {"later": [0.0, SURPLUS]})], 6)


@pytest.mark.parametrize("words", [SURPLUS, b"354 go on\r\n", b"junk\r\n"], ids=["250", "354", "junk"])
@pytest.mark.parametrize("way", WAYS)
def test_a_yes_before_the_end_of_the_content_is_none(way, words):
    """S-24, S-26: the last byte is not gone, so that nothing can have been taken."""
    script = {"connections": {"1": {"body": {"after": 60000, "raw": words, "then": "deaf"}}}}
    with Relay(script, keywords=WAYS[way], receive_buffer=65536) as relay, \
            Gateway(relay, SMTP_TIMEOUT_DATA=ms(2000)) as gateway:
        answer = gateway.send(text=BIG)
        assert answer.status in (502, 503, 504) and answer["outcome"] == "not_sent", answer
        after = gateway.send()
        assert after.status == 200
        nothing_lost_nothing_twice(relay, [answer, after])
        assert after["smtp"]["text"] != "Ok: queued as SURPLUS"


def test_words_behind_goodbye_are_nobodys():
    """S-24"""
    with Relay({"quit": {"extra": SURPLUS * 3}}, keywords=PLAIN) as relay, \
            Gateway(relay, SMTP_MAX_MESSAGES=1, SMTP_SESSIONS=1) as gateway:
        answers = [gateway.send() for _ in range(3)]
        assert [attempts(a) for a in answers] == [["accepted"]] * 3
        nothing_lost_nothing_twice(relay, answers)
        nobody_heard_of_it(gateway)


@pytest.mark.parametrize("way", WAYS)
def test_content_that_is_taken_a_little_at_a_time(way):
    """F-15: there is progress, so that no time-out of a step ends it; the caller's deadline does, and the
    last byte had not gone."""
    with Relay(keywords=WAYS[way], receive_buffer=65536) as relay, \
            Proxy(relay, {"connections": {"1": {"up": {"rate": 20000}}}}, receive_buffer=65536) as proxy, \
            Gateway(proxy, SMTP_TIMEOUT_DATA="60s", SMTP_TIMEOUT_DOT="60s") as gateway:
        answer = gateway.send(text=BIG, deadline=ms(2000))
        assert (answer.status, answer["outcome"]) == (504, "not_sent"), answer
        answers = [answer, gateway.send()]
        assert answers[1].status == 200
        nothing_lost_nothing_twice(relay, answers)


# ---- ends without a word, inside TLS

CUT = {"reply": "", "then": "cut"}


@pytest.mark.parametrize("step", ["greeting", "body", "rset", "idle"])
def test_more_places_to_be_cut_at(authority, certificate, step):
    """S-33: no close_notify before the greeting, in the content, at RSET, between two messages."""
    script = {"greeting": {"1": {"greeting": CUT}},
              "body": {"1": {"body": {"after": 60000, **CUT}}},
              "rset": {"1": {"rset": CUT}},
              "idle": {"1": {"1/dot": {"later": [0.2, b""], "then": "cut"}}}}[step]
    with Relay({"connections": script, "rcpt:no@example.org": "550 5.1.1 no"}, tls="implicit",
               context=certificate.context(), receive_buffer=65536) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_SESSIONS=1) as gateway:
        answers = []
        if step == "rset":
            problem(gateway.send(to="no@example.org", text="x" * 70 + "\n" + "y" * 70000), 422,
                    "recipient_rejected", "rejected")
        elif step == "idle":
            answers.append(gateway.send())
            assert relay.wait(lambda: relay.connections[0].ended)
        else:
            answers.append(gateway.send(text=BIG))
            assert (answers[0].status, answers[0]["outcome"]) == (503, "not_sent"), answers[0]
            assert answers[0]["code"] == "relay_disconnected" and not answers[0]["duplicate_risk"]
        answers += [gateway.send(subject=str(n)) for n in range(2)]
        assert [attempts(a) for a in answers[-2:]] == [["accepted"]] * 2, answers
        nothing_lost_nothing_twice(relay, answers)


@pytest.mark.parametrize("then", ["close", "cut"])
@pytest.mark.parametrize("way", WAYS)
def test_content_stops_where_the_relay_has_hung_up(authority, certificate, way, then):
    """F-06: the relay hangs up in the midst of it, and goes on swallowing what comes: however fast that
    goes, what is left of the content stays here, so that nothing is in doubt."""
    def run(tls):
        script = {"connections": {"1": {"body": {"after": 60000, "reply": "", "then": then}}}}
        with Relay(script, keywords=WAYS[way], tls=tls, context=certificate.context(),
                   receive_buffer=65536) as relay, \
                Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_SESSIONS=1) as gateway:
            answers = [gateway.send(text=BIG) for _ in range(2)]
            problem(answers[0], 503, "relay_disconnected", "not_sent")
            assert answers[1].status == 200, answers[1]
            nothing_lost_nothing_twice(relay, answers)
    together(run, [None, "implicit"])


class Renegotiator:
    """openssl s_server as a relay, played by hand: it speaks TLS 1.2 and can ask to begin anew."""

    host, tls = "127.0.0.1", "implicit"

    def __init__(self, certificate):
        self.port = free_port()
        master, slave = pty.openpty()  # it takes its commands from a terminal alone
        self.heard = b""
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:%d" % self.port, "-cert", certificate.cert_file,
             "-key", certificate.key_file, "-tls1_2", "-crlf"],
            stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=True)
        os.close(slave)
        self.stdin = master
        threading.Thread(target=self.listen, daemon=True).start()
        assert wait_for(lambda: b"ACCEPT" in self.heard), self.heard

    def listen(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.heard += data

    def say(self, line):
        os.write(self.stdin, line.encode() + b"\n")

    def hears(self, words):
        return wait_for(lambda: re.search(words, self.heard))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.stdin)


def test_tls_is_not_begun_anew(authority, certificate):
    """S-32: what was agreed on at the start holds. A relay that asks for another handshake gets none, and
    nothing is said to it any more."""
    with Renegotiator(certificate) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_TIMEOUT_COMMAND=ms(2000)) as gateway:
        answers = []
        sender = threading.Thread(target=lambda: answers.append(gateway.send()))
        sender.start()
        assert relay.hears(rb"BEGIN SSL SESSION|CIPHER is")
        relay.say("220 relay.test")
        assert relay.hears(rb"EHLO client\.test"), relay.heard
        relay.say("r")  # to the terminal: renegotiate
        sender.join(30 * SLOW)
        assert answers and relay.hears(rb"no renegotiation"), relay.heard[-200:]
        body = problem(answers[0], 503, "relay_disconnected", "not_sent")
        assert body["phase"] == "ehlo" and b"MAIL" not in relay.heard
