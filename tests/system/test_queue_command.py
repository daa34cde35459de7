"""`lettergate queue`: what is queued, seen and changed from a command line, through HTTP."""

import http.server
import json
import re
import threading
import time

import pytest

from gateway import KEY, Gateway, command, free_port, metric, wait_for
from relay import Relay

STATES = ["scheduled", "queued", "sending", "sent", "partial", "deferred", "failed", "unknown", "held", "cancelled",
          "captured"]


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def queue(gateway, *args, key=KEY, **more):
    settings = {"LETTERGATE_URL": gateway.url if gateway else "http://127.0.0.1:%d" % free_port(), "LETTERGATE_KEY": key}
    return command("queue", *args, settings={**settings, **more})


def waiting(gateway, number, **fields):
    """So many messages that wait, newest last."""
    found = [gateway.send(delivery="queue", to="n%d@example.org" % n, subject="Order %d" % n, **fields)["id"]
             for n in range(number)]
    assert wait_for(lambda: len(gateway.get("/messages?state=deferred&limit=500")["messages"]) >= number)
    return found


LATER = {"mail": "451 4.3.0 not now"}


def test_list(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        ids = waiting(gateway, 7, tags=["a"])
        done = queue(gateway, "list")
        assert done.returncode == 0 and not done.stderr
        head, *lines = done.stdout.splitlines()
        assert head.split()[:2] == ["ID", "STATE"]
        assert [line.split()[0] for line in lines] == ids[::-1]
        assert re.search(r" deferred +20..-..-..T..:..:..Z +20\S+Z +n6@example.org +Order 6$", lines[0]), lines[0]
        assert queue(gateway, "list", "--ids", "--limit", "3").stdout.split() == ids[:3:-1]
        assert queue(gateway, "list", "--ids", "--all").stdout.split() == ids[::-1]
        one = queue(gateway, "list", "--recipient", "n3@example.org", "--state", "deferred", "--tag", "a", "--json")
        message = json.loads(one.stdout)
        assert message["id"] == ids[3] and message["subject"] == "Order 3"
        assert not queue(gateway, "list", "--ids", "--since", "2036-01-01T00:00:00Z").stdout
        assert not queue(gateway, "list", "--ids", "--tag", "a&tag=b ü%").stdout


def test_more_than_a_page(store):
    with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE", STORE=store) as gateway:
        body = [{"from": "a@example.com", "to": "b@example.org", "text": "x", "delivery": "queue"}] * 600
        ids = [one["id"] for one in gateway.post("/send/batch", body)["results"]]
        assert sorted(queue(gateway, "list", "--ids", "--all").stdout.split()) == sorted(ids)
        assert len(queue(gateway, "list", "--ids", "--limit", "550").stdout.split()) == 550
        assert len(queue(gateway, "list").stdout.splitlines()) == 51


def test_show(store):
    with Relay({**LATER, "rcpt:2": "550 5.1.1 unknown"}) as relay, \
            Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        (number,) = waiting(gateway, 1, tags=["a"], metadata={"order": "42"})
        done = queue(gateway, "show", number)
        assert done.returncode == 0, done
        for wanted in (number, "state         deferred", "tag           a", "metadata      order=42",
                       "n0@example.org  deferred  relay_busy  mail  451 4.3.0 not now"):
            assert wanted in done.stdout, done.stdout
        assert re.search(r"^  20..-..-..T..:..:..Z  default  deferred  relay_busy  mail  451 4.3.0 not now$", done.stdout, re.M)
        assert json.loads(queue(gateway, "show", number, "--json").stdout)["id"] == number
        assert "\nexpires       20" in done.stdout and "send_at" not in done.stdout
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        scheduled = queue(gateway, "show", gateway.send(send_at=later)["id"]).stdout
        assert "\nsend_at       " + later[:17] in scheduled, scheduled
        relay.script.clear()
        sent = gateway.send()
        assert "\nqueue_id      " + sent["relay"]["queue_id"] in queue(gateway, "show", sent["id"]).stdout
        none = queue(gateway, "show", "nobody/../x")
        assert none.returncode == 1 and "404" in none.stderr and not none.stdout


def test_why_it_was_given_up(store):
    with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE", STORE=store, RETRY_FOR="1s") as gateway:
        number = gateway.send(delivery="queue")["id"]
        assert wait_for(lambda: gateway.get("/messages/" + number)["state"] == "failed", 20)
        shown = queue(gateway, "show", number).stdout
        assert "\nexpired       " in shown and re.search(r"  not_sent  relay_unreachable  connect  .*refused", shown), shown


def test_retry_and_cancel(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        ids = waiting(gateway, 3)
        relay.script.clear()
        done = queue(gateway, "retry", ids[0], ids[1])
        assert done.returncode == 0 and done.stdout.splitlines() == [number + " queued" for number in ids[:2]]
        assert relay.wait(lambda: len(relay.ledger) == 2)
        assert wait_for(lambda: gateway.get("/messages/" + ids[0])["state"] == "sent")
        done = queue(gateway, "cancel", ids[0], ids[2], "nobody")
        assert done.returncode == 1 and done.stdout == ids[2] + " cancelled\n", done
        assert "409" in done.stderr and "404" in done.stderr
        assert ids[0] + " was left as it is" in done.stderr and "nobody was left" in done.stderr
        assert gateway.get("/messages/" + ids[2])["state"] == "cancelled" and len(relay.ledger) == 2


def test_stats(store):
    with Relay(dict(LATER)) as relay, Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
        empty = json.loads(queue(gateway, "stats", "--json").stdout)
        assert set(empty["messages"]) == set(STATES) and not any(empty["messages"].values())
        assert (empty["bytes"], empty["oldest_seconds"], empty["ages"]["+Inf"]) == (0, 0, 0)
        ids = waiting(gateway, 4)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        gateway.send(send_at=later)
        queue(gateway, "cancel", ids[0])
        assert wait_for(lambda: json.loads(queue(gateway, "stats", "--json").stdout)["oldest_seconds"] >= 1)
        found = json.loads(queue(gateway, "stats", "--json", key="").stdout)
        assert {state: count for state, count in found["messages"].items() if count} == \
            {"deferred": 3, "scheduled": 1, "cancelled": 1}
        assert found["bytes"] > 800 and found["ages"]["60.0"] == found["ages"]["+Inf"] == 3
        done = queue(gateway, "stats")
        assert done.returncode == 0 and re.search(r"^  deferred +3$", done.stdout, re.M), done.stdout
        assert re.search(r"\nwaiting, by age\n(  (under 1|1 min to 5) min +[1-3]\n)+\Z", done.stdout), done.stdout
        page = gateway.get("/metrics", key=None).body.decode()
        assert metric(page, "lettergate_queue_messages", state="deferred") == 3
        assert metric(page, "lettergate_queue_age_messages", le="300.0") == 3
        opened = gateway.get("/metrics", key=None, headers={"Accept": "application/openmetrics-text"})
        assert opened.body.endswith(b"# EOF\n") and b"lettergate_queue_oldest_seconds " in opened.body
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        page = gateway.get("/metrics", key=None).body.decode()
        assert metric(page, "lettergate_queue_messages", state="deferred") == 3, "after a restart"
        assert metric(page, "lettergate_queue_age_messages", le="+Inf") == 3


class Metrics(http.server.BaseHTTPRequestHandler):
    """Those that wait by age, as a gateway tells them: each one with all who are younger."""

    def do_GET(self):
        ages = (("60.0", 2), ("300.0", 2), ("900.0", 5), ("3600.0", 5), ("14400.0", 12), ("86400.0", 12), ("+Inf", 13))
        body = 'lettergate_queue_messages{state="deferred"} 13\n' + "".join(
            'lettergate_queue_age_messages{le="%s"} %d\n' % age for age in ages)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"# HELP x\n" + body.encode())

    def log_message(self, *_):
        pass


def test_each_is_counted_with_those_of_its_age():
    with http.server.HTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.serve_forever).start()
        done = queue(None, "stats", LETTERGATE_URL="http://127.0.0.1:%d" % server.server_port)
        server.shutdown()
    lines = [re.split("  +", line) for line in done.stdout.partition("by age\n")[2].splitlines()]
    assert lines == [["", "under 1 min", "2"], ["", "5 min to 15 min", "3"], ["", "1 h to 4 h", "7"], ["", "over 1 d", "1"]]


