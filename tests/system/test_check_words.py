"""What `lettergate check` says: for each thing that is broken, what is wrong and what to change; for a
relay that works, what a message costs and what could be better."""

import contextlib
import http.server
import re
import socket
import ssl
import threading

import pytest

from gateway import Gateway, command, free_port, ms, problem
from relay import KEYWORDS, Relay

SECRET = "planted-password-51c7"
ROW = re.compile(r"^(\S+) +(ok|warning|FAILED|skipped)\b +(?:(\d+\.\d) ms)? *(.*)$", re.M)


def check(relay=None, *args, **settings):
    found = {"SMTP_TIMEOUT_CONNECT": ms(2000), "SMTP_TIMEOUT_COMMAND": ms(2000),
             "SMTP_EHLO_NAME": "client.test"}
    if relay:
        found.update({"SMTP_HOST": relay.host, "SMTP_PORT": relay.port,
                      "SMTP_SECURE": {None: "NONE", "starttls": "STARTTLS", "implicit": "TLS"}[relay.tls]})
    found.update(settings)
    done = command("check", *args, settings=found)
    assert SECRET not in done.stdout + done.stderr
    assert "\033" not in done.stdout, "no colours where there is no terminal"
    return done


def rows(done):
    """[(step, mark, words)] in order."""
    return [(name, mark, words) for name, mark, _, words in ROW.findall(done.stdout)]


def mark_of(done, step):
    return [mark for name, mark, _ in rows(done) if name == step]


def fails(done, step, *words):
    """One step fails, the last one; the summary repeats why, and the hint has the words."""
    assert done.returncode == 1, done
    assert [name for name, mark, _ in rows(done) if mark == "FAILED"] == [step], done.stdout
    assert rows(done)[-1][0] == step
    *_, last = done.stdout.strip().split("\n")
    why = rows(done)[-1][2]
    assert last == "A message could be sent: no: " + why, (last, why)
    assert "-> " in done.stdout
    for word in words:
        assert word in done.stdout, (word, done.stdout)


def works(done, *words):
    assert done.returncode == 0, done
    assert done.stdout.endswith("\nA message could be sent: yes\n")
    assert not [name for name, mark, _ in rows(done) if mark == "FAILED"]
    for word in words:
        assert word in done.stdout, (word, done.stdout)


def test_steps_come_in_order_with_their_times(authority, certificate):
    with Relay(tls="starttls", context=certificate.context(), users={"me": SECRET}) as relay:
        done = check(relay, "--to", "ann@example.org", SMTP_USER="me", SMTP_PASS=SECRET,
                     SMTP_CA_FILE=authority.file)
        works(done, "PLAIN as me", "Test Root", "days left", "round trip")
        steps = [name for name, mark, _ in rows(done) if name not in ("messages", "certificate")]
        assert steps == ["look-up", "connect", "greeting", "EHLO", "STARTTLS", "TLS", "EHLO", "AUTH",
                         "MAIL", "RCPT"]
        timed = {name for name, _, time, _ in ROW.findall(done.stdout) if time}
        assert timed == set(steps) - {"look-up"}  # an address is not looked up


@pytest.mark.parametrize("keywords, trips", [
    (KEYWORDS, "1 round trip each"),
    (("PIPELINING", "8BITMIME"), "2 round trips each"),
    (("8BITMIME",), "4 round trips each"),
])
def test_what_a_message_costs(keywords, trips):
    with Relay(keywords=keywords) as relay:
        done = check(relay)
        works(done, trips)
        assert bool(mark_of(done, "PIPELINING")) == ("PIPELINING" not in keywords)


def test_limits_and_small_sizes():
    with Relay(keywords=(*KEYWORDS[:1], "SIZE 1048576", "LIMITS MAILMAX=7 RCPTMAX=40")) as relay:
        done = check(relay)
        works(done, "up to 1.0 MB", "up to 40 recipients", "up to 7 a session")
        assert mark_of(done, "SIZE") == ["warning"] and mark_of(done, "8BITMIME") == ["warning"]


