"""A session that carries one message after another: how long it may, what it is worth when it has
idled, and what one message leaves to the next (F-12, F-16, F-17, F-22)."""

import time
from collections import Counter

import pytest

from gateway import SLOW, Gateway, problem, together, wait_for
from ledger import (CHUNKED, PIPELINED, SHORT, WAYS, attempts, nobody_heard_of_it,
                    nothing_lost_nothing_twice)
from relay import Relay

STALE = 2.5  # seconds without a word, behind which a session is no longer taken for alive
SILENT = {"reply": "", "then": "stall"}


# ---- sessions that take so many messages and no more

def used_up(manner, limit):
    """A script by which a session ends behind `limit` messages."""
    def mail(connection, _step, _line):
        if connection.times["mail"] <= limit:
            return None
        return {"reply": "421 4.7.0 enough", "then": "reset"} if "reset" in manner else manner

    def dot(connection, _step, _line):
        return {"then": "close"} if connection.times["dot"] >= limit else None
    return {"dot": dot} if manner == "close" else {"mail": mail}


@pytest.mark.parametrize("limit", [1, 2, 10])
@pytest.mark.parametrize("manner,messages,keywords", [
    ("421 4.7.0 too many messages", 1000, CHUNKED), ("450 4.7.1 too many messages", 100, CHUNKED),
    ("452 4.5.3 too many messages", 100, CHUNKED), ("close", 100, PIPELINED),
    ("421 then reset", 100, PIPELINED)], ids=["421", "450", "452", "close", "421-reset"])
def test_a_limit_of_messages_a_session_is_not_seen_by_callers(limit, manner, messages, keywords):
    """F-12: no loss, no duplicate, no visible error."""
    with Relay(used_up(manner, limit), keywords=keywords) as relay, \
            Gateway(relay, SMTP_SESSIONS=4) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(messages))
        assert [a.status for a in answers] == [200] * messages, \
            [a for a in answers if a.status != 200][:2]
        nothing_lost_nothing_twice(relay, answers)
        assert max(Counter(t.connection for t in relay.ledger).values()) == limit
        nobody_heard_of_it(gateway)


def test_a_session_that_says_goodbye_still_takes_a_place():
    """SMTP_SESSIONS is what the relay sees: one that has not let go yet counts, too."""
    most = []

    def greet(connection, _step, _line):
        most.append(len(connection.relay.open_connections))

    with Relay({"greeting": greet, "quit": {"delay": 0.3}}) as relay, \
            Gateway(relay, SMTP_SESSIONS=2, SMTP_MAX_MESSAGES=1) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(10))
        assert [a.status for a in answers] == [200] * 10
        assert len(most) == 10 and max(most) <= 2, most
        nothing_lost_nothing_twice(relay, answers)


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_limit_that_the_relay_tells_is_kept(limit):
    """F-12, RFC 9422 MAILMAX: no session gets to hear that it is one too many."""
    with Relay(used_up("421 4.7.0 too many messages", limit),
               keywords=CHUNKED + ("LIMITS MAILMAX=%d" % limit,)) as relay, \
            Gateway(relay, SMTP_SESSIONS=4) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(100))
        assert [attempts(a) for a in answers] == [["accepted"]] * 100
        nothing_lost_nothing_twice(relay, answers)
        assert max(Counter(t.connection for t in relay.ledger).values()) == limit
        assert not [c for c in relay.connections if b"421" in c.sent]


# ---- sessions that idled

ENDS = [{"later": [0.2, b"421 4.4.2 idle\r\n"], "then": "close"},
        {"later": [0.2, b""], "then": "close"}, {"later": [0.2, b""], "then": "reset"},
        {"later": [0.2, b"250 what\r\n"]}]


@pytest.mark.parametrize("tls", [None, "starttls"])
def test_a_session_that_the_relay_ended_while_idle_is_no_error(authority, certificate, tls):
    """F-17, S-24: by 421, end of file or reset, and one that speaks out of turn."""
    def run(end):
        with Relay({"connections": {"1": {"dot": end}}}, tls=tls,
                   context=certificate.context()) as relay, \
                Gateway(relay, SMTP_CA_FILE=authority.file) as gateway:
            answers = [gateway.send()]
            time.sleep(0.6)
            answers.append(gateway.send())
            assert [a.status for a in answers] == [200, 200], answers
            assert len(answers[1]["attempts"]) == 1, "a dead session is seen before it is used"
            assert len(relay.connections) == 2
            nothing_lost_nothing_twice(relay, answers)
            nobody_heard_of_it(gateway)
    together(run, ENDS, 4)


def test_ten_thousand_ticks_of_an_idle_session_cost_nothing():
    """F-17: a session that the relay half-closed must not spin."""
    from gateway import cpu_seconds
    with Relay({"dot": {"later": [0.1, b""], "then": "cut"}}) as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200
        assert relay.wait(lambda: relay.connections[0].ended, 10)
        before = cpu_seconds(gateway.pid)
        time.sleep(1)
        assert cpu_seconds(gateway.pid) - before < 0.5


def dead(way, used, deadline=None):
    """The session idles, and never answers again. `used`: did it carry a message before, or was it
    kept ready? `deadline`: how long the caller waits."""
    script = {"connections": {"1": {("2/" if used else "1/") + "mail": SILENT}}}
    with Relay(script, keywords=WAYS[way]) as relay, \
            Gateway(relay, SMTP_MIN_SESSIONS=None if used else 1) as gateway:
        answers = [gateway.send()] if used else []
        assert wait_for(lambda: relay.commands("EHLO"))
        time.sleep(STALE)
        answers.append(gateway.send(text="Only for the living.\n", deadline=deadline))
        assert answers[-1].status == 200, answers[-1]
        assert attempts(answers[-1]) == ["not_sent", "accepted"], answers[-1]
        assert answers[-1]["attempts"][0]["phase"] == "mail"
        assert answers[-1]["attempts"][0]["ms"] < 3000 + 1000 * SLOW
        nothing_lost_nothing_twice(relay, answers)
        assert b"Only for the living" not in relay.connections[0].received
        nobody_heard_of_it(gateway)


