"""Tokens that come late: rests that end with them, relays that are taken away meanwhile, what is counted."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet
from gateway import metric, wait_for
from relay import Relay
from test_oauth import BASIC, REVOKED, asked, problem, signed_in
from token_server import TokenServer


def rest_of(gateway):
    return gateway.get("/relays")["relays"][0]["rest"]


# ---- a rest for want of a token


def test_a_rest_for_want_of_a_token_ends_with_it():
    """The relay was never asked, so it is not waited for."""
    with signed_in([{"status": 503}]) as (gateway, server, relay):
        for _ in range(3):
            assert gateway.send().status == 503
        assert rest_of(gateway)["cause"] == "failures"
        server.script = []
        works = wait_for(lambda: gateway.log("relay_works_again"), 60)
        assert [(line["relay"], line["cause"]) for line in works] == [("default", "failures")]
        assert relay.connections == [], "it was not a probe that ended it"
        assert rest_of(gateway) is None
        assert gateway.send().status == 200
        assert len(gateway.log("relay_works_again")) == 1


def test_what_the_endpoint_refused_and_somebody_mended_ends_the_rest():
    """A minute or more, otherwise, after a reload that got a token at once."""
    with signed_in([REVOKED]) as (gateway, server, relay):
        problem(gateway.send(), 502, "relay_auth_failed", "not_sent")
        assert rest_of(gateway)["cause"] == "auth"
        server.script = []
        gateway.process.send_signal(signal.SIGHUP)
        assert [line["cause"] for line in wait_for(lambda: gateway.log("relay_works_again"))] == ["auth"]
        assert relay.connections == []
        assert gateway.send().status == 200


def test_sessions_that_are_kept_ready_are_opened_with_it():
    with signed_in([{"status": 503}], SMTP_MIN_SESSIONS="2") as (gateway, server, relay):
        assert wait_for(lambda: gateway.log("session_failed"))
        server.script = []
        assert wait_for(lambda: len(relay.auth_attempts) == 2, 60)
        assert gateway.send().status == 200


def test_a_refusal_by_the_relay_is_not_ended_by_a_token():
    """S-37: another token, and another login with it, would go on and on."""
    with signed_in(relay_script={"auth": "535 5.7.3 no"}, expires_in=3, SMTP_SESSIONS="1") \
            as (gateway, server, relay):
        problem(gateway.send(), 502, "relay_auth_failed", "not_sent")
        assert len(relay.auth_attempts) == 2
        gateway.process.send_signal(signal.SIGHUP)  # fetches anew
        assert asked(server, 3)
        assert wait_for(lambda: len(gateway.log("oauth_token")) == 3)
        assert gateway.send().status in (502, 503)
        assert rest_of(gateway)["cause"] == "auth" and not gateway.log("relay_works_again")
        assert len(relay.auth_attempts) == 2


# ---- a relay that is taken away while its token is being fetched


@pytest.mark.parametrize("silence", [{"then": "stall"}, {"delay": 3.0}], ids=["stall", "late"])
def test_a_reload_that_removes_it_holds_up_nobody(tmp_path, silence):
    """Whoever lets go of the relay last does not wait for the endpoint."""
    with Relay() as plain, Relay(mechanisms=["XOAUTH2"], auth_in_clear=True) as other, \
            TokenServer([{"grant": {"expires_in": 3}}, silence]) as server:
        entry = {"user": BASIC["SMTP_USER"], "oauth_token_url": server.url,
                 "oauth_client_id": "client-1", "oauth_client_secret": "hush", "priority": 5}
        both = [("plain", plain, {}), ("token", other, entry)]
        with Fleet(tmp_path, both) as gateway:
            answers, over = [], threading.Event()

            def go_on():
                while not over.is_set():
                    answers.append(gateway.send())
            sender = threading.Thread(target=go_on)
            sender.start()
            assert asked(server, 2)  # under way, and silent
            gateway.reload([("plain", plain, {})])
            count = len(answers)
            assert wait_for(lambda: len(answers) > count + 20)
            over.set()
            sender.join()
            assert {answer.status for answer in answers} == {200}
            assert set(gateway.relays()) == {"plain"}
            assert len(plain.ledger) == len(answers)
            gateway.reload(both)  # a new one, beside the one that is not over yet
            assert asked(server, 3)
        assert not gateway.log("oauth_failed"), "what was broken off is no failure"


def test_a_reload_while_its_token_comes_is_no_failure():
    """What waits does so at the new relay, and goes when the token is there; nobody rests for it."""
    with ThreadPoolExecutor(4) as pool, signed_in([{"delay": 4.0}]) as (gateway, _, relay):
        sends = [pool.submit(gateway.send, deadline="50s", timeout=60) for _ in range(4)]
        assert wait_for(lambda: gateway.get("/relays")["relays"][0]["sessions"]["opening"] >= 1)
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: any(line["reason"] == "drain" for line in gateway.log("session_closed")))
        assert [send.result().status for send in sends] == [200] * 4
        assert not gateway.log("session_failed") and not gateway.log("relay_rests")
        assert not gateway.get("/relays")["relays"][0].get("last_error")
        assert not metric(gateway.get("/metrics", key=None).body.decode(),
                          "lettergate_smtp_sessions_closed_total", reason="failed")
        assert len(relay.ledger) == 4


def test_a_token_that_comes_too_late_opens_nothing(tmp_path):
    """The relay is none any more when its token is there: nobody logs in at it."""
    with Relay() as plain, Relay(mechanisms=["XOAUTH2"], auth_in_clear=True) as other, \
            TokenServer([{"delay": 2.0}]) as server:
        entry = {"user": BASIC["SMTP_USER"], "oauth_token_url": server.url, "min_sessions": 1,
                 "oauth_client_id": "client-1", "oauth_client_secret": "hush", "priority": 5}
        with Fleet(tmp_path, [("plain", plain, {}), ("token", other, entry)]) as gateway:
            assert asked(server, 1)
            assert wait_for(lambda: gateway.relays()["token"]["sessions"]["opening"] == 1)
            gateway.reload([("plain", plain, {})])
            assert wait_for(lambda: server.at_once == 0)
            time.sleep(1)
            assert gateway.send().status == 200
        assert other.connections == []


def test_many_reloads_leave_no_threads_behind(tmp_path):
    def threads():
        with open("/proc/%d/status" % gateway.pid, encoding="ascii") as status:
            return int(dict(line.split(":", 1) for line in status)["Threads"])

    with Relay() as plain, TokenServer() as server:
        entry = {"user": BASIC["SMTP_USER"], "oauth_token_url": server.url, "auth": "xoauth2",
                 "oauth_client_id": "client-1", "oauth_client_secret": "hush", "priority": 5}
        with Fleet(tmp_path, [("plain", plain, {})]) as gateway:
            before = threads()
            for count in range(5):
                gateway.reload([("plain", plain, {}), ("token", plain, entry)])
                assert asked(server, count + 1)
                gateway.reload([("plain", plain, {})])
            assert gateway.send().status == 200
            assert wait_for(lambda: threads() <= before)


# ---- what is counted


def refreshes(gateway):
    text = gateway.get("/metrics").body.decode()
    return {result: metric(text, "lettergate_oauth_refreshes_total", relay="default", result=result)
            for result in ("granted", "refused", "failed")}


def test_refreshes_are_counted_by_what_came_of_them():
    with signed_in([{"status": 500}, REVOKED, {"grant": {"expires_in": 3600}}]) \
            as (gateway, server, _relay):
        assert asked(server, 2)
        assert wait_for(lambda: refreshes(gateway) == {"granted": 0, "refused": 1, "failed": 1})
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: refreshes(gateway) == {"granted": 1, "refused": 1, "failed": 1})
        assert "canary" not in json.dumps(refreshes(gateway))


def test_without_an_endpoint_there_is_nothing_to_count(tmp_path):
    with Relay() as relay, Fleet(tmp_path, [("one", relay, {})]) as gateway:
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_oauth_refreshes_total") is None