def test_a_certificate_that_expires_soon_and_an_old_tls_are_warned_of(authority):
    made = authority.make("127.0.0.1", days=(-1, 5))
    with Relay(tls="implicit", context=made.context(most=ssl.TLSVersion.TLSv1_2)) as relay:
        done = check(relay, SMTP_CA_FILE=authority.file)
        works(done, "less than 14 days", "TLSv1.2")
        assert mark_of(done, "certificate") == mark_of(done, "TLS") == ["warning"]
    made = authority.make("127.0.0.1", days=(-1, 25))
    with Relay(tls="implicit", context=made.context()) as relay:
        done = check(relay, SMTP_CA_FILE=authority.file)
        assert mark_of(done, "certificate") == mark_of(done, "TLS") == ["ok"]


def test_a_tls_too_old_and_a_relay_that_breaks_off(authority, certificate):
    old = certificate.context(least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1)
    with Relay(tls="starttls", context=old) as relay:
        fails(check(relay, SMTP_CA_FILE=authority.file), "TLS", "1.2")
    with Relay({"starttls": "454 4.7.0 TLS not available"}, tls="starttls",
               context=certificate.context()) as relay:
        fails(check(relay, SMTP_CA_FILE=authority.file), "STARTTLS", "454 4.7.0 TLS not available")


def test_logins(authority, certificate):
    def with_relay(settings, **more):
        with Relay(tls="starttls", context=certificate.context(), **more) as relay:
            return check(relay, SMTP_USER="me", SMTP_CA_FILE=authority.file, **settings)

    password = {"SMTP_PASS": SECRET}
    fails(with_relay(password, users={"me": "x"}), "AUTH", "535", "SMTP_USER", "app password")
    fails(with_relay(password), "AUTH", "takes no logins", "SMTP_PORT")
    fails(with_relay({**password, "SMTP_AUTH": "scram-sha-256"}, users={"me": SECRET}), "AUTH",
          "does not offer SCRAM-SHA-256", "it offers PLAIN, LOGIN", "SMTP_AUTH")
    fails(with_relay(password, users={"me": SECRET}, mechanisms=["CRAM-MD5"]), "AUTH", "SMTP_AUTH=cram-md5")
    fails(with_relay({"SMTP_PASS": "p\u00e4ss"}, users={"me": "p\u00e4ss"}, mechanisms=["SCRAM-SHA-256"]),
          "AUTH", "ASCII")
    fails(with_relay({"SMTP_OAUTH_TOKEN": SECRET}, users={"me": SECRET}), "AUTH", "SMTP_PASS")
    fails(with_relay({"SMTP_OAUTH_TOKEN": SECRET}, tokens={"me": "x"}), "AUTH", "SMTP_OAUTH_TOKEN")
    works(with_relay({"SMTP_OAUTH_TOKEN": SECRET}, tokens={"me": SECRET}), "XOAUTH2 as me")


@pytest.mark.parametrize("script, step, words", [
    ({"greeting": "554 5.7.1 blocked"}, "greeting", ["554 5.7.1 blocked"]),
    ({"greeting": {"reply": "", "then": "close"}}, "greeting", ["SMTP_SECURE=TLS"]),
    ({"ehlo": "550 5.7.1 who are you"}, "EHLO", ["SMTP_EHLO_NAME"]),
    ({"ehlo": {"reply": "", "then": "stall"}}, "EHLO", ["answer to EHLO"]),
    ({"mail": "530 5.7.0 authentication required"}, "MAIL", ["SMTP_USER", "SMTP_PASS"]),
    ({"mail": "550 5.7.1 not your address"}, "MAIL", ["--from"]),
    ({"mail": {"reply": "", "then": "close"}}, "MAIL", ["closed the connection"]),
    ({"rcpt": "554 5.7.1 Relay access denied"}, "RCPT", ["does not relay", "SMTP_USER"]),
    ({"rcpt": "450 4.2.0 greylisted"}, "RCPT", ["later"]),
])
def test_refusals(script, step, words):
    with Relay(script) as relay:
        fails(check(relay, "--to", "ann@example.org"), step, *words)
        assert relay.ledger == []


def test_a_refusal_ends_with_a_goodbye():
    with Relay({"rcpt": "550 5.1.1 no"}) as relay:
        fails(check(relay, "--to", "ann@example.org"), "RCPT")
        assert relay.wait(lambda: relay.connections[0].ended == "quit")
        assert relay.commands("RSET")


