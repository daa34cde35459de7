"""AUTH: what is chosen, what is never done, and what a refusal means (faults S-25, S-34, S-35)."""

import base64

import pytest

import sasl
from gateway import Gateway, command, ms, problem
from relay import KEYWORDS, Relay

PASS = "pässword: with, = odd"
SHORT = {"SMTP_TIMEOUT_COMMAND": ms(2000)}


def attempt(mechanisms, script=None, users=None, tokens=None, **settings):
    with Relay(script, mechanisms=mechanisms, users=users, tokens=tokens, auth_in_clear=True,
               require_auth=True) as relay, Gateway(relay, **SHORT, **settings) as gateway:
        return gateway.send(), relay


BY_PASSWORD = {"SMTP_USER": "me@example.com", "SMTP_PASS": "se,cr=et"}
BY_TOKEN = {"SMTP_USER": "me@example.com", "SMTP_OAUTH_TOKEN": "tok.en-123"}
USERS, TOKENS = {"me@example.com": "se,cr=et"}, {"me@example.com": "tok.en-123"}


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
def test_each_password_mechanism_proves_itself(name):
    answer, relay = attempt([name], users=USERS, SMTP_AUTH=name.lower(), **BY_PASSWORD)
    assert answer.status == 200, answer
    assert relay.auth_attempts == [(name, "me@example.com")]


@pytest.mark.parametrize("name", ["XOAUTH2", "OAUTHBEARER"])
def test_each_token_mechanism_proves_itself(name):
    answer, relay = attempt([name], tokens=TOKENS, SMTP_AUTH=name.lower(), **BY_TOKEN)
    assert answer.status == 200, answer
    assert relay.auth_attempts == [(name, "me@example.com")]


@pytest.mark.parametrize("offered,settings,chosen", [
    (["LOGIN", "PLAIN", "SCRAM-SHA-256", "CRAM-MD5"], BY_PASSWORD, "SCRAM-SHA-256"),
    (["CRAM-MD5", "LOGIN", "PLAIN"], BY_PASSWORD, "PLAIN"),
    (["CRAM-MD5", "LOGIN"], BY_PASSWORD, "LOGIN"),
    (["PLAIN", "OAUTHBEARER", "XOAUTH2"], BY_TOKEN, "XOAUTH2"),
    (["PLAIN", "OAUTHBEARER"], BY_TOKEN, "OAUTHBEARER"),
    (["SCRAM-SHA-256", "PLAIN", "LOGIN"], {**BY_PASSWORD, "SMTP_AUTH": "login"}, "LOGIN"),
])
def test_the_best_that_is_offered_is_chosen(offered, settings, chosen):
    """S-34"""
    answer, relay = attempt(offered, users=USERS, tokens=TOKENS, **settings)
    assert answer.status == 200, answer
    assert [name for name, _user in relay.auth_attempts] == [chosen]


@pytest.mark.parametrize("offered,settings", [
    (["PLAIN", "LOGIN"], {**BY_PASSWORD, "SMTP_AUTH": "scram-sha-256"}),
    (["PLAIN", "LOGIN"], {**BY_PASSWORD, "SMTP_AUTH": "cram-md5"}),
    (["CRAM-MD5"], BY_PASSWORD), (["XOAUTH2"], BY_PASSWORD), (["GSSAPI", "NTLM"], BY_PASSWORD),
    (["PLAIN", "LOGIN"], BY_TOKEN), (["PLAIN"], {**BY_TOKEN, "SMTP_AUTH": "xoauth2"})])
def test_what_is_not_offered_is_an_error_and_no_downgrade(offered, settings):
    """S-34: nothing is tried in its place."""
    answer, relay = attempt(offered, users=USERS, tokens=TOKENS, **settings)
    problem(answer, 502, "auth_unavailable", "not_sent")
    assert relay.auth_attempts == [] and relay.ledger == []


def test_a_password_beyond_ascii_goes_by_plain():
    answer, relay = attempt(["SCRAM-SHA-256", "PLAIN"], users={"jürgen": PASS}, SMTP_USER="jürgen",
                            SMTP_PASS=PASS)
    assert answer.status == 200, answer
    assert relay.auth_attempts == [("PLAIN", "jürgen")]


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
def test_a_wrong_password_is_relay_auth_failed(name):
    """F-21: 502, for the operator; one attempt, no storm."""
    answer, relay = attempt([name], users=USERS, SMTP_AUTH=name.lower(),
                            SMTP_USER="me@example.com", SMTP_PASS="wrong")
    body = problem(answer, 502, "relay_auth_failed", "not_sent")
    assert body["phase"] == "auth" and body["retryable"] is False
    assert body["smtp"]["code"] == 535 and "SMTP_PASS" in body["hint"]
    assert len(relay.auth_attempts) == 1 and relay.ledger == []


@pytest.mark.parametrize("name,response", [("XOAUTH2", b""), ("OAUTHBEARER", b"\1")])
def test_the_error_challenge_of_a_token_is_answered(name, response):
    """S-35: an empty line, or AQ==; then the 535 is read."""
    answer, relay = attempt([name], tokens=TOKENS, SMTP_AUTH=name.lower(),
                            SMTP_USER="me@example.com", SMTP_OAUTH_TOKEN="expired")
    body = problem(answer, 502, "relay_auth_failed", "not_sent")
    assert body["smtp"]["code"] == 535
    assert relay.accounts.refusals == [response]


