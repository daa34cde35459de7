"""One relay down, another up (faults F-01, F-24): a message goes on at once where nothing can have
been delivered, and nowhere else; what is unknown stays where it is."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet, each_once, tries
from gateway import PACE, SLOW, free_port, ms, problem, together, wait_for
from ledger import CHUNKED, PLAIN
from relay import Relay
from test_keys import entry, secret_of

SHORT = {"SMTP_TIMEOUT_COMMAND": ms(1000), "SMTP_TIMEOUT_CONNECT": ms(1000),
         "SMTP_TIMEOUT_DOT": ms(1000)}


class Nobody:
    """Where nothing listens."""

    host, tls = "127.0.0.1", None

    def __init__(self):
        self.port = free_port()


LOST = {"reply": "", "then": "close"}
# name → (script, what its entry holds besides, outcome and phase of the attempt)
GOES_ON = {
    "refused": (None, {}, "not_sent", "connect"),
    "closes": ({"greeting": LOST}, {}, "not_sent", "greeting"),
    "silent": ({"greeting": {"reply": "", "then": "stall"}}, {}, "not_sent", "greeting"),
    "greeting-421": ({"greeting": "421 4.3.2 not now"}, {}, "not_sent", "greeting"),
    "greeting-554": ({"greeting": "554 5.3.2 never"}, {}, "not_sent", "greeting"),
    "other-protocol": ({"greeting": {"raw": b"HTTP/1.1 400 Bad\r\n\r\n"}}, {}, "not_sent", "greeting"),
    "no-tls": ({}, {"secure": "STARTTLS"}, "not_sent", "ehlo"),
    "no-login": ({"keywords": ("AUTH PLAIN",), "auth": "535 5.7.8 no"},
                 {"user": "me", "pass": "wrong"}, "not_sent", "auth"),
    "login-later": ({"keywords": ("AUTH PLAIN",), "auth": "454 4.7.0 later"},
                    {"user": "me", "pass": "secret"}, "not_sent", "auth"),
    "mail-451": ({"mail": "451 4.3.0 later"}, {}, "deferred", "mail"),
    "mail-421": ({"mail": "421 4.3.2 bye"}, {}, "not_sent", "mail"),
    "rcpt-421": ({"rcpt": "421 4.3.2 bye"}, {}, "not_sent", "rcpt"),
    "data-lost": ({"data": LOST}, {}, "not_sent", "data"),
    "data-421": ({"data": "421 4.3.2 bye"}, {}, "not_sent", "data"),
}
STAYS = {
    "mail-550": ({"mail": "550 5.7.1 no"}, 422, "rejected"),
    "rcpt-550": ({"rcpt": "550 5.1.1 no"}, 422, "rejected"),
    "rcpt-450": ({"rcpt": "450 4.2.0 later"}, 503, "deferred"),
    "data-451": ({"data": "451 4.3.0 later"}, 503, "deferred"),
    "dot-451": ({"dot": "451 4.3.0 later"}, 503, "deferred"),
    "dot-421": ({"dot": "421 4.3.2 bye"}, 503, "deferred"),
    "dot-554": ({"dot": "554 5.7.1 no"}, 422, "rejected"),
    "dot-lost": ({"dot": {**LOST, "take": True}}, 504, "unknown"),
    "dot-reset": ({"dot": {"reply": "", "then": "reset", "take": True}}, 504, "unknown"),
    "dot-silent": ({"dot": {"reply": "", "then": "stall", "take": True}}, 504, "unknown"),
    "dot-garbled": ({"dot": {"raw": b"garbage\r\n250 ok\r\n", "take": True}}, 504, "unknown"),
    "dot-not-taken": ({"dot": {**LOST, "take": False}}, 504, "unknown"),
}


@contextlib.contextmanager
def beside_a_good_one(folder, scripts, keywords, more=None, **settings):
    """A relay for each script, which is first for messages of its tag, before a good one."""
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(Relay(keywords=keywords))
        bad = {name: Nobody() if script is None else
               stack.enter_context(Relay(script, keywords=keywords)) for name, script in scripts.items()}
        relays = [(name, relay, (more or {}).get(name, {})) for name, relay in bad.items()]
        routes = [{"tag": name, "relay": [name, "good"]} for name in scripts]
        with Fleet(folder, relays + [("good", good, {"priority": 2})], routes, **SHORT,
                   **settings) as gateway:
            yield gateway, good, bad


@pytest.mark.parametrize("keywords", [PLAIN, CHUNKED], ids=["plain", "bdat"])
def test_the_next_relay_takes_what_was_not_sent(tmp_path, keywords):
    """F-01, F-04, F-20, F-21: at once, without an error, and the answer tells where it was tried and
    why that was not it."""
    cases = {name: case for name, case in GOES_ON.items()
             if keywords is PLAIN or not name.startswith(("data", "rcpt"))}
    with beside_a_good_one(tmp_path, {name: case[0] for name, case in cases.items()}, keywords,
                           {name: case[1] for name, case in cases.items()}) as (gateway, good, bad):
        def run(name):
            _script, _more, outcome, phase = cases[name]
            answer = gateway.send(tags=[name])
            assert answer.status == 200, (name, answer)
            assert tries(answer) == [(name, outcome), ("good", "accepted")], (name, answer)
            assert answer["attempts"][0]["phase"] == phase and answer["attempts"][0]["code"], answer
            assert answer["relay"]["name"] == "good", answer
            return answer
        answers = together(run, cases, 6)
        each_once([good] + [relay for relay in bad.values() if isinstance(relay, Relay)], answers)


@pytest.mark.parametrize("keywords", [PLAIN, CHUNKED], ids=["plain", "bdat"])
def test_what_was_answered_or_is_unknown_stays_where_it_is(tmp_path, keywords):
    """F-24, F-07: a refusal is an answer; and a second relay would deliver twice what the first may
    have."""
    cases = {name: case for name, case in STAYS.items()
             if keywords is PLAIN or not name.startswith("data")}
    with beside_a_good_one(tmp_path, {name: case[0] for name, case in cases.items()},
                           keywords) as (gateway, good, bad):
        def run(name):
            script, status, outcome = cases[name]
            answer = gateway.send(tags=[name])
            assert (answer.status, answer["outcome"]) == (status, outcome), (name, answer)
            assert tries(answer) == [(name, outcome)], (name, answer)
            assert answer["duplicate_risk"] is (outcome == "unknown")
            stored = bool(isinstance(script.get("dot"), dict) and script["dot"].get("take"))
            assert [t.message_id for t in bad[name].ledger] == [answer["message_id"]] * stored
        together(run, cases, 6)
        assert not good.ledger and gateway.send(relay="good").status == 200


def test_a_relay_that_returns_gets_its_messages_again(tmp_path):
    """F-24: A is first. It goes down under load: nobody sees more of it than what is in doubt; all
    go to B, and A is not asked for each; A returns: all go to A, none to B any more."""
    port = free_port()
    first, second = Relay(port=port), Relay()
    with second, Fleet(tmp_path, [("a", first, {}), ("b", second, {"priority": 2})],
                       **SHORT) as gateway, ThreadPoolExecutor(8) as pool:
        answers = [gateway.send()]
        assert answers[0]["relay"]["name"] == "a"
        running = [pool.submit(gateway.send, subject=str(n)) for n in range(200)]
        assert first.wait(lambda: len(first.ledger) >= 20, 20 * SLOW)
        first.stop()
        answers += [send.result() for send in running]
        late = {a["message_id"] for a in answers if a.status == 504}
        assert len(late) <= 16, "what had gone out when it stopped"
        assert {a.status for a in answers} <= {200, 504}, [a for a in answers if a.status != 200][:3]
        first.ledger = [t for t in first.ledger if t.message_id not in late]
        assert not late & {t.message_id for t in second.ledger}, "unknown is not sent elsewhere"
        each_once([first, second], answers)
        assert len({a["relay"]["name"] for a in answers[-5:]} - {"a"}) == 1
        with Relay(port=port) as back:
            more = []

            def is_back():
                more.append(gateway.send())
                return more[-1]["relay"]["name"] == "a"
            assert wait_for(is_back, 20, 0.1), "it is tried again"
            more += together(lambda n: gateway.send(subject=str(n)), range(50))
            assert {a["relay"]["name"] for a in more[-50:]} == {"a"}, "and keeps what it has"
            each_once([first, second, back], answers + more)


def test_when_all_rest_that_is_told_and_for_how_long(tmp_path):
    """F-01, F-24: no relay is asked time after time; 503 says when one will be. Then it is tried, by
    one session; when that is well, all is."""
    ports = free_port(), free_port()
    one, two = Nobody(), Nobody()
    one.port, two.port = ports
    with Fleet(tmp_path, [("one", one, {}), ("two", two, {})], **SHORT) as gateway:
        for _ in range(6):
            answer = gateway.send()
            assert (answer.status, answer["outcome"]) == (503, "not_sent"), answer
        with Relay({"greeting": "421 4.3.2 not yet"}, port=ports[0]) as relay, \
                Relay({"greeting": "421 4.3.2 not yet"}, port=ports[1]) as other:
            began = time.monotonic()
            answers = together(lambda n: gateway.send(subject=str(n)), range(60))
            for answer in answers:
                body = problem(answer, 503, answer["code"], "not_sent")
                assert answer.headers["Retry-After"] == str(body["retry_after"])
                assert 1 <= body["retry_after"] <= 300 and body["retryable"] is True
            assert len(relay.connections) + len(other.connections) <= 4 + (
                time.monotonic() - began), "one probe a rest"
            relay.script = other.script = {}
            answers = []

            def is_well():
                answers.append(gateway.send())
                return answers[-1].status == 200
            assert wait_for(is_well, 30, 0.1)
            answers += together(lambda n: gateway.send(subject=str(n)), range(20))
            assert all(a.status == 200 for a in answers[-20:]), answers[-20:]
            each_once([relay, other], answers)


def test_a_named_relay_is_the_only_one(tmp_path):
    """Section 3: the relay that a message names, whatever its priority, and no other when it is down."""
    with Relay() as one, Relay() as two:
        with Fleet(tmp_path, [("one", one, {}), ("two", two, {"priority": 9}),
                              ("down", Nobody(), {})]) as gateway:
            assert [gateway.send(relay=name)["relay"]["name"] for name in ("one", "two")] == [
                "one", "two"]
            answer = gateway.send(relay="down")
            assert tries(answer) == [("down", "not_sent")] and answer.status == 503
            assert gateway.send(relay="three").status == 422
            batch = gateway.post("/send/batch", [{"relay": name, "from": "a@example.com",
                                                  "to": "b@example.org", "text": "x"}
                                                 for name in ("two", "down", "one")])
            assert [result["status"] for result in batch["results"]] == [200, 503, 200]


def test_a_key_goes_on_to_its_own_relays_alone(tmp_path):
    """Section 4: what a key may use holds for failover, too."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [
        entry("all"), entry("a", relays=["a"]), entry("ac", relays=["c", "a"]),
        entry("b", relays=["b"])]}))
    with Relay() as b, Relay() as c, Fleet(tmp_path, [
            ("a", Nobody(), {}), ("b", b, {"priority": 2}), ("c", c, {"priority": 3})],
            key=secret_of("all"), API_KEY=None, API_KEYS_FILE=keys) as gateway:
        answers = {name: gateway.send(key=secret_of(name)) for name in ("all", "a", "ac", "b")}
        assert tries(answers["a"]) == [("a", "not_sent")] and answers["a"].status == 503
        assert tries(answers["all"]) == [("a", "not_sent"), ("b", "accepted")]
        assert tries(answers["ac"]) == [("a", "not_sent"), ("c", "accepted")]
        assert tries(answers["b"]) == [("b", "accepted")]
        assert gateway.send(key=secret_of("a"), relay="b").status == 403
        each_once([b, c], list(answers.values()))


