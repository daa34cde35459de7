"""What an operator hears of a relay: rests and their end, fewer sessions, limits that were learned; and
what those limits do to messages."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet
from gateway import SLOW, Gateway, free_port, metric, together, wait_for
from relay import KEYWORDS, Relay

SINGLE = ("PIPELINING",)


def heard(gateway, event, count=1):
    """The log's lines of this event, when there are so many: it is written a little later."""
    assert wait_for(lambda: len(gateway.log(event)) >= count), gateway.output
    return gateway.log(event)


def told_of(gateway, name, label, *values):
    """What a metric says, by the label's value."""
    text = gateway.get("/metrics").body.decode()
    return {value: metric(text, "lettergate_" + name, **{label: value}) for value in values}


class Nobody:
    """Where nothing listens."""

    host, tls = "127.0.0.1", None

    def __init__(self):
        self.port = free_port()


def test_a_rest_and_its_end_are_told_once(tmp_path):
    """Three failures in a row; then one that works."""
    place = Nobody()
    with Fleet(tmp_path, [("one", place, {})]) as gateway:
        answers = [gateway.send() for _ in range(3)]
        assert {a.status for a in answers} == {503}, answers
        rests = heard(gateway, "relay_rests")
        assert [(line["relay"], line["cause"], line["rest_ms"], line["level"]) for line in rests] == \
            [("one", "failures", 1000, "warn")]
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_smtp_sessions_closed_total", reason="failed") == 3
        assert metric(text, "lettergate_smtp_sessions_opened_total") in (0, None)
        assert metric(text, "lettergate_smtp_session_messages_count") == 0
        with Relay(port=place.port):
            assert wait_for(lambda: gateway.send().status == 200, 20 * SLOW, 0.2)
            works = heard(gateway, "relay_works_again")
            assert [(line["relay"], line["cause"], line["level"]) for line in works] == \
                [("one", "failures", "info")]
            assert gateway.send().status == 200
            assert len(gateway.log("relay_works_again")) == 1


def test_refused_credentials_are_told_as_such():
    with Relay({"auth": "535 5.7.8 no"}, users={"me": "right"}, auth_in_clear=True) as relay, \
            Gateway(relay, SMTP_USER="me", SMTP_PASS="wrong") as gateway:
        assert gateway.send().status == 502
        assert [(line["cause"], line["rest_ms"]) for line in heard(gateway, "relay_rests")] == \
            [("auth", 60000)]
        assert gateway.send().status in (502, 503)
        rest = gateway.get("/relays")["relays"][0]["rest"]
        told = told_of(gateway, "relay_rest_seconds", "cause", "auth", "failures", "throttled")
        assert rest["cause"] == "auth" and abs(rest["seconds_left"] - told["auth"]) < 30 * SLOW, told
        assert told["failures"] == told["throttled"] == 0 < told["auth"] <= 60


def test_too_many_connections_are_told():
    def greet(connection, _step, _line):
        return "421 4.7.0 too many connections" if len(connection.relay.open_connections) > 2 else None

    with Relay({"greeting": greet, "dot": {"delay": 0.2}}) as relay, \
            Gateway(relay, SMTP_SESSIONS=8) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(30))
        assert [a.status for a in answers] == [200] * 30
        narrowed = heard(gateway, "relay_narrowed")
        assert narrowed and all(line["window"] < 8 for line in narrowed)
        reasons = ("too_many_connections", "too_fast", "pipelining_went_wrong", "hangs_up",
                   "late_answers")
        told = told_of(gateway, "relay_held_back", "reason", *reasons)
        assert told == {**dict.fromkeys(reasons, 0), "too_many_connections": 1}
        assert gateway.get("/relays")["relays"][0]["held_back_by"] == ["too_many_connections"]
        assert not gateway.log("relay_rests")


