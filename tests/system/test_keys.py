"""Keys: who may do what (docs/operations.md; faults S-46 to S-49)."""

import email
import email.policy
import hashlib
import json
import os
import re
import time

import pytest

from gateway import Gateway, command, mail, together, wait_for
from relay import Relay

SCOPES = ["send", "read"]


def secret_of(name):
    return "lg_%s_%s" % (name, hashlib.sha256(name.encode()).hexdigest()[:43])


def entry(name, scopes=None, **more):
    return {"id": name, "hash": "sha256:" + hashlib.sha256(secret_of(name).encode()).hexdigest(),
            "scopes": SCOPES if scopes is None else scopes, **more}


KEYS = [
    entry("web"), entry("web2"), entry("reader", ["read"]), entry("sender", ["send"]),
    entry("admin", ["send", "read", "admin"]), entry("tracer", ["send", "trace"]),
    entry("shop", **{"from": ["*@example.com"]}),
    entry("one", **{"from": ["shop@example.com"], "to": ["*@example.org", "bo@example.net"]}),
    entry("relayed", relays=["default"]), entry("elsewhere", relays=["other"]),
    entry("slow", rate="3/m"), entry("daily", daily=3), entry("old", expires="2020-01-01T00:00:00Z"),
    entry("young", expires="2099-01-01T00:00:00Z"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(json.dumps({"keys": KEYS}))
    with Relay() as relay, Gateway(relay, key=secret_of("web"), API_KEY=None,
                                   API_KEYS_FILE=path) as gateway:
        yield relay, gateway


def as_key(gateway, name, **fields):
    return gateway.send(fields, key=secret_of(name))


def test_scopes(place):
    _relay, gateway = place
    sent = as_key(gateway, "web")
    assert sent.status == 200, sent
    assert as_key(gateway, "sender").status == 200
    answer = as_key(gateway, "reader")
    assert (answer.status, answer["code"]) == (403, "forbidden"), answer
    assert gateway.get("/messages", key=secret_of("sender")).status == 403
    assert gateway.get("/messages", key=secret_of("reader")).status == 200
    assert as_key(gateway, "web", trace=True).status == 403
    assert as_key(gateway, "tracer", trace=True).json["trace"]


def test_only_a_refused_send_says_that_nothing_was_sent(place):
    """What became of a message that is to be cancelled, or tried again, is not for a refusal to say."""
    _relay, gateway = place
    number = as_key(gateway, "web")["id"]
    for method, path in (("DELETE", "/messages/" + number), ("POST", "/messages/%s/retry" % number)):
        for key, status, code in (("nobody", 401, "unauthorized"), ("reader", 403, "forbidden"),
                                  ("web", 422, "store_required")):
            answer = gateway.request(method, path, key=secret_of(key))
            assert (answer.status, answer["code"]) == (status, code)
            assert "outcome" not in answer.json and "duplicate_risk" not in answer.json, answer
    for path in ("/send", "/send/batch"):
        for key, status in (("nobody", 401), ("reader", 403)):
            answer = gateway.send(path=path, key=secret_of(key))
            assert (answer.status, answer["outcome"]) == (status, "not_sent")


def test_no_key_is_needed_for_health_and_metrics(place):
    """Section 4."""
    _relay, gateway = place
    for path in ("/healthz", "/readyz", "/metrics", "/problems/unauthorized", "/openapi.json"):
        assert gateway.get(path, key=None).status == 200


def test_401_says_nothing_about_why(place):
    """S-46, S-47: unknown id, wrong secret, expired, malformed: the same answer."""
    relay, gateway = place
    before = len(relay.ledger)
    right = secret_of("web")
    bodies = set()
    for secret in (secret_of("nobody"), right[:-1] + "x", right[:-1], right + "x", secret_of("old"),
                   "lg_web_", "lg__", "x", "", "lg_web_" + "a" * 5000, right.upper(), "é" * 20):
        answer = gateway.send(headers={"Authorization": ("Bearer " + secret).encode()}, key=None)
        assert answer.status == 401, (secret, answer)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        body = answer.json
        body.pop("request_id")
        bodies.add(json.dumps(body, sort_keys=True))
    assert len(bodies) == 1, bodies
    assert len(relay.ledger) == before


def test_senders_are_limited_in_header_and_envelope(place):
    """S-49"""
    relay, gateway = place
    before = len(relay.ledger)
    for fields, address in (({"from": "x@example.net"}, "x@example.net"),
                            ({"envelope": {"from": "x@example.net"}}, "x@example.net"),
                            ({"from": "X <x@example.net>", "envelope": {"from": "a@example.com"}},
                             "x@example.net"),
                            ({"from": "a@sub.example.com"}, "a@sub.example.com"),
                            ({"from": "a@example.com.evil.org"}, "a@example.com.evil.org")):
        answer = as_key(gateway, "shop", **fields)
        assert (answer.status, answer["code"]) == (403, "sender_not_allowed"), answer
        assert address in answer["detail"]
    assert len(relay.ledger) == before
    for sender in ("anyone@example.com", "A <b@EXAMPLE.com>"):
        assert as_key(gateway, "shop", **{"from": sender}).status == 200
    assert as_key(gateway, "one").status == 200
    assert as_key(gateway, "one", **{"from": "other@example.com"}).status == 403


HERE, THERE = "a@example.com", "x@example.net"
# what a key limited to *@example.com is told, and where: the sender is whoever the message says that
# it is from, by whatever way
SENDERS = [
    # header From ≠ envelope From
    ({"from": HERE, "envelope": {"from": THERE}}, 403, "/envelope/from"),
    ({"from": THERE, "envelope": {"from": HERE}}, 403, "/from"),
    ({"from": THERE, "envelope": {"from": ""}}, 403, "/from"),
    ({"from": HERE, "envelope": {"from": "bounce+1@example.com"}}, 200, "bounce+1@example.com"),
    ({"from": HERE, "envelope": {"from": ""}}, 200, ""),
    ({"from": None, "envelope": {"from": HERE}}, 422, "/from"),
    ({"from": HERE, "envelope": {"from": [HERE, THERE]}}, 422, "/envelope/from"),
    # multiple From
    ({"from": [HERE, THERE]}, 422, "/from"),
    ({"from": HERE + ", " + THERE}, 422, "/from"),
    ({"from": THERE + ", " + HERE}, 422, "/from"),
    ({"from": "Group: %s, %s;" % (HERE, THERE)}, 422, "/from"),
    ({"from": HERE, "headers": {"From": THERE}}, 422, "/headers/From"),
    ({"from": HERE, "headers": {"fROM": THERE}}, 422, "/headers/fROM"),
    ({"from": HERE, "headers": {"From ": THERE}}, 422, "/headers/From "),
    ({"from": HERE, "headers": {"X-A": "b\r\nFrom: " + THERE}}, 422, "/headers/X-A"),
    # an address of ours around or within another's
    ({"from": '"%s" <%s>' % (HERE, THERE)}, 403, "/from"),
    ({"from": '"%s" <%s>' % (THERE, HERE)}, 200, HERE),
    ({"from": {"name": HERE, "address": THERE}}, 403, "/from"),
    ({"from": "%s <%s>" % (HERE, THERE)}, 422, "/from"),
    ({"from": '"%s"@example.net' % HERE}, 403, "/from"),
    ({"from": '"a@example.net>"@example.com'}, 200, '"a@example.net>"@example.com'),
    ({"from": HERE + "@example.net"}, 422, "/from"),
    ({"from": "@example.com:" + THERE}, 422, "/from"),
    ({"from": "a%example.net@example.com"}, 200, "a%example.net@example.com"),
    # domains that look like ours
    ({"from": "a@EXAMPLE.Com"}, 200, "a@example.com"),
    ({"from": "a@\uff45xample\u3002com"}, 200, "a@example.com"),
    ({"from": "a@sub.example.com"}, 403, "/from"),
    ({"from": "a@notexample.com"}, 403, "/from"),
    ({"from": "a@example.com.example.net"}, 403, "/from"),
    ({"from": "a@ex\u0430mple.com"}, 403, "/from"),
    ({"from": "a@example.com."}, 422, "/from"),
    ({"from": "a@example.com\0.example.net"}, 422, "/from"),
    # Sender and its kin
    ({"from": HERE, "sender": THERE}, 422, "/sender"),
    ({"from": HERE, "headers": {"Sender": THERE}}, 422, "/headers/Sender"),
    ({"from": HERE, "headers": {"Resent-From": THERE}}, 422, "/headers/Resent-From"),
    ({"from": HERE, "headers": {"Resent-Sender": THERE}}, 422, "/headers/Resent-Sender"),
    ({"from": HERE, "headers": {"Return-Path": THERE}}, 422, "/headers/Return-Path"),
    # where answers go is no sender: a shop may name its support's mailbox elsewhere
    ({"from": HERE, "reply_to": THERE}, 200, HERE),
    ({"from": HERE, "headers": {"Reply-To": THERE}}, 422, "/headers/Reply-To"),
]


@pytest.mark.parametrize("fields,status,what", SENDERS)
def test_who_a_limited_key_may_be(place, fields, status, what):
    """S-49: what was allowed is what goes on the wire, in the header and in the envelope."""
    relay, gateway = place
    before = len(relay.ledger)
    answer = as_key(gateway, "shop", **fields)
    assert answer.status == status, answer
    if status == 200:
        (taken,) = relay.ledger[before:]
        header = email.message_from_bytes(taken.body, policy=email.policy.SMTP)
        assert taken.mail == what
        (sender,) = header["From"].addresses
        assert len(header.get_all("From")) == 1 and sender.domain == "example.com"
        assert not {"sender", "return-path", "resent-from"} & {name.lower() for name in header.keys()}
        return
    assert len(relay.ledger) == before
    assert answer["code"] == {403: "sender_not_allowed", 422: "invalid_request"}[status]
    assert what in [error["pointer"] for error in answer["errors"]], answer


def test_a_batch_is_limited_message_by_message(place):
    """S-49"""
    relay, gateway = place
    before = len(relay.ledger)
    answer = gateway.post("/send/batch", [mail(**{"from": sender}) for sender in (HERE, THERE, HERE)],
                          key=secret_of("shop"))
    assert [result["status"] for result in answer["results"]] == [200, 403, 200]
    assert answer["results"][1]["code"] == "sender_not_allowed"
    assert [taken.mail for taken in relay.ledger[before:]] == [HERE, HERE]


def test_recipients_are_limited(place):
    """S-49"""
    _relay, gateway = place
    for fields in ({"to": "x@example.com"}, {"cc": "al@example.net"}, {"bcc": ["x@example.com"]},
                   {"envelope": {"to": ["x@example.com"]}}):
        answer = as_key(gateway, "one", **fields)
        assert (answer.status, answer["code"]) == (403, "recipient_not_allowed"), answer
    assert as_key(gateway, "one", to=["bo@example.net", "x@example.org"]).status == 200


def test_relays_are_limited(place):
    _relay, gateway = place
    assert as_key(gateway, "relayed").status == 200
    assert as_key(gateway, "relayed", relay="default").status == 200
    answer = as_key(gateway, "elsewhere", relay="default")
    assert (answer.status, answer["code"]) == (403, "relay_not_allowed"), answer
    answer = as_key(gateway, "elsewhere")
    assert (answer.status, answer["code"]) == (403, "relay_not_allowed"), \
        "without a relay named, the one that would be used must be among the key's: %r" % answer


def test_anothers_message_is_a_404(place):
    """S-47"""
    _relay, gateway = place
    sent = as_key(gateway, "web").json
    assert gateway.get("/messages/" + sent["id"]).status == 200
    assert gateway.get("/messages/" + sent["id"], key=secret_of("web2")).status == 404
    assert gateway.get("/messages/" + sent["id"], key=secret_of("admin")).status == 200
    listed = gateway.get("/messages?limit=500", key=secret_of("web2")).json["messages"]
    assert sent["id"] not in [message["id"] for message in listed]
    unknown = gateway.get("/messages/" + sent["id"][:-1] + "x", key=secret_of("web2"))
    other = gateway.get("/messages/" + sent["id"], key=secret_of("web2"))
    assert {**unknown.json, "request_id": 0} == {**other.json, "request_id": 0}


def test_over_its_rate_is_429_with_the_time_to_wait(place):
    """S-48"""
    relay, gateway = place
    before = len(relay.ledger)
    answers = [as_key(gateway, "slow") for _ in range(5)]
    assert [a.status for a in answers[:3]] == [200] * 3
    for answer in answers[3:]:
        assert (answer.status, answer["code"]) == (429, "rate_limited"), answer
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit-Policy"] and answer.headers["RateLimit"]
        assert answer["retryable"] is True
    assert answers[0].headers["RateLimit"]
    assert len(relay.ledger) == before + 3
    answer = gateway.post("/send/batch", [mail()] * 4, key=secret_of("slow"))
    assert answer.status == 429


def test_a_daily_number(place):
    _relay, gateway = place
    assert [as_key(gateway, "daily").status for _ in range(5)] == [200] * 3 + [429] * 2


def test_a_rate_lets_through_again_what_fits(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry("k", rate="20/s")]}))
    with Relay() as relay, Gateway(relay, key=secret_of("k"), API_KEY=None, API_KEYS_FILE=path) as gateway:
        began = time.monotonic()
        answers = together(lambda n: gateway.send(), range(120), 4)
        took = time.monotonic() - began
        good = sum(a.status == 200 for a in answers)
        assert {a.status for a in answers} <= {200, 429}
        assert good <= 20 * (took + 1) + 5
        assert wait_for(lambda: gateway.send().status == 200, 5)
        assert len(relay.ledger) == good + 1


