"""503 says when to come again, everywhere with the same number: in the header for HTTP's clients, in
the body for those who read it (docs/errors.md)."""

import http.client
import json
import select
import threading

import pytest

from gateway import KEY, SLOW, Answer, Gateway, free_port, mail, metric, problem, together, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401  the fixtures `store` and `server`

PAUSE_MOST = 60  # what the gateway asks for of its own, at most


class Gate:
    def __init__(self):
        self.open = threading.Event()

    def __call__(self, _connection, _step, _line):
        self.open.wait(60 * SLOW)


def pause_of(answer, code, outcome="not_sent"):
    """The seconds that a 503 asks for: a number, and the same one in the body."""
    problem(answer, 503, code, outcome)
    assert answer["retryable"] is True and answer["duplicate_risk"] is False
    assert answer.headers.get_all("Retry-After") == [str(answer["retry_after"])], answer
    assert isinstance(answer["retry_after"], int) and answer["retry_after"] >= 1, answer
    return answer["retry_after"]


def park(gateway, count, message=None):
    """That many requests that wait for the relay."""
    body = json.dumps(message or mail()).encode()
    parked = [gateway.socket(60) for _ in range(count)]
    for sock in parked:
        sock.sendall(b"POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: "
                     b"application/json\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body))
    return parked


def in_flight(gateway):
    return gateway.get("/readyz", key=None)["in_flight"]


def in_flight_bytes(gateway):
    return metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_in_flight_bytes")


def are_answered(parked):
    for sock in parked:
        assert sock.recv(65536).startswith(b"HTTP/1.1 200"), "what was taken is answered"
        sock.close()


def test_past_max_in_flight_all_are_told_when():
    """Each of many; one by one and in a batch; and of what was refused nothing is sent."""
    gate = Gate()
    with Relay({"dot": gate}) as relay, Gateway(relay, MAX_IN_FLIGHT=8, SMTP_SESSIONS=4) as gateway:
        parked = park(gateway, 8)
        assert wait_for(lambda: in_flight(gateway) == 8)
        refused = together(lambda n: gateway.send(subject="refused %d" % n), range(50))
        for answer in refused:
            assert 1 <= pause_of(answer, "overloaded") <= PAUSE_MOST
            assert "MAX_IN_FLIGHT" in answer["detail"]
        batch = gateway.post("/send/batch", [mail(subject="refused")] * 5)
        assert batch.status == 200 and len(batch["results"]) == 5
        for result in batch["results"]:
            assert (result["status"], result["code"], result["outcome"]) == (503, "overloaded", "not_sent")
            assert 1 <= result["retry_after"] <= PAUSE_MOST
        gate.open.set()
        are_answered(parked)
        assert gateway.send().status == 200
        assert len(relay.ledger) == 9
        assert not any(b"refused" in taken.header for taken in relay.ledger)


def answer_on(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def test_the_pause_follows_the_rate_that_was_measured():
    """40 in flight at four a second: some ten seconds, and not the least that there is."""
    with Relay({"dot": {"delay": 0.25}}) as relay, \
            Gateway(relay, MAX_IN_FLIGHT=40, SMTP_SESSIONS=1) as gateway:
        first = park(gateway, 40)
        assert relay.wait(lambda: len(relay.ledger) >= 6, 30 * SLOW)
        more = park(gateway, 40)  # most of these find no room, and are told so at once
        refused = [answer_on(sock) for sock in select.select(more, [], [], 10 * SLOW)[0]]
        relay.script = {}  # the rest goes at once
        are_answered(first)
        pauses = [pause_of(answer, "overloaded") for answer in refused if answer.status != 200]
        assert max(pauses) >= 5 and max(pauses) <= PAUSE_MOST, pauses
        for sock in more:
            sock.close()


def test_past_the_bytes_in_flight_as_well():
    gate = Gate()
    with Relay({"dot": gate}) as relay, Gateway(relay, MAX_IN_FLIGHT_BYTES="8M",
                                             HTTP_MAX_BODY="8M") as gateway:
        parked = park(gateway, 4, mail(text="a line of text\n" * 60000))
        assert wait_for(lambda: in_flight(gateway) > 1)
        answers = [gateway.send(text="x" * 6000000) for _ in range(5)]
        for answer in answers:
            assert 1 <= pause_of(answer, "overloaded") <= PAUSE_MOST
            assert "MAX_IN_FLIGHT_BYTES" in answer["detail"]
        gate.open.set()
        for sock in parked:
            assert sock.recv(65536).startswith(b"HTTP/1.1 "), "each is answered"
            sock.close()
        assert wait_for(lambda: gateway.send(text="x" * 1000000).status == 200)


@in_both
def test_what_is_out_of_the_queue_has_half_of_the_bytes(store):
    """Messages that are large: no more of them lie in memory at a time, and all of them go."""
    gate = Gate()
    with Relay({"dot": gate}) as relay, \
            Gateway(relay, STORE=store, MAX_IN_FLIGHT_BYTES="4M", HTTP_MAX_BODY="2M") as gateway:
        for _ in range(12):
            assert gateway.send({"delivery": "queue"}, text="a line of text\n" * 30000).status == 202
        assert wait_for(lambda: in_flight_bytes(gateway) > 1 << 21)
        assert in_flight_bytes(gateway) < (1 << 21) + 1000000, "half, and one message"
        assert gateway.send({"delivery": "queue"}).status == 202
        gate.open.set()
        assert relay.wait(lambda: len(relay.ledger) == 13)
        assert wait_for(lambda: in_flight_bytes(gateway) == 0)


def test_what_is_out_of_the_queue_has_half_of_the_count(tmp_path):
    """A backlog for a relay that is slow closes the door to nobody."""
    gate = Gate()
    with Relay({"dot": gate}) as relay, Gateway(relay, STORE="sqlite:%s" % (tmp_path / "queue.db"),
                                             MAX_IN_FLIGHT="20", SMTP_SESSIONS="2") as gateway:
        for _ in range(30):
            assert gateway.send({"delivery": "queue"}).status == 202
        assert wait_for(lambda: in_flight(gateway) == 10)
        assert gateway.send({"delivery": "queue"}).status == 202
        gate.open.set()
        assert relay.wait(lambda: len(relay.ledger) == 31)


@pytest.mark.parametrize("script,code,outcome", [
    ({"greeting": "421 4.3.2 not now"}, "relay_busy", "not_sent"),
    ({"mail": "451 4.3.0 later"}, "relay_busy", "deferred"),
    ({"rcpt": "450 4.2.1 too fast, try again in 90 seconds"}, "recipient_throttled", "deferred"),
    ({"rcpt": "451 4.7.1 greylisted"}, "policy_deferred", "deferred"),
    ({"dot": "452 4.3.1 full"}, None, "deferred"),
    ({"dot": "421 4.3.0 closing"}, None, "deferred"),
    (None, "relay_unreachable", "not_sent")])
def test_every_other_503_agrees_with_itself(script, code, outcome):
    """The relay's own words, and nobody there."""
    with Relay(script) as relay, Gateway(relay, **({} if script else {"SMTP_PORT": free_port()})) as gateway:
        answer = gateway.send()
        assert answer.status == 503, answer
        pause = pause_of(answer, code or answer["code"], outcome)
        if "90 seconds" in str(script):
            assert pause == 90
        batch = gateway.post("/send/batch", [mail()])
        assert batch["results"][0]["status"] == 503 and batch["results"][0]["retry_after"] >= 1
        assert not relay.ledger
