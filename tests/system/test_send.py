"""POST /send and its kin before a relay that behaves: what the caller is told, and how many round
trips it took (docs/api.md)."""

import re
import time

import pytest

from gateway import KEY, PACE, SLOW, Gateway, both, mail, ms, problem, together, wait_for
from relay import Relay

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def relay():
    with Relay({"rcpt:no@example.org": "550 5.1.1 <no@example.org>: user unknown",
                "rcpt:later@example.org": "450 4.2.0 try again in 300 seconds"}) as relay:
        yield relay


@pytest.fixture(scope="module")
def gateway(relay):
    with Gateway(relay) as gateway:
        yield gateway


def test_an_accepted_message_is_answered_with_every_field(relay, gateway):
    """Section 5: id, message id, outcome, recipients, the relay's words, attempts, timing."""
    answer = gateway.send(to=["ann@example.org", {"name": "Bo", "address": "bo@example.net"}])
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json
    assert re.fullmatch(UUID7, body["id"])
    assert re.fullmatch(r"<[^<>@\s]+@example\.com>", body["message_id"])
    assert body["outcome"] == "accepted"
    taken = relay.ledger[-1]
    assert [r["address"] for r in body["recipients"]] == ["ann@example.org", "bo@example.net"]
    for recipient in body["recipients"]:
        assert recipient["outcome"] == "accepted"
        assert recipient["smtp"] == {"code": 250, "enhanced": "2.1.5", "text": "recipient ok"}
    queue_id = "R%dT%d" % (taken.connection, taken.number)
    assert body["smtp"] == {"code": 250, "enhanced": "2.0.0", "text": "Ok: queued as " + queue_id}
    assert body["relay"]["name"] == "default"
    assert body["relay"]["host"] == "127.0.0.1"
    assert body["relay"]["queue_id"] == queue_id or len(queue_id) < 5
    (attempt,) = body["attempts"]
    assert attempt["relay"] == "default" and attempt["outcome"] == "accepted"
    assert attempt["ms"] >= 0
    assert set(body["timing_ms"]) == {"queue", "connect", "send", "total"}
    assert all(value >= 0 for value in body["timing_ms"].values())
    assert taken.mail == "shop@example.com"
    assert taken.recipients == ["ann@example.org", "bo@example.net"]
    assert taken.message_id == body["message_id"]
    assert answer.headers["X-Request-Id"]


def test_a_refused_recipient_is_422_with_the_relays_words(gateway):
    """Section 6: type, title, status, detail, code, outcome, phase, retryable, smtp, relay, hint."""
    body = problem(gateway.send(to="no@example.org"), 422, "recipient_rejected", "rejected")
    assert body["phase"] == "rcpt" and body["retryable"] is False
    assert body["retry_after"] is None and body["duplicate_risk"] is False
    assert body["smtp"] == {"code": 550, "enhanced": "5.1.1",
                            "text": "<no@example.org>: user unknown"}
    assert body["detail"] == "550 5.1.1 <no@example.org>: user unknown"
    assert "not exist" in body["hint"]
    assert body["relay"]["name"] == "default" and re.fullmatch(UUID7, body["id"])
    assert body["recipients"][0]["outcome"] == "rejected"


def test_a_deferred_recipient_is_503_and_retry_after_is_the_relays(gateway):
    answer = gateway.send(to="later@example.org")
    body = problem(answer, 503, "recipient_deferred", "deferred")
    assert body["retryable"] is True and body["retry_after"] == 300
    assert answer.headers["Retry-After"] == "300"


def test_some_taken_is_partial_and_the_others_carry_their_error(relay, gateway):
    answer = gateway.send(to=["ann@example.org", "no@example.org"], bcc=["later@example.org"])
    assert (answer.status, answer["outcome"]) == (200, "partial"), answer
    outcomes = {r["address"]: r["outcome"] for r in answer["recipients"]}
    assert outcomes == {"ann@example.org": "accepted", "no@example.org": "rejected",
                        "later@example.org": "deferred"}
    refused = answer["recipients"][1]
    assert refused["smtp"]["code"] == 550 and refused["code"] == "recipient_rejected"
    assert answer["recipients"][2]["retryable"] is True
    assert relay.ledger[-1].recipients == ["ann@example.org"]