def test_expiry(place):
    _relay, gateway = place
    assert as_key(gateway, "old").status == 401
    assert as_key(gateway, "young").status == 200


# ---- the command

def keys(path, *args, **more):
    return command("keys", *args, settings={"API_KEYS_FILE": path, **more})


def test_a_key_is_made_used_rotated_and_revoked(tmp_path):
    """`lettergate keys`: shown once, hashed in the file, which is replaced atomically."""
    path = tmp_path / "keys.json"
    made = keys(path, "create", "web", "--from", "*@example.com", "--scope", "send", "--rate", "50/s")
    assert made.returncode == 0, made
    secret = re.search(r"lg_web_[A-Za-z0-9_-]{43}\b", made.stdout).group()
    assert secret not in path.read_text()
    assert os.stat(path).st_mode & 0o077 == 0
    stored = json.loads(path.read_text())["keys"][0]
    assert stored["hash"] == "sha256:" + hashlib.sha256(secret.encode()).hexdigest() or \
        stored["hash"].startswith("sha256:")
    assert (stored["id"], stored["from"], stored["scopes"], stored["rate"]) == (
        "web", ["*@example.com"], ["send"], "50/s")
    with Relay() as relay, Gateway(relay, key=secret, API_KEY=None, API_KEYS_FILE=path) as gateway:
        import signal
        assert gateway.send().status == 200
        rotated = keys(path, "rotate", "web")
        assert rotated.returncode == 0, rotated
        fresh = re.search(r"lg_web_[A-Za-z0-9_-]{43}\b", rotated.stdout).group()
        assert fresh != secret
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.send(key=fresh).status == 200)
        assert keys(path, "revoke", "web").returncode == 0
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.send(key=fresh).status == 401)
        assert gateway.send(key=secret).status == 401


