"""What is written down, and what never is (faults S-39, S-52, S-53)."""

import base64
import json
import os
import re
import subprocess

import pytest

from gateway import BINARY, Gateway, command, free_port, metric, together, wait_for
from relay import Relay

CANARY = "c4n4ry-p4ssw0rd-9Zx"
TOKEN = "c4n4ry-t0ken-77Qy"
API_KEY = "c4n4ry-api-key-31Lm"


def forms(secret):
    """The ways in which it could show."""
    plain = secret.encode()
    found = {secret, base64.b64encode(plain).decode(), plain.hex()}
    for prefix in (b"\0me\0", b"user=me\1auth=Bearer ", b"x", b"xy"):
        found.add(base64.b64encode(prefix + plain).decode().rstrip("=")[len(prefix) * 2:-2])
    return {form for form in found if len(form) > 12}


def all_that_is_shown(gateway, answers):
    shown = [answer.body.decode() + str(answer.headers) for answer in answers]
    shown += [gateway.get(path).body.decode() for path in (
        "/metrics", "/readyz", "/healthz", "/messages?limit=500")]
    gateway.stop()
    return "\n".join(shown) + gateway.output


@pytest.mark.parametrize("fault", [None, "535 5.7.8 wrong: " + CANARY, "535-5.7.8 no\n535 5.7.8 no",
                                   "454 4.7.0 later"])
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256", "cram-md5"])
def test_passwords_are_nowhere(certificate, authority, mechanism, fault):
    """S-39: not in logs, metrics, answers, traces, records; also where the relay says them back."""
    script = {"auth": fault} if fault else None
    with Relay(script, tls="starttls", context=certificate.context(), users={"me": CANARY},
               mechanisms=[mechanism.upper()]) as relay:
        gateway = Gateway(relay, key=API_KEY, SMTP_USER="me", SMTP_PASS=CANARY, SMTP_AUTH=mechanism,
                          SMTP_CA_FILE=authority.file, LOG_LEVEL="debug", LOG_ADDRESSES="full")
        try:
            answers = [gateway.send(trace=True), gateway.send(), gateway.send(key="wrong-" + API_KEY)]
            assert (answers[0].status == 200) is (fault is None), answers[0]
            if fault is None:
                trace = "\n".join(answers[0]["trace"])
                assert "> AUTH %s" % mechanism.upper() in trace or "AUTH" not in trace
            shown = all_that_is_shown(gateway, answers)
            for form in forms(CANARY) | forms(API_KEY):
                if fault and CANARY in fault and form == CANARY:
                    continue  # the relay's own words: escaped below, not ours to know
                assert form not in shown, form
        finally:
            gateway.kill()


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_tokens_are_nowhere(mechanism):
    """S-39"""
    with Relay(tokens={"me": TOKEN}, auth_in_clear=True, mechanisms=[mechanism.upper()]) as relay:
        for token in (TOKEN, TOKEN + "wrong"):
            gateway = Gateway(relay, SMTP_USER="me", SMTP_OAUTH_TOKEN=token, SMTP_AUTH=mechanism)
            try:
                shown = all_that_is_shown(gateway, [gateway.send(trace=True)])
                for form in forms(token):
                    assert form not in shown, form
            finally:
                gateway.kill()


def test_secrets_are_not_in_messages_about_settings(tmp_path, authority):
    """S-39: `settings`, errors at the start, --help."""
    mine = authority.make("x.test")
    secret_url = "smtp://me:%s@127.0.0.1:25?secure=NONE" % CANARY
    for args, settings in (
            (["settings"], {"SMTP_USER": "me", "SMTP_PASS": CANARY, "API_KEY": API_KEY,
                            "HTTP_TLS_KEY": mine.key_file, "HTTP_TLS_CERT": mine.cert_file}),
            (["settings"], {"SMTP_URL": secret_url}),
            (["settings"], {"SMTP_USER": "me", "SMTP_OAUTH_TOKEN": TOKEN}),
            (["serve"], {"SMTP_URL": secret_url, "SMTP_PROT": "x", "API_KEY": API_KEY}),
            (["serve"], {"SMTP_URL": secret_url.replace("?", "?nonsense=1&"), "API_KEY": API_KEY}),
            (["serve"], {"SMTP_PASS": CANARY, "API_KEY": API_KEY, "SMTP_HOST": "x"}),
            (["serve", "--set", "SMTP_PAS=" + CANARY], {"API_KEY": API_KEY}),
            (["check"], {"SMTP_URL": "smtp://me:%s@127.0.0.1:%d?secure=NONE" % (CANARY, free_port())})):
        done = command(*args, settings=settings)
        for form in forms(CANARY) | forms(TOKEN) | forms(API_KEY):
            assert form not in done.stdout + done.stderr, done
        assert "PRIVATE KEY" not in done.stdout + done.stderr


