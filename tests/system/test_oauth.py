"""OAuth 2.0: tokens fetched and refreshed for the relay (faults S-35 to S-37)."""

import contextlib
import json
import re
import signal
import time

import pytest

from certificates import Authority
from gateway import KEY, Gateway, command, ms, problem, together, wait_for
from relay import Relay
from token_server import TokenServer

USER = "me@example.com"
SECRET, REFRESH = "canary-secret-7f3a", "canary-refresh-91bd"
BASIC = {"SMTP_USER": USER, "SMTP_OAUTH_CLIENT_ID": "client-1", "SMTP_OAUTH_CLIENT_SECRET": SECRET}


@contextlib.contextmanager
def signed_in(script=(), relay_script=None, mechanisms=("XOAUTH2",), expires_in=3600, context=None,
              url=None, **settings):
    """A relay that takes the tokens of the endpoint alone, the endpoint, and a gateway between."""
    with Relay(relay_script, mechanisms=list(mechanisms), tokens={USER: "none"}, auth_in_clear=True,
               require_auth=True) as relay, \
            TokenServer(script, accounts=relay.accounts, user=USER, context=context,
                        expires_in=expires_in, prefix="canary-token") as server, \
            Gateway(relay, **{**BASIC, "SMTP_OAUTH_TOKEN_URL": url or server.url,
                              **settings}) as gateway:
        yield gateway, server, relay


def asked(server, times):
    return wait_for(lambda: len(server.requests) >= times)


REVOKED = {"status": 400, "body": {"error": "invalid_grant", "error_description": "It was revoked."}}


# ---- the two grants


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_client_credentials_get_a_token_before_it_is_needed(mechanism):
    with signed_in(mechanisms=[mechanism], SMTP_OAUTH_SCOPE="https://mail.test/.default") \
            as (gateway, server, relay):
        assert asked(server, 1)  # nobody has sent anything
        assert gateway.send().status == 200
        assert relay.auth_attempts == [(mechanism, USER)]
        assert server.requests == [{"grant_type": "client_credentials", "client_id": "client-1",
                                    "client_secret": SECRET, "scope": "https://mail.test/.default"}]
        assert server.headers[0]["Content-Type"] == "application/x-www-form-urlencoded"
        assert "Authorization" not in server.headers[0]


def test_oauthbearer_needs_no_user():
    """RFC 7628: the token may say who it is."""
    with Relay(mechanisms=["OAUTHBEARER"], tokens={"": "none"}, auth_in_clear=True,
               require_auth=True) as relay, \
            TokenServer(accounts=relay.accounts, user="") as server, \
            Gateway(relay, SMTP_OAUTH_TOKEN_URL=server.url, SMTP_OAUTH_CLIENT_ID="client-1",
                    SMTP_OAUTH_CLIENT_SECRET=SECRET, SMTP_AUTH="oauthbearer") as gateway:
        answer = gateway.send()
        assert answer.status == 200, answer


def test_a_refresh_token_gets_one():
    odd = "1//0g-_.~ä+&=%"
    with signed_in(SMTP_OAUTH_REFRESH_TOKEN=odd, SMTP_OAUTH_CLIENT_SECRET=None) \
            as (gateway, server, _relay):
        assert gateway.send().status == 200
        assert server.requests == [{"grant_type": "refresh_token", "client_id": "client-1",
                                    "refresh_token": odd}]


def test_another_refresh_token_takes_the_place_of_the_first():
    """RFC 6749 section 6: it is used from then on, and the operator is told once."""
    script = [{"grant": {"refresh_token": "canary-rotated-1", "expires_in": 3}},
              {"grant": {"refresh_token": "canary-rotated-2", "expires_in": 3}}, None]
    with signed_in(script, SMTP_OAUTH_REFRESH_TOKEN=REFRESH) as (gateway, server, _relay):
        assert asked(server, 3)
        assert [form["refresh_token"] for form in server.requests[:3]] == \
            [REFRESH, "canary-rotated-1", "canary-rotated-2"]
        assert gateway.send().status == 200
        told = wait_for(lambda: gateway.log("oauth_refresh_token_changed"))
        assert len(told) == 1 and "SMTP_OAUTH_REFRESH_TOKEN" in told[0]["detail"]


# ---- one refresh, in time


def test_a_hundred_sends_wait_for_one_token():
    """S-35: one request, however many wait."""
    with signed_in([{"delay": 1.0}], SMTP_SESSIONS="16") as (gateway, server, relay):
        answers = together(lambda _: gateway.send(), range(100), at_once=100)
        assert {answer.status for answer in answers} == {200}, answers
        assert len(server.requests) == 1 and server.most_at_once == 1
        assert len(relay.ledger) == 100


