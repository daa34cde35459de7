"""What a relay takes at a time, and what is learned of it (faults F-09, F-11 to F-14, F-19, S-37):
recipients, domains, messages, connections, pace, logins. Callers see nothing of it that could be
avoided, and GET /relays shows it."""

import re
import select
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet
from gateway import SLOW, Gateway, b64, mail, metric, problem, together, wait_for
from ledger import CHUNKED, PIPELINED, PLAIN, WAYS, attempts, nothing_lost_nothing_twice
from relay import Relay
from wire import Over

MANY = ["r%d@example.org" % n for n in range(95)]


def relay_of(gateway):
    answer = gateway.get("/relays")
    assert answer.status == 200, answer
    return answer["relays"][0]


# ---- recipients

def past(limit, reply):
    """A script: so many are taken in a transaction, the next are told `reply`."""
    return {"rcpt": lambda connection, _step, _line:
            reply if len(connection.transaction.recipients) >= limit else None}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script,words", [
    ({}, ("LIMITS RCPTMAX=10",)), (past(10, "452 4.5.3 too many recipients"), ()),
    (past(10, "552 5.5.3 too many recipients"), ()), (past(10, "452 too many recipients"), ())],
    ids=["announced", "452", "552", "452-bare"])
def test_more_recipients_than_the_relay_takes_go_in_parts(way, script, words):
    """F-11, RFC 5321 4.5.3.1.10, RFC 9422: 95 over a limit of 10 are 10 transactions, each recipient
    is in one of them, and the caller sees one message. The next one is cut beforehand."""
    with Relay(script, keywords=WAYS[way] + words) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answer = gateway.send(to=MANY)
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert [(r["address"], r["outcome"]) for r in answer["recipients"]] == [
            (address, "accepted") for address in MANY]
        assert {t.message_id for t in relay.ledger} == {answer["message_id"]}
        assert len(relay.ledger) == 10 and max(len(t.recipients) for t in relay.ledger) == 10
        assert sorted(sum((t.recipients for t in relay.ledger), [])) == sorted(MANY)
        assert len({t.body for t in relay.ledger}) == 1 and len(relay.connections) == 1
        asked = len(relay.commands("RCPT"))
        assert asked == 95 or script, asked
        again = gateway.send(to=MANY[:25])
        assert again.status == 200 and len(relay.ledger) == 13, again
        assert len(relay.commands("RCPT")) - asked == 25, "it is known now"
        known = relay_of(gateway)
        assert known["learned"]["recipients"] == (10 if script else None) or words, known


def test_a_limit_of_domains_is_kept():
    """RFC 9422 RCPTDOMAINMAX"""
    to = ["r%d@d%d.example.org" % (n, n % 6) for n in range(18)]
    with Relay(keywords=PIPELINED + ("LIMITS RCPTDOMAINMAX=2",)) as relay, Gateway(relay) as gateway:
        answer = gateway.send(to=to)
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert sorted(sum((t.recipients for t in relay.ledger), [])) == sorted(to)
        assert max(len({r.partition("@")[2] for r in t.recipients}) for t in relay.ledger) == 2


def test_all_or_nobody_is_not_cut():
    """Section 5: what would have to be split cannot be taken back, so it is refused, and sent to
    nobody."""
    with Relay(keywords=PIPELINED + ("LIMITS RCPTMAX=10",)) as relay, Gateway(relay) as gateway:
        answer = gateway.send(to=MANY[:11], partial="refuse")
        assert answer.status == 422 and not relay.ledger, answer
        assert gateway.send(to=MANY[:10], partial="refuse").status == 200
    with Relay(past(10, "452 4.5.3 too many recipients"), keywords=PIPELINED) as relay, \
            Gateway(relay) as gateway:
        answer = gateway.send(to=MANY[:11], partial="refuse")
        assert answer.status in (422, 503) and answer["outcome"] != "accepted", answer
        assert not relay.ledger


@pytest.mark.parametrize("action,outcome", [
    ({"reply": "", "then": "reset", "take": True}, "unknown"), ("451 4.3.0 disk", "deferred"),
    ("554 5.7.1 spam", "rejected")], ids=["lost", "451", "554"])
