"""Whom we trust: the certificate matrix, versions, truncation (S-30 to S-33)."""

import shutil
import signal
import ssl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from certificates import Authority
from gateway import Gateway, ms, problem, together, wait_for
from relay import Relay

NAME = "mx.relay.test"


def attempt(certificate, ca=None, tls="starttls", context=None, script=None, **settings):
    settings.setdefault("SMTP_TLS_NAME", NAME)
    if ca:
        settings["SMTP_CA_FILE"] = ca.file
    with Relay(script, tls=tls, context=context or certificate.context(),
               users={"me": "secret"}) as relay, \
            Gateway(relay, SMTP_USER="me", SMTP_PASS="secret", **settings) as gateway:
        answer = gateway.send()
        if answer.status != 200:
            assert relay.ledger == [] and relay.auth_attempts == []
            assert not [c for c in relay.connections if b"AUTH" in c.received]
        return answer, relay


@pytest.fixture(scope="module")
def matrix(authority, tmp_path_factory):
    """name → (certificate, settings, word that the refusal must hold; None: must be fine)"""
    other = Authority(tmp_path_factory.mktemp("other"), "Other Root")
    middle = Authority(tmp_path_factory.mktemp("middle"), "Test Middle", parent=authority)
    old = authority.make(NAME, days=(-20, -1))
    own = authority.make(NAME, self_signed=True)
    good = authority.make(NAME)
    address = {"SMTP_TLS_NAME": None}
    return {
        "good": (good, {}, None),
        "good among several names": (authority.make("a.test", NAME, "b.test"), {}, None),
        "wildcard": (authority.make("*.relay.test"), {}, None),
        "through an intermediate": (middle.make(NAME), {}, None),
        "address": (authority.make("127.0.0.1"), address, None),
        "rsa": (authority.make(NAME, key="rsa2048"), {}, None),
        "name without case": (authority.make("MX.Relay.TEST"), {}, None),
        "wrong host": (authority.make("other.relay.test"), {}, NAME),
        "expired": (old, {}, "expired"),
        "not yet valid": (authority.make(NAME, days=(1, 9)), {}, "not valid before"),
        "self-signed": (own, {}, "self"),
        "unknown authority": (other.make(NAME), {}, "issuer"),
        "common name only": (authority.make(common_name=NAME), {}, NAME),
        "common name beside other names": (authority.make("x.test", common_name=NAME), {}, NAME),
        "wildcard too deep": (authority.make("*.test"), {}, NAME),
        "wildcard in part": (authority.make("m*.relay.test"), {}, NAME),
        "wildcard for itself": (authority.make("*.mx.relay.test"), {}, NAME),
        "address as a name": (authority.make("localhost", common_name="127.0.0.1"), address,
                              "127.0.0.1"),
        "other address": (authority.make("127.0.0.2"), address, "127.0.0.1"),
        "weak key": (authority.make(NAME, key="rsa1024"), {}, "weak"),
        "weak digest": (authority.make(NAME, digest=hashes.SHA1()), {}, "weak"),
        "for clients": (authority.make(NAME, usage=ExtendedKeyUsageOID.CLIENT_AUTH), {}, "purpose"),
        "missing intermediate": (middle.make(NAME, chain=()), {}, "issuer"),
        "name with a NUL": (authority.make(NAME + "\0.evil.test"), {}, ""),
        "pin, self-signed": (own, {"SMTP_TLS_PIN": own.pin, "SMTP_CA_FILE": None}, None),
        "pin, expired and of another name": (old, {"SMTP_TLS_PIN": old.pin, "SMTP_CA_FILE": None,
                                                   "SMTP_TLS_NAME": "x.test"}, None),
        "pin of another key": (good, {"SMTP_TLS_PIN": own.pin}, "pin"),
    }


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_the_certificate_matrix(matrix, authority, tls):
    """S-30: N of N. Revocation is none of them: nobody is asked (docs/operations.md)."""
    def run(item):
        name, (certificate, settings, word) = item
        answer, relay = attempt(certificate, authority if "SMTP_CA_FILE" not in settings else None,
                                tls, **settings)
        if word is None:
            if answer.status != 200:
                return name, answer
        else:
            if (answer.status, answer.get("code"), answer.get("outcome")) != (
                    502, "tls_verify_failed", "not_sent"):
                return name, answer
            if word.lower() not in (answer["detail"] + " " + answer["hint"]).lower():
                return name, "lacks the word %r" % word, answer
            if answer["phase"] != "tls":
                return name, answer
        return None

    wrong = [found for found in together(run, matrix.items(), 4) if found]
    assert not wrong, "\n".join(map(repr, wrong))