def test_a_token_is_refreshed_before_it_expires():
    """No send waits for it, and the old one is good until then."""
    with signed_in(expires_in=4) as (gateway, server, relay):
        assert gateway.send().status == 200
        assert asked(server, 3)
        assert server.times[1] - server.times[0] < 4.0 < server.times[2] - server.times[0]
        assert gateway.send().status == 200
        assert {user for _name, user in relay.auth_attempts} == {USER}
        assert server.most_at_once == 1


def test_a_token_is_used_on_while_the_endpoint_is_down():
    script = [{"grant": {"expires_in": 30}}] + [{"status": 503}]
    with signed_in(script, expires_in=30) as (gateway, server, relay):
        assert asked(server, 1)
        relay.script["dot"] = {"then": "close"}
        assert gateway.send().status == 200
        # the next one is not to leave in one write on a session whose end is on its way
        assert wait_for(lambda: gateway.get("/relays")["relays"][0]["sessions"]["idle"] == 0)
        assert gateway.send().status == 200
        assert len(relay.connections) == 2


def test_a_reload_keeps_the_token_and_other_settings_get_another(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    with signed_in(SMTP_OAUTH_CLIENT_SECRET=None, SMTP_OAUTH_CLIENT_SECRET_FILE=secret) \
            as (gateway, server, _relay):
        assert gateway.send().status == 200
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: len(gateway.log("reload")) == 1)
        assert gateway.send().status == 200
        assert len(server.requests) == 1
        secret.write_text("canary-other")
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: len(gateway.log("reload")) == 2)
        assert gateway.send().status == 200
        assert [form["client_secret"] for form in server.requests] == [SECRET, "canary-other"]


# ---- the relay refuses it


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_the_relay_refuses_is_fetched_once_more(mechanism):
    """S-35: one refresh and one retry, and the sender sees neither."""
    script = [{"accounts": False}, None]
    with signed_in(script, mechanisms=[mechanism], SMTP_SESSIONS="1") as (gateway, server, relay):
        answer = gateway.send()
        assert answer.status == 200, answer
        assert len(server.requests) == 2 and len(relay.auth_attempts) == 2
        assert len(relay.ledger) == 1


def test_a_hundred_sends_with_a_refused_token_are_one_refresh():
    """S-35"""
    script = [{"accounts": False}, {"delay": 0.5}]
    with signed_in(script, SMTP_SESSIONS="16") as (gateway, server, relay):
        answers = together(lambda _: gateway.send(), range(100), at_once=100)
        assert {answer.status for answer in answers} == {200}, answers
        assert len(server.requests) == 2 and server.most_at_once == 1
        assert len(relay.ledger) == 100


def test_a_token_refused_without_a_challenge_counts_as_well():
    """Exchange says 535 at once."""
    refusals = iter(["535 5.7.3 Authentication unsuccessful"])
    with signed_in(relay_script={"auth": lambda *_: next(refusals, None)}, SMTP_SESSIONS="1") \
            as (gateway, server, _relay):
        assert gateway.send().status == 200
        assert len(server.requests) == 2


def test_a_second_refusal_is_final():
    """S-35, S-37: 502, and no storm of logins behind it."""
    with signed_in([{"accounts": False}], SMTP_SESSIONS="1") as (gateway, server, relay):
        body = problem(gateway.send(), 502, "relay_auth_failed", "not_sent")
        assert body["phase"] == "auth" and body["retryable"] is False
        assert body["smtp"]["code"] == 535
        answers = [gateway.send() for _ in range(10)]
        assert {answer.status for answer in answers} <= {502, 503}, answers
        assert len(server.requests) == 2 and len(relay.auth_attempts) == 2
        assert relay.ledger == []


# ---- the endpoint fails


@pytest.mark.parametrize("action,words", [
    ({"status": 500}, "500"), ({"status": 503, "body": b"<html>busy"}, "503"),
    ({"status": 429, "body": {"error": "slow_down"}}, "slow_down"),
    ({"body": b"<html>hello"}, "not JSON"), ({"body": b""}, "not JSON"),
    ({"body": b'{"access_token":'}, "not JSON"), ({"body": {"access_token": 5}}, "access_token"),
    ({"body": {"access_token": "a b"}}, "access_token"),
    ({"body": {"access_token": "x\r\nRCPT TO:<a@b>"}}, "access_token"),
    ({"body": {"access_token": "x" * 60000}}, "access_token"),
    ({"body": {"access_token": "x", "token_type": "mac"}}, "token_type"),
    ({"endless": b"x" * 65536}, "64 KB"), ({"body": b"[" * 30000}, "not JSON"),
    ({"status": 302, "headers": [("Location", "http://127.0.0.1:1/")]}, "redirects"),
    ({"status": 400, "body": {"error": "temporarily_unavailable"}}, "temporarily_unavailable"),
    ({"then": "close"}, "127.0.0.1")],
    ids=["500", "503", "429", "html", "empty", "half", "number", "blank", "line", "long", "mac",
         "endless", "deep", "redirect", "unavailable", "close"])
