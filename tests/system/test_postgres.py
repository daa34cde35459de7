"""Several gateways on one queue in PostgreSQL (F-41, F-42, F-43): what was answered with 202 arrives,
whichever of them dies, stands still or loses the database, and arrives twice only where somebody died
between the end of a message and the answer to it."""

import collections
import contextlib
import http.client
import os
import threading
import time

import pytest

from gateway import PACE, SLOW, Gateway, metric, together, wait_for
from ledger import PIPELINED
from postgres import Postgres, Way
from relay import Relay

LONG = pytest.mark.skipif(not os.environ.get("LETTERGATE_LONG"), reason="by hand: LETTERGATE_LONG=1")
LEASE = 30  # seconds

@pytest.fixture(name="server", scope="module")
def _server():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(name="postgres")
def _postgres(server):
    yield server
    server.forget()


def replica(relay, url, **more):
    settings = {"RETRY_DELAYS": "200ms", "RETRY_JITTER": "0", **more}
    return Gateway(relay, STORE=url, **settings)


def replicas(relay, postgres, count, **more):
    return together(lambda _: replica(relay, postgres.url(), **more), range(count))


def queued(gateway, **fields):
    answer = gateway.send({"delivery": "queue"}, **fields)
    assert answer.status == 202, answer
    return answer["message_id"]


def left(postgres):
    """Messages that are neither settled nor held."""
    return int(postgres.sql("SELECT count(*) FROM lettergate_message WHERE turn BETWEEN 1 AND 4")[0])


def arrived(relay):
    return collections.Counter(transaction.message_id for transaction in relay.ledger)


def all_arrive(relay, postgres, accepted, seconds=20):
    assert wait_for(lambda: left(postgres) == 0, seconds, 0.1), \
        postgres.sql("SELECT state, turn, count(*) FROM lettergate_message GROUP BY 1, 2")
    found = arrived(relay)
    assert set(accepted) <= set(found), "%d were lost" % len(set(accepted) - set(found))
    return sum(found.values()) - len(found)


class Load:
    """Clients that hand in messages without pause, to one gateway after the other."""

    def __init__(self, gateways, clients=4):
        self.gateways, self.stop = gateways, threading.Event()
        self.accepted, self.refused, self.failed = [], [], []
        self.slowest = 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]

    def run(self, number):
        while not self.stop.is_set():
            number += 1
            began = time.monotonic()
            try:
                answer = self.gateways[number % len(self.gateways)].send(delivery="queue", timeout=60)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status == 202:
                self.accepted.append(answer["message_id"])
            elif answer.status == 503 and answer.headers["Retry-After"]:
                self.refused.append(answer["code"])
                time.sleep(0.02)
            else:
                self.failed.append(repr(answer))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60 * SLOW)


def test_accepted_by_one_and_sent_by_another(postgres):
    """What one accepted is there for the next, whether it ended in order or was killed."""
    with Relay({"mail": "451 4.3.0 not now"}) as relay:
        first = replica(relay, postgres.url(password="s3cret"))
        accepted = [queued(first) for _ in range(5)]
        first.stop()
        assert "s3cret" not in first.output
        assert first.log("store_unsafe")[0]["setting"] == "fsync=off"
        second = replica(relay, postgres.url())
        accepted += [queued(second) for _ in range(5)]
        second.kill()
        postgres.leases_are_over()
        relay.script.clear()
        with replica(relay, postgres.url()):
            assert all_arrive(relay, postgres, accepted) == 0
    assert len(relay.ledger) == 10


@pytest.mark.parametrize("crashes", [3 if SLOW == 1 else 1, pytest.param(50, marks=LONG)])
def test_the_database_crashes_and_comes_back(postgres, crashes):
    with Relay() as relay, contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(one) for one in replicas(relay, postgres, 2)]
        with Load(gateways) as load:
            for _ in range(crashes):
                enough = len(load.accepted) + 20
                assert wait_for(lambda: len(load.accepted) >= enough)
                postgres.end()
                time.sleep(0.3)
                postgres.start()
            enough = len(load.accepted) + 20
            assert wait_for(lambda: len(load.accepted) >= enough), "they recover by themselves"
        assert not load.failed
        assert set(load.refused) <= {"storage_unavailable"}
        twice = all_arrive(relay, postgres, load.accepted, 60)
        print("%d crashes, %d accepted, %d refused, 0 lost, %d twice; the slowest answer took %.1f s" % (
            crashes, len(load.accepted), len(load.refused), twice, load.slowest))
        assert twice == 0 and postgres.check() == ""
        assert all(one.log("store_lost") and one.log("store_back") for one in gateways)