def test_without_a_ca_file_the_systems_trust_is_asked(authority):
    """S-30: our own authority is not in it."""
    answer, _ = attempt(authority.make(NAME))
    problem(answer, 502, "tls_verify_failed", "not_sent")
    assert "SMTP_CA_FILE" in answer["hint"] or "SMTP_TLS_PIN" in answer["hint"], answer


def test_the_name_that_is_verified_is_sent_as_sni(authority):
    """S-30: SNI carries names, never addresses."""
    answer, relay = attempt(authority.make(NAME), authority)
    assert answer.status == 200 and relay.connections[0].server_name == NAME
    answer, relay = attempt(authority.make("127.0.0.1"), authority, SMTP_TLS_NAME=None)
    assert answer.status == 200 and relay.connections[0].server_name is None


@pytest.mark.parametrize("version,least,works", [
    (ssl.TLSVersion.TLSv1, None, False), (ssl.TLSVersion.TLSv1_1, None, False),
    (ssl.TLSVersion.TLSv1_2, None, True), (ssl.TLSVersion.TLSv1_3, None, True),
    (ssl.TLSVersion.TLSv1_2, "1.3", False), (ssl.TLSVersion.TLSv1_3, "1.3", True)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions(authority, version, least, works):
    """S-31: 1.2 and 1.3; SMTP_TLS_MIN."""
    certificate = authority.make(NAME)
    answer, _ = attempt(certificate, authority, context=certificate.context(version, version),
                        SMTP_TLS_MIN=least)
    if works:
        assert answer.status == 200, answer
    else:
        problem(answer, 502, "tls_handshake_failed", "not_sent")
        assert answer["phase"] == "tls"


def test_a_client_certificate_is_shown_where_one_is_set(authority):
    certificate, mine = authority.make(NAME), authority.make(
        "client.test", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    context = certificate.context(client_ca=authority.file)
    answer, _ = attempt(certificate, authority, context=context, SMTP_CLIENT_CERT=mine.cert_file,
                        SMTP_CLIENT_KEY=mine.key_file)
    assert answer.status == 200, answer
    answer, _ = attempt(certificate, authority, context=context,
                        SMTP_CLIENT_CERT=mine.cert_pem.decode(),
                        SMTP_CLIENT_KEY=mine.key_pem.decode())
    assert answer.status == 200, answer
    answer, _ = attempt(certificate, authority, context=context)
    assert answer.status != 200 and answer["outcome"] == "not_sent", answer


def test_a_second_session_resumes_tls(authority):
    """S-32: resumption, within one relay's context."""
    certificate = authority.make(NAME)
    with Relay({"dot": {"then": "close"}}, tls="starttls", context=certificate.context()) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_TLS_NAME=NAME) as gateway:
        for _ in range(3):
            assert gateway.send().status == 200
            assert relay.wait(lambda: not relay.open_connections)
        assert [c.tls_reused for c in relay.connections][1:] == [True, True]


def test_a_reload_takes_up_another_ca_in_the_same_file(authority, tmp_path):
    """S-32: what was trusted before is not resumed; docs/operations.md's way out for a stolen key."""
    other, file = Authority(tmp_path, "New Root"), tmp_path / "ca.pem"
    shutil.copy(authority.file, file)
    with Relay(tls="starttls", context=authority.make(NAME).context()) as relay, \
            Gateway(relay, SMTP_CA_FILE=file, SMTP_TLS_NAME=NAME) as gateway:
        assert gateway.send().status == 200
        shutil.copy(other.file, file)
        assert gateway.send().status == 200, "until it is told to"
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload")), gateway.output
        problem(gateway.send(), 502, "tls_verify_failed", "not_sent")
        assert len(relay.ledger) == 2
        assert relay.wait(lambda: relay.connections[0].ended == "quit")
        relay.context = other.make(NAME).context()
        assert wait_for(lambda: gateway.send().status == 200)
        assert not relay.connections[-1].tls_reused


@pytest.mark.parametrize("step,outcome", [
    ("ehlo", "not_sent"), ("auth", "not_sent"), ("mail", "not_sent"), ("rcpt", "not_sent"),
    ("data", "not_sent"), ("dot", "unknown")])
def test_a_connection_cut_without_close_notify(authority, step, outcome):
    """S-33: the end of a file is no answer; behind the dot it is unknown."""
    script = {step: {"reply": "", "then": "cut"}, "keywords_tls": ("AUTH PLAIN", "PIPELINING")}
    if step == "ehlo":
        script = {"ehlo": lambda connection, _s, _l: {"reply": "", "then": "cut"}
                  if connection.tls_version else None}
    certificate = authority.make(NAME)
    with Relay(script, tls="starttls", context=certificate.context(), users={"me": "secret"}) as relay, \
            Gateway(relay, SMTP_USER="me", SMTP_PASS="secret", SMTP_CA_FILE=authority.file,
                    SMTP_TLS_NAME=NAME) as gateway:
        answer = gateway.send()
        assert answer["outcome"] == outcome, answer
        assert answer.status == (504 if outcome == "unknown" else 503)


def test_a_cut_behind_quit_is_no_error(authority):
    """S-33"""
    certificate = authority.make(NAME)
    with Relay({"quit": {"reply": "", "then": "cut"}}, tls="implicit",
               context=certificate.context()) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_TLS_NAME=NAME,
                    SMTP_MAX_MESSAGES=1) as gateway:
        assert [gateway.send().status for _ in range(3)] == [200] * 3
        assert not [line for line in gateway.log() if line.get("level") in ("warn", "error")]


def test_large_messages_go_through_tls_whole(authority):
    certificate = authority.make(NAME)
    with Relay(tls="implicit", context=certificate.context()) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_TLS_NAME=NAME,
                    SMTP_TIMEOUT_DATA=ms(20000)) as gateway:
        text = "".join("line %d\n" % n for n in range(300000))
        answers = together(lambda n: gateway.send(text=text, subject=str(n)), range(4))
        assert [a.status for a in answers] == [200] * 4, answers
        for taken in relay.ledger:
            assert taken.body.partition(b"\r\n\r\n")[2] == text.replace("\n", "\r\n").encode()


def test_a_certificate_that_changes_mid_life(authority, tmp_path_factory):
    """F-20: the relay gets another certificate. Sessions that are up go on; new ones are judged by
    what is shown now, and when it is good again, so are they."""
    other = Authority(tmp_path_factory.mktemp("changed"), "Changed Root")
    good, bad, old = authority.make(NAME), other.make(NAME), authority.make(NAME, days=(-20, -1))
    with Relay(tls="starttls", context=good.context()) as relay, \
            Gateway(relay, SMTP_CA_FILE=authority.file, SMTP_TLS_NAME=NAME,
                    SMTP_SESSIONS=1) as gateway:
        assert gateway.send().status == 200
        for certificate in (bad, old):
            relay.context = certificate.context()
            assert gateway.send().status == 200, "over the session that there is"
            relay.script = {"dot": {"then": "close"}}
            assert gateway.send().status == 200
            assert relay.wait(lambda: not relay.open_connections)
            relay.script = {}
            problem(gateway.send(), 502, "tls_verify_failed", "not_sent")
            relay.context = good.context()
            assert wait_for(lambda: gateway.send().status == 200, 5)
        assert all(t.tls for t in relay.ledger)
