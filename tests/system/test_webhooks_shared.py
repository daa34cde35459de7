"""Several gateways on one store: one of them at a time sends a webhook's events, and all ask for theirs."""

import threading

from certificates import Authority
from gateway import SLOW, Gateway, together, wait_for
from postgres import Postgres, shared_store  # noqa: F401  the fixture `store`
from receiver import Receiver
from relay import Relay
from test_webhooks import OLD, secret


def test_a_run_of_events_costs_few_commits(tmp_path):
    authority = Authority(tmp_path)
    postgres = Postgres()
    count = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'lettergate_note'"
    try:
        with Receiver(authority.make("127.0.0.1").context()) as receiver, Relay() as relay:
            usual = {"STORE": postgres.url(), "SSL_CERT_FILE": authority.file}
            hook = {**usual, "WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": secret(OLD),
                    "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8"}
            with Gateway(relay, **hook) as gateway:
                assert gateway.send().status == 200
                assert wait_for(lambda: len(receiver.posts) == 1)
            with Gateway(relay, **usual) as gateway:
                together(lambda n: gateway.send(), range(120))
            before = int(postgres.sql(count)[0])
            with Gateway(relay, **hook) as gateway:
                assert wait_for(lambda: len(receiver.posts) == 121, 30)
            assert len({post.id for post in receiver.posts}) == 121
            assert int(postgres.sql(count)[0]) - before < 80
    finally:
        postgres.close()


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