def test_a_part_that_fails_is_told_for_its_recipients_alone(action, outcome):
    """F-11: of three parts the second is refused, or in doubt. What was taken stays taken,
    none gets it twice; a refused content is not tried on the rest, who hear that, and why."""
    def dot(connection, _step, _line):
        return action if "r10@example.org" in connection.transactions[-1].recipients else None
    with Relay({"dot": dot}, keywords=PIPELINED + ("LIMITS RCPTMAX=10",)) as relay, \
            Gateway(relay) as gateway:
        answer = gateway.send(to=MANY[:30])
        assert (answer.status, answer["outcome"]) == (200, "partial"), answer
        assert [r["outcome"] for r in answer["recipients"]] == \
            ["accepted"] * 10 + [outcome] * 10 + ["accepted" if outcome == "unknown" else "not_sent"] * 10
        for recipient in answer["recipients"][20:] if outcome != "unknown" else ():
            assert "phase" not in recipient and "smtp" not in recipient, "nobody was asked for it"
            assert recipient["code"] == answer["recipients"][10]["code"], "that is why"
            assert recipient["retryable"] is (outcome == "deferred") and not recipient["duplicate_risk"]
            assert "not begun" in recipient["hint"], recipient
        for recipient in answer["recipients"][10:20]:
            assert recipient.get("duplicate_risk", False) is (outcome == "unknown"), recipient
        count = Counter(sum((t.recipients for t in relay.ledger), []))
        assert set(count.values()) == {1} and len(count) == (30 if outcome == "unknown" else 10)
        assert gateway.send(to=MANY[:20]).status == 200


@pytest.mark.parametrize("manner", [{"reply": "", "then": "close"}, "421 4.7.0 too many messages"],
                         ids=["close", "421"])
def test_a_relay_that_ends_sessions_between_parts_gets_them_all(manner):
    """F-11, F-12: each part that got there earns another session."""
    def mail(connection, _step, _line):
        return manner if connection.times["mail"] > 2 else None
    with Relay({"mail": mail}, keywords=PIPELINED + ("LIMITS RCPTMAX=10",)) as relay, \
            Gateway(relay) as gateway:
        for _ in range(2):
            answer = gateway.send(to=MANY)
            assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert Counter(sum((t.recipients for t in relay.ledger), [])) == dict.fromkeys(MANY, 2)