def test_a_key_without_from_is_warned_about(tmp_path):
    """Section 4: may send as anyone, and the command says so."""
    done = keys(tmp_path / "k.json", "create", "any")
    assert done.returncode == 0 and "anyone" in done.stdout + done.stderr, done


def test_keys_are_listed_without_secrets(tmp_path):
    path = tmp_path / "k.json"
    secrets = [re.search(r"lg_\w+_[A-Za-z0-9_-]{43}", keys(path, "create", name).stdout).group()
               for name in ("one", "two")]
    done = keys(path, "list")
    assert done.returncode == 0 and "one" in done.stdout and "two" in done.stdout
    for secret in secrets:
        assert secret not in done.stdout
    assert "sha256" not in done.stdout


@pytest.mark.parametrize("args", [
    ["create"], ["create", "bad id"], ["create", "default"], ["create", "x", "--scope", "everything"],
    ["create", "x", "--rate", "fast"], ["create", "x", "--expires", "someday"],
    ["create", "x", "--nonsense"], ["revoke"], ["nonsense"], []])
def test_wrong_usage_exits_2(tmp_path, args):
    done = keys(tmp_path / "k.json", *args)
    assert done.returncode == 2 and done.stderr.strip(), done


def test_unknown_ids_and_doubles_exit_1(tmp_path):
    path = tmp_path / "k.json"
    assert keys(path, "create", "a").returncode == 0
    for args in (["create", "a"], ["revoke", "b"], ["rotate", "b"]):
        done = keys(path, *args)
        assert done.returncode == 1 and args[1] in done.stderr, done
    assert command("keys", "list").returncode == 2  # no API_KEYS_FILE


