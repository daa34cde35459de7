"""A 202 comes when the message is on the database's disk: its syncs are counted."""

import time

import pytest

from gateway import SLOW, Gateway, wait_for
from postgres import Postgres
from relay import Relay

ACCEPTS = 20


def syncs(postgres):
    return int(postgres.sql("SELECT wal_sync FROM pg_stat_wal")[0])


def accepts_by(postgres, relay, **more):
    """One after the other, so none shares another one's commit; the syncs that there were before."""
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    with Gateway(relay, STORE=postgres.url(**more)) as gateway:
        assert gateway.send({"delivery": "queue", "send_at": later}).status == 202
        time.sleep(1.5)  # what there was until now is counted
        before = syncs(postgres)
        for _ in range(ACCEPTS):
            assert gateway.send({"delivery": "queue", "send_at": later}).status == 202
    return before


@pytest.mark.skipif(SLOW > 1, reason="it is the same with sanitizers")
def test_each_202_has_a_sync_behind_it():
    postgres = Postgres("-c", "fsync=on", "-c", "autovacuum=off", "-c", "checkpoint_timeout=1h",
                        "-c", "wal_writer_delay=10s")
    try:
        with Relay() as relay:
            before = accepts_by(postgres, relay)
            assert wait_for(lambda: syncs(postgres) - before >= ACCEPTS, 10)
            # and the count tells where there is none
            before = accepts_by(postgres, relay, options="-csynchronous_commit=off")
            time.sleep(1.5)
            assert syncs(postgres) - before < ACCEPTS
    finally:
        postgres.close()