def test_refusals_within_parts_are_each_recipients_own():
    """F-10, F-11: some do not exist, some are put off, some only do not fit."""
    def rcpt(connection, _step, line):
        number = int(re.search(rb"<r(\d+)@", line).group(1))
        if number % 7 == 0:
            return "550 5.1.1 no such user"
        if number % 11 == 0:
            return "450 4.2.0 later"
        return "452 4.5.3 too many" if len(connection.transaction.recipients) >= 10 else None
    with Relay({"rcpt": rcpt}, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
        answer = gateway.send(to=MANY)
        assert (answer.status, answer["outcome"]) == (200, "partial"), answer
        for n, recipient in enumerate(answer["recipients"]):
            assert recipient["outcome"] == ("rejected" if n % 7 == 0 else "deferred" if n % 11 == 0
                                            else "accepted"), recipient
        taken = Counter(sum((t.recipients for t in relay.ledger), []))
        assert taken == Counter(a for n, a in enumerate(MANY) if n % 7 and n % 11)


# ---- messages and connections

@pytest.mark.parametrize("limit", [1, 2, 10])
def test_how_many_messages_a_session_may_carry_is_learned(limit):
    """F-12: the relay hangs up behind so many and does not say so beforehand. First that costs a
    silent second try; then it is known, shown, and kept."""
    def mail(connection, _step, _line):
        return "421 4.7.0 too many messages" if connection.times["mail"] > limit else None
    with Relay({"mail": mail}, keywords=CHUNKED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = [gateway.send(subject=str(n)) for n in range(4 * limit + 6)]
        assert [a.status for a in answers] == [200] * len(answers)
        assert relay_of(gateway)["learned"]["messages"] == limit
        had = len(relay.connections)
        more = [gateway.send(subject=str(n)) for n in range(4 * limit)]
        assert [attempts(a) for a in more] == [["accepted"]] * len(more), "nobody runs into it"
        assert not [c for c in relay.connections[had:] if b"421" in c.sent]
        nothing_lost_nothing_twice(relay, answers + more)


@pytest.mark.parametrize("limit", [(3,), (1, 2, 10)], ids=["the-same", "changing"])
def test_a_relay_that_hangs_up_without_a_word_is_sent_the_envelope_first(limit):
    """F-12: what goes out in one write right behind a message, when the relay has just hung up, is in
    doubt. Once it did so it is known: then the envelope asks first, and nothing is in doubt any more."""
    def dot(connection, _step, _line):
        return {"then": "close"} if \
            connection.times["dot"] >= limit[connection.number % len(limit)] else None
    with Relay({"dot": dot}, keywords=CHUNKED) as relay, Gateway(relay, SMTP_SESSIONS=2) as gateway:
        first = together(lambda n: gateway.send(subject=str(n)), range(50))
        answers = together(lambda n: gateway.send(subject=str(n)), range(300))
        assert {a["outcome"] for a in first} <= {"accepted", "unknown"}
        assert sum(a.status != 200 for a in first) <= 4, [a["outcome"] for a in first]
        assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:2]
        assert relay_of(gateway)["held_back_by"] == ["hangs_up"]
        nothing_lost_nothing_twice(relay, first + answers)


def test_a_goodbye_right_behind_the_answer_is_a_word():
    """F-12: it comes with the answer to the message, and the sessions end as they should."""
    def dot(connection, _step, _line):
        return {"extra": b"421 4.4.2 enough\r\n", "then": "close"} \
            if connection.times["dot"] >= 3 else None
    with Relay({"dot": dot}, keywords=CHUNKED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = [gateway.send(subject=str(n)) for n in range(20)]
        assert {a.status for a in answers} == {200}
        assert relay_of(gateway)["held_back_by"] == [] and len(relay.connections) >= 6
        nothing_lost_nothing_twice(relay, answers)


def test_a_session_that_lives_on_proves_a_limit_wrong():
    """F-12: some sessions are cut off behind one message, while another goes on and on."""
    def mail(connection, _step, _line):
        if 1 < connection.number <= 5 and connection.times["mail"] > 1:
            return "421 4.3.2 bye"
        return {"delay": 0.02}
    with Relay({"mail": mail}, keywords=PIPELINED) as relay, \
            Gateway(relay, SMTP_SESSIONS=2) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(150), 4)
        nothing_lost_nothing_twice(relay, answers)
        assert {a.status for a in answers} == {200}
        known = relay_of(gateway)
        assert known["learned"]["messages"] is None, known
        assert len(relay.connections) < 12, len(relay.connections)


@pytest.mark.parametrize("where,reply", [
    ("greeting", "421 4.7.0 too many connections"), ("auth", "432 4.3.2 too many sessions"),
    ("auth", "454 4.7.0 too many sessions")], ids=["greeting-421", "auth-432", "auth-454"])
def test_a_limit_of_connections_narrows_the_window(where, reply):
    """F-13: three are allowed, twenty are wanted: it finds out, without a storm and without an error
    to any caller."""
    lock, served = threading.Lock(), set()

    def act(connection, _step, _line):
        with lock:
            served.intersection_update(connection.relay.open_connections)
            if connection in served or len(served) < 3:
                served.add(connection)
                return None
        return {"reply": reply, "then": "close"}
    with Relay({where: act}, keywords=CHUNKED + ("AUTH PLAIN",) * (where == "auth"),
               users={"me": "secret"}, auth_in_clear=True) as relay, \
            Gateway(relay, SMTP_SESSIONS=20, SMTP_USER="me", SMTP_PASS="secret") as gateway:
        answers = together(lambda n: gateway.send(subject=str(n)), range(1000), 30)
        refused = [a for a in answers if a.status != 200]
        assert not refused, (len(refused), refused[:2])
        nothing_lost_nothing_twice(relay, answers)
        assert len(relay.connections) <= 60, "no storm"
        assert relay_of(gateway)["window"] <= 10


def test_one_connection_too_many_is_waited_out():
    """F-13: the relay has hung up and not yet forgotten the session: "too many" to the next one. Those
    that wait are not told so, unless it goes on saying it."""
    full = {"greeting": "421 4.7.0 too many connections"}
    script = {"connections": {"1": {"dot": {"then": "close"}}, "2": full}}
    with Relay(script, keywords=PIPELINED) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        assert gateway.send().status == 200
        answer = gateway.post("/send/batch", [mail(subject=str(n)) for n in range(50)])
        assert {result["status"] for result in answer["results"]} == {200}, answer
        assert len(relay.ledger) == 51 and len(relay.connections) == 3
        relay.script = full
        connection = relay.connections[2]
        connection.wire.sock.shutdown(socket.SHUT_RDWR)
        assert relay.wait(lambda: connection.ended)
        answers = together(lambda n: gateway.send(subject=str(n)), range(10), 10)
        for answer in answers:
            problem(answer, 503, "relay_throttled", "not_sent")
        assert len(relay.connections) <= 3 + 4


@pytest.mark.parametrize("sessions,stay", [(1, 0), (2, 1)])
def test_late_answers_take_up_half_of_the_sessions(sessions, stay):
    """F-07: the relay takes messages and does not answer for long. Sessions wait on for its answer, and
    mail that comes meanwhile goes at once: the session that has waited for longest makes place."""
    gate = threading.Event()

    def dot(connection, _step, _line):
        return {"take": True} if connection.number > sessions or gate.wait(60 * SLOW) else None
    with Relay({"dot": dot}, keywords=PIPELINED) as relay, \
            Gateway(relay, SMTP_SESSIONS=str(sessions)) as gateway:
        lost = []
        for _ in range(sessions):
            lost.append(problem(gateway.send(deadline="500ms"), 504, "outcome_unknown", "unknown")["id"])
        assert len(relay.open_connections) == sessions, "where nothing waits, they wait on"
        now = relay_of(gateway)
        assert (now["sessions"]["busy"], now["sessions"]["awaiting_late"]) == (sessions, sessions), now
        assert now["held_back_by"] == ["late_answers"], now
        text = gateway.get("/metrics").body.decode()
        assert metric(text, "lettergate_relay_held_back", reason="late_answers") == 1
        assert gateway.send(deadline="20s").status == 200
        now = relay_of(gateway)["sessions"]
        assert (now["busy"], now["awaiting_late"], now["idle"]) == (stay, stay, 1), now
        assert len(relay.connections) == sessions + 1
        gate.set()
        states = [gateway.get("/messages/" + id)["state"] for id in lost[:sessions - stay]]
        assert states == ["unknown"] * (sessions - stay)
        for id in lost[sessions - stay:]:
            assert wait_for(lambda id=id: gateway.get("/messages/" + id)["state"] == "sent")
        assert gateway.send().status == 200 and len(relay.connections) == sessions + 1
        now = relay_of(gateway)
        assert (now["sessions"]["awaiting_late"], now["held_back_by"]) == (0, []), now


def stuck(connection, gate):
    """It does not answer until `gate`, and notices when the gateway hangs up."""
    while not gate.wait(0.02):
        if select.select([connection.wire.sock], [], [], 0)[0]:
            raise Over("eof")


def test_late_answers_where_the_relay_takes_few_sessions():
    """F-13, F-07: two of eight are let in, and both wait for late answers. "Too many" is then no fault of
    the relay's: mail goes in the place of the one that has waited for longest, and nothing rests."""
    gate = threading.Event()

    def greet(connection, _step, _line):
        return "421 4.7.0 too many connections" if len(connection.relay.open_connections) > 2 else None

    def dot(connection, _step, _line):
        if connection.number <= 2:
            stuck(connection, gate)
        return {"take": True}
    with Relay({"greeting": greet, "dot": dot}, keywords=PIPELINED) as relay, \
            Gateway(relay, SMTP_SESSIONS=8) as gateway:
        for answer in together(lambda n: gateway.send(deadline="1s"), range(2), 2):
            problem(answer, 504, "outcome_unknown", "unknown")
        assert len(relay.open_connections) == 2
        answers = together(lambda n: gateway.send(subject=str(n), deadline="30s"), range(20), 10)
        assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:2]
        assert len(relay.connections) < 20, "no storm"
        now = relay_of(gateway)
        assert now["state"] == "working" and not now["rest"] and now["window"] <= 3, now
        assert not gateway.log("relay_rests")
        gate.set()


