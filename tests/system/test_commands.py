"""The commands: first steps, the troubleshooter, settings and their mistakes."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from gateway import (BINARY, KEY, PACE, SLOW, Gateway, clean_environment, command, free_port, mail, ms,
                     wait_for)
from relay import Relay


# ---- development mode

def test_the_printed_curl_line_works_as_it_is_printed(tmp_path):
    """`serve --dev`: captured, listed, readable, end to end."""
    if not shutil.which("curl"):
        pytest.skip("curl is not here")
    port = free_port()
    gateway = Gateway(None, key=None, wait=False, cwd=tmp_path,
                      args=("--dev", "--listen", "127.0.0.1:%d" % port), HTTP_LISTEN=None,
                      API_KEY=None, SMTP_EHLO_NAME=None)
    gateway.port = port
    with gateway:
        gateway.wait_ready()
        assert wait_for(lambda: [line for line in gateway.lines if line.startswith("curl ")]), gateway.output
        (line,) = [line for line in gateway.lines if line.startswith("curl ")]
        gateway.key = re.search(r"Bearer (\S+?)'", line).group(1)
        assert len(gateway.key) >= 40
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=20 * SLOW,
                              check=False)
        answer = json.loads(done.stdout)
        assert done.returncode == 0 and answer["outcome"] == "captured", done
        assert str(port) in line
        (listed,) = gateway.get("/messages").json["messages"]
        assert listed["id"] == answer["id"] and listed["state"] == "captured"
        raw = gateway.get("/messages/%s/raw" % answer["id"])
        assert raw.status == 200 and raw.headers["Content-Type"] == "message/rfc822"
        assert (tmp_path / "lettergate-dev" / "queue.db").exists() and "./lettergate-dev" in gateway.output
        assert answer["message_id"].encode() in raw.body and b"\r\n\r\n" in raw.body
        assert gateway.send(key="some-other-key-000000").status == 401


def test_captured_messages_are_kept_apart_by_smtp_host_capture():
    with Gateway(None, SMTP_HOST="capture") as gateway:
        answers = [gateway.send(subject="m%d" % n, tags=["t"]) for n in range(3)]
        assert [(a.status, a["outcome"]) for a in answers] == [(200, "captured")] * 3
        listed = gateway.get("/messages").json["messages"]
        assert [m["id"] for m in listed] == [a["id"] for a in reversed(answers)]
        first = gateway.get("/messages?limit=2").json
        assert len(first["messages"]) == 2 and first["cursor"]
        rest = gateway.get("/messages?limit=2&cursor=" + first["cursor"]).json
        assert [m["id"] for m in rest["messages"]] == [answers[0]["id"]] and rest["cursor"] is None
        assert gateway.get("/messages?recipient=ann@example.org&state=captured").json["messages"]
        assert not gateway.get("/messages?recipient=nobody@example.org").json["messages"]
        assert b"Subject: m1" in gateway.get("/messages/%s/raw" % answers[1]["id"]).body


# ---- settings

@pytest.mark.parametrize("name,value,right", [
    ("SMTP_PASWORD", "x", "SMTP_PASS"), ("SMTP_PASSWORD", "x", "SMTP_PASS"), ("SMPT_HOST", "x", "SMTP_HOST"),
    ("SMTP_PROT", "25", "SMTP_PORT"), ("SMTP_SECURITY", "TLS", "SMTP_SECURE"), ("HTTP_LISTENS", "x", "HTTP_LISTEN"),
    ("API_KEY_FILES", "x", "API_KEY"), ("MAX_INFLIGHT", "5", "MAX_IN_FLIGHT"), ("SMTP_TIMEOUT_CONECT", "5s",
                                                                             "SMTP_TIMEOUT_CONNECT"),
    ("LOG_LEVLE", "info", "LOG_LEVEL"), ("DRAIN_TIMOUT", "1s", "DRAIN_TIMEOUT"), ("SMTP_PAS_FILE", "/x", "SMTP_PASS")])
def test_a_name_that_is_nearly_one_of_ours_is_named_right(name, value, right):
    """Exit 2, one line that names the setting and the mend."""
    done = command("serve", settings={"SMTP_HOST": "127.0.0.1", "API_KEY": KEY, name: value})
    assert done.returncode == 2, done
    assert name in done.stderr and right in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name,value", [
    ("SMTP_PORT", "seven"), ("SMTP_PORT", "0"), ("SMTP_PORT", "65536"), ("SMTP_SECURE", "MAYBE"),
    ("SMTP_SESSIONS", "-1"), ("SMTP_TIMEOUT_DOT", "5 minutes"), ("HTTP_MAX_BODY", "lots"), ("HTTP_LISTEN", "8080"),
    ("HTTP_LISTEN", "127.0.0.1:99999"), ("SMTP_TLS_PIN", "sha1/x"), ("SMTP_TLS_MIN", "1.1"),
    ("SMTP_CA_FILE", "/nonexistent/ca.pem"), ("SMTP_PASS_FILE", "/nonexistent/pass"), ("LOG_LEVEL", "loud"),
    ("HTTP_TLS_CERT", "/nonexistent"), ("SMTP_EHLO_NAME", "a b"), ("SMTP_HOST", "a\r\nb"), ("SMTP_URL", "http://x"),
    ("SMTP_CLIENT_CERT", "-----BEGIN NONSENSE-----"), ("API_KEYS_FILE", "/nonexistent/keys"),
    ("SEND_DEADLINE", "forever"), ("STORE", "mysql://x")])
def test_a_value_that_cannot_be_is_refused_with_its_name(name, value):
    settings = {"API_KEY": KEY, "SMTP_HOST": "127.0.0.1", "HTTP_LISTEN": "127.0.0.1:%d" % free_port(), name: value}
    if name == "SMTP_URL":
        del settings["SMTP_HOST"]
    if name == "API_KEYS_FILE":
        del settings["API_KEY"]
    done = command("serve", settings=settings)
    assert done.returncode == 2, done
    assert name in done.stderr and len(done.stderr.strip().splitlines()) == 1, done


def test_a_kubernetes_service_link_is_explained():
    """Section 2: SMTP_PORT=tcp://10.0.0.1:25 comes from a service called smtp."""
    done = command("serve", settings={"SMTP_HOST": "127.0.0.1", "API_KEY": KEY,
                                      "SMTP_PORT": "tcp://10.96.0.12:25"})
    assert done.returncode == 2 and "enableServiceLinks" in done.stderr, done
    with Relay() as relay, Gateway(relay, SMTP_SERVICE_HOST="10.0.0.1", SMTP_PORT_25_TCP="tcp://10.0.0.1:25",
                                   SMTP_PORT_25_TCP_ADDR="10.0.0.1", HTTP_PROXY="http://x:1",
                                   NO_PROXY="x") as gateway:
        assert gateway.send().status == 200


