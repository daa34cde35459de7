"""Pipelining that is promised and not kept (fault F-18): found out, nothing lost, nothing twice, in
doubt only where the content was gone, and the relay is used without it from then on."""

import pytest

from gateway import Gateway, metric, ms, problem, together
from ledger import (CHUNKED, PIPELINED, SHORT, attempts, nobody_heard_of_it,
                    nothing_lost_nothing_twice)
from relay import Relay

ONE = ["ann@example.org"]
TWO = ["ann@example.org", "bo@example.org"]
THREE = ["ann@example.org", "no@example.org", "bo@example.org"]
REFUSED_FIRST = ["no@example.org", "bo@example.org"]


class Liar:
    """What such a relay does. It lies only where commands came in ahead of an answer, and from the
    connection's `since`-th transaction on."""

    def __init__(self, lie, since=1):
        self.lie, self.since = lie, since
        self.lies = []  # the connections that were lied to

    def script(self):
        return {step: self.at(step) for step in ("mail", "rcpt", "data", "dot")}

    def at(self, step):
        def act(connection, _step, line):
            if step == "mail":
                connection.held, connection.deaf = "", False
                connection.pipelined = bool(connection.input) and \
                    (connection.number > 1 or len(connection.transactions) >= self.since)
            if not getattr(connection, "pipelined", False):
                return "550 5.1.1 no" if b"<no@" in line and step == "rcpt" else None
            if step == "mail":
                self.lies.append(connection.number)
            return self.lie(connection, step, line)
        return act


def drops_what_is_behind_mail(connection, step, _line):
    if step == "mail":
        connection.input.clear()


def drops_what_is_behind_rcpt(connection, step, _line):
    if step == "rcpt":
        connection.input.clear()


def closes_at_mail(_connection, step, _line):
    return {"reply": "", "then": "close"} if step == "mail" else None


def resets_at_mail(_connection, step, _line):
    return {"reply": "", "then": "reset"} if step == "mail" else None


def closes_at_rcpt(_connection, step, _line):
    return {"reply": "", "then": "close"} if step == "rcpt" else None


def owes_an_answer(_connection, step, _line):
    return {"reply": "", "go": True} if step == "rcpt" else None


def answers_twice(_connection, step, _line):
    return {"extra": "250 2.1.5 early\r\n"} if step == "mail" else None


def answers_the_content_first(connection, step, _line):
    """The answer to RCPT stands behind that to DATA or BDAT."""
    if step == "rcpt":
        connection.held += "250 2.1.5 recipient ok\r\n"
        return {"reply": "", "go": True}
    if step in ("data", "dot") and connection.held:
        held, connection.held = connection.held, ""
        return {"reply": "354 go on" if step == "data" else "250 2.0.0 Ok: queued as LATE1",
                "extra": held}
    return None


def ignores_rcpt_behind_an_error(connection, step, line):
    if step != "rcpt":
        return None
    if connection.deaf:
        return {"reply": ""}
    connection.deaf = b"<no@" in line
    return "550 5.1.1 no" if connection.deaf else None


def ignores_all_behind_an_error(connection, step, line):
    """As above, and DATA or BDAT is ignored too."""
    if step in ("data", "dot") and connection.deaf:
        return {"reply": "", "take": False}
    return ignores_rcpt_behind_an_error(connection, step, line)


def refusals(answer):
    found = [(recipient["address"], recipient["outcome"]) for recipient in answer["recipients"]]
    return [(address, outcome) for address, outcome in found if outcome != "accepted"]


def sends(liar, keywords, to):
    """The same message three times, one after the other; and that these answers tell no lie."""
    with Relay(liar.script(), keywords=keywords) as relay, \
            Gateway(relay, SMTP_SESSIONS=1, SMTP_TIMEOUT_DOT=ms(1000), **SHORT) as gateway:
        answers = [gateway.send(subject=str(n), to=to) for n in range(3)]
        if {answer.status for answer in answers} == {200} and not refusals(answers[0]):
            nobody_heard_of_it(gateway)
        assert metric(gateway.get("/metrics", key=None).body.decode(),
                      "lettergate_sends_total") == 3
    return relay, answers