def slow():
    """Slow is not dead."""
    script = {"connections": {"1": {"2/mail": {"delay": 1}}}}
    with Relay(script) as relay, Gateway(relay) as gateway:
        answers = [gateway.send()]
        time.sleep(STALE)
        answers.append(gateway.send())
        assert attempts(answers[1]) == ["accepted"], answers[1]
        nothing_lost_nothing_twice(relay, answers)
        assert len(relay.connections) == 1


def dead_altogether():
    """The silent try is not repeated."""
    with Relay({"2/mail": SILENT, "connections": {"2": {"mail": SILENT}}},
               keywords=PIPELINED) as relay, Gateway(relay, **SHORT) as gateway:
        assert gateway.send().status == 200
        time.sleep(STALE)
        answer = gateway.send()
        problem(answer, 504, "relay_timeout", "not_sent")
        assert attempts(answer) == ["not_sent", "not_sent"]
        assert len(relay.connections) == 2 and len(relay.ledger) == 1


def test_a_session_that_idled_and_is_dead_costs_seconds_and_no_error():
    """F-16: it swallows all that is said to it. The envelope goes first, so that nothing is in
    doubt, and not all of SMTP_TIMEOUT_COMMAND is spent on it: three seconds, or less where the
    caller has little more."""
    cases = [(dead, way, used) for way in WAYS for used in (True, False)]
    cases += [(dead, way, True, "2500ms") for way in WAYS] + [(slow,), (dead_altogether,)]
    together(lambda case: case[0](*case[1:]), cases, len(cases))


# ---- what one message leaves to the next

REFUSED = {"rcpt:no@example.org": "550 5.1.1 no"}


def ask_in_vain(gateway):
    """A transaction that ends without content, which is too much for one write: RSET follows."""
    answer = gateway.send(to="no@example.org", text="x" * 70 + "\n" + "y" * 70000)
    problem(answer, 422, "recipient_rejected", "rejected")


@pytest.mark.parametrize("reply", [
    "500 5.5.1 what?", "502 5.5.1 no", "421 4.3.2 bye", "354 go on", {"reply": "", "then": "reset"},
    {"raw": b"junk\r\n"}], ids=["500", "502", "421", "354", "reset", "junk"])
def test_a_session_that_does_not_reset_is_dropped(reply):
    """F-22: RSET (or NOOP, if it is ever said) is refused or lost: nothing but QUIT goes behind."""
    script = {"connections": {"1": {"rset": reply, "noop": reply}}, **REFUSED}
    with Relay(script, keywords=CHUNKED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        ask_in_vain(gateway)
        answers = [gateway.send() for _ in range(2)]
        assert [attempts(a) for a in answers] == [["accepted"]] * 2, answers
        nothing_lost_nothing_twice(relay, answers)
        assert [t.connection for t in relay.ledger] == [2, 2]
        verbs = [line.split(" ")[0] for line in relay.connections[0].commands]
        at = min(verbs.index(verb) for verb in ("RSET", "NOOP") if verb in verbs)
        assert set(verbs[at + 1:]) <= {"QUIT"}


@pytest.mark.parametrize("way", WAYS)
def test_a_relay_that_only_says_that_it_has_reset_is_found_out(way):
    """F-22, F-23: 250 to RSET, and the old transaction is still there, so that the next MAIL is a
    nested one. The message goes on another session, once, and nothing of it into the old one."""
    script = {"connections": {"1": {"rset": {"reply": "250 2.0.0 ok", "keep": True}}}, **REFUSED}
    with Relay(script, keywords=WAYS[way]) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        ask_in_vain(gateway)
        answers = [gateway.send(subject=str(n)) for n in range(3)]
        assert [attempts(a) for a in answers] == [["rejected", "accepted"], ["accepted"],
                                                  ["accepted"]], answers
        assert [(t.connection, t.message_id) for t in relay.ledger] == [
            (2, a["message_id"]) for a in answers]
        assert b"503 5.5.1 nested" in relay.connections[0].sent


STEPS = [(way, step) for way in WAYS for step in ("mail", "rcpt", "data", "dot")
         if (way, step) != ("bdat", "data")]


@pytest.mark.parametrize("way,step", STEPS)
def test_a_refused_message_does_not_poison_the_next(way, step):
    """F-23: the relay keeps its state until RSET, and takes no nested MAIL."""
    script = {"connections": {"1": {"1/" + step: "554 5.7.1 no", "3/" + step: "451 4.3.0 not now"}}}
    with Relay(script, keywords=WAYS[way]) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = [gateway.send(subject=str(n)) for n in range(4)]
        # a 451 to MAIL, where a message went before, may mean this session: another one is asked
        third = "accepted" if step == "mail" else "deferred"
        assert [a["outcome"] for a in answers] == [
            "rejected", "accepted", third, "accepted"], answers
        assert answers[0]["smtp"]["code"] == 554
        if step == "mail":
            assert attempts(answers[2]) == ["deferred", "accepted"]
            assert [t.connection for t in relay.ledger] == [1, 2, 2]
        else:
            assert answers[2]["smtp"]["code"] == 451
            assert [t.connection for t in relay.ledger] == [1, 1]
            assert relay.wait(lambda: len(relay.commands("RSET")) == 2)
        nothing_lost_nothing_twice(relay, answers)
        assert b"503 5.5.1 nested" not in b"".join(bytes(c.sent) for c in relay.connections)