def test_concurrent_edits_lose_none(tmp_path):
    """Edited atomically, one editor at a time."""
    path = tmp_path / "k.json"
    together(lambda n: keys(path, "create", "k%d" % n), range(20))
    assert sorted(k["id"] for k in json.loads(path.read_text())["keys"]) == sorted(
        "k%d" % n for n in range(20))
    assert os.listdir(tmp_path) == ["k.json"]


@pytest.mark.parametrize("content", [
    "{", "[]", '{"keys": 5}', '{"keys": [{"id": "a"}]}', '{"keys": [{"id": "a", "hash": "md5:00"}]}',
    '{"keys": [{"id": "a", "hash": "sha256:00", "scopes": ["all"]}]}',
    json.dumps({"keys": [entry("a"), entry("a")]}),
    json.dumps({"keys": [entry("a", scops=["send"])]}),
    json.dumps({"keys": [entry("a", rate="many")]}),
    json.dumps({"keys": [entry("a", expires="tomorrow")]})])
def test_a_bad_keys_file_is_refused_at_the_start(tmp_path, content):
    path = tmp_path / "k.json"
    path.write_text(content)
    gateway = Gateway(None, key=None, wait=False, API_KEYS_FILE=path, SMTP_HOST="capture")
    assert gateway.wait(10) == 2 and str(path) in gateway.output, gateway.output


def test_an_api_key_must_be_long_enough():
    done = command("serve", settings={"API_KEY": "short", "SMTP_HOST": "127.0.0.1"})
    assert done.returncode == 2 and "API_KEY" in done.stderr and "short" not in done.stderr.replace(
        "shorter", "").replace("too short", ""), done

