"""A relay that is bad is no burden on the others, nor one caller on another (faults F-15, F-39): the
healthy one's messages go, descriptors and memory stay what they were, and a batch waits its turn."""

import contextlib
import itertools
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet, each_once
from gateway import (SLOW, Gateway, mail, ms, open_files, problem, resident_kb, together,
                     wait_for)
from ledger import CHUNKED, PLAIN
from proxy import Proxy
from relay import Relay
from test_keys import entry, secret_of

BAD = {
    "accepts-and-says-nothing": {"connect": "silent"},
    "a-byte-a-second": {"down": {"rate": 1}},
    "dies-behind-the-greeting": {"down": {"at": b"\n", "then": "half-open"}},
    "never-answers-the-data": {"down": {"at": b"354 go on\r\n", "then": "drop"}},
    "reads-nothing": {"up": {"at": b"DATA\r\n", "then": "deaf"}},
}


LONG = ("y" * 70 + "\n") * 10000


def quantile(times, part):
    return sorted(times)[int(len(times) * part)]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_relay_costs_the_healthy_one_nothing(tmp_path, bad):
    """F-02, F-15, F-39: 60 messages are stuck at the bad one while 300 go to the other. How long
    these took is printed, and decides nothing."""
    with Relay(keywords=PLAIN) as behind, Proxy(behind, BAD[bad]) as stuck, Relay() as healthy, \
            Fleet(tmp_path, [("bad", stuck, {"sessions": 8}), ("good", healthy, {"sessions": 4})], [
                {"tag": "bad", "relay": "bad"}], SMTP_TIMEOUT_COMMAND="60s",
                SMTP_TIMEOUT_CONNECT="60s", SMTP_TIMEOUT_DOT="60s") as gateway, \
            ThreadPoolExecutor(60) as pool:
        answers = together(lambda n: gateway.send(relay="good"), range(20))
        opened, held = len(healthy.connections), open_files(gateway.pid)
        waiting = [pool.submit(gateway.send, text="stuck\n" * 20000, tags=["bad"], deadline="4s",
                               timeout=60) for _ in range(60)]
        assert wait_for(lambda: len(stuck.connections) >= 1)
        memory = resident_kb(gateway.pid)
        times = []

        def send(n):
            began = time.monotonic()
            answers.append(gateway.send(subject=str(n), relay="good"))
            times.append(time.monotonic() - began)
        together(send, range(300))
        assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:2]
        print("%s: p50 %.1f ms, p99 %.1f ms" % (bad, quantile(times, 0.5) * 1e3,
                                                 quantile(times, 0.99) * 1e3))
        assert len(healthy.ledger) == 320 and gateway.get("/healthz", key=None).status == 200
        lost = [send.result() for send in waiting]
        for answer in lost:
            assert answer.status in (503, 504) and answer["outcome"] in ("not_sent", "unknown"), answer
        assert len(stuck.connections) <= 60, "no storm"
        if SLOW == 1:
            assert resident_kb(gateway.pid) - memory < 32768
        more = 8 + len(healthy.connections) - opened  # the healthy one may not have had its four then
        assert wait_for(lambda: open_files(gateway.pid) <= held + more, 20), "its sessions, no more"
        each_once([healthy], answers)


def crowd(pool, gateway, names, count, **fields):
    """As many sends, to the relays in turns; those that are refused at once are over."""
    return [pool.submit(gateway.send, relay=names[n % len(names)], timeout=120, deadline="60s", **fields)
            for n in range(count)]


def refused(sends):
    return [send.result() for send in sends if send.done()]


PATIENT = {"SMTP_TIMEOUT_CONNECT": "90s", "SMTP_TIMEOUT_COMMAND": "90s"}


@pytest.mark.parametrize("count, held", [(1, 20), (2, 30)], ids=["one hangs", "two hang"])
@pytest.mark.parametrize("step", ["greeting", "mail"])
def test_relays_that_hang_leave_the_others_room(tmp_path, step, count, held):
    """F-39: whether messages wait for them or are being sent, they have their part of MAX_IN_FLIGHT, and
    what is more is refused by name; what may go to another goes there."""
    gate = threading.Event()
    hanging = {step: lambda *_: gate.wait(60 * SLOW) and None}
    names = ["bad%d" % n for n in range(count)]
    with Relay() as good, ThreadPoolExecutor(60) as pool, contextlib.ExitStack() as stack:
        stack.callback(gate.set)
        relays = [(name, stack.enter_context(Relay(hanging)), {"sessions": 30}) for name in names]
        gateway = stack.enter_context(Fleet(tmp_path, relays + [("good", good, {})], MAX_IN_FLIGHT=40,
                                            **PATIENT))
        sends = crowd(pool, gateway, names, 60)
        assert wait_for(lambda: len(refused(sends)) == 60 - held, 20), len(refused(sends))
        for answer in refused(sends):
            problem(answer, 503, "overloaded", "not_sent")
            assert any(" %s " % name in answer["detail"] for name in names), answer["detail"]
        for _ in range(5):
            assert gateway.send(relay="good").status == 200
            answer = gateway.send()
            assert (answer.status, answer["relay"]["name"]) == (200, "good"), answer
        assert len(refused(sends)) == 60 - held
        gate.set()
        assert sorted(send.result().status for send in sends) == [200] * held + [503] * (60 - held)
        assert gateway.send(relay="bad0").status == 200, "there is room again"