SOMEBODY = 12345
AS_SOMEBODY = ("setpriv", "--reuid=%d" % SOMEBODY, "--regid=%d" % SOMEBODY, "--clear-groups") \
    if os.getuid() == 0 else ()


def what_its_own_user_sees(pid, name):
    """May another process of the same user read a file of /proc/PID?"""
    done = subprocess.run([*AS_SOMEBODY, "cat", "/proc/%d/%s" % (pid, name)], capture_output=True,
                          check=False)
    return done.returncode == 0, done.stdout


def test_no_core():
    """S-39: RLIMIT_CORE 0, neither the soft limit nor the hard one lets a core file be."""
    with Relay() as relay, Gateway(relay, wrap=("prlimit", "--core=unlimited")) as gateway:
        with open("/proc/%d/limits" % gateway.pid, encoding="ascii") as limits:
            assert re.search(r"Max core file size +0 +0 ", limits.read())


def test_no_other_process_of_its_user_looks_into_it():
    """S-39: not dumpable, so that its files in /proc belong to root, and nobody attaches to it."""
    if subprocess.run([*AS_SOMEBODY, BINARY, "version"], capture_output=True, check=False).returncode:
        pytest.skip("another user cannot run the binary where it lies")
    with subprocess.Popen([*AS_SOMEBODY, "sleep", "60"]) as usual:
        try:  # the test's own footing: another program can be looked into
            assert wait_for(lambda: what_its_own_user_sees(usual.pid, "cmdline")[1] == b"sleep\x0060\x00")
            assert what_its_own_user_sees(usual.pid, "environ")[0]
        finally:
            usual.kill()
    with Relay() as relay, Gateway(relay, wrap=AS_SOMEBODY, SMTP_USER="me", SMTP_PASS=CANARY) as gateway:
        with open("/proc/%d/status" % gateway.pid, encoding="ascii") as status:
            assert {int(uid) for uid in re.search(r"Uid:(.*)", status.read()).group(1).split()} == {
                SOMEBODY if AS_SOMEBODY else os.getuid()}
        for name in ("environ", "mem", "maps"):
            assert os.stat("/proc/%d/%s" % (gateway.pid, name)).st_uid == 0
            assert what_its_own_user_sees(gateway.pid, name) == (False, b"")


NASTY = ["a\x1b[31m", "line\r\n{\"event\":\"forged\"}", "quote\"}{\"x\":\"", "back\\slash", "\u2028u",
         "</script>", "%s%n%x", "${jndi:ldap://x}", "\ufeff\u202e"]


def test_log_lines_are_json_and_nothing_in_them_is_forged():
    """S-52: whatever clients and relays say."""
    with Relay({"rcpt": b"550 5.1.1 \x1b[2J\"}{\"event\":\"forged\"} \xff\xfe\x85 %s\r\n"}) as relay, \
            Gateway(relay, LOG_ADDRESSES="full") as gateway:
        for value in NASTY:
            gateway.send(subject=value, tags=[value], headers={"traceparent": "x"})
            gateway.send({"to": [{"name": value, "address": '"%s"@example.org' % value}]})
            gateway.send({"to": "user+%s@example.org" % value})
            gateway.request("GET", "/nothing", headers={"User-Agent": "x" + value.encode(
                "ascii", "ignore").decode().replace("\r", "").replace("\n", "").replace("\x1b", "")})
            gateway.raw(b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                        % value.encode().replace(b"\r\n", b"%0d%0a").replace(b" ", b"%20"))
        gateway.stop()
        assert len(gateway.lines) > 20
        for line in gateway.lines:
            parsed = json.loads(line)
            assert parsed.get("event") != "forged"
            assert not re.search(r"[\x00-\x1f\x7f\x80-\x9f\udc80-\udcff]", line), repr(line)


def test_a_send_is_one_line_with_what_an_operator_asks_for():
    """Section 2 and the issue: request id, key id, message id, relay, outcome, phase, times."""
    with Relay({"rcpt:no@example.org": "550 5.1.1 unknown"}) as relay, Gateway(relay) as gateway:
        good, bad = gateway.send(), gateway.send(to="no@example.org")
        assert wait_for(lambda: len(gateway.log("send")) == 2), gateway.output
        first, second = gateway.log("send")
        for line, answer in ((first, good), (second, bad)):
            assert line["request_id"] == answer.headers["X-Request-Id"]
            assert line["id"] == answer["id"] and line["message_id"] == answer["message_id"]
            assert line["relay"] == "default" and line["outcome"] == answer["outcome"]
            assert line["level"] in ("info", "warn") and re.match(r"20\d\d-\d\d-\d\dT", line["time"])
            assert any(name == "ms" or name.endswith("_ms") for name in line)
            assert line["key_id"] == "default"
        assert second["phase"] == "rcpt"
        assert "5.1.1" in json.dumps(second)