def test_all_refused_in_different_ways_is_deferred_if_any_may_still_come(gateway):
    answer = gateway.send(to=["no@example.org", "later@example.org"])
    problem(answer, 503, "recipient_deferred", "deferred")
    assert [r["outcome"] for r in answer["recipients"]] == ["rejected", "deferred"]


def test_partial_refuse_sends_to_none_unless_all_are_taken(relay, gateway):
    before = len(relay.ledger)
    answer = gateway.send(to=["ann@example.org", "no@example.org"], partial="refuse")
    assert answer.status == 422 and answer["outcome"] in ("rejected", "not_sent"), answer
    assert len(relay.ledger) == before
    answer = gateway.send(to=["ann@example.org", "bo@example.org"], partial="refuse")
    assert (answer.status, answer["outcome"]) == (200, "accepted")
    assert relay.ledger[-1].recipients == ["ann@example.org", "bo@example.org"]


def test_the_envelope_may_differ_and_the_null_sender_is_allowed(relay, gateway):
    answer = gateway.send(envelope={"from": "", "to": ["other@example.org"]}, subject="bounce")
    assert answer.status == 200, answer
    taken = relay.ledger[-1]
    assert taken.mail == "" and taken.recipients == ["other@example.org"]
    assert b"To: ann@example.org" in taken.header


def test_bcc_is_in_the_envelope_alone(relay, gateway):
    assert gateway.send(cc="cc@example.org", bcc=["secret@example.org"]).status == 200
    taken = relay.ledger[-1]
    assert sorted(taken.recipients) == ["ann@example.org", "cc@example.org", "secret@example.org"]
    assert b"secret" not in taken.body and b"Cc: cc@example.org" in taken.header


def test_a_trace_shows_the_conversation_without_content(gateway):
    body = gateway.send(trace=True, text="the-content-itself").json
    trace = "\n".join(body["trace"])
    assert "> MAIL FROM:<shop@example.com>" in trace and "> RCPT TO:<ann@example.org>" in trace
    assert re.search(r"^< 250[ -]2\.0\.0 Ok: queued as", trace, re.M)
    assert "the-content-itself" not in trace
    assert "trace" not in gateway.send().json


def test_a_batch_is_answered_in_order_each_by_itself(relay, gateway):
    messages = [mail(subject="one"), mail(to="no@example.org"), mail(nonsense=1), mail(subject="4")]
    for body in ({"messages": messages}, messages):
        answer = gateway.post("/send/batch", body)
        assert answer.status == 200, answer
        results = answer["results"]
        assert [r["status"] for r in results] == [200, 422, 422, 200]
        assert [r.get("code") for r in results] == [None, "recipient_rejected", "invalid_request",
                                                    None]
        assert results[2]["errors"][0]["pointer"].endswith("/2/nonsense")
        assert len({r["message_id"] for r in results if "message_id" in r}) == 3
    subjects = sorted(re.search(rb"(?m)^Subject: (\S+)\r$", taken.body).group(1)
                      for taken in relay.ledger[-4:])
    assert subjects == [b"4", b"4", b"one", b"one"]


def test_a_batch_over_the_limit_or_empty_is_refused(gateway):
    for messages in ([], [mail()] * 1001, {"messages": {}}, {"message": [mail()]}):
        answer = gateway.post("/send/batch", messages)
        assert (answer.status, answer["code"]) == (422, "invalid_request"), answer


def test_what_was_sent_can_be_read_again(gateway):
    """GET /messages/{id}: state, recipients, attempts; tags and metadata come back."""
    sent = gateway.send(tags=["orders", "eu"], metadata={"order": "42"}).json
    seen = gateway.get("/messages/" + sent["id"])
    assert seen.status == 200, seen
    body = seen.json
    assert body["state"] == "sent" and body["message_id"] == sent["message_id"]
    assert body["tags"] == ["orders", "eu"] and body["metadata"] == {"order": "42"}
    assert body["recipients"][0]["smtp"]["code"] == 250
    assert body["attempts"][0]["outcome"] == "accepted"
    failed = gateway.send(to="no@example.org").json
    assert gateway.get("/messages/" + failed["id"])["state"] == "failed"
    assert gateway.get("/messages/" + sent["id"][:-4] + "0000").status == 404
    listed = gateway.get("/messages?tag=orders&limit=5").json["messages"]
    assert sent["id"] in [message["id"] for message in listed]


