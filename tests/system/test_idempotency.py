"""Idempotency-Key (docs/idempotency.md): the same request again is told the first answer, and nothing
is sent. What was certainly not sent, or put off, is a real second try."""

import concurrent.futures
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from collections import Counter

import pytest

from gateway import KEY, ROOT, SLOW, Gateway, mail, metric, ms, wait_for
from relay import Relay

KEYED = {"Idempotency-Key": "order-42"}


@pytest.fixture(name="place")
def _place():
    with Relay() as relay, Gateway(relay, LOG_LEVEL="info") as gateway:
        yield relay, gateway


def is_replay(answer, first):
    assert answer.headers.get("Idempotency-Replayed") == "true", answer
    assert (answer.status, answer.body) == (first.status, first.body)
    assert answer.headers["Content-Type"] == first.headers["Content-Type"]
    assert answer.headers.get("Retry-After") == first.headers.get("Retry-After")
    return True


def mails(relay):
    """How often it was asked to take one."""
    return sum(command.startswith("MAIL") for connection in relay.connections for command in connection.commands)


def counted(gateway, result):
    return metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_idempotency_total",
                  result=result)


def test_the_first_answer_comes_again_and_nothing_is_sent(place):
    relay, gateway = place
    first = gateway.send(headers=KEYED)
    assert (first.status, first["outcome"]) == (200, "accepted")
    assert first.headers["Idempotency-Scope"] == "process"
    assert "Idempotency-Replayed" not in first.headers
    again = gateway.send(headers={"Idempotency-Key": '"order-42"'})
    assert is_replay(again, first) and again.headers["Idempotency-Scope"] == "process"
    assert len(relay.ledger) == 1
    assert "Idempotency-Scope" not in gateway.send().headers
    assert (counted(gateway, "first"), counted(gateway, "replayed"), counted(gateway, "mismatch")) == (1, 1, 0)
    assert metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_idempotency_kept") == 1
    assert wait_for(lambda: [line.get("replayed") for line in gateway.log("request")] == [1])


def test_of_fifty_at_a_time_one_is_sent_and_the_others_wait(place):
    relay, gateway = place
    gate = threading.Event()
    relay.script = {"dot": lambda *_: gate.wait(60 * SLOW) and None}
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(gateway.send, headers=KEYED, timeout=60) for _ in range(50)]
        assert wait_for(lambda: sum(one.done() for one in asked) == 49, 30), asked
        gate.set()
        answers = [one.result() for one in asked]
    first = next(answer for answer in answers if answer.status == 200)
    for answer in answers:
        if answer is not first:
            assert (answer.status, answer["code"]) == (409, "idempotency_running")
            assert answer.headers["Retry-After"] == "1" and answer["retryable"]
            assert "outcome" not in answer.json, "the first may yet be sent"
    assert is_replay(gateway.send(headers=KEYED), first)
    assert len(relay.ledger) == 1


FORM = [("from", "Shop <shop@example.com>"), ("to", "ann@example.org"), ("subject", "Order 42"),
        ("text", "Thank you.\n")]


