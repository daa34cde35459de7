"""The queue at each of its system calls (F-30, F-31, F-32): the process dies there, or stands still, or
the call fails. What a client was told holds, and what a relay got twice is explained.

By itself it takes every STEPth call, and those with a name of their own; LETTERGATE_SWEEP=all takes
every one, under both policies. LETTERGATE_SEED says which; a failure prints it.
"""

import http.client
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from gateway import SLOW, Gateway, wait_for
from ledger import PLAIN
from relay import Relay
from syscalls import Strace, calls_of, died, inject, is_stopped

pytestmark = [
    pytest.mark.skipif(not shutil.which("strace"), reason="no strace here"),
    pytest.mark.skipif(SLOW > 1, reason="the calls are the same in every build")]

SEED = os.environ.get("LETTERGATE_SEED", "5")
ALL = os.environ.get("LETTERGATE_SWEEP") == "all"
STEP = 1 if ALL else 7
NAMES = "pwrite64,write,writev,fsync,fdatasync,ftruncate,sendto,sendmsg,recvfrom,read,epoll_wait"
SENT, MARK_END = 3, 2  # as they are in the store
WAITING = ("queued", "deferred", "sending")


class Place:
    """A relay and a queue; gateways come and go."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = {"STORE": "sqlite:%s" % (folder / "queue.db"), "RETRY_DELAYS": "100ms",
                         "SMTP_SESSIONS": "1", "LOG_LEVEL": "info", **settings}
        self.relay = Relay(keywords=PLAIN)
        self.numbers = iter(range(1, 10000))
        self.gateway = None

    def __enter__(self):
        self.relay.__enter__()
        self.start()
        return self

    def __exit__(self, *error):
        self.gateway.__exit__(*error)
        self.relay.__exit__(*error)

    def start(self):
        self.gateway = Gateway(self.relay, **self.settings)

    def send(self, subject, **fields):
        """The answer; None: the process died before."""
        try:
            return self.gateway.send(delivery="queue", subject=subject, text=subject + "\n", **fields)
        except (OSError, http.client.HTTPException):
            return None

    def copies(self, subject):
        return [t for t in self.relay.ledger if b"Subject: %s\r\n" % subject.encode() in t.body]

    def kept(self):
        """What is on disk, as whoever comes next will find it: [(state, mark)…] of all messages."""
        folder = self.folder / "copy"
        folder.mkdir(exist_ok=True)
        for name in ("queue.db", "queue.db-wal"):
            (folder / name).unlink(missing_ok=True)
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, folder / name)
        with sqlite3.connect(folder / "queue.db") as store:
            assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return store.execute("SELECT state, mark FROM message ORDER BY place").fetchall()

    def newest(self, **more):
        return self.gateway.get("/messages?limit=1", **more)["messages"][0]

    def is_alive(self):
        try:
            return self.gateway.get("/healthz", key=None).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_sent(self, subject):
        try:
            return bool(self.copies(subject)) and self.newest(timeout=1)["state"] == "sent"
        except (OSError, http.client.HTTPException):  # it dies, or stands still
            return False

    def is_drained(self):
        return not any(self.gateway.get("/messages?limit=1&state=" + state)["messages"]
                       for state in WAITING)

    def warm(self):
        """Every message behind it takes the same calls."""
        name = "warm %d" % next(self.numbers)
        assert self.send(name).status == 202 and wait_for(lambda: self.is_sent(name))

    def calls(self):
        """Those of a message that is accepted and delivered."""
        def act():
            assert self.send("told").status == 202
            assert wait_for(lambda: self.kept()[-1][0] == SENT, step=0.1)  # and nobody asks meanwhile
        self.warm()
        found = calls_of(self.gateway, self.folder / "trace", act, NAMES)
        assert self.newest()["state"] == "sent"
        return found


# ---- points

def first(calls, name, text="", behind=None):
    """The first such call, behind that one and, then, of its thread."""
    at = calls.index(behind) + 1 if behind else 0
    return next(c for c in calls[at:] if c.name == name and text in c.text and
                (behind is None or c.thread == behind.thread))


def named(calls):
    told, mail = first(calls, "sendmsg", "202 Accepted"), first(calls, "sendto", "MAIL FROM")
    yes = first(calls, "recvfrom", "250 2.0.0", mail)
    end = [call for call in calls[:calls.index(yes)] if call.name == "sendto"][-1]
    syncs = [call for call in calls if call.name == "fdatasync"]
    accept = [call for call in syncs if calls.index(call) < calls.index(told)][-1]
    return {"accept, before the commit": accept, "accept, behind it": first(calls, "write", "", accept),
            "before the 202": told, "claim, before the commit": first(calls, "fdatasync", "", accept),
            "before MAIL": mail, "before the dot": end, "behind the dot": first(calls, "epoll_wait", "", end),
            "behind the 250": first(calls, "epoll_wait", "", yes), "result, before the commit": syncs[-1]}


def chosen(calls, policy):
    """Those with a name, and of the others every STEPth, from somewhere."""
    names = list(named(calls).values())
    others = [call for call in calls if call not in names]
    begin = random.Random(SEED + policy).randrange(STEP)
    return names + others[begin::STEP]


def what_came_of_it(place, point, before, answer):
    """Checks the ledger behind a kill, and gives how often it arrived."""
    subject = "at %d" % before
    place.gateway.kill()
    assert place.relay.wait(lambda: not place.relay.open_connections)
    rows, had = place.kept()[before:], len(place.copies(subject))
    where = "LETTERGATE_SEED=%s, %r, on disk %s, %d arrived before" % (SEED, point, rows, had)
    assert len(rows) <= 1 and had <= 1, where
    assert answer is None or (answer.status == 202 and rows), "told without it being on disk: " + where
    place.start()
    assert wait_for(place.is_drained), "it is never settled: " + where
    copies, last = place.copies(subject), place.newest()["state"]
    place.warm()
    if not rows:
        assert not copies, where
        return 0
    state, mark = rows[0]
    assert len({t.body for t in copies}) == 1 or not copies, "it reads otherwise: " + where
    if state == SENT:
        assert len(copies) == had == 1, where
    elif place.settings["ON_UNKNOWN"] == "hold":
        assert mark == MARK_END or not had, "the relay has it, and nobody had noted that it may: " + where
        assert len(copies) == (had if mark == MARK_END else 1), where
        assert last == ("held" if mark == MARK_END else "sent"), where
    else:
        assert len(copies) == had + 1 and last == "sent", where
    return len(copies)


@pytest.mark.parametrize("policy", ["retry", "hold"])
def test_killed_at_every_call(tmp_path, policy):
    """F-32: nothing that was told is lost; twice comes only what the relay had and nobody had noted."""
    with Place(tmp_path, ON_UNKNOWN=policy) as place:
        points, harmed, arrived = chosen(place.calls(), policy), 0, []
        for point in points:
            before = len(place.kept())
            with inject(place.gateway, point, "signal=SIGKILL"):
                answer = place.send("at %d" % before)
                died(place.gateway, lambda: place.is_sent("at %d" % before))
            if not place.is_alive():
                harmed += 1
                arrived.append(what_came_of_it(place, point, before, answer))
        print("%d points, %d of them deadly, %d arrived twice" % (len(points), harmed, arrived.count(2)))
        assert harmed > len(points) / 2, "it did not come by there: %d of %d" % (harmed, len(points))
        assert max(arrived) == (2 if policy == "retry" else 1) and arrived.count(0) > 0


WRITES = ("pwrite64", "fdatasync", "ftruncate")


def until_unharmed(run):
    """run(name, n) for each STEPth call of each name, until it gives False; how often it did not."""
    harmed = 0
    for name in WRITES:
        count = 1
        while run(name, count):
            harmed, count = harmed + 1, count + STEP
    return harmed


def test_killed_while_it_starts(tmp_path):
    """F-32: over what the last one has left; the one after that finds all of it."""
    with Place(tmp_path, RETRY_DELAYS="1h") as place:
        place.relay.script["mail"] = "451 4.3.0 not now"

        def dies(name, count):
            assert place.send("left %s %d" % (name, count)).status == 202
            place.gateway.kill()
            gateway = Gateway(place.relay, wait=False, wrap=(
                "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + name, "-e",
                "inject=%s:signal=SIGKILL:when=%d" % (name, count)), **place.settings)
            found = died(gateway, lambda: "\"event\":\"start\"" in gateway.output)
            subprocess.run(["pkill", "-KILL", "-P", str(gateway.pid)], check=False)
            gateway.kill()
            place.start()
            return found
        harmed = until_unharmed(dies)
        left = len(place.kept())
        assert harmed >= 2, harmed
        place.relay.script.clear()
        for message in place.gateway.get("/messages?limit=500")["messages"]:
            place.gateway.request("POST", "/messages/%s/retry" % message["id"])
        assert wait_for(place.is_drained)
        assert len(place.relay.ledger) == len({t.message_id for t in place.relay.ledger}) == left


def test_killed_while_it_stops(tmp_path):
    """F-32: amid putting the log into the file."""
    with Place(tmp_path) as place:
        def dies(name, count):
            place.warm()
            with Strace(place.gateway, "-o", "/dev/null", "-e", "trace=" + name, "-e",
                        "inject=%s:signal=SIGKILL:when=%d" % (name, count)):
                place.gateway.terminate()
                found = place.gateway.wait() != 0
            assert {state for state, _ in place.kept()} == {SENT}
            place.start()
            return found
        assert until_unharmed(dies) >= 2
        assert wait_for(place.is_drained)
        assert len(place.relay.ledger) == len(place.kept())


def test_stopped_at_every_point_with_a_name(tmp_path):
    """F-32: a process that stands still and goes on has noticed nothing."""
    with Place(tmp_path) as place:
        points, stood = named(place.calls()), 0
        for name, point in points.items():
            answers = []
            sender = threading.Thread(target=lambda: answers.append(place.send(name)))
            with inject(place.gateway, point, "signal=SIGSTOP"):
                sender.start()
                wait_for(lambda: is_stopped(place.gateway) or answers and place.is_sent(name))
                if is_stopped(place.gateway):
                    stood += 1
                    time.sleep(0.1)
                    place.gateway.process.send_signal(signal.SIGCONT)
                sender.join()
                assert wait_for(lambda: place.is_sent(name)), name
            assert answers[0].status == 202 and len(place.copies(name)) == 1, name
        assert stood > len(points) / 2, "it did not come by there: %d of %d" % (stood, len(points))


# ---- what a disk may say

def later(place, subject):
    """Accepts one that is to be sent at another time, so that nothing else is written."""
    return place.send(subject, send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)))


def writes_of(place, name):
    """Those of an accept."""
    return [call for call in calls_of(place.gateway, place.folder / "trace",
                                      lambda: later(place, "told"), name)]


def answered_as_kept(place, answer, before):
    """202 and on disk, or not sent and not there; gives whether it is the first."""
    rows = len(place.kept()) - before
    if answer.status == 202:
        assert rows == 1
        return True
    assert (answer.status, answer["code"], rows) == (503, "storage_unavailable", 0), answer
    assert answer["outcome"] == "not_sent" and int(answer.headers["Retry-After"]) > 0
    return False


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("more", ["", "+"], ids=["one", "from there on"])
def test_a_write_that_fails(tmp_path, error, more):
    """F-30, F-31: at every write of an accept. No yes unless it is on disk, and no no if it is; when the
    disk is well again, so is the gateway."""
    with Place(tmp_path) as place:
        later(place, "the first")
        writes, yes = writes_of(place, "pwrite64"), []
        for point in writes[random.Random(SEED + error).randrange(STEP)::STEP]:
            before = len(place.kept())
            with inject(place.gateway, point, "error=" + error, more):
                yes.append(answered_as_kept(place, later(place, "hurt"), before))
            assert wait_for(lambda: later(place, "well").status == 202), "it has not recovered"
        assert yes and (True not in yes or (error, more) == ("EIO", "")), "what fails once is tried again"
        kept = place.gateway.get("/messages?limit=500&state=scheduled")["messages"]
        assert len(kept) == len(place.kept())


@pytest.mark.parametrize("count", [1, 2])
def test_a_sync_that_fails(tmp_path, count):
    """F-31: nothing is believed afterwards, and nothing taken; the next process has all that was told."""
    with Place(tmp_path) as place:
        told = [later(place, "the first")]
        sync = writes_of(place, "fdatasync")[0]
        sync.count = count
        with inject(place.gateway, sync, "error=EIO"):
            told += [later(place, "next %d" % n) for n in range(4)]
        told += [later(place, "no more")]
        assert [a.status for a in told] == [202] * count + [504] + [503] * (5 - count), told
        assert {a["code"] for a in told[count + 1:]} == {"storage_unavailable"}
        doubt = told[count]
        assert (doubt["outcome"], doubt["duplicate_risk"]) == ("unknown", True), "it may be there: " + repr(doubt)
        assert {r["outcome"] for r in doubt["recipients"]} == {"unknown"} and "queue" in doubt["detail"]
        ready = place.gateway.get("/readyz", key=None)
        assert (ready.status, ready["ready"], ready["draining"]) == (503, False, False)
        place.gateway.kill()
        place.start()
        for answer in told[:count]:
            assert place.gateway.get("/messages/" + answer["id"])["state"] == "scheduled"
        assert later(place, "again").status == 202


def test_a_result_that_cannot_be_written(tmp_path):
    """F-30: the relay has it, and the disk is full. Nobody gets it twice, and it is noted in the end."""
    with Place(tmp_path, ON_UNKNOWN="hold") as place:
        calls = place.calls()
        end = calls.index(named(calls)["before the dot"])
        for point in [c for c in calls[end:] if c.name == "pwrite64"][::STEP]:
            subject = "full at %d" % point.count
            with inject(place.gateway, point, "error=ENOSPC"):
                assert wait_for(lambda: place.send(subject).status == 202)
                assert wait_for(lambda: place.is_sent(subject))
            assert len(place.copies(subject)) == 1


def test_each_yes_is_synced(tmp_path):
    """F-33: of no use were all tests that kill a process if nothing were synced: they would pass."""
    with Place(tmp_path) as place:
        calls = calls_of(place.gateway, tmp_path / "trace",
                         lambda: [later(place, str(n)) for n in range(10)], "fdatasync,sendmsg")
        told = [n for n, call in enumerate(calls) if "202 Accepted" in call.text]
        assert len(told) == 10
        for begin, end in zip([0] + told, told):
            assert any(c.name == "fdatasync" and "queue.db-wal" in c.text for c in calls[begin:end]), calls


@pytest.mark.parametrize("policy, syncs", [("retry", 0), ("hold", 1)])
def test_a_mark_is_synced_before_the_end_where_it_is_held(tmp_path, policy, syncs):
    """Between the relay's yes to DATA and its yes to what came: the least of some, for the clock may
    have something to write as well."""
    def between(calls):
        begin = next(n for n, call in enumerate(calls) if '"354' in call.text)
        end = next(n for n, call in enumerate(calls) if n > begin and '"250' in call.text)
        return sum(call.name == "fdatasync" for call in calls[begin:end])
    with Place(tmp_path, ON_UNKNOWN=policy) as place:
        assert min(between(place.calls()) for _ in range(4)) == syncs
