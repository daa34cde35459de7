"""A store that does not answer for a while: what need not wait for it does not, and what waits holds no thread."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import time

import pytest

from gateway import Gateway, mail, ms, problem, wait_for
from postgres import Postgres, Way
from relay import Relay

KIND = {"Content-Type": "application/json"}
MANY = 4 * os.cpu_count()  # more than there are threads for HTTP


@pytest.fixture(name="postgres", scope="module")
def _postgres():
    server = Postgres()
    yield server
    server.close()


def test_a_store_that_hangs_at_the_end(postgres):
    """Who waits for it alone cannot be answered: the second SIGTERM ends that, too."""
    with Way(postgres) as way, concurrent.futures.ThreadPoolExecutor(4) as pool:
        gateway = Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000))
        try:
            way.stall()
            asked = [pool.submit(gateway.request, *words, timeout=60) for words in (
                ("GET", "/messages"), ("GET", "/events?wait=60"), ("PUT", "/templates/a", '{"text": "x"}', KIND))]
            time.sleep(0.3)
            gateway.terminate()
            assert wait_for(lambda: gateway.log("drain"))
            gateway.terminate()
            assert gateway.wait() == 1
            assert gateway.log("ended_at_once")[0]["requests"] == 3
            assert all(each.exception() for each in asked)
        finally:
            gateway.kill()
        way.go_on()
        gateway = Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000))
        try:
            way.stall()
            time.sleep(1.2)  # by then it has asked the store by itself
            gateway.terminate()
            assert wait_for(lambda: gateway.log("drain"))
            gateway.terminate()
            assert gateway.wait() == 1
            assert "ended at once" in gateway.output, "nor does the end itself wait for it"
        finally:
            gateway.kill()


def gauges(gateway):
    return {line.split("{")[0].split(" ")[0] for line in gateway.get("/metrics", key=None).body.decode().splitlines()}


def test_a_store_that_hangs_holds_up_no_thread(postgres):
    with Way(postgres) as way, Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000)) as gateway, \
            concurrent.futures.ThreadPoolExecutor(2 * MANY) as pool:
        assert gateway.request("PUT", "/templates/old", '{"text": "Old."}', KIND).status == 201
        assert "lettergate_queue_messages" in gauges(gateway)
        way.stall()
        puts = [pool.submit(gateway.request, "PUT", "/templates/t%d" % n, '{"text": "New."}', KIND, timeout=60)
                for n in range(MANY)]
        gone = pool.submit(gateway.request, "DELETE", "/templates/old", timeout=60)
        time.sleep(0.3)
        assert gateway.get("/healthz").status == 200
        began = time.monotonic()
        told = gauges(gateway)
        assert time.monotonic() - began < 8, "1.5 s, and a slow machine"
        assert "lettergate_in_flight" in told and "lettergate_queue_messages" not in told
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload"))
        assert gateway.get("/templates/old")["text"] == "Old.", "nothing is seen before it is kept"
        assert not any(put.done() for put in puts)
        way.go_on()
        assert [put.result().status for put in puts] == [201] * MANY
        assert gone.result().status == 200
        assert len(gateway.get("/templates")["templates"]) == MANY
        assert wait_for(lambda: "lettergate_queue_messages" in gauges(gateway))


@contextlib.contextmanager
def locked(postgres, table, mode="EXCLUSIVE"):
    """As long as its lock is held the gateway waits for that, some seconds, and tries again. It may be read."""
    words = ["psql", "-AtqX", postgres.url()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        print("BEGIN; LOCK TABLE lettergate_%s IN %s MODE; SELECT 'locked';" % (table, mode),
              file=other.stdin, flush=True)
        assert other.stdout.readline() == "locked\n"
        yield
        other.stdin.close()


def is_begun(postgres):
    """Something of the gateway's waits for the lock."""
    return wait_for(lambda: postgres.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == ["1"])