def test_a_reload_does_not_leave_late_answers_behind():
    """F-07, F-13: sessions to a relay of the past are in no window, so that they wait no longer than a
    second: else each reload adds as many as there may be."""
    gate = threading.Event()

    def dot(connection, _step, _line):
        return stuck(connection, gate)
    with Relay({"dot": dot}, keywords=PIPELINED) as relay, Gateway(relay, SMTP_SESSIONS=2) as gateway:
        for n in range(2):
            for answer in together(lambda _: gateway.send(deadline="1s"), range(2), 2):
                problem(answer, 504, "outcome_unknown", "unknown")
            assert len(relay.connections) == 2 * n + 2
            gateway.process.send_signal(signal.SIGHUP)
            assert wait_for(lambda n=n: len(gateway.log("reload")) > n)
            assert relay.wait(lambda: not relay.open_connections, 10 * SLOW)
        gate.set()
        assert gateway.send().status == 200


def test_sessions_above_a_narrower_window_say_goodbye():
    """F-13, F-14: the relay says "slower" while four sessions are up: two go on."""
    gate, slow = threading.Event(), threading.Event()

    def mail(*_):
        return "451 4.7.500 server busy" if slow.is_set() else None
    with Relay({"mail": mail, "dot": lambda *_: gate.wait(60 * SLOW) and None},
               keywords=PIPELINED) as relay, Gateway(relay, SMTP_SESSIONS="4") as gateway, \
            ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(gateway.send, subject=str(n)) for n in range(4)]
        assert wait_for(lambda: relay_of(gateway)["sessions"]["busy"] == 4)
        gate.set()
        assert [send.result().status for send in sent] == [200] * 4
        assert len(relay.open_connections) == 4
        slow.set()
        problem(gateway.send(), 503, "relay_throttled", "deferred")
        assert relay.wait(lambda: len(relay.open_connections) == 2)
        assert relay_of(gateway)["window"] == 2 and len(relay.commands("QUIT")) == 2