def test_what_the_relay_is_slow_to_say_at_the_end_does_not_matter():
    for step in ("rset", "quit"):
        with Relay({step: {"reply": "", "then": "stall"}}) as relay:
            works(check(relay, "--to", "ann@example.org"))


def test_a_relay_that_refuses_its_own_parameters_is_asked_without():
    with Relay({"mail:1": "555 5.5.4 unsupported"}) as relay:
        done = check(relay, "--to", "ann@example.org")
        works(done)
        assert mark_of(done, "MAIL") == ["warning", "ok"]


# ---- another service's port


@contextlib.contextmanager
def web_server(context=None):
    """A web server that answers requests alone, and closes whatever else comes without a word."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def parse_request(self):
            return self.raw_requestline.startswith(b"GET ") and super().parse_request()

        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True,
                                                do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": server.server_address[1]}
        server.shutdown()
        thread.join()


def sent(status, code, phase, *words, **settings):
    """The answer to a message says all of it, as a whole that a person may read."""
    settings = {"SMTP_TIMEOUT_COMMAND": ms(1500), **settings}
    with Gateway(**settings) as gateway:
        found = problem(gateway.send(), status, code, "not_sent")
    assert found["phase"] == phase
    assert found["detail"] != found["title"]
    for word in words:
        assert word in found["detail"] + "\n" + found["hint"], (word, found)
    return found


@pytest.mark.parametrize("secure, step", [("STARTTLS", "greeting"), ("NONE", "greeting"), ("TLS", "TLS")])
def test_a_web_server(secure, step):
    with web_server() as found:
        done = check(SMTP_SECURE=secure, **found)
        fails(done, step, "this port speaks HTTP, not SMTP", "a web server's port", "SMTP_PORT", "587", "465")
        assert "SMTP_SECURE=STARTTLS" in done.stdout


def test_a_web_server_that_answers_whatever_it_is_sent():
    """Many answer 400 to a TLS handshake at once."""
    def refuse(connection, _step, _line):
        connection.wire.recv()
        return b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"

    for secure, step in (("NONE", "greeting"), ("TLS", "TLS")):
        with Relay({"greeting": refuse}) as relay:
            fails(check(relay, SMTP_SECURE=secure), step, "this port speaks HTTP, not SMTP", "SMTP_PORT")


@pytest.mark.parametrize("secure", ["STARTTLS", "TLS"])
def test_a_web_server_behind_tls(secure, authority, certificate):
    with web_server(certificate.context()) as found:
        done = check(SMTP_SECURE=secure, SMTP_CA_FILE=authority.file, **found)
        fails(done, "greeting", "this port speaks HTTPS, not SMTP", "a web server's port", "SMTP_PORT")
        assert "wants TLS from the first byte" not in done.stdout


def test_the_gateways_own_port():
    with Gateway(SMTP_HOST="capture") as gateway:
        fails(check(SMTP_HOST="127.0.0.1", SMTP_PORT=gateway.port, SMTP_SECURE="NONE"), "greeting",
              "this port speaks HTTP, not SMTP")


@pytest.mark.parametrize("banner, words, mend", [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "this port speaks SSH, not SMTP", "remote logins"),
    (b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", "this port speaks IMAP, not SMTP", "reading mail"),
    (b"+OK Dovecot ready.\r\n", "this port speaks POP3, not SMTP", "reading mail"),
    (b"HTTP/1.1 408 Request Timeout\r\n\r\n", "this port speaks HTTP, not SMTP", "web server's port"),
    (b"RFB 003.008\n", 'this port does not speak SMTP: it says "RFB 003.008"', "Another service listens there"),
])
def test_whoever_speaks_first_is_named(banner, words, mend):
    def relay():
        return Relay({"greeting": {"raw": banner, "then": "stall"}})

    with relay() as named:
        fails(check(named), "greeting", words, mend, "SMTP_PORT")
    with relay() as named:
        done = check(named, SMTP_SECURE="TLS")
        fails(done, "TLS", words, mend, "SMTP_PORT")
        assert "SMTP_SECURE=STARTTLS here" not in done.stdout
    with relay() as named:
        known = not banner.startswith(b"RFB")
        sent(502, "wrong_protocol" if known else "protocol_error", "greeting",
             words if known else "does not keep to SMTP", mend, "SMTP_PORT",
             SMTP_HOST=named.host, SMTP_PORT=named.port, SMTP_SECURE="NONE")


def test_mail_is_read_on_another_port_than_it_is_sent_on(authority, certificate):
    with Relay({"greeting": b"* OK IMAP4rev1 ready\r\n"}, tls="implicit", context=certificate.context()) as relay:
        for secure in ("TLS", "STARTTLS"):
            fails(check(relay, SMTP_SECURE=secure, SMTP_CA_FILE=authority.file), "greeting",
                  "this port speaks IMAP with TLS, not SMTP", "reading mail", "SMTP_PORT and SMTP_HOST")


def test_a_port_that_begins_in_clear():
    with Relay() as relay:
        done = check(relay, SMTP_SECURE="TLS")
        fails(done, "TLS", 'begins in clear: it says "220 relay.test ESMTP scripted"', "SMTP_SECURE=STARTTLS")
        sent(502, "wrong_protocol", "tls", "SMTP_SECURE=STARTTLS", "SMTP_PORT", SMTP_HOST=relay.host,
             SMTP_PORT=relay.port, SMTP_SECURE="TLS", SMTP_TIMEOUT_CONNECT=ms(2000))


def test_a_silent_port_that_wants_tls_is_told_from_a_dead_relay(certificate):
    with Relay(tls="implicit", context=certificate.context()) as relay:
        fails(check(relay, SMTP_SECURE="NONE"), "greeting", "wants TLS from the first byte", "SMTP_SECURE=TLS")
    with Relay({"greeting": {"reply": "", "then": "stall"}}) as relay:
        done = check(relay, SMTP_TIMEOUT_COMMAND=ms(1000))
        fails(done, "greeting", "said nothing", "Neither SMTP, TLS nor HTTP was heard", "SMTP_PORT")
        assert "wants TLS from the first byte" not in done.stdout
        done = check(relay, SMTP_SECURE="TLS", SMTP_TIMEOUT_COMMAND=ms(1000))
        fails(done, "TLS", "said nothing", "Neither SMTP, TLS nor HTTP was heard", "SMTP_PORT")


def test_the_answer_where_nothing_speaks():
    with Relay({"greeting": {"reply": "", "then": "stall"}}) as relay:
        for secure, phase in (("STARTTLS", "greeting"), ("TLS", "tls")):
            found = sent(504, "relay_timeout", phase, "the relay said nothing for", "another service's",
                         "SMTP_PORT", "SMTP_SECURE", "lettergate check", SMTP_HOST=relay.host,
                         SMTP_PORT=relay.port, SMTP_SECURE=secure)
            assert len(found["hint"]) < 200


def test_a_port_that_speaks_a_tls_too_old_wants_tls_all_the_same(certificate):
    old = certificate.context(least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1)
    with Relay(tls="implicit", context=old) as relay:
        fails(check(relay, SMTP_SECURE="NONE"), "greeting", "wants TLS from the first byte", "SMTP_SECURE=TLS")


@pytest.mark.parametrize("to_the_probe", ["220 relay.test ESMTP", "554 5.5.1 you spoke out of turn", ""])
def test_a_relay_that_is_slow_to_greet_is_not_suspected(to_the_probe):
    """It greets once it was probed, and whatever it thinks of that."""
    def greet(connection, _step, _line):
        if connection.number > 1:
            return {"reply": to_the_probe, "then": "stall"}
        assert connection.relay.wait(lambda: len(connection.relay.connections) > 1)
        return None

    with Relay({"greeting": greet}) as relay:
        works(check(relay, SMTP_TIMEOUT_COMMAND=ms(8000)))


# ---- what else a newcomer gets wrong


def test_a_relay_that_is_not_running():
    port = free_port()
    fails(check(SMTP_HOST="127.0.0.1", SMTP_PORT=port, SMTP_SECURE="NONE"), "connect", "Connection refused",
          "Is the relay running?", "SMTP_PORT", "container")
    sent(503, "relay_unreachable", "connect", "Connection refused", "Is the relay running?", "SMTP_PORT",
         "container", SMTP_HOST="127.0.0.1", SMTP_PORT=port, SMTP_SECURE="NONE")


def test_answers_know_what_is_set(authority, certificate):
    """The hint is the same as the check's, not one that has to fit all."""
    def answer(settings, *expected, users=None, script=None, **more):
        with Relay(script, tls="starttls", context=certificate.context(), users=users, **more) as relay:
            with Gateway(relay, SMTP_CA_FILE=authority.file, **settings) as gateway:
                found = gateway.send().json
        for word in expected:
            assert word in found["detail"] + "\n" + found["hint"], (word, found)
        return found

    login = {"SMTP_USER": "me", "SMTP_PASS": SECRET}
    answer(login, "takes no logins here", "SMTP_PORT")
    answer(login, "app password", users={"me": "x"})
    answer({"SMTP_USER": "me", "SMTP_OAUTH_TOKEN": SECRET}, "a login by token; it offers PLAIN",
           "set SMTP_PASS in place of SMTP_OAUTH_TOKEN", users={"me": "x"})
    denied = {"rcpt": "554 5.7.1 Relay access denied"}
    refused = {"rcpt": "554 5.7.1 Client host rejected: Access denied"}
    found = answer(login, "The login went well", users={"me": SECRET}, script=denied)
    assert "SMTP_USER" not in found["hint"] + found["recipients"][0]["hint"]
    answer({}, "SMTP_USER", script=denied)
    found = answer({}, "none is set", "SMTP_USER", users={"me": SECRET}, script=refused)
    assert found["recipients"][0]["hint"] == found["hint"]


