"""Several relays: what the settings show of them, and trying them, by command and by HTTP."""

import contextlib
import json
import socket
import threading

import pytest

from gateway import SLOW, Gateway, command, free_port, wait_for
from relay import Relay

SECRET = "planted-password-51c7"


def config(folder, *entries, **more):
    path = folder / "relays.json"
    path.write_text(json.dumps({"relays": list(entries), **more}))
    return str(path)


def entry(name, relay, **more):
    return {"name": name, "host": relay.host, "port": relay.port, "secure": "NONE", **more}


def dead(name):
    return {"name": name, "host": "127.0.0.1", "port": free_port(), "secure": "NONE"}


@contextlib.contextmanager
def silent_entry(name):
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"name": name, "host": "127.0.0.1", "port": server.getsockname()[1], "secure": "NONE"}


def steps(report):
    return {step["name"]: step for step in report["steps"]}


# ---- the commands

def test_each_relay_is_checked(tmp_path):
    with Relay() as one, Relay() as two:
        path = config(tmp_path, entry("one", one), entry("two", two))
        done = command("check", "--config", path)
        assert done.returncode == 0, done
        assert done.stdout.count("A message could be sent: yes") == 2
        assert "one: Relay 127.0.0.1, port %d" % one.port in done.stdout
        assert "two: Relay 127.0.0.1, port %d" % two.port in done.stdout


def test_one_that_fails_is_enough(tmp_path):
    with Relay() as one:
        path = config(tmp_path, dead("broken"), entry("one", one))
        done = command("check", "--config", path)
        assert done.returncode == 1, done
        assert done.stdout.count("A message could be sent: no") == 1
        assert done.stdout.count("A message could be sent: yes") == 1


def test_one_of_them_is_picked(tmp_path):
    with Relay() as one:
        path = config(tmp_path, dead("broken"), entry("one", one))
        done = command("check", "--config", path, "--relay", "one")
        assert done.returncode == 0, done
        assert done.stdout.count("A message could be sent") == 1
        assert command("check", "--config", path, "--relay=broken").returncode == 1
        done = command("check", "--config", path, "--relay", "other")
        assert done.returncode == 2 and "no relay called other" in done.stderr
        assert command("check", "--config", path, "--relay").returncode == 2


def test_settings_show_each_relay(tmp_path):
    path = config(tmp_path, {"name": "a", "host": "a.example", "user": "me", "pass": SECRET},
                  {"name": "b", "url": "smtp://u:%s@b.example:26" % SECRET, "priority": 2},
                  routes=[{"tag": "bulk", "relay": "b"}])
    done = command("settings", "--config", path)
    assert done.returncode == 0, done
    assert SECRET not in done.stdout
    for words in ("RELAY a ", "RELAY b ", "priority 2", "b.example", "tag bulk: b"):
        assert words in done.stdout, words


# ---- GET /relays

def test_relays_are_listed(tmp_path):
    with Relay() as one:
        path = config(tmp_path, entry("one", one), {**dead("two"), "priority": 2})
        with Gateway(args=("--config", path)) as gateway:
            first, second = gateway.get("/relays")["relays"]
            assert (first["name"], first["host"], first["port"], first["state"]) == \
                ("one", "127.0.0.1", one.port, "untried")
            assert second["priority"] == 2
            assert gateway.send().status == 200
            first, second = gateway.get("/relays")["relays"]
            assert first["state"] == "working"
            assert first["sessions"]["idle"] == 1
            assert second["state"] == "untried"


def test_capturing_is_told():
    with Gateway(SMTP_HOST="capture") as gateway:
        (relay,) = gateway.get("/relays")["relays"]
        assert relay["state"] == "capturing"
        assert gateway.post("/relays/default/check", {})["sendable"] is True


# ---- POST /relays/{name}/check