def test_relays_of_one_priority_share_by_weight(tmp_path):
    with Relay() as one, Relay() as two, Relay() as spare, Fleet(tmp_path, [
            ("one", one, {"weight": 3}), ("two", two, {}), ("spare", spare, {"priority": 2})]) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(80))
        each_once([one, two, spare], answers)
        assert not spare.ledger and 58 <= len(one.ledger) <= 62, len(one.ledger)


def test_a_deadline_is_for_all_relays_together(tmp_path):
    """Section 3: the next one is tried within the deadline, not after it; a silent one is left when
    half of what was left is over."""
    silent = {"greeting": {"reply": "", "then": "stall"}}
    with Relay(silent) as one, Relay(silent) as two, Relay() as three, Fleet(tmp_path, [
            ("one", one, {}), ("two", two, {"priority": 2}),
            ("three", three, {"priority": 3})], SMTP_TIMEOUT_CONNECT=ms(1000),
            SMTP_TIMEOUT_COMMAND=ms(1000)) as gateway:
        began = time.monotonic()
        answer = gateway.send(deadline=ms(1500))
        assert time.monotonic() - began < 1.5 * 2 + 2 * SLOW
        in_time = answer.status == 200
        assert in_time or answer.status == 504 and answer["outcome"] == "not_sent", answer
        assert len(three.ledger) == in_time
        answer = gateway.send(deadline=ms(8000))
        assert answer.status == 200 and tries(answer)[-1] == ("three", "accepted"), answer


