"""What tests against a scripted relay share: what it offers, and what must hold of its ledger."""

from gateway import metric, ms

PIPELINED = ("PIPELINING", "SIZE 50000000", "8BITMIME", "ENHANCEDSTATUSCODES")
PLAIN = ("SIZE 50000000", "8BITMIME", "ENHANCEDSTATUSCODES")
CHUNKED = PIPELINED + ("CHUNKING",)
WAYS = {"plain": PLAIN, "pipelined": PIPELINED, "bdat": CHUNKED}
SHORT = {"SMTP_TIMEOUT_COMMAND": ms(1000), "SMTP_TIMEOUT_CONNECT": ms(1500)}


def nothing_lost_nothing_twice(relay, answers):
    """Each message that was said to be taken is in the ledger once, and no other one is."""
    taken = sorted(t.message_id for t in relay.ledger)
    said = sorted(a["message_id"] for a in answers if a.status == 200)
    assert taken == said
    assert len(set(taken)) == len(taken)


def attempts(answer):
    return [attempt["outcome"] for attempt in answer["attempts"]]


def nobody_heard_of_it(gateway):
    """What was mended silently is no error in the metrics, and no warning in the log."""
    text = gateway.get("/metrics", key=None).body.decode()
    for outcome in ("not_sent", "unknown", "deferred", "rejected"):
        assert not metric(text, "lettergate_sends_total", outcome=outcome), text
    assert not [line for line in gateway.log() if line.get("level") in ("warn", "error")]