def test_any_setting_may_stand_in_a_file(tmp_path):
    """X_FILE; a trailing line end is none of the value."""
    for name, value in (("key", KEY), ("host", "127.0.0.1"), ("pass", "secret word")):
        (tmp_path / name).write_text(value + "\n")
    with Relay(users={"me": "secret word"}, auth_in_clear=True, mechanisms=["PLAIN"]) as relay, \
            Gateway(relay, API_KEY=None, API_KEY_FILE=tmp_path / "key", SMTP_HOST=None,
                    SMTP_HOST_FILE=tmp_path / "host", SMTP_USER="me", SMTP_PASS_FILE=tmp_path / "pass") as gateway:
        assert gateway.send().status == 200
        assert relay.ledger[0].user == "me"
    done = command("serve", settings={"API_KEY": KEY, "API_KEY_FILE": tmp_path / "key", "SMTP_HOST": "x"})
    assert done.returncode == 2 and "API_KEY_FILE" in done.stderr


def test_file_environment_and_flags_in_this_order(tmp_path):
    """Section 1: later wins."""
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"send_deadline": "11s", "log_level": "warn", "max_in_flight": 7}))
    done = command("settings", "--config", str(config), "--set", "LOG_LEVEL=error",
                   settings={"SEND_DEADLINE": "12s", "LOG_LEVEL": "debug"})
    assert done.returncode == 0, done
    for name, value in (("MAX_IN_FLIGHT", "7"), ("SEND_DEADLINE", "12s"), ("LOG_LEVEL", "error")):
        assert re.search(r"(?m)^%s\s+%s\b" % (name, value), done.stdout), (name, done.stdout)


