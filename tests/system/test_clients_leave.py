"""F-44: clients that leave while they wait, at every step of what the relay is asked. The attempt goes
on, each message is sent once, its result is there for GET /messages/{id}, and nothing is left open."""

import json
import socket
import struct
import threading
import time
from collections import Counter

import pytest

from gateway import KEY, SLOW, Gateway, mail, open_files, together, wait_for
from relay import Relay

CLIENTS, SESSIONS = 40, 16
KEYWORDS = ("SIZE 52428800",)  # neither PIPELINING nor CHUNKING: each step is one of its own
# "body": in the midst of the content. "sent": at once, behind the last byte of the request.
# "told": when the answer is there, unread; "half told": with some of it read.
STEPS = ["greeting", "ehlo", "starttls", "handshake", "auth", "mail", "rcpt", "data", "body", "dot", "quit"]
POINTS = STEPS + ["sent", "told", "half told"]


class Gate:
    """Holds whoever comes by until it is opened, and counts them."""

    def __init__(self):
        self.lock, self.open, self.held = threading.Lock(), threading.Event(), 0

    def __call__(self, _connection, _step, _line):
        if not self.open.is_set():
            with self.lock:
                self.held += 1
            self.open.wait(60 * SLOW)


@pytest.fixture(name="place", scope="module")
def _place(certificate, authority):
    with Relay(tls="starttls", context=certificate.context(), users={"me": "secret"},
               keywords=KEYWORDS) as relay, \
            Gateway(relay, SMTP_USER="me", SMTP_PASS="secret", SMTP_CA_FILE=authority.file,
                    SMTP_SESSIONS=SESSIONS, SMTP_MAX_MESSAGES=1, SMTP_IDLE="1s") as gateway:
        assert gateway.send().status == 200  # a session of its own for every message
        assert relay.wait(lambda: not relay.open_connections)
        yield relay, gateway, Counter(), open_files(gateway.pid)


def ask(gateway, point, number):
    body = json.dumps(mail(subject="%s %d" % (point, number), tags=[point],
                           text="a line\n" * 15000 if point == "body" else "Hello.\n")).encode()
    sock = gateway.socket(30)
    sock.sendall(("POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                  % (KEY, len(body))).encode() + body)
    return sock


def leave(sock, abruptly):
    if abruptly:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def in_flight(gateway):
    return gateway.get("/readyz", key=None)["in_flight"]


def stand_at(relay, gateway, point, gate, before):
    """They stand at the point: as many as there are sessions in the relay's hands, the others wait
    for one."""
    if point == "quit":  # these are told already: nobody waits for a goodbye
        assert wait_for(lambda: gate.held >= SESSIONS), gate.held
    elif point in STEPS:
        assert wait_for(lambda: gate.held == SESSIONS), gate.held
        assert wait_for(lambda: in_flight(gateway) == CLIENTS), in_flight(gateway)
        assert len(relay.ledger) == before
    else:
        assert relay.wait(lambda: len(relay.ledger) == before + CLIENTS, 20 * SLOW)


def all_leave(relay, gateway, point):
    """All CLIENTS ask, and leave when they stand at the point: half of them by a reset."""
    gate, before = Gate(), len(relay.ledger)
    relay.script = {point: gate} if point in STEPS else {}
    try:
        if point == "sent":  # a reset could overtake the request
            together(lambda n: leave(ask(gateway, point, n), False), range(CLIENTS))
            return
        crowd = together(lambda n: ask(gateway, point, n), range(CLIENTS))
        stand_at(relay, gateway, point, gate, before)
        if point == "half told":
            assert all(sock.recv(12) == b"HTTP/1.1 200" for sock in crowd)
        for number, sock in enumerate(crowd):
            leave(sock, number % 2)
        time.sleep(0.05)  # time in which it could notice
    finally:
        gate.open.set()


@pytest.mark.parametrize("point", POINTS)
def test_what_a_client_asked_for_is_done_once_though_it_left(place, point):
    relay, gateway, times, files = place
    before = len(relay.ledger)
    all_leave(relay, gateway, point)
    assert relay.wait(lambda: len(relay.ledger) == before + CLIENTS, 20 * SLOW), len(relay.ledger)
    assert wait_for(lambda: in_flight(gateway) == 0)
    times.update(taken.message_id for taken in relay.ledger[before:])
    listed = gateway.get("/messages?limit=500&tag=" + point.replace(" ", "%20")).json["messages"]
    assert sorted(m["subject"] for m in listed) == sorted("%s %d" % (point, n) for n in range(CLIENTS))
    connection = gateway.connect()
    for message in listed:
        found = gateway.get("/messages/" + message["id"], connection=connection)
        assert (found.status, found["state"], found["outcome"]) == (200, "sent", "accepted"), found
        assert found["smtp"]["code"] == 250 and len(found["attempts"]) == 1
        assert times[found["message_id"]] == 1, "sent once"
    connection.close()
    assert relay.wait(lambda: not relay.open_connections, 20 * SLOW)
    assert wait_for(lambda: open_files(gateway.pid) <= files), (open_files(gateway.pid), files)


def test_a_refusal_is_kept_for_who_left_as_well(place):
    relay, gateway, _times, files = place
    before, gate = len(relay.ledger), Gate()
    relay.script = {"rcpt": lambda *step: gate(*step) or "550 5.1.1 unknown"}
    crowd = together(lambda n: ask(gateway, "refused", n), range(CLIENTS))
    assert wait_for(lambda: gate.held == SESSIONS), gate.held
    for number, sock in enumerate(crowd):
        leave(sock, number % 2)
    gate.open.set()
    assert wait_for(lambda: in_flight(gateway) == 0, 20)
    listed = gateway.get("/messages?limit=500&tag=refused").json["messages"]
    assert [(m["state"], m["code"]) for m in listed] == [("failed", "recipient_rejected")] * CLIENTS
    assert len(relay.ledger) == before
    assert wait_for(lambda: open_files(gateway.pid) <= files + SESSIONS)
