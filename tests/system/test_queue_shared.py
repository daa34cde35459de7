"""Two gateways on one PostgreSQL: what one was told the other knows."""

import concurrent.futures

from gateway import Gateway, command, free_port, ms, problem, wait_for
from postgres import shared_store  # noqa: F401  the fixture `store`
from relay import Relay

KEYED = {"Idempotency-Key": "order-42"}


def test_a_key_is_known_to_both(store):
    with Relay() as relay, Gateway(relay, STORE=store) as one:
        with Gateway(relay, STORE=store) as other:
            first = one.send(headers=KEYED)
            assert first["outcome"] == "accepted" and first.headers["Idempotency-Scope"] == "store"
            again = other.send(headers=KEYED)
            assert (again.headers["Idempotency-Replayed"], again.body) == ("true", first.body)
            assert other.send(headers=KEYED, subject="Another")["code"] == "idempotency_mismatch"
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                asked = [pool.submit((one, other)[n % 2].send, headers={"Idempotency-Key": "many"}) for n in range(20)]
                assert {answer.result().status for answer in asked} <= {200, 409}
            assert len(relay.ledger) == 2
            kept = '{"text": "Hello {{name}}."}'
            assert one.request("PUT", "/templates/hello", kept, {"Content-Type": "application/json"}).status == 201
        with Gateway(relay, STORE=store) as other:
            assert other.get("/templates/hello")["text"] == "Hello {{name}}."


def test_templates_are_there_for_all(store):
    kind = {"Content-Type": "application/json"}
    with Gateway(SMTP_HOST="capture", STORE=store) as one, Gateway(SMTP_HOST="capture", STORE=store) as other:
        assert one.request("PUT", "/templates/hello", '{"text": "One."}', kind).status == 201
        assert wait_for(lambda: other.get("/templates/hello").json.get("text") == "One.")
        assert other.request("PUT", "/templates/hello", '{"text": "Two."}', kind).status == 200
        assert wait_for(lambda: one.get("/templates/hello")["text"] == "Two.")
        assert one.get("/templates").json == other.get("/templates").json
        assert one.request("PUT", "/templates/bye", '{"text": "Bye."}', kind).status == 201
        assert other.request("DELETE", "/templates/bye").status == 200, "also before it has heard of it"
        assert wait_for(lambda: one.get("/templates/bye").status == 404)
        assert one.request("DELETE", "/templates/bye").status == 404


def test_who_waits_hears_of_what_the_other_one_sent(store):
    """The one that is asked has no relay that answers; the other one sends."""
    soon = {"STORE": store, "RETRY_DELAYS": "1s"}
    with Relay() as relay, Gateway(relay, SMTP_PORT=free_port(), **soon) as one, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(one.send, headers={"Prefer": "wait=40"}, timeout=60) for _ in range(8)]
        assert wait_for(lambda: len(one.get("/messages")["messages"]) == 8)
        with Gateway(relay, **soon):
            assert [answer.result().status for answer in asked] == [200] * 8
        settings = {"LETTERGATE_URL": one.url, "LETTERGATE_KEY": one.key}
        assert '"sent":8' in command("queue", "stats", "--json", settings=settings).stdout
    assert len(relay.ledger) == 8


def test_what_the_other_one_cancels_is_not_sent(store):
    """Though this one tried it, and would again; who waits here for its verdict hears of it."""
    settings = {"STORE": store, "RETRY_DELAYS": ms(300), "RETRY_JITTER": "0"}
    with Relay({"rcpt": "451 4.3.0 later"}) as relay, Gateway(relay, **settings) as one, \
            Gateway(relay, SMTP_PORT=free_port(), **settings) as other, concurrent.futures.ThreadPoolExecutor(1) as pool:
        keyed = {"Prefer": "wait=40", **KEYED}
        asked = pool.submit(one.send, headers=keyed, timeout=60)
        assert wait_for(lambda: [m["id"] for m in other.get("/messages?state=deferred")["messages"]])
        number, = [m["id"] for m in other.get("/messages")["messages"]]
        cancel = "/messages/" + number  # 409 while it is tried
        assert wait_for(lambda: other.request("DELETE", cancel).status == 200)
        problem(asked.result(), 409, "cancelled", "not_sent")
        assert asked.result()["id"] == number
        tried = len(relay.commands("RCPT"))
        behind = one.send(delivery="queue", to="bo@example.org")["id"]
        assert relay.wait(lambda: len(relay.commands("RCPT")) > tried), "put off as long as the other one was"
        relay.script.clear()
        assert wait_for(lambda: one.get("/messages/" + behind)["state"] == "sent")
        assert [t.recipients for t in relay.ledger] == [["bo@example.org"]]
        for gateway in (one, other):
            assert gateway.get(cancel)["state"] == "cancelled"
            problem(gateway.send(headers=keyed), 409, "cancelled", "not_sent")