def test_a_relay_without_starttls_on_this_machine():
    with Relay() as relay:
        fails(check(relay, SMTP_SECURE="STARTTLS"), "STARTTLS", "does not offer STARTTLS", "SMTP_SECURE=NONE")
        sent(502, "tls_unavailable", "ehlo", "does not offer STARTTLS", "SMTP_SECURE=NONE",
             SMTP_HOST=relay.host, SMTP_PORT=relay.port, SMTP_SECURE="STARTTLS")


def test_an_address_that_does_not_answer():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:  # the queue is full then: the kernel drops what comes
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    fails(check(SMTP_HOST="127.0.0.1", SMTP_PORT=listener.getsockname()[1], SMTP_SECURE="NONE"),
          "connect", "no answer", "firewall", "587")
    for sock in (*fillers, listener):
        sock.close()


def test_who_it_asks_as():
    def sender(*args, **settings):
        with Relay() as relay:
            works(check(relay, "--to", "Ann <ann@example.org>", *args, **settings))
            assert relay.commands("RCPT")[0].startswith("RCPT TO:<ann@example.org>")
            return relay.commands("MAIL")[0].partition(" SIZE")[0]

    assert sender() == "MAIL FROM:<postmaster@client.test>"
    assert sender("--from", "me@example.com") == "MAIL FROM:<me@example.com>"
    assert sender("--from=") == "MAIL FROM:<>"
    with Relay(users={"me@example.com": SECRET}, auth_in_clear=True) as relay:
        works(check(relay, "--to", "ann@example.org", SMTP_USER="me@example.com", SMTP_PASS=SECRET))
        assert relay.commands("MAIL")[0].startswith("MAIL FROM:<me@example.com>")


def test_what_a_relay_says_cannot_act_on_the_terminal():
    with Relay({"greeting": b"220 hi\x1b]0;evil\x07 \xc2\x9b31m \xff there\r\n"}) as relay:
        done = command("check", settings={"SMTP_HOST": relay.host, "SMTP_PORT": relay.port,
                                          "SMTP_SECURE": "NONE"})
        works(done, "there")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout), repr(done.stdout)


def test_capture_has_nothing_to_check():
    works(check(SMTP_HOST="capture"), "sent nowhere")


@pytest.mark.parametrize("args", [["--to"], ["--from", "a@example.com"], ["--to", ""], ["--nonsense"],
                                  ["--to", "a@example.org", "--from", "x"]])
def test_wrong_usage(args):
    done = check(None, *args, SMTP_HOST="127.0.0.1")
    assert done.returncode == 2 and not done.stdout, done
    assert done.stderr.startswith("lettergate: ") and done.stderr.count("\n") == 1