@pytest.mark.parametrize("how,seen,unseen", [
    ("masked", "example.org", "ann@example.org"), ("full", "ann@example.org", None),
    ("none", None, "example.org")])
def test_addresses_are_shown_as_told(how, seen, unseen):
    """S-52: LOG_ADDRESSES; bodies and subjects never."""
    with Relay() as relay, Gateway(relay, LOG_ADDRESSES=how) as gateway:
        assert gateway.send(text="the-body-itself", subject="the-subject").status == 200
        gateway.stop()
        log = "\n".join(gateway.lines)
        assert seen is None or seen in log, log
        assert unseen is None or unseen not in log
        assert "the-body-itself" not in log and "the-subject" not in log


def test_the_level_is_kept():
    with Relay() as relay, Gateway(relay, LOG_LEVEL="error") as gateway:
        assert gateway.send().status == 200
        gateway.stop()
        assert gateway.lines == [], gateway.lines


def test_text_for_people():
    with Relay() as relay, Gateway(relay, LOG_FORMAT="text", LOG_LEVEL="info") as gateway:
        assert gateway.send(subject="x\r\ny", to="ann@example.org").status == 422
        assert gateway.send().status == 200
        gateway.stop()
        assert any("send" in line and "accepted" in line for line in gateway.lines)
        assert not any(line.startswith("{") for line in gateway.lines)


def series(text):
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and line[0] != "#"}


def test_the_number_of_series_does_not_grow_with_input():
    """S-53: addresses, paths, reply texts, agents and ids are never labels."""
    with Relay({"rcpt": lambda c, _s, line: "550 5.1.1 <%s> unknown" % line.decode() if b"no" in line
                else None}) as relay, Gateway(relay) as gateway:
        def some(n):
            gateway.send(to="u%d@d%d.example" % (n, n), headers={"User-Agent": "agent-%d" % n})
            gateway.send(to="no%d@example.org" % n)
            gateway.send({"k%d" % n: 1})
            gateway.get("/nothing/%d" % n)
            gateway.get("/messages/%d" % n)
            gateway.get("/problems/p%d" % n)
            gateway.raw(b"M%d / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % n)
            gateway.request("DELETE", "/d%d" % n)
        together(some, range(20))
        gateway.get("/metrics")
        before = series(gateway.get("/metrics").body.decode())
        together(some, range(20, 150))
        after = series(gateway.get("/metrics").body.decode())
        assert after == before, after ^ before
        assert len(after) < 1000


def test_the_metrics_count_what_happened():
    with Relay({"rcpt:no@example.org": "550 5.1.1 no", "rcpt:later@example.org": "450 4.2.0 no"}) as relay, \
            Gateway(relay) as gateway:
        for _ in range(3):
            gateway.send()
        gateway.send(to="no@example.org")
        gateway.send(to=["ann@example.org", "later@example.org"])
        gateway.send(nonsense=1)
        text = gateway.get("/metrics", key=None).body.decode()
        assert metric(text, "lettergate_sends_total", outcome="accepted") == 3
        assert metric(text, "lettergate_sends_total", outcome="partial") == 1
        assert metric(text, "lettergate_sends_total", outcome="rejected", phase="rcpt") == 1
        assert metric(text, "lettergate_recipients_total", outcome="accepted") == 4
        assert metric(text, "lettergate_recipients_total", outcome="deferred") == 1
        assert metric(text, "lettergate_http_requests_total", route="/send", status="200") == 4
        assert metric(text, "lettergate_http_requests_total", route="/send", status="422") == 2
        assert metric(text, "lettergate_smtp_sessions_opened_total", relay="default") >= 1
        assert metric(text, "lettergate_send_duration_seconds_count") == 5
        for name in ("lettergate_in_flight", "lettergate_in_flight_bytes", "lettergate_build_info",
                     "lettergate_smtp_sessions", "lettergate_relay_window"):
            assert metric(text, name) is not None, name
        for line in text.splitlines():
            assert re.fullmatch(r'(#.*|[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*,?\})? '
                                r'[-+0-9.eE]+|.*(Inf|NaN))', line), line
        answer = gateway.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.body.decode().rstrip().endswith("# EOF")