NO = ("no@example.org", "rejected")
LIES = {
    drops_what_is_behind_mail: [ONE, THREE], drops_what_is_behind_rcpt: [ONE, THREE],
    closes_at_mail: [ONE, TWO], resets_at_mail: [ONE, TWO], closes_at_rcpt: [ONE],
    owes_an_answer: [ONE, TWO], answers_twice: [ONE, THREE], answers_the_content_first: [ONE, TWO],
    ignores_rcpt_behind_an_error: [THREE, REFUSED_FIRST],
    ignores_all_behind_an_error: [THREE, REFUSED_FIRST]}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_pipeline_that_falls_apart_is_done_again_without(lie):
    """F-18, DATA: nothing of the content has left, so callers see nothing but a delay."""
    def run(to):
        liar = Liar(lie)
        relay, answers = sends(liar, PIPELINED, to)
        assert [(a.status, refusals(a)) for a in answers] == [
            (200, [NO] if NO[0] in to else [])] * 3, answers
        assert [attempts(a)[:-1] for a in answers] == [["not_sent"], [], []], answers
        nothing_lost_nothing_twice(relay, answers)
        assert [t.recipients for t in relay.ledger] == [[a for a in to if a != NO[0]]] * 3
        assert liar.lies == [1] and [t.connection for t in relay.ledger] == [2, 2, 2]
    together(run, LIES[lie])


# What the first message, which went in one write, is answered; and is it in the ledger?
ONE_WRITE = {
    drops_what_is_behind_mail: ("unknown", 0), drops_what_is_behind_rcpt: ("unknown", 0),
    closes_at_mail: ("unknown", 0), resets_at_mail: ("unknown", 0), closes_at_rcpt: ("unknown", 0),
    owes_an_answer: ("unknown", 1), answers_twice: ("unknown", 1),
    answers_the_content_first: ("accepted", 1)}


def test_one_write_that_falls_apart_is_in_doubt_and_not_repeated():
    """F-18, BDAT: the last byte was gone, and nothing complete was heard of it."""
    def run(lie):
        liar, (outcome, stored) = Liar(lie), ONE_WRITE[lie]
        relay, answers = sends(liar, CHUNKED, ONE)
        assert (lie, [attempts(a) for a in answers]) == (
            lie, [[outcome], ["accepted"], ["accepted"]]), answers
        if outcome == "unknown":
            body = problem(answers[0], 504, "outcome_unknown", "unknown")
            assert body["duplicate_risk"] is True
            assert (lie, liar.lies) == (lie, [1]), "pipelining is left off"
        assert (lie, sorted(t.message_id for t in relay.ledger)) == (lie, sorted(
            a["message_id"] for a in answers[0 if stored else 1:]))
    together(run, ONE_WRITE)


@pytest.mark.parametrize("lie,stored", [(ignores_rcpt_behind_an_error, [["ann@example.org"]]),
                                        (ignores_all_behind_an_error, [])])
def test_one_write_is_in_doubt_for_whom_it_may_have_reached(lie, stored):
    """F-18, BDAT: a recipient is ignored; whoever was refused before stays so."""
    liar = Liar(lie)
    relay, answers = sends(liar, CHUNKED, THREE)
    assert [r["outcome"] for r in answers[0]["recipients"]] == ["unknown", "rejected", "unknown"]
    assert [a["outcome"] for a in answers] == ["unknown", "partial", "partial"]
    assert [t.recipients for t in relay.ledger] == stored + [TWO] * 2
    assert liar.lies == [1]


def test_a_relay_that_unlearns_pipelining_is_found_out_on_a_session_in_use():
    """F-18: closed at MAIL, a session in use may have idled out. The fresh one tells that it was
    the pipeline; that is no error yet, either."""
    liar = Liar(resets_at_mail, since=2)
    relay, answers = sends(liar, PIPELINED, ONE)
    assert [attempts(a) for a in answers] == [
        ["accepted"], ["not_sent", "not_sent", "accepted"], ["accepted"]], answers
    assert liar.lies == [1, 2] and [t.connection for t in relay.ledger] == [1, 3, 3]
    nothing_lost_nothing_twice(relay, answers)


def test_a_relay_that_keeps_its_promise_is_not_distrusted():
    """F-18: refusals, and a relay that answers late, are no reason."""
    script = {"rcpt:no@example.org": "550 5.1.1 no", "2/data": {"delay": 0.3}}
    with Relay(script, keywords=PIPELINED, hold=0.05) as relay, \
            Gateway(relay, SMTP_SESSIONS=1, **SHORT) as gateway:
        answers = [gateway.send(to=to) for to in (THREE, THREE, REFUSED_FIRST[:1], ONE)]
        assert [a["outcome"] for a in answers] == ["partial", "partial", "rejected", "accepted"]
        assert [t.round_trips for t in relay.ledger] == [2, 3, 2]  # the delay ends one
        assert len(relay.connections) == 1