def test_a_reload_keeps_what_is_under_way_and_follows_the_new_list(tmp_path):
    """Section 3, SIGHUP: relays come, go and change places while messages go."""
    with Relay() as one, Relay() as two, Relay() as three:
        lists = [[("one", one, {}), ("two", two, {"priority": 2})],
                 [("two", two, {}), ("three", three, {})],
                 [("three", three, {"priority": 2}), ("one", one, {})]]
        with Fleet(tmp_path, lists[0], **SHORT) as gateway, ThreadPoolExecutor(6) as pool:
            running = [pool.submit(gateway.send, subject=str(n)) for n in range(300)]
            for n in range(6):
                time.sleep(0.1)
                gateway.reload(lists[(n + 1) % 3])
            answers = [send.result() for send in running]
            assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:3]
            each_once([one, two, three], answers)
            assert gateway.send()["relay"]["name"] == "one"


def test_who_waits_for_a_relay_that_is_taken_out_hears_so(tmp_path):
    """It is not the gateway that stops: nobody took it, and it may be sent again."""
    with Relay({"dot": {"delay": 1.5}}) as one, Relay() as two, ThreadPoolExecutor(3) as pool, \
            Fleet(tmp_path, [("one", one, {"sessions": 1})]) as gateway:
        sent = [pool.submit(gateway.send, subject=str(n), relay="one") for n in range(3)]

        def is_busy():
            relay = gateway.relays()["one"]
            return (relay["sessions"]["busy"], relay["waiting"]) == (1, 2)
        assert wait_for(is_busy)
        gateway.reload([("two", two, {})])
        answers = sorted((a.result() for a in sent), key=lambda a: a.status)
        assert [a.status for a in answers] == [200, 503, 503], answers
        assert [a["code"] for a in answers[1:]] == ["relay_unreachable"] * 2, answers
        assert "taken out" in answers[1]["detail"] and answers[1]["outcome"] == "not_sent"
        assert len(one.ledger) == 1 and not two.ledger