def test_connections_are_terminated_again_and_again(postgres):
    with Relay() as relay, contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(one) for one in replicas(relay, postgres, 2)]
        with Load(gateways) as load:
            for _ in range(20 if SLOW == 1 else 5):
                postgres.terminate_all()
                time.sleep(0.05)
            enough = len(load.accepted) + 20
            assert wait_for(lambda: len(load.accepted) >= enough)
        assert not load.failed
        assert set(load.refused) <= {"storage_unavailable"}
        assert all_arrive(relay, postgres, load.accepted) == 0


def test_a_database_that_does_not_answer(postgres):
    """503 within our patience, nothing is sent meanwhile, and it goes on where it was. What had been sent
    is noted then, and is not sent again, though its lease is over."""
    ends, answers = [], threading.Event()

    def at_the_end(connection, step, line):
        ends.append(connection)
        answers.wait(60)

    script = {"1/data": {"delay": 1.0 * PACE}, "connections": {1: {"data": "354 go on", "dot": at_the_end}}}
    with Relay(script, keywords=PIPELINED) as relay, Way(postgres) as way, \
            replica(relay, way.url(tcp_user_timeout=int(500 * PACE))) as gateway:
        sent = queued(gateway)
        assert wait_for(lambda: ends)
        first = queued(gateway)
        assert relay.wait(lambda: len(relay.commands("DATA")) == 2)
        way.stall()
        began = time.monotonic()
        answer = gateway.send(delivery="queue")
        assert (answer.status, answer["code"]) == (503, "storage_unavailable")
        assert time.monotonic() - began < 12 * SLOW
        assert gateway.send(delivery="queue").status == 503
        time.sleep(1.0 * PACE)
        assert not relay.ledger, "without the store's word, the end of a message is not sent"
        answers.set()
        assert wait_for(lambda: [line for line in gateway.log("send") if line["outcome"] == "accepted"])
        relay.script.clear()
        postgres.terminate_all()  # what they have locked
        postgres.leases_are_over()
        way.go_on()
        assert wait_for(lambda: gateway.send(delivery="queue").status == 202)
        all_arrive(relay, postgres, [first, sent])
        assert arrived(relay)[first] == arrived(relay)[sent] == 1


def test_a_table_that_is_locked_for_long(postgres):
    """Nobody could renew, and nobody died: one that is the first to get in again takes nothing from
    another that has to write what its relay said."""
    ends, answers = [], threading.Event()

    def at_the_end(connection, step, line):
        ends.append(connection)
        answers.wait(60)

    script = {"connections": {1: {"data": "354 go on", "dot": at_the_end}}}
    with Relay(script) as relay, Way(postgres) as way, replica(relay, way.url()) as late:
        sent = queued(late)
        assert wait_for(lambda: ends)
        with replica(relay, postgres.url()) as first:
            with postgres.locked():
                # each: or one waits yet, and will take what is over when the lock goes, as the leases' ends are not true
                assert wait_for(lambda: first.log("store_refused") and late.log("store_refused"), 20)
                answers.set()
                assert wait_for(lambda: late.log("send"))
                way.stall()
            accepted = [queued(first) for _ in range(2)]
            assert wait_for(lambda: set(accepted) <= set(arrived(relay)))
            way.go_on()
            all_arrive(relay, postgres, [sent, *accepted])
            assert arrived(relay)[sent] == 1


@pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")
def test_what_needs_no_queue_goes_on(postgres):
    """Without the database, what is sent directly gets the relay's answer; that it is noted nowhere is told."""
    def noted(gateway):
        return metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_not_recorded_total")

    with Relay() as relay, replica(relay, postgres.url()) as gateway:
        assert gateway.send().status == 200 and noted(gateway) == 0
        postgres.end()
        told = [gateway.send(delivery=way) for way in ("now", "now_then_queue")]
        relay.script = {"mail": "550 5.7.1 never"}
        told.append(gateway.send(delivery="now_then_queue"))
        relay.script = {"mail": "451 4.3.0 not now"}
        told.append(gateway.send(delivery="now_then_queue"))
        assert [(a.status, a["outcome"]) for a in told] == [
            (200, "accepted"), (200, "accepted"), (422, "rejected"), (503, "deferred")], told
        keyed = gateway.send(headers={"Idempotency-Key": "k"})
        assert (keyed.status, keyed["code"], keyed["outcome"]) == (503, "storage_unavailable", "not_sent")
        ready = gateway.get("/readyz", key=None)
        assert ready.status == 503 and ready["draining"] is False
        assert wait_for(lambda: len(gateway.log("not_recorded")) == len(told))
        for refused in (keyed, gateway.send(delivery="queue"), gateway.get("/messages/" + told[0]["id"]),
                        gateway.get("/messages"), gateway.get("/events")):
            assert (refused.status, refused["detail"]) == (503, "PostgreSQL does not answer"), refused
            assert refused.headers["Retry-After"] == "5"
        assert ready["reason"] == "the store cannot be written: PostgreSQL does not answer"
        assert {line["why"] for line in gateway.log("not_recorded")} == {"PostgreSQL does not answer"}
        lines = gateway.log("not_recorded")
        assert [line["id"] for line in lines] == [a["id"] for a in told]
        assert [line["outcome"] for line in lines] == [a["outcome"] for a in told]
        assert noted(gateway) == 4 and len(relay.ledger) == 3
        postgres.start()
        assert wait_for(lambda: gateway.get("/readyz", key=None).status == 200)
        relay.script = {}
        other = gateway.send()
        assert [gateway.get("/messages/" + a["id"]).status for a in [*told, other]] == [404] * 4 + [200]


