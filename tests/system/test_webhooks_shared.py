"""Several gateways on one store: one of them at a time sends a webhook's events, and all ask for theirs."""

import os
import shutil
import subprocess
import tempfile
import threading

import pytest

from certificates import Authority
from gateway import ROOT, SLOW, Gateway, wait_for
from receiver import Receiver
from relay import Relay
from test_webhooks import OLD, secret

SERVER = os.path.join(ROOT, "tests", "postgres", "server.sh")


@pytest.fixture(name="store")
def _store():
    folder = tempfile.mkdtemp(prefix="lettergate-pg-")  # the server is another user
    made = subprocess.run([SERVER, "make", folder], capture_output=True, check=False)
    if made.returncode == 77:
        os.rmdir(folder)
        pytest.skip("PostgreSQL is not installed")
    assert made.returncode == 0, made
    server = subprocess.Popen([SERVER, "run", folder, "-c", "listen_addresses=", "-c", "fsync=off"])
    assert wait_for(lambda: os.path.exists(os.path.join(folder, ".s.PGSQL.5432")), 20)
    yield "postgresql://lettergate@/postgres?host=%s" % folder
    server.send_signal(2)
    server.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def test_one_of_them_sends(store, tmp_path):
    authority = Authority(tmp_path)
    with Receiver(authority.make("127.0.0.1").context()) as receiver, Relay() as relay:
        settings = {"STORE": store, "SSL_CERT_FILE": authority.file, "WEBHOOK_URL": receiver.url,
                    "WEBHOOK_SECRET": secret(OLD), "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8"}
        one, other = Gateway(relay, **settings), Gateway(relay, **settings)
        try:
            waiting = []
            thread = threading.Thread(target=lambda: waiting.append(
                other.get("/events?after=0&wait=30", timeout=40)))
            thread.start()
            assert wait_for(lambda: one.log("webhook_elsewhere") or other.log("webhook_elsewhere"))
            assert one.send().status == 200
            thread.join(20 * SLOW)
            assert len(waiting[0]["events"]) == 1, "who waits here hears of what was written there"
            for gateway in (one, other) * 5:
                assert gateway.send().status == 200
            assert wait_for(lambda: len(receiver.posts) == 11)
            log = one.get("/events")["events"]
            assert [post.id for post in receiver.posts] == [event["id"] for event in log]
            assert len(receiver.connections) == 1
            holder, heir = (other, one) if one.log("webhook_elsewhere") else (one, other)
            holder.stop()
            assert heir.send().status == 200
            assert wait_for(lambda: len(receiver.posts) == 12), "it goes on where the other one was"
            assert len({post.id for post in receiver.posts}) == 12
            heir.stop()
        finally:
            one.kill()
            other.kill()