def later():
    return {"send_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))}


def test_whoever_sends_waits_for_it_no_longer_than_his_deadline(postgres):
    """What a relay said is told; else 503 where nothing was begun, and 504 where it may have been."""
    soon = {"deadline": ms(1500)}
    then = {**later(), **soon}
    key = {"Idempotency-Key": "a"}
    with Relay() as relay, Gateway(relay, STORE=postgres.url()) as gateway, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        with locked(postgres, "body"):
            begun = pool.submit(gateway.send, **then)
            assert is_begun(postgres)
            batch = pool.submit(gateway.post, "/send/batch", [mail(**then)] * 3)
            keyed = pool.submit(gateway.send, headers=key, **soon)
            direct = gateway.send(**soon)
            problem(keyed.result(), 503, "storage_unavailable", "not_sent")
            problem(begun.result(), 504, "outcome_unknown", "unknown")
            others = batch.result()["results"]
        assert (direct.status, direct["outcome"]) == (200, "accepted")
        assert {(one["status"], one["code"], one["outcome"]) for one in others} == {
            (503, "storage_unavailable", "not_sent")}
        told = {(begun.result()["id"], "unknown"), (direct["id"], "accepted")}
        # the log is written by a thread of its own, and may come behind the answer
        assert wait_for(lambda: {(line["id"], line["outcome"]) for line in gateway.log("store_late")} == told)
        assert wait_for(lambda: gateway.get("/messages/" + direct["id"]).get("state") == "sent"), "noted in the end"
        assert gateway.get("/messages/" + begun.result()["id"])["state"] == "scheduled"
        assert {gateway.get("/messages/" + one["id"]).status for one in others} == {404}
        assert wait_for(lambda: gateway.send(headers=key, **soon).status == 200), "its key is free"
        assert len(relay.ledger) == 2


def test_whoever_asks_waits_for_it_no_longer_than_a_send_may(postgres):
    """503, and nothing is changed; but 504 where a change was begun, which is done when it can be."""
    with Gateway(SMTP_HOST="capture", STORE=postgres.url(), SEND_DEADLINE=ms(500), KEEP_BODY="1h") as gateway, \
            concurrent.futures.ThreadPoolExecutor(16) as pool:
        first, second = ("/messages/" + gateway.send(delivery="queue", **later())["id"] for _ in range(2))
        reads = [("GET", "/messages"), ("GET", first), ("GET", first + "/raw"), ("GET", "/events"),
                 ("GET", "/events?wait=60"), ("GET", "/events?after=now&wait=60")]
        changes = [("DELETE", second), ("POST", second + "/retry"), ("PUT", "/templates/b", '{"text": "x"}', KIND),
                   ("DELETE", "/templates/b")]

        def ask(words, status, code):
            answer = gateway.request(*words, timeout=60)
            assert (answer.status, answer["code"]) == (status, code), answer
            assert ("Retry-After" in answer.headers) == (status == 503)

        for table, words, then, mode in (
                ("body", ("DELETE", first), (504, "outcome_unknown"), "EXCLUSIVE"),
                ("template", ("PUT", "/templates/a", '{"text": "x"}', KIND), (504, "outcome_unknown"), "EXCLUSIVE"),
                ("body", ("GET", second + "/raw"), (503, "storage_unavailable"), "ACCESS EXCLUSIVE")):
            with locked(postgres, table, mode):
                begun = pool.submit(ask, words, *then)
                assert is_begun(postgres)
                others = [pool.submit(ask, each, 503, "storage_unavailable") for each in reads + changes]
                for each in [begun, *others]:
                    each.result()
        assert wait_for(lambda: gateway.get(first).get("state") == "cancelled"), "what was begun is done in the end"
        assert gateway.get("/templates/a").status == 200
        assert gateway.get(second)["state"] == "scheduled", "what was not is not"
        assert gateway.get("/templates/b").status == 404
        page = gateway.get("/events?after=0")
        assert [event["type"] for event in page["events"]].count("message.cancelled") == 1
