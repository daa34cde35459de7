"""No end of the data but ours (fault S-13, CVE-2023-51764 and its kin): twelve sequences that some
server takes for one, in six places, by DATA and by BDAT, wherever buffers are cut. The relay counts
messages and bare CR and LF; what it took is what was meant.

tests/system/test_injection.py has the same with attachments' content; tests/system/real has it with
Postfix.
"""

import base64
import email
import email.policy
import re
import socket

import pytest

from gateway import KEY, SLOW, Gateway, read_all, together
from relay import KEYWORDS, Relay

SEQUENCES = ("\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r",
             "\r\n\0.\r\n", "\r\n.\0\r\n", "\r\r\n.\r\r\n")
SMUGGLED = ("MAIL FROM:<evil@example.com>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\n"
            "Subject: smuggled\r\n\r\nhello\r\n.\r\n")
HEAD = "From: shop@example.com\nTo: ann@example.org\nSubject: raw\nMessage-ID: <%s@example.com>\n\n"
WAYS = pytest.mark.parametrize("place", [("PIPELINING", "SIZE 52428800"), KEYWORDS], ids=["data", "bdat"],
                               indirect=True)


@pytest.fixture(scope="module")
def place(request):
    with Relay(keywords=request.param) as relay, Gateway(relay) as gateway:
        yield relay, gateway


def lines(text):
    return re.sub("\r\n|\r|\n", "\n", text)


def new_of(relay, before):
    """The messages taken since, each looked at: one end of the data, and lines that end in CRLF."""
    found = relay.ledger[before:]
    for taken in found:
        assert (taken.mail, taken.recipients) == ("shop@example.com", ["ann@example.org"])
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", taken.wire_body), taken.wire_body
        if not taken.chunked:
            assert (b"\r\n" + taken.wire_body).count(b"\r\n.\r\n") == 1
    for connection in relay.connections:
        assert not [line for line in connection.commands if "evil" in line or "smuggled" in line]
    return found


def body_of(taken):
    return email.message_from_bytes(taken.body, policy=email.policy.SMTP)


@WAYS
@pytest.mark.parametrize("where", ["subject", "attachment name", "header value"])
def test_a_single_line_takes_no_sequence(place, where):
    relay, gateway = place
    before = len(relay.ledger)
    for sequence in SEQUENCES:
        value = "x" + sequence + SMUGGLED
        fields, pointer = {
            "subject": ({"subject": value}, "/subject"),
            "attachment name": ({"attachments": [{"filename": value, "content": ""}]},
                                "/attachments/0/filename"),
            "header value": ({"headers": {"X-A": value}}, "/headers/X-A")}[where]
        answer = gateway.send(fields)
        assert (answer.status, answer["errors"][0]["pointer"]) == (422, pointer), answer
    assert len(relay.ledger) == before


@WAYS
@pytest.mark.parametrize("field", ["text", "html"])
def test_a_text_keeps_its_sequences(place, field):
    """A lone CR is a line end like the others; NUL is refused."""
    relay, gateway = place
    before = len(relay.ledger)
    for sequence in SEQUENCES:
        value = "before" + sequence + SMUGGLED + "behind\n"
        answer = gateway.send({field: value}, **({"text": False} if field == "html" else {}))
        assert answer.status == (422 if "\0" in sequence else 200), answer
        if answer.status == 200:
            assert lines(body_of(relay.ledger[-1]).get_content()) == lines(value)
    assert len(new_of(relay, before)) == 10


@WAYS
@pytest.mark.parametrize("way", ["raw", "message/rfc822"])
def test_a_raw_body_keeps_its_sequences_or_is_refused(place, way):
    """LF becomes CRLF; a lone CR, and NUL, are refused, since others read them otherwise than we."""
    relay, gateway = place
    before, taken = len(relay.ledger), 0
    for number, sequence in enumerate(SEQUENCES):
        body = "before" + sequence + SMUGGLED + "behind\n"
        message = (HEAD % number + body).encode()
        if way == "raw":
            answer = gateway.post("/send", {"raw": base64.b64encode(message).decode()})
        else:
            answer = gateway.post("/send", message, {"Content-Type": way})
        is_good = not re.search("\0|\r(?!\n)", sequence)
        assert answer.status == (200 if is_good else 422), (sequence, answer)
        taken += is_good
        if is_good:
            assert relay.ledger[-1].body.partition(b"\r\n\r\n")[2] == lines(body).replace(
                "\n", "\r\n").encode()
    assert len(new_of(relay, before)) == taken == 4


@WAYS
def test_the_edges_of_buffers_are_no_place_to_hide(place):
    """All sequences in a row, over and over, slide past the edges of what is made and sent at a time
    (up to 64 KB): each of their bytes is the first of a buffer once."""
    relay, gateway = place
    for is_raw in (False, True):
        row = "".join("%d.%s" % (number, sequence) for number, sequence in enumerate(SEQUENCES)
                      if not re.search("\0|\r(?!\n)" if is_raw else "\0", sequence))
        before = len(relay.ledger)

        def run(shift):
            body = "x" * (shift % 64) + "\n" + row * (140000 // len(row)) + "end\n"
            wanted = lines(body)
            if is_raw:
                answer = gateway.post("/send", HEAD % ("s%d" % shift) + body,
                                      {"Content-Type": "message/rfc822"}, timeout=60)
                got = "" if answer.status != 200 else taken_by(relay, answer).body.partition(
                    b"\r\n\r\n")[2].decode().replace("\r\n", "\n")
            else:
                answer = gateway.send(text=body, timeout=60)
                got = "" if answer.status != 200 else lines(body_of(taken_by(relay, answer)).get_content())
            return None if got == wanted else (shift, answer)
        wrong = [one for one in together(run, range(64), 4) if one]
        assert not wrong, wrong[0]
        assert len(new_of(relay, before)) == 64


def taken_by(relay, answer):
    return next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])


@WAYS
def test_a_request_in_pieces_reads_as_one(place):
    """A whole message whose bytes come in pieces of 1 to 64: no line end is seen where none is."""
    relay, gateway = place
    before = len(relay.ledger)
    body = "".join("%d%s" % (number, sequence) for number, sequence in enumerate(SEQUENCES)
                   if not re.search("\0|\r(?!\n)", sequence))

    def run(size):
        message = (HEAD % ("p%d" % size) + body).encode()
        head = ("POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n"
                "Content-Type: message/rfc822\r\nContent-Length: %d\r\n\r\n" % (KEY, len(message))).encode()
        with gateway.socket(30 * SLOW) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(head)
            for at in range(0, len(message), size):
                sock.sendall(message[at:at + size])
            return read_all(sock)
    answers = together(run, range(1, 65))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers), answers
    found = new_of(relay, before)
    assert len(found) == 64
    for taken in found:
        assert taken.body.partition(b"\r\n\r\n")[2] == lines(body).replace("\n", "\r\n").encode()