@pytest.mark.parametrize("fields,pointer", [
    ({"subjekt": "x"}, "/subjekt"),
    ({"to": ["ann@example.org", "not an address"]}, "/to/1"),
    ({"from": None}, "/from"),
    ({"to": None}, "/to"),
    ({"to": []}, "/to"),
    ({"to": [{"addres": "a@b"}]}, "/to/0"),
    ({"headers": {"X-A": 5}}, "/headers/X-A"),
    ({"headers": {"Bcc": "x@example.org"}}, "/headers/Bcc"),
    ({"attachments": [{"filename": "a", "content": "***"}]}, "/attachments/0/content"),
    ({"partial": "maybe"}, "/partial"),
    ({"deadline": "soon"}, "/deadline"),
    ({"to": ["u%d@example.org" % i for i in range(1001)]}, "/to"),
    ({"headers": {"X-%d" % i: "v" for i in range(101)}}, "/headers"),
    ({"attachments": [{"content": "", "filename": "f"}] * 101}, "/attachments"),
    ({"relay": "no-such-relay"}, "/relay"),
    ({"to": "a" * 250 + "@example.org"}, "/to"),
])
def test_a_wrong_field_is_named_by_its_pointer(gateway, fields, pointer):
    answer = gateway.send(fields)
    assert (answer.status, answer["code"]) == (422, "invalid_request"), answer
    assert any(error["pointer"].startswith(pointer) for error in answer["errors"]), answer


def test_queueing_without_a_store_is_store_required(relay, gateway):
    before = len(relay.ledger)
    for fields in ({"delivery": "queue"}, {"send_at": "2030-01-01T00:00:00Z"}):
        answer = gateway.send(fields)
        assert (answer.status, answer["code"]) == (422, "store_required"), answer
    assert len(relay.ledger) == before
    answer = gateway.send(headers={"Prefer": "respond-async"})
    assert (answer.status, answer["outcome"]) == (200, "accepted"), answer


def test_every_problem_that_is_answered_is_explained(gateway):
    codes = [entry["code"] for entry in gateway.get("/problems", key=None).json["problems"]]
    assert {"recipient_rejected", "outcome_unknown", "overloaded", "invalid_json"} <= set(codes)
    for code in codes:
        entry = gateway.get("/problems/" + code, key=None)
        assert entry.status == 200 and entry["code"] == code and entry["title"]
    assert gateway.get("/problems/nonsense", key=None).status == 404


def test_openapi_names_every_endpoint_and_needs_no_key(gateway):
    described = gateway.get("/openapi.json", key=None).json
    assert described["openapi"].startswith("3.")
    assert {"/send", "/send/batch", "/messages/{id}", "/healthz", "/readyz", "/metrics",
            "/openapi.json"} <= set(described["paths"])
    asks_the_store = ("/send", "/messages", "/events", "/templates/{name}")
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if path.startswith(asks_the_store) and (method, path) != ("get", "/templates/{name}"):
                assert "503" in operation["responses"], (method, path)


def test_ids_of_requests_and_traceparent_are_taken_up(gateway):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = gateway.send(headers={"traceparent": parent})
    assert answer.status == 200
    found = wait_for(lambda: [line for line in gateway.lines
                              if "4bf92f3577b34da6a3ce929d0e0e4736" in line])
    assert any(answer.headers["X-Request-Id"] in line for line in found)


@pytest.mark.parametrize("keywords,recipients,partial,trips", [
    (("PIPELINING", "CHUNKING", "SIZE 10000000", "8BITMIME"), 1, "allow", 1),
    (("PIPELINING", "CHUNKING", "SIZE 10000000", "8BITMIME"), 3, "allow", 1),
    (("PIPELINING", "CHUNKING"), 3, "refuse", 2),
    (("PIPELINING", "SIZE 10000000"), 1, "allow", 2),
    (("PIPELINING",), 5, "allow", 2),
    (("PIPELINING",), 5, "refuse", 3),
    (("SIZE 10000000",), 1, "allow", 4),
    ((), 3, "allow", 6),
    (("CHUNKING",), 1, "allow", 3),
])
def test_round_trips_of_a_warm_session(keywords, recipients, partial, trips):
    """1 with CHUNKING and PIPELINING, 2 with PIPELINING, 4 with neither; counted at the relay."""
    with Relay(keywords=keywords, hold=0.1) as relay, Gateway(relay, SMTP_SESSIONS=1) as gateway:
        to = ["u%d@example.org" % i for i in range(recipients)]
        for _ in range(2):
            answer = gateway.send(to=to, partial=partial)
            assert answer.status == 200, answer
        assert len(relay.connections) == 1
        assert relay.ledger[1].round_trips == trips
        assert relay.ledger[1].recipients == to


