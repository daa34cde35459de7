"""STARTTLS fails closed: stripped, refused, injected or mangled, no credential and no message goes
in clear (S-01 to S-06)."""

import base64
import signal
import ssl

import pytest

from gateway import Gateway, command, ms, together, wait_for
from relay import KEYWORDS, Relay

SECRET = "planted-password-8f3a"
TLS_WORDS = {"tls_unavailable", "tls_temporary", "tls_required", "tls_handshake_failed",
             "protocol_error", "relay_disconnected", "relay_timeout", "wrong_protocol",
             "relay_busy", "relay_refused"}


def in_clear(relay):
    """What came before TLS was on, from all connections that never got to it."""
    return b"".join(bytes(c.received) for c in relay.connections if not c.tls_version)


def no_secret_in_clear(relay):
    seen = in_clear(relay)
    assert b"AUTH" not in seen.upper() and b"MAIL" not in seen.upper(), seen
    for form in (SECRET.encode(), base64.b64encode(b"\0me\0" + SECRET.encode())):
        assert form not in seen
    assert relay.ledger == []


@pytest.fixture
def credentials(authority):
    return {"SMTP_USER": "me", "SMTP_PASS": SECRET, "SMTP_CA_FILE": authority.file,
            "SMTP_TIMEOUT_COMMAND": ms(1500), "SMTP_TIMEOUT_CONNECT": ms(1500)}


def refused(certificate, script, settings, **more):
    with Relay(script, tls="starttls", context=certificate.context(), users={"me": SECRET},
               **more) as relay, Gateway(relay, **settings) as gateway:
        answer = gateway.send()
        assert answer.status in (502, 503, 504), answer
        assert answer["outcome"] == "not_sent" and answer["code"] in TLS_WORDS, answer
        no_secret_in_clear(relay)
        return answer


INJECTED = b"250-relay.test\r\n250 AUTH PLAIN\r\n"


@pytest.mark.parametrize("step", [
    {"reply": "220 go", "extra": INJECTED},
    {"reply": "220 go", "later": [0.001, INJECTED]},
    {"reply": "220 go", "later": [0.05, INJECTED]},
    {"reply": "220 go", "extra": b"\r\n"},
    {"reply": "220 go", "extra": b"2"},
    {"reply": "220-go\n220 on", "extra": b"220 go\r\n"},
])
def test_bytes_behind_the_starttls_reply_end_the_session(certificate, credentials, step):
    """S-01: response injection (CVE-2021-22947 and its family)."""
    refused(certificate, {"starttls": step}, credentials)


def test_nothing_of_ours_goes_behind_starttls_in_clear(certificate, credentials):
    """S-01 the other way round: we never pipeline behind STARTTLS."""
    with Relay({"starttls": {"delay": 0.3}}, tls="starttls", context=certificate.context(),
               users={"me": SECRET}) as relay, Gateway(relay, **credentials) as gateway:
        assert gateway.send().status == 200
        assert relay.connections[0].behind_starttls == b""


@pytest.mark.parametrize("keywords", [
    KEYWORDS, KEYWORDS + ("AUTH PLAIN",), KEYWORDS + ("XSTARTTLS",), KEYWORDS + ("STARTTLSX",),
    KEYWORDS + ("X-STARTTLS STARTTLS",), ()])
def test_starttls_that_is_not_offered_fails_closed(certificate, credentials, keywords):
    """S-02: stripped from the EHLO answer."""
    answer = refused(certificate, {"keywords": keywords}, credentials)
    assert answer.status == 502 and answer["code"] == "tls_unavailable", answer
    assert "SMTP_SECURE" in answer["hint"] or "STARTTLS" in answer["hint"]


@pytest.mark.parametrize("reply,status", [
    ("454 4.7.0 TLS not available", 503), ("421 4.3.2 bye", 503), ("500 what", 502),
    ("502 5.5.1 no", 502), ("554 5.7.3 no", 502), ("354 go", 502), ("250 ok", 502),
    ({"raw": b"junk\r\n"}, 502), ({"reply": "", "then": "stall"}, 504),
    ({"reply": "220 go", "then": "close"}, None), ({"reply": "220 go", "then": "reset"}, None),
    ({"reply": "220 go", "then": "stall"}, 504)])
def test_starttls_that_is_refused_fails_closed(certificate, credentials, reply, status):
    """S-02: 4xx is temporary, 5xx is for the operator; nothing in clear either way."""
    answer = refused(certificate, {"starttls": reply}, credentials)
    assert status is None or answer.status == status, answer


@pytest.mark.parametrize("ehlo", ["500 what", "502 no", "250 relay.test", "550 go away"])
def test_no_helo_where_tls_is_wanted(certificate, credentials, ehlo):
    """S-02: EHLO refused is no reason to do without TLS."""
    with Relay({"ehlo": ehlo}, tls="starttls", context=certificate.context()) as relay, \
            Gateway(relay, **credentials) as gateway:
        answer = gateway.send()
        assert answer["outcome"] == "not_sent" and answer.status == 502, answer
        assert not relay.commands("HELO")
        no_secret_in_clear(relay)