def test_a_token_is_read_again_when_its_file_changes(tmp_path):
    """Section 2: SMTP_OAUTH_TOKEN_FILE."""
    token = tmp_path / "token"
    token.write_text("old")
    with Relay({"dot": {"then": "close"}}, mechanisms=["XOAUTH2"],
               tokens={"me@example.com": "old"}, auth_in_clear=True) as relay, \
            Gateway(relay, SMTP_USER="me@example.com", SMTP_OAUTH_TOKEN_FILE=token) as gateway:
        assert gateway.send().status == 200
        relay.accounts.tokens["me@example.com"] = "new"
        token.write_text("new")
        assert relay.wait(lambda: not relay.open_connections)
        answer = gateway.send()
        assert answer.status == 200, answer


@pytest.mark.parametrize("reply,status,codes", [
    ("454 4.7.0 temporary", 503, {"relay_auth_temporary"}),
    ("432 4.7.12 transition", 502, {"relay_auth_failed"}),
    ("421 4.7.0 too many", 503, {"relay_busy", "relay_throttled"}),
    ("534 5.7.9 app password", 502, {"relay_auth_failed"}),
    ("535 5.7.8 bad", 502, {"relay_auth_failed"}),
    ("538 5.7.11 encryption", 502, {"tls_required"}),
    ("525 5.7.13 disabled", 502, {"relay_account_disabled"}),
    ("500 what", 502, {"auth_unavailable"}), ("504 5.5.4 no", 502, {"auth_unavailable"}),
    ("250 ok", 502, {"protocol_error"}), ("354 go", 502, {"protocol_error"})])
def test_refusals_by_their_code(reply, status, codes):
    """F-21, S-26"""
    answer, relay = attempt(["PLAIN"], {"auth": reply}, users=USERS, **BY_PASSWORD)
    assert (answer.status, answer["outcome"], answer["phase"]) == (status, "not_sent", "auth"), answer
    assert answer["code"] in codes, answer
    assert not relay.commands("MAIL")


@pytest.mark.parametrize("challenge", [
    "334 ", "334 dXNlcm5hbWU=", "334 ***not base64***", "334 " + "A" * 1000000, "334",
    "334-one\n334 two"], ids=["empty", "base64", "rubbish", "huge", "bare", "lines"])
@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"])
def test_endless_challenges_are_cancelled(name, challenge):
    """S-25: at most three rounds, then "*" or a closed connection."""
    by = BY_TOKEN if name == "XOAUTH2" else BY_PASSWORD
    answer, relay = attempt([name], {"auth": challenge}, users=USERS, tokens=TOKENS,
                            SMTP_AUTH=name.lower(), **by)
    assert answer.status in (502, 503) and answer["outcome"] == "not_sent", answer
    lines = [line for c in relay.connections for line in getattr(c, "auth_lines", [])]
    assert len(lines) <= 4 and len(relay.connections) == 1
    assert not relay.commands("MAIL")


def test_a_scram_server_that_does_not_know_the_password_is_found_out(monkeypatch):
    """The server's signature is verified."""
    monkeypatch.setitem(sasl.MECHANISMS, "SCRAM-SHA-256",
                        lambda accounts, first: sasl.scram_sha_256(accounts, first, lie=True))
    answer, relay = attempt(["SCRAM-SHA-256"], users={"me@example.com": "whatever"}, **BY_PASSWORD)
    assert answer.status == 502 and answer["outcome"] == "not_sent", answer
    assert not relay.commands("MAIL")


def test_a_scram_server_that_wants_a_billion_rounds_is_refused():
    def auth(_connection, _step, line):
        nonce = base64.b64decode(line.split()[2]).split(b"r=")[1]
        return "334 " + base64.b64encode(b"r=" + nonce + b"xyz,s=c2FsdHNhbHQ=,i=1000000000").decode()
    answer, relay = attempt(["SCRAM-SHA-256"], {"auth": auth}, users=USERS, **BY_PASSWORD)
    assert answer.status == 502 and answer["outcome"] == "not_sent", answer


def test_a_relay_that_wants_auth_and_gets_none_says_so():
    answer, relay = attempt([], users=USERS)
    body = problem(answer, 502, "relay_auth_required", answer["outcome"])
    assert "SMTP_USER" in body["hint"]


def test_auth_is_not_said_where_no_user_is_set():
    with Relay(keywords=KEYWORDS + ("AUTH PLAIN",)) as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200 and not relay.commands("AUTH")


@pytest.mark.parametrize("settings,name", [
    ({"SMTP_USER": "me"}, "SMTP_PASS"), ({"SMTP_PASS": "x"}, "SMTP_USER"),
    ({"SMTP_USER": "me", "SMTP_PASS": "x", "SMTP_AUTH": "digest-md5"}, "SMTP_AUTH"),
    ({"SMTP_USER": "me", "SMTP_PASS": "x", "SMTP_AUTH": "xoauth2"}, "SMTP_OAUTH_TOKEN")])
def test_half_a_login_is_refused_at_the_start(settings, name):
    done = command("serve", settings={"SMTP_HOST": "127.0.0.1", "API_KEY": "k" * 16, **settings})
    assert done.returncode == 2 and name in done.stderr, done