def test_what_may_pass_is_a_temporary_failure(action, words):
    """S-36"""
    with signed_in([action]) as (gateway, server, relay):
        body = problem(gateway.send(), 503, "relay_auth_temporary", "not_sent")
        assert body["phase"] == "auth" and body["retryable"] is True
        assert words in body["detail"] and "SMTP_OAUTH_TOKEN_URL" in body["hint"], body
        assert relay.connections == [] and server.strays == []


@pytest.mark.parametrize("status,error,mend", [
    (400, "invalid_grant", "SMTP_OAUTH_REFRESH_TOKEN"),
    (401, "invalid_client", "SMTP_OAUTH_CLIENT_SECRET"),
    (400, "unauthorized_client", "SMTP_OAUTH_CLIENT_ID"),
    (400, "invalid_scope", "SMTP_OAUTH_SCOPE"), (403, "access_denied", "SMTP_OAUTH_TOKEN_URL")])
def test_a_no_of_the_endpoint_is_final(status, error, mend):
    """S-36: 502 with the endpoint's words, and it is not asked again and again."""
    action = {"status": status, "body": {
        "error": error, "error_description": "AADSTS7000215: no.\r\nTrace \x1b[31m" + "x" * 500}}
    with signed_in([action]) as (gateway, server, relay):
        body = problem(gateway.send(), 502, "relay_auth_failed", "not_sent")
        assert body["retryable"] is False and body["phase"] == "auth"
        assert error in body["detail"] and "AADSTS7000215: no." in body["detail"]
        assert not re.search(r"[\x00-\x1f]|x{200}", body["detail"]) and mend in body["hint"]
        for _ in range(5):
            assert gateway.send().status in (502, 503)
        assert len(server.requests) == 1 and relay.connections == []
        gateway.process.send_signal(signal.SIGHUP)  # "I mended it"
        assert asked(server, 2)


def test_a_no_without_json_is_final():
    with signed_in([{"status": 404, "body": b"not here"}]) as (gateway, _server, _relay):
        body = problem(gateway.send(), 502, "relay_auth_failed", "not_sent")
        assert "404" in body["detail"]


def test_pauses_grow_and_it_recovers_by_itself():
    with signed_in([{"status": 500}] * 3 + [None]) as (gateway, server, _relay):
        assert asked(server, 4)
        gaps = [later - sooner for sooner, later in zip(server.times, server.times[1:])]
        assert gaps[0] > 0.9 and gaps[1] > 1.9 and gaps[2] > 3.8
        assert wait_for(lambda: gateway.log("oauth_token"))
        assert gateway.send().status == 200
        failed = gateway.log("oauth_failed")
        assert len(failed) == 3 and failed[0]["code"] == "relay_auth_temporary"


def test_a_silent_endpoint_is_given_up_and_the_deadline_holds():
    with signed_in([{"then": "stall"}]) as (gateway, _server, relay):
        answer = gateway.send(deadline="1s")
        assert answer.status == 504 and answer["outcome"] == "not_sent", answer
        assert answer["phase"] == "auth"
        body = problem(gateway.send(), 503, "relay_auth_temporary", "not_sent")
        assert "timed out" in body["detail"].lower()
        assert relay.connections == []


def test_nobody_listens_at_the_endpoint():
    with signed_in(url="http://127.0.0.1:1/token") as (gateway, _server, _relay):
        problem(gateway.send(), 503, "relay_auth_temporary", "not_sent")


def test_a_gateway_stops_while_it_fetches():
    with signed_in([{"then": "stall"}]) as (gateway, server, _relay):
        assert asked(server, 1)
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 60


# ---- the way there


def test_the_endpoint_is_asked_over_tls(authority, certificate):
    with signed_in(context=certificate.context(), SSL_CERT_FILE=authority.file) \
            as (gateway, server, _relay):
        assert gateway.send().status == 200 and server.url.startswith("https://")


@pytest.mark.parametrize("fault", ["authority", "name", "expired", "self"])
def test_a_wrong_certificate_gets_no_secret(authority, tmp_path, fault):
    """S-36"""
    made = {"authority": lambda: Authority(tmp_path, "Other").make("127.0.0.1"),
            "name": lambda: authority.make("localhost", "login.example.com"),
            "expired": lambda: authority.make("127.0.0.1", days=(-10, -1)),
            "self": lambda: authority.make("127.0.0.1", self_signed=True)}[fault]()
    with signed_in(context=made.context(), SSL_CERT_FILE=authority.file) \
            as (gateway, server, _relay):
        body = problem(gateway.send(), 503, "relay_auth_temporary", "not_sent")
        assert "certificate" in body["detail"].lower() or "ssl" in body["detail"].lower(), body
        assert server.requests == [] and server.raw == []