@pytest.mark.parametrize("handshake", [
    {"raw": b"500 what?\r\n"}, {"raw": b"\x15\x03\x01\x00\x02\x02\x28"}, {"then": "close"},
    {"then": "reset"}, {"then": "stall"}, {"dribble": 0.3}])
def test_a_handshake_that_fails_or_stalls_is_bounded_and_sends_nothing(certificate, credentials,
                                                                        handshake):
    """S-02, S-06: the handshake has its own deadline."""
    answer = refused(certificate, {"handshake": handshake}, credentials)
    assert answer["phase"] in ("tls", "starttls"), answer


def test_opportunistic_goes_on_in_clear_without_credentials_only(authority, certificate):
    """S-02"""
    with Relay() as relay, Gateway(relay, SMTP_SECURE="OPPORTUNISTIC") as gateway:
        answer = gateway.send()
        assert answer.status == 200 and relay.ledger[0].tls is None
    with Relay(tls="starttls", context=certificate.context()) as relay, \
            Gateway(relay, SMTP_SECURE="OPPORTUNISTIC") as gateway:
        answer = gateway.send()
        assert answer.status == 200 and relay.ledger[0].tls, answer
        assert answer["relay"]["tls"] == relay.ledger[0].tls
    for settings in ({"SMTP_SECURE": "OPPORTUNISTIC"},
                     {"SMTP_SECURE": "NONE", "SMTP_HOST": "192.0.2.1"}):
        done = command("serve", settings={"SMTP_HOST": "127.0.0.1", "SMTP_USER": "me",
                                          "SMTP_PASS": SECRET, "API_KEY": "k" * 16, **settings})
        assert done.returncode == 2 and "SMTP_SECURE" in done.stderr, done
        assert SECRET not in done.stderr + done.stdout


def test_what_was_said_before_tls_is_forgotten(certificate, credentials):
    """S-03: AUTH, SIZE and PIPELINING count only if they are offered behind TLS."""
    before = ("STARTTLS", "AUTH PLAIN LOGIN", "PIPELINING", "CHUNKING", "SIZE 10")
    with Relay({"keywords": before, "keywords_tls": ("AUTH XOAUTH2",)}, tls="starttls",
               context=certificate.context(), users={"me": SECRET}) as relay, \
            Gateway(relay, **credentials) as gateway:
        answer = gateway.send()
        assert (answer.status, answer["code"]) == (502, "auth_unavailable"), answer
        assert relay.auth_attempts == [] and relay.ledger == []
    with Relay({"keywords": before, "keywords_tls": ("AUTH PLAIN",)}, tls="starttls", hold=0.05,
               context=certificate.context(), users={"me": SECRET}) as relay, \
            Gateway(relay, **credentials) as gateway:
        assert [gateway.send().status for _ in range(2)] == [200, 200]
        assert relay.ledger[1].round_trips == 4 and not relay.ledger[1].chunked
        assert "SIZE" not in relay.ledger[1].mail_parameters
        assert relay.commands("EHLO") == ["EHLO client.test"] * 2


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_starttls_inside_tls_is_never_said(certificate, credentials, tls):
    """S-04"""
    with Relay({"keywords_tls": KEYWORDS + ("STARTTLS", "AUTH PLAIN")}, tls=tls,
               context=certificate.context(), users={"me": SECRET}) as relay, \
            Gateway(relay, **credentials) as gateway:
        answer = gateway.send()
        assert answer.status == 200, answer
        assert len(relay.commands("STARTTLS")) == (1 if tls == "starttls" else 0)


def test_a_reload_with_other_credentials_leaves_the_old_sessions(tmp_path, certificate, authority):
    """S-05: a session belongs to one security context; SIGHUP re-reads X_FILE."""
    user, password = tmp_path / "user", tmp_path / "pass"
    user.write_text("one\n")
    password.write_text("first\n")
    with Relay(tls="starttls", context=certificate.context(),
               users={"one": "first", "two": "second"}) as relay, \
            Gateway(relay, SMTP_USER_FILE=user, SMTP_PASS_FILE=password,
                    SMTP_CA_FILE=authority.file, SMTP_SESSIONS=2) as gateway:
        assert gateway.send().status == 200
        user.write_text("two")
        password.write_text("second")
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.send().status == 200 and relay.ledger[-1].user == "two")
        at = len(relay.ledger)
        together(lambda _: gateway.send(), range(10))
        assert {t.user for t in relay.ledger[at:]} == {"two"}
        assert relay.wait(lambda: all(c.ended == "quit" for c in relay.connections
                                      if c.user == "one"), 10)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("version,name", [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                                          (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_the_tls_that_is_used_is_told(certificate, credentials, tls, version, name):
    """The greeting may come with the end of the handshake, and is heard."""
    context = certificate.context(least=version, most=version)
    with Relay(tls=tls, context=context, users={"me": SECRET}) as relay, \
            Gateway(relay, **credentials) as gateway:
        answer = gateway.send()
        assert answer.status == 200 and answer["relay"]["tls"] == name, answer