# ---- pace

def test_parts_keep_to_the_rate():
    """SMTP_RATE is for transactions, whoever they are for."""
    with Relay(keywords=PIPELINED + ("LIMITS RCPTMAX=1",)) as relay, \
            Gateway(relay, SMTP_RATE="4", SMTP_SESSIONS=1) as gateway:
        began = time.monotonic()
        answer = gateway.send(to=MANY[:13])
        assert (answer.status, answer["outcome"]) == (200, "accepted"), answer
        assert time.monotonic() - began > 1.5, "thirteen at four a second, a few of them at once"
        assert sorted(sum((t.recipients for t in relay.ledger), [])) == sorted(MANY[:13])

@pytest.mark.parametrize("reply", [
    "421 4.7.28 too fast, try again in 1 second", "450 4.7.1 rate limit, retry in 1 seconds",
    "451 4.7.500 server busy", "454 4.7.0 Throttling failure: maximum sending rate exceeded"])
def test_a_relay_that_throttles_is_obeyed(reply):
    """F-14: twenty a second are taken. Callers that come again when they are told to are served,
    each once; the relay is not hammered meanwhile."""
    window = []

    def mail(_connection, _step, _line):
        now = time.monotonic()
        window[:] = [at for at in window if now - at < 1]
        if len(window) >= 20:
            return reply
        window.append(now)
        return None
    with Relay({"mail": mail}, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
        tried = Counter()

        def send(n):
            while True:
                tried[n] += 1
                answer = gateway.send(subject=str(n))
                if answer.status == 200:
                    return answer
                assert answer.status == 503 and answer["outcome"] in ("deferred", "not_sent"), answer
                assert int(answer.headers["Retry-After"]) >= 1
                time.sleep(min(answer["retry_after"], 3))
        answers = together(send, range(60), 10)
        nothing_lost_nothing_twice(relay, answers)
        assert len(relay.commands("MAIL")) < 60 + 120, Counter(tried.values())


@pytest.mark.parametrize("reply", [
    "421 4.7.28 rate limited, try again in 60 seconds",
    "450 4.7.28 rate limited, try again in 60 seconds"], ids=["421", "450"])
def test_who_is_told_to_wait_does_not_come_back_at_once(reply):
    """F-14: no other session is opened for it, and it is no limit of messages."""
    def mail(connection, _step, _line):
        return reply if connection.times["mail"] > 1 else None
    with Relay({"mail": mail}, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
        answers = [gateway.send(subject=str(n)) for n in range(5)]
        assert [a.status for a in answers] == [200] + [503] * 4, answers
        assert int(answers[1].headers["Retry-After"]) >= 30, answers[1]
        known = relay_of(gateway)
        assert len(relay.connections) == 1 and known["learned"]["messages"] is None, known
        assert known["rest"]["cause"] == "throttled", known


def test_greylisting_is_for_whom_it_is_meant():
    """F-09: who comes again after a while is taken; nobody else hears of it, and the relay does not
    rest for it."""
    first = {}

    def rcpt(connection, _step, line):
        if b"grey" not in line:
            return None
        who = (connection.transaction.mail, line)
        return "451 4.7.1 greylisted, come again" if \
            time.monotonic() - first.setdefault(who, time.monotonic()) < 2 else None
    with Relay({"rcpt": rcpt}, keywords=PIPELINED) as relay, Gateway(relay) as gateway:
        def send(n):
            to, answers = "grey%d@example.org" % n, []
            while not answers or answers[-1].status != 200:
                answers.append(gateway.send(to=to))
                if answers[-1].status != 200:
                    body = problem(answers[-1], 503, "policy_deferred", "deferred")
                    assert body["retryable"] is True
                    assert gateway.send().status == 200, "others are not held up"
                    time.sleep(0.5)
            return answers
        every = together(send, range(6), 6)
        assert all(2 <= len(answers) <= 12 for answers in every), [len(a) for a in every]
        grey = [t for t in relay.ledger if t.recipients[0].startswith("grey")]
        assert len(grey) == 6
        assert relay_of(gateway)["state"] == "working"


# ---- what is offered

def test_each_session_goes_by_its_own_offer():
    """F-19: behind the name is a farm, and its members differ. SIZE shrinks, 8BITMIME, SMTPUTF8,
    PIPELINING and CHUNKING come and go; nothing is used that was not offered there."""
    offers = [CHUNKED + ("SMTPUTF8",), ("SIZE 1000",), ("8BITMIME",), (), PIPELINED, ("SMTPUTF8", "8BITMIME")]
    script = {"connections": {str(n + 1): {"keywords": offers[n % len(offers)]} for n in range(200)}}
    raw = b"From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; " \
        b"charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"
    with Relay(script) as relay, Gateway(relay, SMTP_MAX_MESSAGES=1) as gateway:
        kinds = {"plain": {}, "big": {"text": "x" * 70 + "\n" + "y\n" * 2000},
                 "utf8": {"to": ["gr\u00fc\u00df@example.org"]},
                 "raw": {"raw": b64(raw), "envelope": {"from": "a@example.com", "to": ["b@example.org"]}}}

        def send(case):
            kind, _n = case
            if kind == "raw":
                return kind, gateway.post("/send", kinds[kind])
            return kind, gateway.send(kinds[kind])
        for kind, answer in together(send, [(kind, n) for kind in kinds for n in range(12)], 4):
            assert answer.status in (200, 413, 422), (kind, answer)
            assert answer.status == 200 or answer["code"] in (
                "message_too_large", "unsupported_feature"), answer
            assert kind != "plain" or answer.status == 200
        for taken in relay.ledger:
            offer = relay.connections[taken.connection - 1].keywords()
            words = {word.split()[0] for word in offer}
            assert not taken.chunked or "CHUNKING" in words
            used = set(taken.mail_parameters)
            assert not ("SIZE" in used and "SIZE" not in words)
            assert not ("SMTPUTF8" in used and "SMTPUTF8" not in words)
            assert taken.recipients[0].isascii() or "SMTPUTF8" in words
            assert taken.body.isascii() or "8BITMIME" in words
            assert "SIZE 1000" not in offer or len(taken.body) <= 1000


# ---- logins

def test_refused_credentials_are_not_tried_on_and_on(tmp_path):
    """S-37: a login that is refused is not repeated for a while, so that the account is not locked;
    callers are told why, others go elsewhere, and a reload with the right password mends it."""
    login = {"user": "me", "pass": "wrong"}
    with Relay(users={"me": "secret"}, auth_in_clear=True, require_auth=True) as relay, \
            Relay() as other:
        relays = [("locked", relay, login), ("other", other, {"priority": 2})]
        with Fleet(tmp_path, relays) as gateway:
            answers = together(lambda n: gateway.send(subject=str(n), relay="locked"), range(100))
            assert {a.status for a in answers} <= {502, 503}, answers[0]
            assert all(a["outcome"] == "not_sent" and a["code"] == "relay_auth_failed"
                       for a in answers), [a for a in answers if a["code"] != "relay_auth_failed"][:2]
            assert len(relay.auth_attempts) <= 3, relay.auth_attempts
            went = [gateway.send(subject=str(n)) for n in range(20)]
            assert {a["relay"]["name"] for a in went} == {"other"}
            assert len(relay.auth_attempts) <= 3
            rest = gateway.relays()["locked"]
            assert rest["state"] == "resting" and rest["rest"]["cause"] == "auth", rest
            gateway.reload([("locked", relay, {"user": "me", "pass": "secret"}), relays[1]])
            assert wait_for(lambda: gateway.send()["relay"]["name"] == "locked", 10)