def test_a_large_message_or_a_cold_session_sends_the_envelope_first():
    """Section 5: one write only if small and the session answered within two seconds."""
    with Relay(hold=0.05) as relay, Gateway(relay, SMTP_ONE_WRITE="1K", SMTP_SESSIONS=1) as gateway:
        assert gateway.send(text="x" * 5000).status == 200
        assert gateway.send().status == 200
        assert gateway.send(text="x" * 5000).status == 200
        assert [taken.round_trips for taken in relay.ledger[1:]] == [1, 2]
        time.sleep(2.2)
        assert gateway.send().status == 200
        assert relay.ledger[-1].round_trips == 2
        assert len(relay.connections) == 1


def test_a_late_answer_is_recorded_and_can_be_read():
    """F-08: 504 unknown at the caller's deadline, while the worker waits and records the truth."""
    with Relay({"dot": {"delay": 2 * PACE, "reply": "250 2.0.0 Ok: queued as LATE12345"}}) as relay, \
            Gateway(relay) as gateway:
        answer = gateway.send(deadline=ms(500))
        body = problem(answer, 504, "outcome_unknown", "unknown")
        assert body["duplicate_risk"] is True and body["retryable"] is False
        assert gateway.get("/messages/" + body["id"])["state"] == "unknown"
        assert wait_for(lambda: gateway.get("/messages/" + body["id"])["state"] == "sent")
        seen = gateway.get("/messages/" + body["id"]).json
        assert seen["recipients"][0]["outcome"] == "accepted"
        assert len(relay.ledger) == 1


def test_a_late_refusal_is_recorded_too():
    """F-08 with a negative answer."""
    with Relay({"dot": {"delay": 2 * PACE, "reply": "554 5.7.1 spam"}}) as relay, \
            Gateway(relay) as gateway:
        body = problem(gateway.send(deadline=ms(500)), 504, "outcome_unknown", "unknown")
        assert wait_for(lambda: gateway.get("/messages/" + body["id"])["state"] == "failed")
        assert gateway.get("/messages/" + body["id"])["outcome"] == "rejected"


def test_a_deadline_that_passes_in_the_queue_is_not_sent():
    """A job whose deadline passes before MAIL is dropped and reported not_sent."""
    with Relay({"connections": {"1": {"1/dot": {"delay": 2 * PACE}}}}) as relay, \
            Gateway(relay, SMTP_SESSIONS=1) as gateway:
        answers = together(lambda n: gateway.send(subject=str(n), deadline=ms(10000 if n == 0 else 700))
                           if n == 0 or relay.wait(lambda: relay.commands("MAIL")) else None, [0, 1, 2])
        assert answers[0].status == 200
        for answer in answers[1:]:
            assert answer.status == 504 and answer["outcome"] == "not_sent", answer
            assert answer["duplicate_risk"] is False
        assert relay.wait(lambda: relay.ledger)
        assert gateway.send().status == 200
        assert len(relay.ledger) == 2  # the dropped ones never came


def test_past_max_in_flight_is_503_at_once_with_retry_after():
    """Section 2: MAX_IN_FLIGHT."""
    with Relay({"dot": {"delay": 2 * PACE}}) as relay, \
            Gateway(relay, MAX_IN_FLIGHT=4, SMTP_SESSIONS=4) as gateway:
        def late(n):
            return gateway.send(subject=str(n))

        def surplus(_):
            assert relay.wait(lambda: len(relay.commands("MAIL")) >= 4, 10 * SLOW)
            began = time.monotonic()
            answer = gateway.send()
            return answer, time.monotonic() - began

        answers = together(lambda n: late(n) if n < 4 else surplus(n), range(6))
        assert [answer.status for answer in answers[:4]] == [200] * 4
        for answer, took in answers[4:]:
            problem(answer, 503, "overloaded", "not_sent")
            assert took < 1.5 * SLOW
        assert len(relay.ledger) == 4


