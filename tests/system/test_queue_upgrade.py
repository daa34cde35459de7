"""A queue that an older version left (F-51): this one raises the tables and delivers all of it."""

import collections
import contextlib
import shutil
import sqlite3

import pytest

from gateway import SLOW, Gateway, together, wait_for
from postgres import Postgres
from relay import Relay

# What later versions added, taken back.
FILE_1 = ("DELETE FROM tally WHERE state >= 100; ALTER TABLE message DROP COLUMN more_bytes; "
          "UPDATE tally SET bytes = coalesce((SELECT sum(size_bytes) FROM message m "
          "WHERE m.key_id = tally.key_id AND m.state = tally.state), 0); "
          "DROP INDEX message_held; DROP INDEX message_over; DROP TABLE note; PRAGMA user_version = 1")
DATABASE_1 = ("DROP TABLE lettergate_event_tally; "
              "UPDATE lettergate_tally t SET bytes = coalesce((SELECT sum(size_bytes) FROM lettergate_message m "
              "WHERE m.key_id = t.key_id AND m.state = t.state), 0); "
              "DROP INDEX lettergate_message_over, lettergate_message_waiting, lettergate_message_held; "
              "ALTER TABLE lettergate_message DROP COLUMN out_ms, DROP COLUMN more_bytes; "
              "CREATE INDEX lettergate_message_unsettled ON lettergate_message (created_ms) WHERE turn > 0; "
              "UPDATE lettergate_schema SET version = 1")

BATCHES, SIZE = 40, 250


class File:
    def __init__(self, folder):
        self.path, self.store = folder / "queue.db", "sqlite:%s" % (folder / "queue.db")

    def is_of_version_1(self):
        with contextlib.closing(sqlite3.connect(self.path)) as file:
            file.executescript(FILE_1)

    def close(self):
        pass


class Database:
    def __init__(self, _):
        self.server = Postgres()
        self.store = self.server.url()

    def is_of_version_1(self):
        self.server.sql(DATABASE_1)

    def close(self):
        self.server.close()


def mails(batch):
    """Some were tried in vain when they were left, some wait for their first try."""
    return [{"from": "a@example.com", "to": "b@example.org", "subject": "s%d-%d" % (batch, i), "text": "hi",
             "delivery": "queue"} for i in range(SIZE)]


@pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")
@pytest.mark.parametrize("kind", [File, Database])
def test_all_of_it_is_delivered_by_this_version(tmp_path, kind):
    with contextlib.closing(kind(tmp_path)) as old, Relay({"mail": "451 4.3.0 not now"}) as relay:
        settings = {"STORE": old.store, "RETRY_DELAYS": "1s", "RETRY_JITTER": "0"}
        with Gateway(relay, **settings) as gateway:
            answers = together(lambda batch: gateway.post("/send/batch", mails(batch)), range(BATCHES))
            accepted = {m["message_id"] for answer in answers for m in answer["results"]}
            assert len(accepted) == BATCHES * SIZE
            assert wait_for(lambda: len(relay.commands("MAIL")) > 20)
        old.is_of_version_1()
        relay.script = {}
        with Gateway(relay, **settings) as gateway:
            assert wait_for(lambda: len(relay.ledger) >= len(accepted), 60, 0.1)
            for state in ("queued", "deferred", "sending", "failed", "held"):
                assert wait_for(lambda state=state: not gateway.get("/messages?state=" + state)["messages"], 20)
            assert "lettergate_queue_bytes 0\n" in gateway.get("/metrics", key=None).body.decode()
        arrived = collections.Counter(transaction.message_id for transaction in relay.ledger)
        assert set(arrived) == accepted and max(arrived.values()) == 1


def is_as_it_was(path, whole):
    """Its bytes, and what a copy of it and its -wal says."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(str(path) + "-wal", str(copy) + "-wal")
    with contextlib.closing(sqlite3.connect(copy)) as file:
        says = [file.execute(words).fetchone()[0] for words in (
            "PRAGMA integrity_check", "PRAGMA user_version", "SELECT count(*) FROM message")]
    return path.read_bytes() == whole and says == ["ok", 1, 10]


@pytest.mark.skipif(SLOW > 1, reason="strace and sanitizers do not get along")
def test_the_disk_is_full_when_it_is_raised(tmp_path):
    """F-30: from each write on. It is refused, nothing is changed, and it goes on when there is room."""
    old = File(tmp_path)
    with Relay({"mail": "451 4.3.0 not now"}) as relay:
        settings = {"STORE": old.store, "RETRY_DELAYS": "1s", "RETRY_JITTER": "0"}
        with Gateway(relay, **settings) as gateway:
            for _ in range(10):
                assert gateway.send(delivery="queue").status == 202
        old.is_of_version_1()
        relay.script, whole = {}, old.path.read_bytes()
        for count in range(1, 50):
            full = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                    "inject=pwrite64:error=ENOSPC:when=%d+" % count)
            gateway = Gateway(relay, wait=False, wrap=full, **settings)
            assert wait_for(lambda g=gateway: g.process.poll() is not None or g.log("start"), 20)
            if gateway.process.poll() is None:
                gateway.kill()
                break
            assert gateway.wait() == 1 and "database or disk is full" in gateway.output, gateway.output
            assert is_as_it_was(old.path, whole), count
        assert count > 5
        with Gateway(relay, **settings):
            assert relay.wait(lambda: len(relay.ledger) >= 10)
        assert len({transaction.message_id for transaction in relay.ledger}) == len(relay.ledger) == 10
