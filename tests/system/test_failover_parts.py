"""A message of which a relay settled a part, one relay of several (faults F-07, F-10, F-11, F-24):
those who have no answer go on to the next, nobody else, each once."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet, tries
from gateway import PACE, SLOW, Gateway, ms, wait_for
from relay import Relay
from test_failover import LOST, SHORT, Nobody

ONE_AT_A_TIME = ("PIPELINING", "LIMITS RCPTMAX=1")
TWO_AT_A_TIME = ("PIPELINING", "LIMITS RCPTMAX=2")


def outcomes(answer):
    return [recipient["outcome"] for recipient in answer["recipients"]]


def each_recipient_once(relays, to):
    got = sorted(r for relay in relays for t in relay.ledger for r in t.recipients)
    assert got == sorted(to), got


@contextlib.contextmanager
def split_at_a(folder, script, keywords=TWO_AT_A_TIME, **settings):
    with Relay(script, keywords=keywords) as a, Relay() as b, \
            Fleet(folder, [("a", a, {"sessions": 1}), ("b", b, {"priority": 2})], **settings) as gateway:
        yield gateway, a, b


def to_of(name, count):
    return [f"{name}{n}@example.org" for n in range(count)]


@pytest.mark.parametrize("manner", [
    {"mail:2": LOST, "connections": dict.fromkeys("23456789", {"mail": LOST})},
    {"mail:2": "421 4.3.2 bye", "connections": dict.fromkeys("23456789", {"mail": "421 4.3.2 bye"})},
    {"mail:2": LOST, "connections": dict.fromkeys("23456789", {"greeting": "421 4.3.2 not now"})},
    {"mail:2": "451 4.3.0 later",
     "connections": dict.fromkeys("23456789", {"mail": "451 4.3.0 later"})}], ids=["lost", "421", "greeting", "451"])
def test_the_rest_of_a_split_goes_on_to_the_next_relay(tmp_path, manner):
    """F-11, F-24: a part is at a, which takes no other: those without an answer go to b, only they,
    and it is told what came of a."""
    to = to_of("u", 6)
    with split_at_a(tmp_path, manner) as (gateway, a, b):
        answer = gateway.send(to=to)
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert outcomes(answer) == ["accepted"] * 6 and answer["relay"]["name"] == "b", answer
        assert tries(answer)[-2:] == [("a", "partial"), ("b", "accepted")], answer
        assert answer["attempts"][-2]["code"] and answer["attempts"][-2]["phase"], answer
        assert sum((t.recipients for t in a.ledger), []) == to[:2]
        each_recipient_once([a, b], to)


def test_splits_that_wait_go_on_when_their_relay_says_421(tmp_path):
    """F-24: three messages take turns, one recipient each; a begins to say 421."""
    to = [to_of(name, 6) for name in "xyz"]
    with split_at_a(tmp_path, {"dot": {"delay": 0.2}}, ONE_AT_A_TIME) as (gateway, a, b), \
            ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(gateway.send, to=whom, deadline=ms(9000)) for whom in to]
        assert a.wait(lambda: len(a.ledger) >= 3, 10 * SLOW)
        a.script = {"greeting": "421 4.3.2 no", "mail": "421 4.3.2 bye"}
        for answer in (s.result() for s in sent):
            assert answer.status == 200 and outcomes(answer) == ["accepted"] * 6, answer
            assert tries(answer)[-1] == ("b", "accepted") and "a" in dict(tries(answer)), answer
        each_recipient_once([a, b], sum(to, []))


def test_who_waits_for_a_relay_that_rests_leaves_with_what_it_has(tmp_path):
    """F-14: a took a part of either; to the next it says when to come again. The other one, which
    waited, goes to b as well, and tells that it was at a."""
    def mail(connection, _step, _line):
        return "421 4.7.28 too fast, try again in 200 seconds" if connection.times["mail"] > 2 else None
    to = [to_of(name, 3) for name in "xy"]
    with split_at_a(tmp_path, {"mail": mail, "dot": {"delay": 0.5}}, ONE_AT_A_TIME) as (
            gateway, a, b), ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(gateway.send, to=whom, deadline=ms(9000)) for whom in to]
        for answer in (s.result() for s in sent):
            assert answer.status == 200 and outcomes(answer) == ["accepted"] * 3, answer
            assert tries(answer) == [("a", "partial"), ("b", "accepted")], answer
        assert [len(t.recipients) for t in a.ledger] == [1, 1]
        each_recipient_once([a, b], sum(to, []))


def test_with_no_other_relay_the_rest_of_a_split_is_told(tmp_path):
    """F-11: those behind the part that failed are not sent; b is down, too."""
    with Relay({"mail:2": LOST, "connections": dict.fromkeys("23456789", {"mail": LOST})},
               keywords=TWO_AT_A_TIME) as a, Fleet(tmp_path, [
                   ("a", a, {"sessions": 1}), ("b", Nobody(), {"priority": 2})], **SHORT) as gateway:
        answer = gateway.send(to=to_of("u", 6))
        assert (answer.status, answer["outcome"]) == (200, "partial"), answer
        assert outcomes(answer) == ["accepted"] * 2 + ["not_sent"] * 4
        assert tries(answer)[-2:] == [("a", "partial"), ("b", "not_sent")], answer
        assert all(r["retryable"] for r in answer["recipients"][2:]), answer


def test_an_unknown_part_stays_and_the_rest_goes_on(tmp_path):
    """F-07: what may have been delivered is asked nowhere else."""
    script = {"dot": {**LOST, "take": True}, "connections": dict.fromkeys("23456789", {"mail": LOST})}
    to = to_of("u", 4)
    with split_at_a(tmp_path, script) as (gateway, a, b):
        answer = gateway.send(to=to)
        assert outcomes(answer) == ["unknown"] * 2 + ["accepted"] * 2, answer
        each_recipient_once([a, b], to)


@pytest.mark.parametrize("code", ["451 4.3.0 disk", "554 5.7.1 spam"])
def test_a_part_that_was_answered_keeps_the_rest_where_it_is(tmp_path, code):
    """F-10: what a relay says to the content is an answer, for those behind it, too."""
    def dot(connection, _step, _line):
        return code if "u2@example.org" in connection.transactions[-1].recipients else None
    with split_at_a(tmp_path, {"dot": dot}) as (gateway, _a, b):
        answer = gateway.send(to=to_of("u", 6))
        assert outcomes(answer)[4:] == ["not_sent"] * 2 and not b.ledger, answer
        assert {relay for relay, _ in tries(answer)} == {"a"}


def asked(relay):
    return sorted({re.search(r"<(\w+)@", command).group(1) for c in relay.connections
                   for command in c.commands if command.startswith("RCPT")})


def test_a_refused_recipient_is_not_asked_at_the_next_relay(tmp_path):
    """F-10: never again after a 5xx: neither where the session is lost behind it, nor where the part
    behind it is."""
    to = to_of("u", 3)
    with split_at_a(tmp_path, {"rcpt:1": "550 5.1.1 no such user", "data": LOST,
                               "connections": dict.fromkeys("23456789", {"greeting": LOST})},
                    ("PIPELINING",)) as (gateway, _a, b):
        answer = gateway.send(to=to)
        assert (answer.status, answer["outcome"]) == (200, "partial"), answer
        assert outcomes(answer) == ["rejected", "accepted", "accepted"], answer
        assert tries(answer)[-1] == ("b", "accepted") and asked(b) == ["u1", "u2"]
    with split_at_a(tmp_path, {"rcpt": "550 5.1.1 no such user", "mail:2": LOST,
                               "connections": dict.fromkeys("23456789", {"mail": LOST})}) as (
                                   gateway, _a, b):
        answer = gateway.send(to=to_of("u", 4))
        assert outcomes(answer) == ["rejected"] * 2 + ["accepted"] * 2, answer
        assert tries(answer)[-1] == ("b", "accepted") and asked(b) == ["u2", "u3"]
        assert answer["recipients"][0]["smtp"]["code"] == 550


def test_where_all_are_refused_there_is_no_next_relay(tmp_path):
    """F-10"""
    with split_at_a(tmp_path, {"rcpt": "550 5.1.1 no such user"}) as (gateway, _a, b):
        answer = gateway.send(to=to_of("u", 4))
        assert (answer.status, answer["outcome"]) == (422, "rejected"), answer
        assert tries(answer) == [("a", "rejected")] and not b.connections


def test_all_or_nobody_goes_on_as_a_whole_or_not_at_all(tmp_path):
    """F-10, F-24: with one refused for good nobody else is to get it anywhere."""
    with split_at_a(tmp_path, {"rcpt:1": "550 5.1.1 no such user"}, ("PIPELINING",)) as (
            gateway, _a, b):
        answer = gateway.send(to=to_of("u", 3), partial="refuse")
        assert answer.status == 422 and not b.connections, answer
    with split_at_a(tmp_path, {"data": LOST}, ("PIPELINING",)) as (gateway, a, b):
        to = to_of("u", 3)
        answer = gateway.send(to=to, partial="refuse")
        assert answer.status == 200 and outcomes(answer) == ["accepted"] * 3, answer
        each_recipient_once([a, b], to)


def test_a_late_answer_to_a_part_is_for_its_recipients():
    """F-08: the caller's time is over before a part is answered, and its rest is not begun. Then the
    answer comes: those two have it, and that can be read."""
    with Relay({"dot": {"delay": 3 * PACE}}, keywords=TWO_AT_A_TIME) as relay, \
            Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answer = gateway.send(to=to_of("u", 4), deadline=ms(1000))
        assert (answer.status, outcomes(answer)) == (504, ["unknown"] * 2 + ["not_sent"] * 2), answer

        def seen():
            return gateway.get("/messages/" + answer["id"])
        assert outcomes(seen()) == ["unknown"] * 2 + ["not_sent"] * 2
        assert wait_for(lambda: gateway.log("late_answer"), 4 * SLOW)
        assert wait_for(lambda: outcomes(seen()) == ["accepted"] * 2 + ["not_sent"] * 2), seen()
        assert seen()["state"] == "partial" and [len(t.recipients) for t in relay.ledger] == [2]