def test_the_bytes_of_a_relay_that_hangs_leave_the_others_room(tmp_path):
    """The same of MAX_IN_FLIGHT_BYTES, also behind a reload: what is under way stays counted."""
    gate = threading.Event()
    with Relay({"mail": lambda *_: gate.wait(60 * SLOW) and None}) as bad, Relay() as good, \
            ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as stack:
        stack.callback(gate.set)
        relays = [("bad", bad, {}), ("good", good, {})]
        gateway = stack.enter_context(Fleet(tmp_path, relays, MAX_IN_FLIGHT_BYTES="6M", HTTP_MAX_BODY="1M",
                                            **PATIENT))
        sends = []
        for n in range(8):
            sends += crowd(pool, gateway, ["bad"], 1, text=LONG)
            assert wait_for(lambda: sends[n].done() or in_flight(gateway) == n + 1 - len(refused(sends)))
        assert refused(sends) and not sends[0].done()
        for answer in refused(sends):
            assert " bad " in problem(answer, 503, "overloaded", "not_sent")["detail"]
        for _ in range(3):
            assert gateway.send(relay="good", text=LONG).status == 200
        gateway.reload(relays)
        assert " bad " in problem(gateway.send(relay="bad", text=LONG), 503, "overloaded", "not_sent")["detail"]
        assert gateway.send(relay="good", text=LONG).status == 200
        gate.set()
        assert {send.result().status for send in sends} == {200, 503}
        assert gateway.send(relay="bad", text=LONG).status == 200, "there is room again"


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry("bulk"), entry("web"), entry("other")]}))
    return {"key": secret_of("bulk"), "API_KEY": None, "API_KEYS_FILE": path}


def in_flight(gateway):
    return gateway.get("/readyz", key=None)["in_flight"]


def test_a_batch_does_not_starve_anothers_single_mail(keys):
    """The order in the relay's ledger decides: a thousand wait, and the single ones of two other keys
    go among the first, in turns; each key's own stay in order."""
    gate = threading.Event()
    with Relay({"dot": lambda *_: gate.wait(60 * SLOW) and None}) as relay, \
            Gateway(relay, SMTP_SESSIONS=1, **keys) as gateway, ThreadPoolExecutor(10) as pool:
        batch = pool.submit(gateway.post, "/send/batch", [mail(subject="bulk %d" % n)
                                                          for n in range(1000)], timeout=120)
        assert wait_for(lambda: in_flight(gateway) == 1000, 30)
        single = []
        for n in range(3):
            for name in ("web", "other"):
                single.append(pool.submit(gateway.send, subject="%s %d" % (name, n),
                                          key=secret_of(name), timeout=120))
                assert wait_for(lambda: in_flight(gateway) == 1000 + len(single))
        gate.set()
        assert [s.result().status for s in single] == [200] * 6
        assert {result["status"] for result in batch.result()["results"]} == {200}
        order = [t.header.partition(b"Subject: ")[2].split(b"\r\n")[0].decode() for t in relay.ledger]
        assert len(order) == len(set(order)) == 1006
        for name, count in (("bulk", 1000), ("web", 3), ("other", 3)):
            own = [subject for subject in order if subject.startswith(name)]
            assert own == ["%s %d" % (name, n) for n in range(count)], name
        assert max(order.index("%s 2" % name) for name in ("web", "other")) < 12, order[:20]


def test_thousands_that_fail_at_once_leave_others_their_turns(tmp_path):
    """They are settled a few at a time: what goes to another relay meanwhile is not done before, nor
    behind all of them, but in between. The order in the log decides."""
    gate = threading.Event()
    refusing = {"greeting": lambda *_: gate.wait(60 * SLOW) and "554 5.3.2 no service here"}
    cores = sorted(os.sched_getaffinity(0))[:2]  # which is one worker
    with Relay(refusing) as bad, Relay(keywords=CHUNKED) as good, \
            Fleet(tmp_path, [("bad", bad, {"sessions": 1}), ("good", good, {})], LOG_LEVEL="info",
                  wrap=("taskset", "-c", ",".join(map(str, cores))), SMTP_TIMEOUT_CONNECT="60s",
                  SMTP_TIMEOUT_COMMAND="60s") as gateway, ThreadPoolExecutor(6) as pool:
        def send(name):
            return pool.submit(gateway.post, "/send/batch", [mail(relay=name)] * 1000, timeout=120)
        batches = [send("bad") for _ in range(4)]
        assert wait_for(lambda: gateway.relays()["bad"]["waiting"] == 4000, 30)
        others = [send("good") for _ in range(2)]
        assert good.wait(lambda: len(good.ledger) > 20)
        gate.set()
        for batch in batches:
            assert {result["outcome"] for result in batch.result()["results"]} == {"not_sent"}
        for batch in others:
            assert {result["outcome"] for result in batch.result()["results"]} == {"accepted"}
        order = [line["relay"] for line in gateway.log("send")]
        longest = max(len(list(run)) for name, run in itertools.groupby(order) if name == "bad")
        told = order.count("bad")  # lines that come faster than they are read are dropped
        assert told > 1000 and longest < told * 5 // 8, (told, longest)