RESTS = {"greeting": "421 4.3.2 not now, try again in 250 seconds"}


def resting(gateway, name):
    assert gateway.send(relay=name).status == 503
    assert gateway.relays()[name]["state"] == "resting", gateway.relays()[name]


def test_who_waits_goes_elsewhere_when_another_is_back(tmp_path):
    """F-24: a is silent; b rests when half of the time is over, and is well soon after."""
    rests = {"greeting": "421 4.3.2 not now, try again in %d seconds" % (5 * PACE)}
    with Relay({"greeting": {"reply": "", "then": "stall"}}) as a, Relay(rests) as b, Fleet(
            tmp_path, [("a", a, {}), ("b", b, {"priority": 2})], SMTP_TIMEOUT_COMMAND=ms(60000),
            SMTP_TIMEOUT_CONNECT=ms(60000)) as gateway, ThreadPoolExecutor(1) as pool:
        resting(gateway, "b")
        sent = pool.submit(gateway.send, deadline=ms(8000))
        assert wait_for(lambda: gateway.relays()["a"]["waiting"] == 1)
        b.script = {}
        answer = sent.result()
        assert answer.status == 200 and tries(answer) == [("a", "not_sent"), ("b", "accepted")], answer
        assert len(b.ledger) == 1


def test_who_looks_for_another_relay_in_vain_keeps_its_place(tmp_path):
    """Section 4: the first come is the first served; of these four, one looks for another relay before
    theirs is ready."""
    def greeting(_connection, _step, _line):
        return {"delay": 4 * PACE}
    with Relay({"greeting": greeting}) as a, Relay(RESTS) as b, Fleet(
            tmp_path, [("a", a, {"sessions": 1}), ("b", b, {"priority": 2})],
            SMTP_TIMEOUT_COMMAND=ms(60000)) as gateway, ThreadPoolExecutor(4) as pool:
        resting(gateway, "b")
        sent = []
        for n in range(4):
            sent.append(pool.submit(gateway.send, deadline=ms(16000 if n else 6000)))
            assert wait_for(lambda: gateway.relays()["a"]["waiting"] == len(sent))
        answers = [s.result() for s in sent]
        assert [a.status for a in answers] == [200] * 4, answers
        assert [t.message_id for t in a.ledger] == [answer["message_id"] for answer in answers]
        assert not b.ledger