def test_slow_down_is_told():
    script = {"mail": {"reply": "452 4.4.5 rate limit exceeded, try again in 30 seconds"}}
    with Relay(script) as relay, Gateway(relay) as gateway:
        gateway.send()
        assert [(line["cause"], line["rest_ms"]) for line in heard(gateway, "relay_rests")] == \
            [("throttled", 30000)]
        assert heard(gateway, "relay_slowed")[0]["interval_ms"] == 1000


# ---- recipients in parts

def to_many(count):
    return ["r%d@example.org" % n for n in range(count)]


def takes(limit, reply):
    """A script of a relay that takes so many recipients in a transaction."""
    def rcpt(connection, _step, _line):
        return reply if len(connection.transaction.recipients) >= limit else None
    return {"rcpt": rcpt}


def each_once(relay, wanted):
    got = sorted(one for t in relay.ledger for one in t.recipients)
    assert got == sorted(wanted), got


@pytest.mark.parametrize("reply", ["452 4.5.3 too many recipients", "452 too many", "552 too many",
                                   "552 no", "550 5.5.3 too many recipients"])
@pytest.mark.parametrize("keywords", [SINGLE, KEYWORDS], ids=["data", "bdat"])
def test_a_limit_of_recipients_is_learned_and_told(reply, keywords):
    """F-11: each recipient exactly once, and the next message is cut at once."""
    with Relay(takes(10, reply), keywords=keywords) as relay, Gateway(relay) as gateway:
        answer = gateway.send(to=to_many(95))
        assert answer.status == 200, answer
        each_once(relay, to_many(95))
        assert len(relay.ledger) == 10
        assert [(line["limit"], line["value"], line["level"]) for line in heard(gateway, "limit_learned")] \
            == [("recipients", 10, "info")]
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_relay_limit_learned", limit="recipients") == 10
        refused = sum(len(t.refused) for t in relay.ledger)
        assert gateway.send(to=to_many(20)).status == 200
        assert sum(len(t.refused) for t in relay.ledger) == refused, "it knew"
        assert len(relay.ledger) == 12


def test_a_limit_that_is_told_is_obeyed():
    """RFC 9422."""
    keywords = KEYWORDS + ("LIMITS RCPTMAX=10 RCPTDOMAINMAX=1",)
    to = to_many(25) + ["x@Other.example", "y@other.example"]
    with Relay(keywords=keywords) as relay, Gateway(relay) as gateway:
        assert gateway.send(to=to).status == 200
        assert sorted(len(t.recipients) for t in relay.ledger) == [2, 5, 10, 10]
        assert not any(t.refused for t in relay.ledger)
        assert not gateway.log("limit_learned")


def test_a_reload_between_two_parts_sends_nothing_twice(tmp_path):
    """The rest goes to the relays of the new configuration; what was sent is done."""
    script = {**takes(2, "452 4.5.3 too many recipients"), "dot": {"delay": 1.0}}
    with Relay(script) as relay, ThreadPoolExecutor(1) as pool, \
            Fleet(tmp_path, [("one", relay, {"max_messages": 1})]) as gateway:
        answer = pool.submit(gateway.send, to=to_many(4))
        assert wait_for(lambda: any(c.transactions and c.transactions[0].complete
                                    for c in relay.connections))
        gateway.reload([("one", relay, {"max_messages": 1, "sessions": 3})])
        assert answer.result().status == 200, answer.result()
        each_once(relay, to_many(4))


# ---- what hang-ups teach

def test_a_number_of_messages_is_learned_and_told():
    """Two sessions that were hung up on alike, one behind the other; nobody heard of it."""
    def dot(connection, _step, _line):
        return {"then": "close"} if connection.times["dot"] >= 3 else None

    with Relay({"dot": dot}) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        for n in range(9):
            assert gateway.send().status == 200
            if n % 3 == 2:  # it is seen, so that no message crosses with it
                heard(gateway, "session_closed", 1 + n // 3)
        assert [(line["limit"], line["value"]) for line in heard(gateway, "limit_learned")] == \
            [("messages", 3)]