def post_form(gateway, fields, boundary, content=b"%PDF"):
    parts = ['Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field for field in fields]
    parts = [part.encode() for part in parts]
    parts.append(b'Content-Disposition: form-data; name="attachment"; filename="a.pdf"\r\n\r\n'
                 + content + b"\r\n")
    body = b"".join(b"--%s\r\n%s" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary
    return gateway.post("/send", body, {"Content-Type": "multipart/form-data; boundary=" +
                                        boundary.decode(), **KEYED})


@pytest.mark.parametrize("size", [4, 300000])
def test_a_form_with_another_boundary_is_the_same(place, size):
    relay, gateway = place
    first = post_form(gateway, FORM, b"one", b"x" * size)
    assert first.status == 200, first
    assert is_replay(post_form(gateway, FORM[::-1], b"two", b"x" * size), first)
    other = post_form(gateway, FORM, b"one", b"x" * (size - 1) + b"y")
    assert (other.status, other["code"]) == (422, "idempotency_mismatch")
    assert len(relay.ledger) == 1


def test_json_in_another_order_is_the_same_and_another_subject_is_not(place):
    relay, gateway = place
    first = gateway.send(headers=KEYED)
    text = json.dumps(dict(reversed(mail().items())), indent=3)
    assert is_replay(gateway.post("/send", text, KEYED), first)
    for fields in ({"subject": "Order 43"}, {"to": "bo@example.org"}, {"partial": "refuse"},
                   {"tags": ["a"]}, {"cc": "bo@example.org"}):
        other = gateway.send(headers=KEYED, **fields)
        assert (other.status, other["code"], other["outcome"]) == (422, "idempotency_mismatch", "not_sent")
        assert not other["retryable"] and "Idempotency-Replayed" not in other.headers
    assert is_replay(gateway.send(headers=KEYED), first), "the first is remembered all the same"
    assert len(relay.ledger) == 1


@pytest.mark.parametrize("script,outcome", [
    ({"rcpt:1": "450 4.2.1 try later"}, "deferred"),
    ({"mail:1": "451 4.3.0 try later"}, "deferred"),
    ({"dot:1": "452 4.3.1 no room"}, "deferred"),
    ({"connections": {1: {"greeting": "554 go away"}, 2: {"greeting": "554 go away"}}}, "not_sent")])
def test_what_was_put_off_or_not_sent_is_tried_again(place, script, outcome):
    relay, gateway = place
    relay.script = script
    first = gateway.send(headers=KEYED)
    assert first["outcome"] == outcome and first.status >= 500, first
    relay.script = {}
    second = gateway.send(headers=KEYED)
    assert (second.status, second["outcome"]) == (200, "accepted"), second
    assert "Idempotency-Replayed" not in second.headers
    assert second["message_id"] == first["message_id"], "whoever gets both knows them as one"
    assert is_replay(gateway.send(headers=KEYED), second)
    assert len(relay.ledger) == 1


def test_what_is_refused_here_frees_the_key(place):
    relay, gateway = place
    assert gateway.send(headers=KEYED, relay="unknown").status == 422
    assert gateway.send(headers=KEYED, subject="a\nb").status == 422
    assert gateway.send(headers=KEYED, deadline="1us").status == 422
    assert gateway.send(headers=KEYED)["outcome"] == "accepted"
    assert len(relay.ledger) == 1


@pytest.mark.parametrize("script,outcome,status", [
    ({"rcpt": "550 5.1.1 unknown"}, "rejected", 422),
    ({"dot": {"then": "reset", "reply": ""}}, "unknown", 504)])
def test_what_is_decided_or_unknown_stays_so(place, script, outcome, status):
    relay, gateway = place
    relay.script = script
    first = gateway.send(headers=KEYED)
    assert (first.status, first["outcome"]) == (status, outcome)
    assert first["duplicate_risk"] == (outcome == "unknown")
    relay.script = {}
    assert is_replay(gateway.send(headers=KEYED), first)
    assert mails(relay) == 1 and not relay.ledger


def test_partly_taken_is_partly_taken_again(place):
    relay, gateway = place
    relay.script = {"rcpt:2": "450 4.2.1 try later"}
    both = ["ann@example.org", "bo@example.org"]
    first = gateway.send(headers=KEYED, to=both)
    assert (first.status, first["outcome"]) == (200, "partial")
    relay.script = {}
    assert is_replay(gateway.send(headers=KEYED, to=both), first)
    assert [taken.recipients for taken in relay.ledger] == [["ann@example.org"]]


def test_of_a_batch_only_what_was_put_off_is_sent_again(place):
    relay, gateway = place
    relay.script = {"rcpt:m2@example.org": "450 4.2.1 try later"}
    messages = [mail(to="m%d@example.org" % n, subject="Message %d" % n) for n in range(5)]
    first = gateway.post("/send/batch", messages, KEYED)
    assert [result["status"] for result in first["results"]] == [200, 200, 503, 200, 200]
    assert "Idempotency-Replayed" not in first.headers
    relay.script = {}
    second = gateway.post("/send/batch", {"messages": messages}, KEYED)
    assert [result["status"] for result in second["results"]] == [200] * 5
    assert [result.get("replayed") for result in second["results"]] == [True, True, None, True, True]
    assert "Idempotency-Replayed" not in second.headers
    for number in (0, 1, 3, 4):
        assert second["results"][number] == {**first["results"][number], "replayed": True}
    third = gateway.post("/send/batch", messages, KEYED)
    assert third.headers["Idempotency-Replayed"] == "true"
    assert [result["id"] for result in third["results"]] == [result["id"] for result in second["results"]]
    changed = [*messages[:4], mail(to="m4@example.org", subject="Another")]
    results = gateway.post("/send/batch", changed, KEYED)["results"]
    assert [result.get("code") for result in results] == [None] * 4 + ["idempotency_mismatch"]
    assert Counter(taken.recipients[0] for taken in relay.ledger) == Counter(
        "m%d@example.org" % n for n in range(5))
    assert gateway.send(messages[0], headers=KEYED).headers.get("Idempotency-Replayed") is None, \
        "a message alone is not the first of a batch"


def test_two_api_keys_with_the_same_idempotency_key_do_not_meet(tmp_path):
    file = tmp_path / "keys.json"
    secrets = ["lg_key%d_" % n + hashlib.sha256(b"%d" % n).hexdigest()[:43] for n in range(2)]
    file.write_text(json.dumps({"keys": [
        {"id": "key%d" % n, "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest(),
         "scopes": ["send"]} for n, secret in enumerate(secrets)]}))
    with Relay() as relay, Gateway(relay, key=secrets[0], API_KEY=None, API_KEYS_FILE=file) as gateway:
        answers = [gateway.send(key=secret, headers=KEYED, subject=subject)
                   for secret, subject in zip(secrets, ("One", "Another"))]
        assert [answer.status for answer in answers] == [200, 200], answers
        assert len(relay.ledger) == 2
        for secret, subject, first in zip(secrets, ("One", "Another"), answers):
            assert is_replay(gateway.send(key=secret, headers=KEYED, subject=subject), first)
        assert len(relay.ledger) == 2


def ask(gateway, path, body):
    body = json.dumps(body).encode()
    sock = gateway.socket(30)
    sock.sendall(("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: order-42\r\n"
                  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                  % (path, KEY, len(body))).encode() + body)
    return sock


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("path,body", [("/send", mail()), ("/send/batch", [mail(), mail()])])
def test_the_answer_is_remembered_for_who_left(place, path, body, reset):
    relay, gateway = place
    gate, held = threading.Event(), []
    relay.script = {"dot": lambda *_: held.append(1) or (gate.wait(60 * SLOW) and None)}
    count = len(body) if isinstance(body, list) else 1
    sock = ask(gateway, path, body)
    assert wait_for(lambda: len(held) == count)
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert "idempotency_running" in gateway.post(path, body, KEYED).body.decode()
    gate.set()
    assert wait_for(lambda: "idempotency_running" not in gateway.post(path, body, KEYED).body.decode())
    again = gateway.post(path, body, KEYED)
    assert again.status == 200 and again.headers["Idempotency-Replayed"] == "true", again
    assert len(relay.ledger) == count


def test_an_answer_is_remembered_for_as_long_as_is_set():
    with Relay() as relay, Gateway(relay, IDEMPOTENCY_TTL="1s") as gateway:
        first = gateway.send(headers=KEYED)
        assert first.status == 200

        def is_forgotten():
            again = gateway.send(headers=KEYED)
            assert again.status == 200
            return "Idempotency-Replayed" not in again.headers
        assert wait_for(is_forgotten)
        assert len(relay.ledger) == 2


def test_a_reload_changes_for_how_long(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{ "idempotency_ttl": "1h" }')
    with Relay() as relay, Gateway(relay, args=("--config", str(file))) as gateway:
        first = gateway.send(headers=KEYED)
        file.write_text('{ "idempotency_ttl": "1s" }')
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload"))
        assert wait_for(lambda: "Idempotency-Replayed" not in gateway.send(headers=KEYED).headers)
        assert first.status == 200 and len(relay.ledger) == 2


def test_of_an_answer_that_is_very_long_the_outcome_is_told_again():
    """1000 recipients, and the relay says a lot to each: more than a megabyte."""
    with Relay({"rcpt": "550 5.1.1 " + '"' * 480}) as relay, Gateway(relay) as gateway:
        to = ["u%d@example.org" % n for n in range(1000)]
        first = gateway.send(headers=KEYED, to=to)
        assert first.status == 422 and len(first.body) > 1 << 20
        relay.script = {}
        again = gateway.send(headers=KEYED, to=to)
        assert again.headers["Idempotency-Replayed"] == "true" and again.status == 422
        for name in ("type", "status", "code", "outcome", "id", "message_id", "retryable", "duplicate_risk"):
            assert again[name] == first[name], name
        assert "recipients" not in again.json and len(again.body) < 1000
        assert len(gateway.get("/messages/" + again["id"])["recipients"]) == 1000
        assert not relay.ledger


def test_a_dry_run_neither_uses_nor_fills_a_key(place):
    relay, gateway = place
    for kind in ("render", "envelope"):
        answer = gateway.send(headers=KEYED, dry_run=kind)
        assert answer.status == 200 and "Idempotency-Scope" not in answer.headers
    first = gateway.send(headers=KEYED)
    assert first["outcome"] == "accepted" and len(relay.ledger) == 1
    for kind in ("render", "envelope"):
        answer = gateway.send(headers=KEYED, dry_run=kind, subject="Another")
        assert answer.status == 200 and "Idempotency-Replayed" not in answer.headers
    assert is_replay(gateway.send(headers=KEYED), first)


def test_what_was_captured_is_captured_once():
    with Gateway(SMTP_HOST="capture") as gateway:
        first = gateway.send(headers=KEYED)
        assert first["outcome"] == "captured"
        assert is_replay(gateway.send(headers=KEYED), first)
        assert len(gateway.get("/messages")["messages"]) == 1


def test_a_key_that_is_no_key_is_refused(place):
    _, gateway = place
    for key in ('""', "x" * 256, "a\x07b"):
        answer = gateway.send(headers={"Idempotency-Key": key})
        assert answer.status in (400, 422), (key, answer)
    longest = gateway.send(headers={"Idempotency-Key": '"%s"' % ("x" * 255)})
    assert longest.status == 200


def test_what_waits_when_it_stops_is_not_remembered_as_sent():
    """The outcome of what is cut off is told as ever; its entry does not outlive the process."""
    with Relay({"greeting": {"then": "stall", "reply": ""}}) as relay:
        gateway = Gateway(relay, DRAIN_TIMEOUT=ms(1500))
        asked = []
        thread = threading.Thread(target=lambda: asked.append(gateway.send(headers=KEYED)))
        thread.start()
        assert wait_for(lambda: relay.connections)
        gateway.terminate()
        thread.join()
        assert asked[0]["outcome"] == "not_sent", asked
        gateway.wait()


def test_the_line_of_the_page_sends_once_though_curl_repeats_it(place):
    """An outcome that is unknown is a 504, which curl repeats."""
    relay, gateway = place
    relay.script = {"1/dot": {"then": "reset", "reply": ""}}
    with open(os.path.join(ROOT, "docs", "idempotency.md"), encoding="utf-8") as file:
        (line,) = re.findall(r"^```sh\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
    assert "--retry 5" in line
    line = line.replace("http://127.0.0.1:8080", gateway.url).replace("--retry 5", "--retry 2")
    done = subprocess.run(["bash", "-ec", line], capture_output=True, check=True,
                          env={**os.environ, "API_KEY": KEY}, timeout=60 * SLOW)
    assert json.loads(done.stdout.splitlines()[0])["outcome"] == "unknown", done
    assert counted(gateway, "replayed") == 2
    assert mails(relay) == 1
    relay.script = {}
    assert json.loads(subprocess.run(["bash", "-ec", line.replace("order-42", "order-43")], check=True,
                                     capture_output=True, env={**os.environ, "API_KEY": KEY},
                                     timeout=60 * SLOW).stdout)["outcome"] == "accepted"
    assert len(relay.ledger) == 1