@pytest.mark.parametrize("passed", [LEASE - 2, pytest.param(0, marks=LONG)])
def test_what_a_dead_one_held_is_sent_within_two_leases(postgres, passed):
    """F-41: so many seconds of them pass at once, the others as they do."""
    with Relay({"mail": {"then": "stall"}}) as relay:
        first = replica(relay, postgres.url())
        accepted = [queued(first) for _ in range(20)]
        assert wait_for(lambda: postgres.sql("SELECT count(*) FROM lettergate_message WHERE turn = 4") == ["20"])
        first.kill()
        died = time.monotonic()
        relay.script.clear()
        shortest_ms, longest_ms = postgres.time_passes(passed * 1000)
        assert longest_ms <= (LEASE - passed) * 1000
        with replica(relay, postgres.url()):
            assert relay.wait(lambda: relay.ledger, 70)
            assert time.monotonic() - died >= shortest_ms / 1000, "not before its lease is over"
            assert all_arrive(relay, postgres, accepted, 70) == 0
            assert passed + time.monotonic() - died <= 2 * LEASE * SLOW


@pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")
@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_one_of_three_is_killed(postgres, policy):
    """The others finish what it had. What it had sent to the end without an answer may come again, or is
    held."""
    with Relay({"dot": {"delay": 0.2}}) as relay, contextlib.ExitStack() as stack:
        settings = {"SMTP_SESSIONS": "3", "ON_UNKNOWN": policy}
        gateways = [stack.enter_context(one) for one in replicas(relay, postgres, 2, **settings)]
        living = postgres.owners()
        third = replica(relay, postgres.url(), **settings)
        with Load(gateways) as load:
            for _ in range(30):
                load.accepted.append(queued(third))
            assert wait_for(lambda: postgres.sql("SELECT count(DISTINCT owner) FROM lettergate_message "
                                                 "WHERE turn = 4") == ["3"])
            third.kill()
            relay.script.clear()
        assert not load.failed
        postgres.leases_are_over(living)
        assert wait_for(lambda: left(postgres) == 0, 20, 0.1)
        held = {m["message_id"] for m in gateways[0].get("/messages?limit=500&state=held")["messages"]}
        twice = all_arrive(relay, postgres, set(load.accepted) - held)
        assert len(held) + twice <= 3, "at most what was at its end in each session of the dead one"
        assert (twice if policy == "hold" else len(held)) == 0
        assert postgres.check() == ""


def test_one_that_stops_gives_back_what_it_has_not_begun(postgres):
    """F-40: the others send it at once, while that one waits for the answers to what it has begun."""
    ends, gate = [], threading.Event()

    def at_the_end(connection, step, line):
        ends.append(connection)
        gate.wait(60 * SLOW)

    with Relay({"connections": {n: {"dot": at_the_end} for n in (1, 2)}}) as relay, \
            replica(relay, postgres.url(), SMTP_SESSIONS="2") as first:
        accepted = [queued(first) for _ in range(12)]
        assert wait_for(lambda: len(ends) == 2)
        assert wait_for(lambda: postgres.sql("SELECT count(*) FROM lettergate_message WHERE turn = 4") == ["12"])
        with replica(relay, postgres.url()):
            first.terminate()
            assert relay.wait(lambda: len(relay.ledger) == 10)
            gate.set()
            assert first.wait() == 0
            assert all_arrive(relay, postgres, accepted) == 0


