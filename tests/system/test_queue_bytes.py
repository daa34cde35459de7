"""What the queue and the log of events may take in bytes holds for all that is kept, not for the texts of messages alone."""

from gateway import Gateway, mail, metric, problem, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401 - fixtures

RECIPIENTS, MEGA = 1000, 1 << 20


def number(gateway, name):
    return metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_" + name)


def wide(n):
    """Hardly a text, but much beside it: each try tells of it 1,000 times, some 4 MB of events."""
    return mail(to=["r%d@example.org" % i for i in range(RECIPIENTS)], subject="m%d" % n, metadata={"about": "x" * 4000},
                delivery="queue")


def flood(gateway):
    """How many were taken before the queue was full."""
    for n in range(10):
        answer = gateway.post("/send", wide(n))
        if answer.status != 202:
            problem(answer, 503, "queue_full", "not_sent")
            return n
    raise AssertionError("it is never full")


@in_both
def test_a_flood_of_wide_messages(store):
    with Relay({"mail": "451 4.3.0 not now"}) as relay, \
            Gateway(relay, STORE=store, QUEUE_MAX_BYTES="3M", KEEP_EVENTS_BYTES="1M", RETRY_DELAYS="1h") as gateway:
        count = flood(gateway)
        assert count == 2, "each counts 1 MB for what is said to its recipients, and its head"
        assert 2 * MEGA < number(gateway, "queue_bytes") < 3 * MEGA
        assert wait_for(lambda: number(gateway, "events_dropped_total") > 0, 20)
        assert wait_for(lambda: number(gateway, "events_kept_bytes") <= MEGA and
                        len(gateway.get("/messages?state=deferred")["messages"]) == count, 20)
        assert wait_for(lambda: number(gateway, "events_dropped_total") + number(gateway, "events_kept") ==
                        count * (RECIPIENTS + 1), 20)
        dropped = gateway.log("events_dropped")
        assert len(dropped) == 1 and dropped[0]["events"] > 0, "once a minute, not for each"
        kept = gateway.get("/events?limit=500")["events"]
        assert len(kept) == number(gateway, "events_kept") < 300
        assert {event["type"] for event in kept} == {"message.deferred"}, "the oldest went, and `after=0` goes on with the rest"
        message = gateway.get("/messages?state=deferred")["messages"][0]["id"]
        assert gateway.request("DELETE", "/messages/" + message).status == 200
        assert number(gateway, "queue_bytes") < 2 * MEGA
        assert gateway.post("/send", wide(11)).status == 202, "there is room again"