def test_without_a_store():
    with Relay() as relay, Gateway(relay) as gateway:
        gateway.send()
        done = queue(gateway, "stats")
        assert done.returncode == 1 and "STORE" in done.stderr and not done.stdout
        assert "lettergate_queue_" not in gateway.get("/metrics", key=None).body.decode()
        assert len(queue(gateway, "list", "--ids").stdout.split()) == 1, "what is remembered is listed all the same"


def test_what_is_shown_does_nothing_to_a_terminal(store):
    raw = "From: a@example.com\r\nTo: b@example.org\r\nSubject: a\x1b]0;x\x07\xc2\x9b31m\r\n\r\nx\r\n"
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        answer = gateway.request("POST", "/send", raw.encode("latin-1"), {"Content-Type": "message/rfc822"})
        for done in (queue(gateway, "list"), queue(gateway, "show", answer["id"]) if answer.status == 200 else None):
            assert done is None or not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout), done


def test_its_exit_codes(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        for args, why in (((), "one of list, show, retry, cancel and stats is wanted"),
                          (("shows",), "shows is none of list"), (("list", "x"), "x stands where no id is wanted"),
                          (("list", "--limit", "0"), "--limit wants a number from 1 to"),
                          (("list", "--limit"), "--limit wants a value"), (("list", "--state"), "--state wants a value"),
                          (("list", "--all", "--limit", "5"), "do not go together"),
                          (("list", "--ids", "--json"), "do not go together"), (("show",), "show wants an id"),
                          (("show", "a", "b"), "b is one id too many"), (("retry",), "retry wants an id"),
                          (("cancel", "--json", "a"), "--json is no option"), (("stats", "--ids"), "--ids is no option")):
            done = queue(gateway, *args)
            assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1, args
            assert why in done.stderr and "see lettergate queue --help" in done.stderr, done
        assert queue(gateway, "--help").returncode == 0
        assert queue(gateway, "list", "--state", "odd").returncode == 1
        wrong = queue(gateway, "list", key="wrong-key-0000000000")
        assert wrong.returncode == 1 and "401" in wrong.stderr
        assert queue(gateway, "list", LETTERGATE_URL="ftp://x").returncode == 1
    assert queue(None, "list").returncode == 1