def test_a_message_that_kills_is_suspected_by_the_others(postgres):
    """F-47: the one whose MAIL was written, and none that merely was out; the others go on behind it."""
    def marked(words):
        return postgres.sql("SELECT count(*) FROM lettergate_message WHERE turn = 4 AND " + words) == ["1"]

    def killed(relay, ready, **settings):
        gateway = replica(relay, postgres.url(), **settings)
        try:
            return ready(gateway)
        finally:
            gateway.kill()
            postgres.leases_are_over()

    def begin(gateway):
        accepted = [queued(gateway) for _ in range(3)]
        assert wait_for(lambda: marked("mark > 0"))
        return accepted

    def go_on(_):
        assert wait_for(lambda: marked("strikes = 1 AND mark > 0")), "it comes first"
        assert postgres.sql("SELECT sum(strikes) FROM lettergate_message") == ["1"]

    with Relay({"mail": {"then": "stall", "reply": ""}}) as relay:
        accepted = killed(relay, begin, SMTP_SESSIONS="1")
        killed(relay, go_on)
        relay.script.clear()
        with replica(relay, postgres.url()):
            assert all_arrive(relay, postgres, accepted) == 0


def test_a_key_is_used_once_by_all(postgres):
    with Relay() as relay, contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(one) for one in replicas(relay, postgres, 2)]
        for delivery in ("queue", "now"):
            keyed = {"Idempotency-Key": "order-" + delivery}
            answers = together(lambda one, d=delivery, k=keyed: one.send({"delivery": d}, headers=k),
                               gateways * 4)
            assert {a.status for a in answers} <= {200, 202, 409}
            again = [one.send({"delivery": delivery}, headers=keyed) for one in gateways]
            assert len({a["id"] for a in again} |
                       {a["id"] for a in answers if a.status != 409}) == 1
        all_arrive(relay, postgres, [])
        assert wait_for(lambda: len(relay.ledger) >= 2)
        assert len(relay.ledger) == 2


def damage(postgres, table, number=1):
    """The first chunks of what lies apart from this table's rows, in the order in which it was written."""
    [apart] = postgres.sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = '%s'" % table)
    places = postgres.sql("SELECT min(ctid) FROM %s GROUP BY chunk_id ORDER BY 1 LIMIT %d" % (apart, number))
    assert len(places) == number
    postgres.sql("CREATE EXTENSION IF NOT EXISTS pg_surgery")
    for place in places:
        postgres.sql("SELECT heap_force_kill('%s'::regclass, ARRAY['%s']::tid[])" % (apart, place))


def told_damaged(gateway):
    return [e["data"]["id"] for e in gateway.get("/events?type=message.failed")["events"] if e["data"]["damaged"]]


def test_a_text_that_it_cannot_read(postgres):
    """Damage in the database's files (F-34) costs the message that it is in, which is held and told, and no other."""
    with Relay() as relay:
        with replica(relay, postgres.url(), SMTP_PORT="1") as gateway:
            numbers = [queued(gateway, text="line %d\n" % n * 5000) for n in range(3)]
        damage(postgres, "lettergate_body")
        with replica(relay, postgres.url()) as gateway:
            assert wait_for(lambda: gateway.get("/messages?state=held")["messages"], 20)
            [held] = gateway.get("/messages?state=held")["messages"]
            assert held["message_id"] == numbers[0]
            fresh = queued(gateway)
            all_arrive(relay, postgres, numbers[1:] + [fresh])
            assert set(arrived(relay)) == set(numbers[1:] + [fresh])
            assert told_damaged(gateway) == [held["id"]]
            assert gateway.request("POST", "/messages/%s/retry" % held["id"]).status == 409
            assert gateway.request("DELETE", "/messages/" + held["id"])["state"] == "cancelled"


def test_an_envelope_that_it_cannot_read(postgres):
    """The same of what lies beside the text: whoever is written to, and what came of it."""
    with Relay() as relay:
        to = [["somebody-%s@example.com" % os.urandom(24).hex() for _ in range(100)] for _ in range(4)]
        with replica(relay, postgres.url(), SMTP_PORT="1") as gateway:
            numbers = [queued(gateway, to=some) for some in to]
        damage(postgres, "lettergate_message", 2)
        with replica(relay, postgres.url()) as gateway:
            assert wait_for(lambda: len(gateway.get("/messages?state=held")["messages"]) == 2, 20)
            held = [m["id"] for m in gateway.get("/messages?state=held")["messages"]]
            all_arrive(relay, postgres, numbers[2:])
            assert set(arrived(relay)) == set(numbers[2:])
            assert sorted(told_damaged(gateway)) == sorted(held)
            assert metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_queue_messages", state="held") == 2
            assert {line["id"] for line in gateway.log("held")} == set(held)
        with replica(relay, postgres.url()) as gateway:  # which knows nothing of it yet
            shown = gateway.get("/messages")["messages"]
            assert [m["id"] for m in shown if m.get("damaged")] == held and len(shown) == 4
            assert gateway.get("/messages/" + held[0])["damaged"]
            assert gateway.request("DELETE", "/messages/" + held[0])["state"] == "cancelled"
            assert gateway.request("POST", "/messages/%s/retry" % held[1]).status == 409
            all_arrive(relay, postgres, [queued(gateway)])