def test_settings_prints_every_one_with_its_meaning():
    done = command("settings", settings={"SMTP_HOST": "relay.example", "SMTP_USER": "me", "SMTP_PASS": "verysecret"})
    assert done.returncode == 0, done
    for name in ("SMTP_HOST", "SMTP_PORT", "SMTP_PASS", "SMTP_TLS_PIN", "HTTP_LISTEN", "API_KEYS_FILE", "MAX_IN_FLIGHT",
                 "SEND_DEADLINE", "LOG_ADDRESSES", "DRAIN_TIMEOUT", "HTTP_TIMEOUT_HEADERS", "SMTP_ONE_WRITE"):
        assert re.search(r"(?m)^%s\b" % name, done.stdout), name
    assert "verysecret" not in done.stdout and "relay.example" in done.stdout
    assert "587" in done.stdout


# ---- small commands

def test_version_and_help():
    done = command("version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)
    for words in (["--help"], ["serve", "--help"], ["check", "--help"], ["keys", "--help"], ["send", "--help"],
                  ["settings", "--help"], ["health", "--help"]):
        done = command(*words)
        assert done.returncode == 0 and len(done.stdout) > 40, (words, done)
        if len(words) == 2:
            assert words[0] in done.stdout


@pytest.mark.parametrize("args", [[], ["nonsense"], ["--nonsense"], ["serve", "--nonsense"],
                                  ["serve", "stray"], ["check", "--to"], ["send", "--file"]])
def test_wrong_usage_exits_2(args):
    done = command(*args, settings={"SMTP_HOST": "127.0.0.1", "API_KEY": KEY})
    assert done.returncode == 2 and done.stderr.strip(), done


def test_health_asks_the_local_gateway(authority):
    with Relay() as relay, Gateway(relay) as gateway:
        assert command("health", settings=gateway.settings).returncode == 0
        settings = dict(gateway.settings)
    done = command("health", settings=settings)
    assert done.returncode == 1 and "not ready" in done.stdout + done.stderr, done
    mine = authority.make("127.0.0.1")
    from gateway import tls_client
    with Relay() as relay, Gateway(relay, context=tls_client(authority.file), HTTP_TLS_CERT=mine.cert_file,
                                   HTTP_TLS_KEY=mine.key_file) as gateway:
        assert command("health", settings=gateway.settings).returncode == 0


def test_health_on_a_unix_socket_and_while_draining(tmp_path):
    with Relay({"dot": {"delay": 2 * PACE}}) as relay:
        gateway = Gateway(relay, unix=tmp_path / "s", DRAIN_DELAY=ms(3000))
        try:
            assert command("health", settings=gateway.settings).returncode == 0
            gateway.terminate()
            assert wait_for(lambda: command("health", settings=gateway.settings).returncode == 1, 2.5)
            assert gateway.wait() == 0
        finally:
            gateway.kill()


def test_send_from_a_script(tmp_path):
    """`lettergate send`: a file or standard input, exit code by the outcome."""
    file = tmp_path / "mail.json"
    file.write_text(json.dumps(mail(subject="from a file")))
    with Relay({"rcpt:no@example.org": "550 5.1.1 no such user"}) as relay, Gateway(relay) as gateway:
        settings = {"LETTERGATE_URL": gateway.url, "LETTERGATE_KEY": KEY}
        done = command("send", "--file", str(file), settings=settings)
        assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "accepted", done
        done = command("send", settings=settings, text=json.dumps(mail(to="no@example.org")))
        assert done.returncode == 1 and "no such user" in done.stdout + done.stderr, done
        done = command("send", settings={**settings, "LETTERGATE_KEY": "wrong-key-0000000000"},
                       text=json.dumps(mail()))
        assert done.returncode == 1 and "401" in done.stdout + done.stderr or "key" in done.stderr.lower(), done
        assert [t.mail for t in relay.ledger] == ["shop@example.com"]
    done = command("send", settings=settings, text=json.dumps(mail()))
    assert done.returncode == 1 and done.stderr.strip(), done


# ---- check

def check(relay=None, *args, **settings):
    found = {"SMTP_TIMEOUT_CONNECT": ms(2000), "SMTP_TIMEOUT_COMMAND": ms(2000)}
    if relay:
        found.update({"SMTP_HOST": relay.host, "SMTP_PORT": relay.port,
                      "SMTP_SECURE": {None: "NONE", "starttls": "STARTTLS", "implicit": "TLS"}[relay.tls]})
    found.update(settings)
    return command("check", *args, settings=found)


def says(done, *words, code=1):
    assert done.returncode == code, done
    text = (done.stdout + done.stderr).lower()
    for word in words:
        assert word.lower() in text, (word, done.stdout, done.stderr)


def test_check_walks_through_every_step(certificate, authority):
    with Relay(tls="starttls", context=certificate.context(), users={"me": "secret"}) as relay:
        done = check(relay, "--to", "ann@example.org", SMTP_USER="me", SMTP_PASS="secret",
                     SMTP_CA_FILE=authority.file)
        says(done, "127.0.0.1", "EHLO", "STARTTLS", "TLSv1.3", "AUTH", "MAIL", "RCPT", "ms", code=0)
        assert certificate.pin in done.stdout, "the pin to copy"
        assert "secret" not in done.stdout
        assert relay.ledger == [] and relay.commands("RCPT") and relay.commands("RSET")
        assert relay.wait(lambda: relay.connections[0].ended == "quit")
        done = check(relay, SMTP_USER="me", SMTP_PASS="secret", SMTP_CA_FILE=authority.file)
        assert done.returncode == 0 and len(relay.commands("MAIL")) == 1


def test_check_on_a_wrong_password(certificate, authority):
    with Relay(tls="starttls", context=certificate.context(), users={"me": "secret"}) as relay:
        done = check(relay, SMTP_USER="me", SMTP_PASS="wrong", SMTP_CA_FILE=authority.file)
        says(done, "535", "SMTP_PASS")
        assert len(relay.auth_attempts) == 1


def test_check_on_a_wrong_port_and_a_relay_that_is_down():
    says(check(SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE"), "refused", "SMTP_PORT")


def test_check_on_a_port_that_speaks_something_else():
    with Relay({"greeting": {"raw": b"HTTP/1.1 400 Bad Request\r\n\r\n", "then": "close"}}) as relay:
        says(check(relay), "HTTP", "SMTP_PORT")
    with Relay({"greeting": {"raw": b"SSH-2.0-OpenSSH_9.2\r\n", "then": "close"}}) as relay:
        says(check(relay), "SSH", "SMTP_PORT")


def test_check_on_a_tls_port_without_tls_and_the_other_way_round(certificate, authority):
    with Relay(tls="implicit", context=certificate.context()) as relay:
        says(check(relay, SMTP_SECURE="STARTTLS", SMTP_CA_FILE=authority.file), "TLS", "SMTP_SECURE")
    with Relay(tls="starttls", context=certificate.context()) as relay:
        says(check(relay, SMTP_SECURE="TLS", SMTP_CA_FILE=authority.file), "STARTTLS", "SMTP_SECURE")


def test_check_on_a_relay_without_starttls():
    with Relay() as relay:
        says(check(relay, SMTP_SECURE="STARTTLS"), "STARTTLS", "SMTP_SECURE")


def test_check_on_certificates(authority):
    """Names, issuer, expiry, and the pin that would mend it."""
    for made, words in ((authority.make("other.test"), ["other.test", "SMTP_TLS_NAME"]),
                        (authority.make("127.0.0.1", days=(-9, -1)), ["expired"]),
                        (authority.make("127.0.0.1", self_signed=True), ["self", "SMTP_TLS_PIN"])):
        with Relay(tls="starttls", context=made.context()) as relay:
            done = check(relay, SMTP_CA_FILE=authority.file)
            says(done, *words)
            assert made.pin in done.stdout + done.stderr
    with Relay(tls="starttls", context=authority.make("127.0.0.1").context()) as relay:
        says(check(relay), "SMTP_CA_FILE")
        certificate = authority.make("x.test", self_signed=True)
        relay.context = certificate.context()
        says(check(relay, SMTP_TLS_PIN=certificate.pin), code=0)
        says(check(relay, SMTP_TLS_PIN=authority.make("y.test").pin), "pin")


def test_check_on_an_unknown_recipient_or_sender():
    with Relay({"rcpt": "550 5.1.1 <x@example.org>: user unknown"}) as relay:
        says(check(relay, "--to", "x@example.org"), "550", "user unknown")
    with Relay({"mail": "553 5.7.1 sender not owned"}) as relay:
        says(check(relay, "--to", "x@example.org"), "553")


def test_check_on_a_name_that_does_not_exist_and_silence():
    says(check(SMTP_HOST="no-such-relay.invalid", SMTP_SECURE="NONE"), "no-such-relay.invalid", "SMTP_HOST")
    with Relay({"greeting": {"reply": "", "then": "stall"}}) as relay:
        began = time.monotonic()
        says(check(relay), "greeting")
        assert time.monotonic() - began < 15 * SLOW


def test_check_on_missing_or_wrong_settings():
    done = command("check")
    assert done.returncode == 2 and "SMTP_HOST" in done.stderr, done
    with Relay() as relay:
        assert check(relay, "--relay", "nonsense").returncode == 2
        assert check(relay, "--to", "not an address").returncode == 2


# ---- systemd

def test_sockets_that_are_passed_in_are_used():
    """LISTEN_FDS: in place of HTTP_LISTEN."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(100)
    port = listener.getsockname()[1]
    starter = ("import os,sys; os.dup2(%d, 3); os.set_inheritable(3, True); "
               "os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'; "
               "os.execv(sys.argv[1], sys.argv[1:])" % listener.fileno())
    with Relay() as relay:
        gateway = Gateway(relay, wrap=(sys.executable, "-c", starter), pass_fds=(listener.fileno(),),
                          wait=False, HTTP_LISTEN="127.0.0.1:%d" % free_port())
        gateway.port = port
        listener.close()
        with gateway:
            gateway.wait_ready()
            assert gateway.send().status == 200


def test_it_is_ready_soon_and_small():
    """Section 9, with generous bounds: the figures are the benchmark's."""
    from gateway import resident_kb
    with Relay() as relay:
        began = time.monotonic()
        with Gateway(relay) as gateway:
            assert time.monotonic() - began < 3 * SLOW
            if SLOW == 1:
                assert resident_kb(gateway.pid, "RssAnon") < 20 * 1024


def test_the_child_environment_is_not_needed():
    """Started with nothing but the settings: no HOME, no PATH, closed standard input."""
    port = free_port()
    process = subprocess.Popen([BINARY, "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               env={name: value for name, value in clean_environment(
                                   {"SMTP_HOST": "capture", "API_KEY": KEY,
                                    "HTTP_LISTEN": "127.0.0.1:%d" % port}).items()
                                    if name not in ("HOME", "PATH")})
    try:
        def up():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        assert wait_for(up)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20 * SLOW) == 0
    finally:
        process.kill()