def test_proxies_of_the_environment_are_let_be():
    with signed_in(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1",
                   ALL_PROXY="http://127.0.0.1:1") as (gateway, server, _relay):
        assert gateway.send().status == 200 and len(server.requests) == 1


# ---- secrets


def test_no_secret_is_ever_shown():
    """S-39, S-52: not in logs, metrics, traces, problems, whatever the endpoint says."""
    echo = {"status": 400, "body": {"error": "invalid_grant", "error_description":
                                    "the token %s of %s is old" % (REFRESH, SECRET)}}
    seen = []
    script = [{"accounts": False}, {"grant": {"refresh_token": "canary-rotated"}}]
    with signed_in(script, SMTP_OAUTH_REFRESH_TOKEN=REFRESH, SMTP_SESSIONS="1") \
            as (gateway, _server, _relay):
        answer = gateway.send(trace=True)
        assert answer.status == 200 and "AUTH XOAUTH2" in json.dumps(answer.json), answer
        seen += [answer.body.decode(), gateway.get("/metrics").body.decode(),
                 gateway.get("/messages").body.decode()]
    seen.append(gateway.output)
    with signed_in([echo], SMTP_OAUTH_REFRESH_TOKEN=REFRESH) as (gateway, _server, _relay):
        answer = gateway.send(trace=True)
        assert answer.status == 502 and "repeats a secret" in answer["detail"]
        seen.append(answer.body.decode())
    seen.append(gateway.output)
    for text in seen:
        assert "canary" not in text


# ---- lettergate check


def checked(relay, server, **settings):
    return command("check", settings={
        **BASIC, "SMTP_HOST": relay.host, "SMTP_PORT": relay.port, "SMTP_SECURE": "NONE",
        "SMTP_OAUTH_TOKEN_URL": server.url, "API_KEY": KEY, **settings}, timeout=40)


def test_check_shows_the_token():
    with Relay(mechanisms=["XOAUTH2"], tokens={USER: "none"}, auth_in_clear=True) as relay, \
            TokenServer(accounts=relay.accounts, user=USER, prefix="canary") as server:
        done = checked(relay, server)
        assert done.returncode == 0, done.stdout
        assert re.search(r"token .*expires in 1 h", done.stdout), done.stdout
        assert "canary" not in done.stdout + done.stderr
        assert len(relay.auth_attempts) == 1 and len(server.requests) == 1


def test_check_says_why_there_is_none():
    with Relay(mechanisms=["XOAUTH2"], tokens={USER: "none"}, auth_in_clear=True) as relay, \
            TokenServer([REVOKED]) as server:
        done = checked(relay, server, SMTP_OAUTH_REFRESH_TOKEN=REFRESH)
        assert done.returncode == 1
        assert "invalid_grant: It was revoked." in done.stdout
        assert "SMTP_OAUTH_REFRESH_TOKEN" in done.stdout and "canary" not in done.stdout


def test_check_says_that_the_refresh_token_was_changed():
    with Relay(mechanisms=["XOAUTH2"], tokens={USER: "none"}, auth_in_clear=True) as relay, \
            TokenServer([{"grant": {"refresh_token": "canary-rotated"}}], accounts=relay.accounts,
                        user=USER) as server:
        done = checked(relay, server, SMTP_OAUTH_REFRESH_TOKEN=REFRESH)
        assert done.returncode == 0 and "SMTP_OAUTH_REFRESH_TOKEN" in done.stdout
        assert "canary" not in done.stdout


def test_a_check_of_a_running_gateway_uses_its_token():
    """Two that ask with one refresh token would be one too many."""
    rotated = {"grant": {"refresh_token": "canary-rotated"}}
    with signed_in([rotated], SMTP_OAUTH_REFRESH_TOKEN=REFRESH) as (gateway, server, relay):
        assert asked(server, 1)
        answer = gateway.post("/relays/default/check", b"", timeout=60)
        assert answer.status == 200 and answer["sendable"], answer
        token = [step for step in answer["steps"] if step["name"] == "token"]
        assert token[0]["mark"] == "warning" and "SMTP_OAUTH_REFRESH_TOKEN" in token[0]["hint"]
        assert len(server.requests) == 1 and len(relay.auth_attempts) == 1
        assert "canary" not in answer.body.decode()


# ---- what it costs


def test_without_an_endpoint_nothing_is_started():
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200
        assert not gateway.log("oauth_token") and not gateway.log("oauth_failed")


def test_the_session_time_is_not_the_endpoints():
    """A slow endpoint does not eat into SMTP_TIMEOUT_CONNECT."""
    with signed_in([{"delay": 2.0}], SMTP_TIMEOUT_CONNECT=ms(1000)) as (gateway, _server, _relay):
        answer = gateway.send()
        assert answer.status == 200, answer