def test_bytes_in_flight_are_bounded_too():
    """Section 2: MAX_IN_FLIGHT_BYTES counts bodies before they are read. A request that is alone is
    never refused, though what it takes in all is more than that: it would be for ever."""
    with Relay({"dot": {"delay": 2 * PACE}}) as relay, \
            Gateway(relay, MAX_IN_FLIGHT_BYTES="2M", HTTP_MAX_BODY="2M") as gateway:
        def send(n):
            if n:
                assert relay.wait(lambda: relay.commands("MAIL"), 10 * SLOW)
            return gateway.send(text="x" * 1500000)

        first, second = together(send, [0, 1])
        assert first.status == 200
        problem(second, 503, "overloaded", "not_sent")


def test_a_body_over_the_limit_is_413():
    with both(Relay(), HTTP_MAX_BODY="64K") as gateway:
        answer = gateway.send(text="x" * 70000)
        assert (answer.status, answer["code"]) == (413, "body_too_large"), answer
        assert gateway.send(text="x" * 50000).status == 200


def test_a_message_over_the_relays_size_is_413_and_never_begun():
    with Relay(keywords=("SIZE 2000", "PIPELINING")) as relay, Gateway(relay) as gateway:
        body = problem(gateway.send(text="x\n" * 3000), 413, "message_too_large",
                       gateway.send(text="x\n" * 3000)["outcome"])
        assert body["outcome"] in ("not_sent", "rejected")
        assert relay.ledger == [] and gateway.send().status == 200


def test_a_thousand_sends_at_once_are_all_answered():
    with Relay() as relay, Gateway(relay, SMTP_SESSIONS=8) as gateway:
        def run(worker):
            connection = gateway.connect()
            answers = [gateway.send(subject="%d-%d" % (worker, n), connection=connection)
                       for n in range(50)]
            connection.close()
            return answers
        answers = [answer for some in together(run, range(20), 20) for answer in some]
        assert [answer.status for answer in answers] == [200] * 1000
        assert len(relay.ledger) == 1000
        assert {taken.message_id for taken in relay.ledger} == {a["message_id"] for a in answers}
        assert len(relay.connections) <= 8


def test_min_sessions_are_ready_before_the_first_message():
    with Relay() as relay, Gateway(relay, SMTP_MIN_SESSIONS=2):
        assert relay.wait(lambda: sum(bool(c.commands) for c in relay.connections) >= 2, 10 * SLOW)
        assert not relay.commands("MAIL")


def test_a_session_carries_as_many_messages_as_told():
    """SMTP_MAX_MESSAGES."""
    with Relay() as relay, Gateway(relay, SMTP_MAX_MESSAGES=2, SMTP_SESSIONS=1) as gateway:
        for _ in range(5):
            assert gateway.send().status == 200
        assert len(relay.connections) == 3
        assert relay.wait(lambda: relay.connections[0].ended == "quit", 10 * SLOW)


def test_an_idle_session_is_closed_with_quit():
    """SMTP_IDLE."""
    with Relay() as relay, Gateway(relay, SMTP_IDLE="1s") as gateway:
        assert gateway.send().status == 200
        assert relay.wait(lambda: relay.connections[0].ended == "quit", 15 * SLOW)
        assert gateway.send().status == 200


def test_smtp_url_is_the_same_in_one():
    with Relay(users={"me@x": "p:w/d"}, auth_in_clear=True, mechanisms=["PLAIN"]) as relay:
        url = "smtp://me%%40x:p%%3Aw%%2Fd@127.0.0.1:%d?secure=NONE&sessions=3" % relay.port
        with Gateway(None, SMTP_URL=url) as gateway:
            answer = gateway.send()
            assert answer.status == 200, answer
            assert relay.ledger[0].user == "me@x"


def test_without_a_relay_it_does_not_start_and_says_what_to_set():
    gateway = Gateway(None, wait=False)
    assert gateway.wait(10) == 2 and "SMTP_HOST" in gateway.output and "--dev" in gateway.output


def test_the_key_is_asked_for():
    with both(Relay(), API_KEY=KEY) as gateway:
        for headers in ({}, {"Authorization": "Bearer wrong-key-0123456789"},
                        {"X-API-Key": "nonsense"}, {"Authorization": "Basic " + KEY}):
            answer = gateway.send(headers=headers, key=None)
            assert (answer.status, answer["code"]) == (401, "unauthorized")
        assert gateway.send(headers={"X-API-Key": KEY}, key=None).status == 200