def test_a_relay_is_tried(tmp_path):
    with Relay() as one:
        path = config(tmp_path, entry("one", one), dead("broken"))
        with Gateway(args=("--config", path)) as gateway:
            answer = gateway.request("POST", "/relays/one/check")
            assert answer.status == 200, answer
            assert answer["relay"] == "one"
            assert answer["sendable"] is True and answer["why"] is None
            found = steps(answer.json)
            assert found["EHLO"]["mark"] in ("ok", "warning")
            assert found["connect"]["ms"] >= 0
            answer = gateway.post("/relays/broken/check", {})
            assert answer.status == 200 and answer["sendable"] is False
            assert answer["why"]
            assert steps(answer.json)["connect"]["mark"] == "failed"
            assert steps(answer.json)["connect"]["hint"]
            answer = gateway.post("/relays/other/check", {})
            assert (answer.status, answer["code"]) == (404, "not_found")


def test_a_check_that_goes_well_ends_a_rest(tmp_path):
    """… and it is told as if a message had."""
    port = free_port()
    path = config(tmp_path, {"name": "one", "host": "127.0.0.1", "port": port, "secure": "NONE"})
    with Gateway(args=("--config", path)) as gateway:
        for _ in range(3):
            assert gateway.send().status == 503
        assert gateway.post("/relays/one/check", {})["sendable"] is False
        assert not gateway.log("relay_works_again")
        with Relay(port=port) as one:
            assert gateway.post("/relays/one/check", {})["sendable"] is True
            works = wait_for(lambda: gateway.log("relay_works_again"))
            assert [(line["relay"], line["cause"]) for line in works] == [("one", "failures")]
            assert gateway.get("/relays")["relays"][0]["rest"] is None
            assert gateway.post("/relays/one/check", {})["sendable"] is True
            assert gateway.send().status == 200 and len(one.ledger) == 1
            assert len(gateway.log("relay_works_again")) == 1


def test_a_recipient_is_asked_about(tmp_path):
    with Relay({"rcpt": "550 5.1.1 no such user"}) as one:
        with Gateway(one) as gateway:
            answer = gateway.post("/relays/default/check", {"to": "ann@example.org"})
            assert answer.status == 200 and answer["sendable"] is False
            assert "550" in answer["why"]
            assert gateway.post("/relays/default/check", {})["sendable"] is True


def test_two_checks_at_a_time(tmp_path):
    """The third is told to come again; the others end when the gateway stops, at once."""
    with silent_entry("silent") as silent:
        path = config(tmp_path, silent)
        with Gateway(args=("--config", path), DRAIN_TIMEOUT="60s") as gateway:
            answers = []

            def ask():
                answers.append(gateway.post("/relays/silent/check", {}))
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            assert wait_for(lambda: answers)
            assert (answers[0].status, answers[0]["code"]) == (503, "overloaded")
            assert answers[0].headers["Retry-After"]
            gateway.stop()
            for thread in threads:
                thread.join(20 * SLOW)
            assert [answer.status for answer in answers[1:]] == [200, 200]
            for answer in answers[1:]:
                assert answer["sendable"] is False and "stopping" in answer["why"]


def test_a_check_ends_in_time(tmp_path):
    with silent_entry("silent") as silent:
        path = config(tmp_path, silent)
        with Gateway(args=("--config", path), SEND_DEADLINE="300ms") as gateway:
            answer = gateway.post("/relays/silent/check", {})
            assert answer.status == 200, answer
            assert answer["sendable"] is False and "SEND_DEADLINE" in answer["why"]


@pytest.mark.parametrize("method,path", [("GET", "/relays"), ("POST", "/relays/default/check")])
def test_on_the_admin_listener_only(method, path):
    port = free_port()
    with Gateway(SMTP_HOST="capture", HTTP_ADMIN_LISTEN="127.0.0.1:%d" % port) as gateway:
        assert gateway.request(method, path).status == 404
        public, gateway.port = gateway.port, port
        assert gateway.request(method, path).status == 200
        assert gateway.request(method, path, key=None).status == 401
        gateway.port = public
