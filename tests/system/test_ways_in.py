"""The ways in which a message is handed over (docs/messages.md): forms and whole messages as people
write them with curl, `raw` in JSON, and what is asked without sending."""

import base64
import email
import email.policy
import hashlib
import json
import os
import random
import re
import socket
import struct
import subprocess

import pytest

from gateway import (KEY, SLOW, Answer, Gateway, b64, both, mail, metric, open_files, problem, resident_kb,
                     together, wait_for)
from relay import Relay

MB = 1 << 20
NO_UTF8 = ("PIPELINING", "SIZE 52428800", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES")
SEVEN_BIT = ("PIPELINING", "SIZE 52428800", "DSN", "ENHANCEDSTATUSCODES")


@pytest.fixture(scope="module")
def place():
    with Relay() as relay, Gateway(relay) as gateway:
        yield relay, gateway


def curl(gateway, *args, path="/send", cwd=None, key=KEY):
    """As it is written in a shell, from a folder where the files are."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", str(int(60 * SLOW)), gateway.url + path, "-H",
         "Authorization: Bearer " + key, "-H", "Expect:", *args],
        capture_output=True, cwd=cwd, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), headers, body)


def form(*fields):
    """-F, which reads a value that begins with < or @ from a file, and no further than a ;.
    --form-string does neither."""
    return [word for field in fields
            for word in ("--form-string" if re.match(r"html=|text=@|cc=.*;", field) else "-F", field)]


FROM_TO = ("from=Shop <shop@example.com>", "to=ann@example.org", "subject=Your report")


def taken(relay, answer):
    assert answer.status == 200, answer
    return next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])


def parsed(message):
    body = message if isinstance(message, bytes) else message.body
    assert b"\n" not in body.replace(b"\r\n", b"")
    return email.message_from_bytes(body, policy=email.policy.SMTP)


def attachments(message):
    return [(part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
            for part in parsed(message).iter_attachments()]


def refused(answer, words, pointer=None, status=422, code="invalid_request"):
    problem(answer, status, code, "not_sent")
    found = [error for error in answer.get("errors", [])
             if pointer is None or error["pointer"] == pointer]
    told = answer["detail"] + " " + " ".join(error["detail"] for error in found)
    assert (pointer is None or found) and words in told, answer


# ---- multipart/form-data

def test_the_line_that_people_write(place, tmp_path):
    relay, gateway = place
    pdf = b"%PDF-1.7\r\n\0\xff\n--not a boundary\r\n" * 50
    (tmp_path / "report.pdf").write_bytes(pdf)
    answer = curl(gateway, *form(*FROM_TO, "text=Here it is.", "attachment=@report.pdf"), cwd=tmp_path)
    got = taken(relay, answer)
    assert (got.mail, got.recipients) == ("shop@example.com", ["ann@example.org"])
    assert attachments(got) == [("report.pdf", "application/pdf", pdf)]
    assert parsed(got)["Subject"] == "Your report"
    assert parsed(got).get_body(("plain",)).get_content().rstrip() == "Here it is."


def test_what_stands_several_times_is_a_list(place, tmp_path):
    relay, gateway = place
    for name in "abc":
        (tmp_path / (name + ".txt")).write_text(name * 10)
    answer = curl(gateway, *form(
        *FROM_TO, "to=Bo <bo@example.net>", "cc=c@example.org", "bcc=d@example.org", "bcc=e@example.org",
        "html=<p>Hi</p>", "attachment=@a.txt", "attachment[]=@b.txt", "attachments=@c.txt",
        "tags=one", 'headers={"X-Order": "42"}', 'metadata={"order": "42"}',
        "envelope={\"from\": \"bounce@example.com\"}"), cwd=tmp_path)
    got = taken(relay, answer)
    assert got.mail == "bounce@example.com"
    assert got.recipients == ["ann@example.org", "bo@example.net", "c@example.org", "d@example.org",
                              "e@example.org"]
    assert [name for name, _type, _content in attachments(got)] == ["a.txt", "b.txt", "c.txt"]
    assert parsed(got)["X-Order"] == "42" and b"d@example.org" not in got.body
    kept = gateway.get("/messages/" + answer["id"])
    assert kept["tags"] == ["one"]


def test_json_in_a_part_with_files(place, tmp_path):
    relay, gateway = place
    (tmp_path / "mail.json").write_text(json.dumps(mail(html="<img src='cid:logo.png'>", cc=[])))
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    for part in ("message=@mail.json", "message=<mail.json;type=application/json"):
        got = taken(relay, curl(gateway, *form(part, "inline=@logo.png", "attachment=@mail.json",
                                               "bcc=bo@example.net"), cwd=tmp_path))
        assert got.recipients == ["ann@example.org", "bo@example.net"]
        found = {p["Content-ID"]: p.get_payload(decode=True) for p in parsed(got).walk() if p["Content-ID"]}
        assert found == {"<logo.png>": b"\x89PNG"}
        assert [name for name, _type, _content in attachments(got)] == ["mail.json"]


@pytest.mark.parametrize("fields", [
    ("message=" + json.dumps(mail()), "subject=again"), ("subject=again", *FROM_TO)])
def test_a_field_that_is_said_twice_is_refused(place, fields):
    relay, gateway = place
    before = len(relay.ledger)
    answer = curl(gateway, *form(*fields, "text=x"))
    assert (answer.status, answer["outcome"]) in ((422, "not_sent"), (400, "not_sent")), answer
    assert "/subject" in [error["pointer"] for error in answer["errors"]], answer
    assert len(relay.ledger) == before


def test_attachments_may_be_json(place):
    relay, gateway = place
    got = taken(relay, curl(gateway, *form(
        *FROM_TO, "text=x", 'attachments=[{"filename": "a.csv", "content": "%s"}]' % b64("1;2"))))
    assert attachments(got) == [("a.csv", "text/csv", b"1;2")]


@pytest.mark.parametrize("fields", [
    ("attachment=@c.txt", 'attachments=[{"filename": "a.csv", "content": "MTsy"}]', *FROM_TO, "text=x"),
    ('message={"attachments": [ {"filename": "a.csv", "content": "MTsy"} ], "text": "]"}', *FROM_TO,
     "attachment=@c.txt")], ids=["a field", "message"])
def test_attachments_in_json_stand_before_files(place, tmp_path, fields):
    relay, gateway = place
    (tmp_path / "c.txt").write_text("c")
    (tmp_path / "d.bin").write_bytes(os.urandom(100000))
    got = taken(relay, curl(gateway, *form(*fields, "inline=@c.txt", "attachment=@d.bin"), cwd=tmp_path))
    assert [name for name, _type, _content in attachments(got)] == ["a.csv", "c.txt", "d.bin"]
    assert attachments(got)[:2] == [("a.csv", "text/csv", b"1;2"), ("c.txt", "text/plain", b"c")]
    refused(curl(gateway, *form(*fields, "attachment=@c.txt;type=text/x y"), cwd=tmp_path), "media type",
            "/attachments/2/content_type")


def test_a_list_of_addresses_in_one_field(place):
    relay, gateway = place
    got = taken(relay, curl(gateway, *form(
        *FROM_TO, "to=bo@example.net, \"Blow, Jo\" <jo@example.org>", "cc=Team: c@example.org;", "text=x")))
    assert got.recipients == ["ann@example.org", "bo@example.net", "jo@example.org", "c@example.org"]
    refused(curl(gateway, *form(*FROM_TO, "to=bo@example.net, Blow, Jo <jo@example.org>", "text=x")),
            "address 2: an address needs an @; a name with a comma needs double quotes", "/to/1")


INNER = ("From: bo@example.net\nSubject: inner\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
         "." + "x" * 997 + "\n.\n..\n--b--\n")


@pytest.mark.parametrize("size", [0, 10 * MB], ids=["small", "large"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_message_as_a_file_goes_as_it_is(place, tmp_path, size, end):
    """From base64, and from a file that is never held; the relay has the very lines."""
    relay, gateway = place
    inner = INNER + ("line %d of it\n" * (size // 20)) % tuple(range(size // 20)) + "last" + end
    (tmp_path / "a.eml").write_text(inner, newline="")
    as_json = gateway.send(attachments=[{"filename": "a.eml", "content": b64(inner),
                                         "content_type": "message/rfc822"}], timeout=60 * SLOW)
    as_file = curl(gateway, *form(*FROM_TO, "text=x", "attachment=@a.eml;type=message/rfc822"), cwd=tmp_path)
    for answer in (as_json, as_file):
        got = taken(relay, answer)
        assert int(got.mail_parameters["SIZE"]) == len(got.body)
        (part,) = parsed(got).iter_attachments()
        assert (part.get_content_type(), part["Content-Transfer-Encoding"], part.get_filename()) == (
            "message/rfc822", "7bit", "a.eml")
        crlf = re.sub("\r?\n", "\r\n", inner).encode()
        assert b"\r\n\r\n" + crlf + b"\r\n--=_" in got.body


@pytest.mark.parametrize("inner", ["Subject: \u00e4\n", "A: b\rc\n", "A: " + "x" * 1000 + "\n", "A: \0\n",
                                   "From ann@example.org Mon\nA: b\n", ""])
def test_a_message_that_may_not_go_as_it_is_goes_as_bytes(place, tmp_path, inner):
    relay, gateway = place
    (tmp_path / "a.eml").write_bytes(inner.encode())
    for answer in (gateway.send(attachments=[{"filename": "a.eml", "content": b64(inner),
                                              "content_type": "message/rfc822"}]),
                   curl(gateway, *form(*FROM_TO, "text=x", "attachment=@a.eml;type=message/rfc822"),
                        cwd=tmp_path)):
        assert attachments(taken(relay, answer)) == [
            ("a.eml", "application/octet-stream", inner.encode())]


def test_an_inline_file_may_have_any_name(place, tmp_path):
    relay, gateway = place
    (tmp_path / "my logo.png").write_bytes(b"\x89PNG")
    got = taken(relay, curl(gateway, *form(*FROM_TO, "html=<img src='cid:my_logo.png'>", "inline=@my logo.png"),
                            cwd=tmp_path))
    assert [p.get_filename() for p in parsed(got).walk() if p["Content-ID"] == "<my_logo.png>"] == ["my logo.png"]


def test_an_inline_file_is_named_by_its_content_id(place, tmp_path):
    relay, gateway = place
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    got = taken(relay, curl(gateway, *form(
        *FROM_TO, "html=<img src='cid:logo'>", 'inline=@a.gif;headers="Content-ID: <logo>"'), cwd=tmp_path))
    part = next(p for p in parsed(got).walk() if p.get_content_type() == "image/gif")
    assert part["Content-ID"] == "<logo>" and part["Content-Disposition"].startswith("inline")
    assert part.get_payload(decode=True) == b"GIF89a"


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 65535, 65536, 65537, 10 * MB])
def test_files_arrive_whatever_their_size(place, tmp_path, size):
    relay, gateway = place
    content = random.Random(size).randbytes(size)
    (tmp_path / "Übersicht.bin").write_bytes(content)
    got = taken(relay, curl(gateway, *form(*FROM_TO, "text=x", "attachment=@Übersicht.bin"), cwd=tmp_path))
    assert attachments(got) == [("Übersicht.bin", "application/octet-stream", content)]
    assert int(got.mail_parameters["SIZE"]) == len(got.body)


def test_many_files_of_one_form(place, tmp_path):
    """A hundred, each small enough to be held by itself."""
    relay, gateway = place
    before = open_files(gateway.pid)
    fields = []
    for n in range(100):
        (tmp_path / str(n)).write_bytes(bytes([n]) * 70000)
        fields.append("attachment=@%d" % n)
    got = taken(relay, curl(gateway, *form(*FROM_TO, "text=x", *fields), cwd=tmp_path))
    assert [(name, content) for name, _type, content in attachments(got)] == [
        (str(n), bytes([n]) * 70000) for n in range(100)]
    assert wait_for(lambda: open_files(gateway.pid) <= before + 2)
    refused(curl(gateway, *form(*FROM_TO, "text=x", *fields, "attachment=@0"), cwd=tmp_path),
            "at most 100")


@pytest.mark.parametrize("fields,pointer,words", [
    (("text=x", "report=@a.txt"), "/report", "attachment and inline"),
    (("text=x", "attachment=a.txt"), "/attachment", "attachment=@report.pdf"),
    (("text=x", "inline[]=a.txt"), "/inline[]", "attachment=@report.pdf"),
    (("text=x", "attachments=a.txt"), "/attachments", "JSON"),
    (("text=x", "attachments={}"), "/attachments", "list"),
    (("text=x", "subjct=Hi"), "/subjct", "did you mean subject?"),
    (("text=x", "metadata={"), "/metadata", "JSON"),
    (("text=x", "message=[1]"), "/message", "object"),
    (("text=\xff".encode("latin-1").decode("utf-8", "surrogateescape"),), "/text", "UTF-8"),
    (("text=x", "attachment=@a.txt;encoder=base64"), "/attachment", "transfer encoding"),
    (("text=x", "attachment=@a.txt;type=text/x y"), "/attachments/0/content_type", "media type"),
    (("text=x", "trace=yes"), "/trace", "true or false"),
    *[((field, "attachment=@a.txt"), "/attachments/0/content", "base64 is wanted") for field in (
        'attachments=[{"content": {"part": 0}}]', 'message={"attachments": [{"content": {"part": 0}}]}')],
])
def test_what_a_form_may_not_hold(place, tmp_path, fields, pointer, words):
    relay, gateway = place
    (tmp_path / "a.txt").write_text("a")
    before = len(relay.ledger)
    refused(curl(gateway, *form(*FROM_TO, *fields), cwd=tmp_path), words, pointer)
    assert len(relay.ledger) == before


def test_nobody_names_a_file_of_a_form(place):
    """Only the last of the list are files: their content is said nowhere in JSON."""
    _relay, gateway = place
    refused(gateway.send(attachments=[{"content": {"part": 0}}]), "base64 is wanted", "/attachments/0/content")
    refused(gateway.send(attachments=[{"filename": "a"}]), "content is missing", "/attachments/0")


@pytest.mark.parametrize("value,parts", [("true", ["true"]), ("false", [])])
def test_a_text_may_be_false(place, value, parts):
    """In a form all is text: `text=false` leaves the text part out, as in JSON."""
    relay, gateway = place
    got = taken(relay, curl(gateway, *form(*FROM_TO, "html=<p>Hi</p>", "text=" + value)))
    assert [p.get_content().strip() for p in parsed(got).walk()
            if p.get_content_type() == "text/plain"] == parts


PART = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
WHOLE = "".join(PART % field for field in (("from", "a@example.com"), ("to", "b@example.org"),
                                          ("text", "Hello")))
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("body,headers,words", [
    (WHOLE, FORM, "cut short"),
    (WHOLE + "--b\r\n", FORM, "cut short"),
    (WHOLE + "--b-", FORM, "cut short"),
    ("", FORM, "boundary"),
    ("x" * 10000, FORM, "boundary"),
    (WHOLE + "--b--", {"Content-Type": "multipart/form-data"}, "boundary"),
    (WHOLE + "--b--", {"Content-Type": "multipart/form-data; boundary=c"}, "boundary"),
])
def test_a_form_that_is_not_whole_is_not_sent(place, body, headers, words):
    relay, gateway = place
    before = len(relay.ledger)
    refused(gateway.post("/send", body, headers), words)
    assert len(relay.ledger) == before
    assert gateway.post("/send", WHOLE + "--b--", FORM).status == 200


def test_clients_that_leave_in_the_middle_leave_nothing_behind():
    with Relay() as relay, Gateway(relay) as gateway:
        leave_in_the_middle(gateway)
        assert not relay.ledger and not relay.connections


def leave_in_the_middle(gateway):
    files = open_files(gateway.pid)
    head = ("POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"
            "Content-Length: 5000000\r\n\r\n" % (KEY, FORM["Content-Type"]))
    part = '--b\r\nContent-Disposition: form-data; name="attachment"; filename="a"\r\n\r\n'
    socks = []
    for n in range(20):
        socks.append(gateway.socket())
        socks[-1].sendall((head + WHOLE + part).encode() + b"x" * 200000)
    assert wait_for(lambda: open_files(gateway.pid) >= files + 36)  # a file for each connection, or so
    for n, sock in enumerate(socks):
        if n % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    assert wait_for(lambda: open_files(gateway.pid) <= files + 2), open_files(gateway.pid)
    assert wait_for(lambda: metric(gateway.get("/metrics", key=None).body.decode(),
                                   "lettergate_in_flight_bytes") == 0)


def big_form(gateway, size):
    part = '--b\r\nContent-Disposition: form-data; name="attachment"; filename="a"\r\n\r\n'
    return gateway.post("/send", (WHOLE + part).encode() + b"x" * size + b"\r\n--b--\r\n", FORM)


@pytest.mark.parametrize("folder", ["/nonexistent", "/proc", ""])
def test_a_folder_for_files_that_cannot_be_written(folder):
    """Then they are elsewhere."""
    with Relay() as relay, Gateway(relay, TMPDIR=folder) as gateway:
        got = taken(relay, big_form(gateway, 300000))
        assert attachments(got)[0][2] == b"x" * 300000


def test_where_no_file_can_be_written_the_answer_says_so():
    with Relay() as relay, Gateway(relay, wrap=["prlimit", "--fsize=100000"]) as gateway:
        problem(big_form(gateway, 300000), 503, "storage_unavailable", "not_sent")
        assert not relay.ledger
        assert big_form(gateway, 80000).status == 200


@pytest.mark.parametrize("kind", ["application/json", FORM["Content-Type"], "message/rfc822"])
def test_what_is_compressed_is_refused(place, kind):
    _relay, gateway = place
    answer = gateway.post("/send", b"\x1f\x8b\x08\0", {"Content-Type": kind, "Content-Encoding": "gzip"})
    problem(answer, 415, "unsupported_media_type", "not_sent")
    assert "Content-Encoding" in answer["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=b"])
def test_other_bodies_are_refused(place, kind):
    _relay, gateway = place
    answer = gateway.post("/send", WHOLE + "--b--", {"Content-Type": kind})
    problem(answer, 415, "unsupported_media_type", "not_sent")
    assert "multipart/form-data" in answer["detail"] and "message/rfc822" in answer["detail"]


def test_a_batch_is_json_alone(place):
    _relay, gateway = place
    for kind in (FORM["Content-Type"], "message/rfc822"):
        problem(gateway.post("/send/batch", WHOLE + "--b--", {"Content-Type": kind}), 415,
                "unsupported_media_type", "not_sent")


# ---- message/rfc822

EML = """\
From: Shop <shop@example.com>
To: Ann <ann@example.org>,
\tBo <bo@example.net>
Cc: ann@example.org
Bcc: secret@example.org
Subject: Your
 order
Date: Thu, 01 Jan 2026 12:00:00 +0000
Message-ID: <own.%s@example.com>
MIME-Version: 1.0
X-Odd:   kept  as it is\x20

.dot
Hello.
"""


def own(number):
    return EML % number


def raw_post(gateway, message, query="", **more):
    body = message if isinstance(message, bytes) else message.encode()
    return gateway.post("/send" + query, body, {"Content-Type": "message/rfc822"}, **more)


def test_a_message_in_a_file(place, tmp_path):
    relay, gateway = place
    (tmp_path / "mail.eml").write_text(own(1))
    answer = curl(gateway, "--data-binary", "@mail.eml", "-H", "Content-Type: message/rfc822", cwd=tmp_path)
    assert answer["message_id"] == "<own.1@example.com>"
    got = taken(relay, answer)
    assert got.mail == "shop@example.com"
    assert got.recipients == ["ann@example.org", "bo@example.net", "secret@example.org"]
    wanted = own(1).replace("Bcc: secret@example.org\n", "").replace("\n", "\r\n")
    assert got.body == wanted.encode()
    assert gateway.get("/messages/" + answer["id"])["subject"] == "Your order"


@pytest.mark.parametrize("query,sender,to", [
    ("?from=bounce%2B42@example.com&to=x@example.org&to=y%40example.org", "bounce+42@example.com",
     ["x@example.org", "y@example.org"]),
    ("?from=&to=x@example.org", "", ["x@example.org"]),
    ("?from=", "", ["ann@example.org", "bo@example.net", "secret@example.org"]),
    ("?to=x@example.org&to=x@example.org", "shop@example.com", ["x@example.org"]),
])
def test_an_envelope_in_the_query(place, query, sender, to):
    relay, gateway = place
    got = taken(relay, raw_post(gateway, own(2), query))
    assert (got.mail, got.recipients) == (sender, to)
    assert b"secret" not in got.body


def test_wishes_in_the_query(place):
    relay, gateway = place
    answer = raw_post(gateway, own(3), "?relay=default&tags=a&tags=b&deadline=20s&partial=refuse&trace=true")
    assert taken(relay, answer) and answer["trace"]
    assert gateway.get("/messages/" + answer["id"])["tags"] == ["a", "b"]
    refused(raw_post(gateway, own(3), "?relay=other"), "no relay has this name", "/relay")
    refused(raw_post(gateway, own(3), "?form=a@example.com"), "the query takes from, to")
    refused(raw_post(gateway, own(3), "?to=nobody"), "", "/envelope/to/0")
    assert raw_post(gateway, own(3), "?relay=a&relay=b").status in (400, 422)


@pytest.mark.parametrize("message,words", [
    (b"", "empty"),
    (b"\r\n\r\nHello\r\n", "no header"),
    (own(4).replace("Hello.", "Hel\rlo.").encode(), "CR"),
    (own(4).replace("Hello.", "Hel\0lo.").encode(), "NUL"),
    (own(4).replace("Hello.", "x" * 999).encode(), "998"),
    (own(4).replace("Subject: Your", "Subject: " + "x" * 1000).encode(), "998"),
    (own(4).replace("Subject: Your", "Subject Your").encode(), "line 6"),
    (own(4).replace("Cc: ", "To: ").encode(), "To"),
    (own(4).replace("From: ", "X-From: ").encode(), "From"),
    (own(4).replace("Shop <shop@example.com>", "Shop").encode(), "From"),
    (own(4).replace("bo@example.net", "bo@").encode(), "field To, address 2"),
    (own(4).replace("Hello", "").replace("Your", "\xff").encode("latin-1"), "UTF-8"),
    (b"From: a@example.com\n\nno recipient\n", "no recipient"),
])
def test_what_no_message_may_be(place, message, words):
    relay, gateway = place
    before = len(relay.ledger)
    refused(raw_post(gateway, message), words, "/raw")
    assert len(relay.ledger) == before


def test_lines_of_998_and_a_last_one_without_an_end(place):
    relay, gateway = place
    message = own(5) + "x" * 998 + "\n" + "last"
    got = taken(relay, raw_post(gateway, message))
    assert got.body.endswith(b"\r\nHello.\r\n" + b"x" * 998 + b"\r\nlast\r\n")
    mixed = own(6).replace("\n", "\r\n", 5)  # some of each
    got = taken(relay, raw_post(gateway, mixed))
    assert b"\n" not in got.body.replace(b"\r\n", b"")


def test_what_it_lacks_is_put_in_front(place):
    relay, gateway = place
    message = "From: a@example.com\nTo: b@example.org\n\nHi\n"
    answer = raw_post(gateway, message)
    got = taken(relay, answer)
    head, rest = got.body[:-len(message) - 4], got.body[-len(message) - 4:]
    assert rest == message.replace("\n", "\r\n").encode()
    found = parsed(got)
    assert found["Message-ID"] == answer["message_id"] and found["Date"].datetime
    assert head.count(b"\r\n") == 2


def test_eight_bits_need_a_relay_that_takes_them(place):
    relay, gateway = place
    message = own(7).replace("Hello.", "Grüße").encode()
    got = taken(relay, raw_post(gateway, message))
    assert got.mail_parameters["BODY"] == "8BITMIME" and "Grüße".encode() in got.body
    with both(Relay(keywords=SEVEN_BIT)) as other:
        answer = raw_post(other, message)
        assert 400 <= answer.status < 600 and answer["outcome"] == "not_sent", answer
        assert "8BITMIME" in json.dumps(answer.json), answer
        assert raw_post(other, own(7)).status == 200


def test_a_header_in_utf8_needs_smtputf8(place):
    relay, gateway = place
    message = own(8).replace("Shop", "Läden").encode()
    got = taken(relay, raw_post(gateway, message))
    assert "SMTPUTF8" in got.mail_parameters and "From: Läden <".encode() in got.body
    with both(Relay(keywords=NO_UTF8)) as other:
        answer = raw_post(other, message)
        assert 400 <= answer.status < 600 and answer["outcome"] == "not_sent", answer
        assert "SMTPUTF8" in json.dumps(answer.json), answer


RESENT = """\
Resent-From: Desk <desk@example.com>
Resent-To: new@example.org
Resent-Bcc: hidden@example.org
Resent-Date: Thu, 01 Jan 2026 13:00:00 +0000
Resent-Message-ID: <again@example.com>
"""


def test_a_message_that_is_resent_goes_to_whom_that_names(place):
    relay, gateway = place
    got = taken(relay, raw_post(gateway, RESENT + own(9)))
    assert (got.mail, got.recipients) == ("desk@example.com", ["new@example.org", "hidden@example.org"])
    assert b"hidden" not in got.body and b"secret" not in got.body
    assert got.body.startswith(b"Resent-From: Desk <desk@example.com>\r\nResent-To: new@example.org\r\n")


LIMITED = "lg_shop_" + hashlib.sha256(b"shop").hexdigest()[:43]


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(json.dumps({"keys": [{
        "id": "shop", "hash": "sha256:" + hashlib.sha256(LIMITED.encode()).hexdigest(),
        "scopes": ["send", "read"], "from": ["*@example.com"], "to": ["*@example.org", "*@example.net"]}]}))
    with Relay() as relay, Gateway(relay, key=LIMITED, API_KEY=None, API_KEYS_FILE=path) as gateway:
        yield relay, gateway


OTHER = "evil@example.edu"


@pytest.mark.parametrize("message,query,code,pointer", [
    (own(10).replace("shop@example.com", OTHER), "", "sender_not_allowed", "/raw"),
    (own(10).replace("<shop@example.com>", "<shop@example.com>, " + OTHER), "", "sender_not_allowed", "/raw"),
    ("Sender: %s\n" % OTHER + own(10), "", "sender_not_allowed", "/raw"),
    ("Sender: %s\n" % OTHER + own(10), "?from=", "sender_not_allowed", "/raw"),
    (RESENT.replace("desk@example.com", OTHER) + own(10), "", "sender_not_allowed", "/raw"),
    ("Resent-Sender: %s\n" % OTHER + RESENT + own(10), "", "sender_not_allowed", "/raw"),
    (own(10), "?from=" + OTHER, "sender_not_allowed", "/envelope/from"),
    (own(10).replace("bo@example.net", "bo@example.edu"), "", "recipient_not_allowed", "/raw"),
    (own(10), "?to=x@example.edu", "recipient_not_allowed", "/envelope/to"),
])
def test_a_limited_key_may_say_no_other_sender(limited, message, query, code, pointer):
    relay, gateway = limited
    before = len(relay.ledger)
    for answer in (raw_post(gateway, message, query),
                   None if query else gateway.post("/send", {"raw": b64(message)})):
        if answer:
            problem(answer, 403, code, "not_sent")
            assert [error["pointer"] for error in answer["errors"]] == [pointer], answer
    assert len(relay.ledger) == before
    assert raw_post(gateway, own(10)).status == 200


# ---- raw in JSON

def test_raw_in_json(place):
    relay, gateway = place
    text = own(11)
    got = taken(relay, gateway.post("/send", {"raw": b64(text)}))
    wanted = text.replace("Bcc: secret@example.org\n", "").replace("\n", "\r\n").encode()
    assert got.body == wanted and len(got.recipients) == 3
    wrapped = json.dumps({"raw": base64.encodebytes(text.encode()).decode(), "tags": ["t"],
                          "envelope": {"from": "", "to": ["x@example.org"]}}).replace("/", "\\/")
    got = taken(relay, gateway.post("/send", wrapped.replace("+", "\\u002B")))
    assert (got.body, got.mail, got.recipients) == (wanted, "", ["x@example.org"])
    for raw in ("data:message/rfc822;base64," + b64(text), {"type": "Buffer", "data": list(text.encode())}):
        assert taken(relay, gateway.post("/send", {"raw": raw})).body == wanted


@pytest.mark.parametrize("fields,pointer,words", [
    ({"raw": "!!"}, "/raw", "base64"), ({"raw": 7}, "/raw", "string"),
    ({"raw": "data:message/rfc822,From: x"}, "/raw", ";base64 alone"),
    ({"raw": {"type": "Buffer", "data": [256]}}, "/raw", "0 to 255"),
    ({"raw": ""}, "/raw", "empty"),
    ({"raw": b64(own(12)), "subject": "Hi"}, "/subject", "whole as it comes"),
    ({"raw": b64(own(12)), "to": "x@example.org"}, "/to", "envelope"),
    ({"raw": b64(own(12)), "envelope": {"to": []}}, "/envelope/to", "no recipient"),
    ({"raw": b64(own(12).replace("Hello.", "a\rb"))}, "/raw", "CR"),
])
def test_raw_that_is_refused(place, fields, pointer, words):
    _relay, gateway = place
    refused(gateway.post("/send", fields), words, pointer)


def test_messages_of_a_batch_may_be_raw(place):
    relay, gateway = place
    answer = gateway.post("/send/batch", [{"raw": b64(own(13))}, {"raw": "!!"}, mail()])
    assert [result["status"] for result in answer["results"]] == [200, 422, 200], answer
    assert "/raw" in answer["results"][1]["errors"][0]["pointer"]
    assert [t.message_id for t in relay.ledger[-2:]].count("<own.13@example.com>") == 1


# ---- what is asked without sending

def same_apart_from_boundaries(one, other):
    def plain(message):
        return re.sub(rb"=_([abc])[0-9a-f]{32}", rb"=_\1", message)
    return plain(one) == plain(other)


FIXED = {"message_id": "<fixed@example.com>", "date": "2026-01-01T12:00:00Z"}
RENDERED = [
    {}, {"html": "<p>Grüße</p>", "cc": "Bö <bo@example.net>", "bcc": "x@example.org"},
    {"html": "x", "attachments": [{"filename": "a.bin", "content": b64(bytes(range(256)) * 400)}]},
    {"calendar": {"method": "REQUEST", "content": "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n"}},
]


@pytest.mark.parametrize("fields", RENDERED)
def test_what_is_rendered_is_what_the_relay_gets(place, fields):
    relay, gateway = place
    before = len(relay.ledger)
    answer = gateway.send(fields, dry_run="render", **FIXED)
    assert (answer.status, answer["outcome"]) == (200, "rendered"), answer
    rendered = base64.b64decode(answer["raw"], validate=True)
    assert answer["size"] == len(rendered)
    assert answer["message_id"] == FIXED["message_id"]
    assert len(relay.ledger) == before
    assert gateway.get("/messages/" + answer["id"]).status == 404
    got = taken(relay, gateway.send(fields, **FIXED))
    assert same_apart_from_boundaries(got.body, rendered)
    assert answer["envelope"] == {"from": got.mail, "to": got.recipients}
    bare = gateway.send(fields, dry_run="render", headers={"Accept": "message/rfc822"}, **FIXED)
    assert bare.headers["Content-Type"] == "message/rfc822"
    assert same_apart_from_boundaries(bare.body, rendered)


def test_forms_and_messages_are_rendered_too(place, tmp_path):
    relay, gateway = place
    before = len(relay.ledger)
    content = random.Random(1).randbytes(5 * MB)
    (tmp_path / "a.bin").write_bytes(content)
    answer = curl(gateway, *form(*FROM_TO, "text=x", "dry_run=render", "attachment=@a.bin"), cwd=tmp_path)
    rendered = base64.b64decode(answer["raw"], validate=True)
    assert len(rendered) == answer["size"] and attachments(rendered)[0][2] == content
    answer = raw_post(gateway, own(14), "?dry_run=render")
    assert base64.b64decode(answer["raw"]) == own(14).replace(
        "Bcc: secret@example.org\n", "").replace("\n", "\r\n").encode()
    assert answer["envelope"]["to"][2] == "secret@example.org"
    refused(raw_post(gateway, own(14).replace("From:", "From"), "?dry_run=render"), "line 1", "/raw")
    assert len(relay.ledger) == before


def test_nothing_is_asked_of_the_relay_to_render():
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send(dry_run="render").status == 200
        assert not relay.connections


def test_the_relay_is_asked_whom_it_would_take():
    script = {"rcpt:no@example.org": "550 5.1.1 no such user", "rcpt:later@example.org": "450 4.2.0 later"}
    with Relay(script) as relay, Gateway(relay, SMTP_IDLE="60s", SMTP_SESSIONS=1) as gateway:
        answer = gateway.send(to=["ann@example.org", "no@example.org", "later@example.org"],
                              dry_run="envelope")
        assert (answer.status, answer["outcome"]) == (200, "probed"), answer
        said = {r["address"]: (r["outcome"], r["smtp"]["code"]) for r in answer["recipients"]}
        assert said == {"ann@example.org": ("probed", 250), "no@example.org": ("rejected", 550),
                        "later@example.org": ("deferred", 450)}
        commands = relay.connections[0].commands
        assert relay.wait(lambda: "RSET" in commands)
        assert [c.split(" ")[0] for c in commands[1:]] == ["MAIL", "RCPT", "RCPT", "RCPT", "RSET"]
        assert not relay.ledger
        assert gateway.get("/messages/" + answer["id"]).status == 404
        assert gateway.get("/messages")["messages"] == []
        assert gateway.send().status == 200
        assert len(relay.connections) == 1, "the session is good for the next message"


@pytest.mark.parametrize("script,status,outcome", [
    ({"mail": "550 5.7.1 not you"}, 422, "rejected"), ({"mail": "451 4.3.0 later"}, 503, "deferred"),
    ({"rcpt": "550 5.1.1 no"}, 422, "rejected"), ({"rcpt": "450 4.2.0 later"}, 503, "deferred"),
    ({"rcpt": {"then": "reset", "reply": ""}}, None, "not_sent"),
])
def test_an_envelope_that_would_not_be_taken(script, status, outcome):
    with Relay(script) as relay, Gateway(relay) as gateway:
        answer = gateway.send(dry_run="envelope")
        assert answer["outcome"] == outcome and answer.status >= 400, answer
        assert status is None or answer.status == status, answer
        assert not [c for one in relay.connections for c in one.commands
                    if c.split(" ")[0] in ("DATA", "BDAT")]
        assert gateway.get("/messages")["messages"] == []


def test_what_a_dry_run_may_be(place):
    _relay, gateway = place
    refused(gateway.send(dry_run="yes"), "render", "/dry_run")
    refused(gateway.send(dry_run=True), "", "/dry_run")
    assert gateway.send(dry_run=None).status == 200
    answer = gateway.post("/send/batch", {"messages": [mail(dry_run="render"), mail(dry_run="envelope")]})
    for place_of, result in enumerate(answer["results"]):
        assert result["status"] == 422 and result["outcome"] == "not_sent"
        assert result["errors"][0]["pointer"] == "/messages/%d/dry_run" % place_of


def test_a_captured_message_is_not_kept_where_it_was_only_asked():
    with Gateway(SMTP_HOST="capture") as gateway:
        answer = gateway.send(dry_run="envelope")
        assert (answer.status, answer["outcome"]) == (200, "probed"), answer
        assert gateway.get("/messages")["messages"] == []


# ---- SIZE

def test_what_is_too_large_for_the_relay_is_not_begun(tmp_path):
    fields = {"text": "line\n" * 500, "html": "é" * 500, **FIXED}
    with Relay(keywords=("PIPELINING", "8BITMIME")) as relay, Gateway(relay) as gateway:
        size = gateway.send(dry_run="render", **fields)["size"]
    with Relay(keywords=("PIPELINING", "SIZE %d" % size, "CHUNKING")) as relay, Gateway(relay) as gateway:
        got = taken(relay, gateway.send(**fields))
        assert len(got.body) == size == int(got.mail_parameters["SIZE"])
    (tmp_path / "a.bin").write_bytes(b"x" * 2 * MB)
    with Relay(keywords=("PIPELINING", "SIZE %d" % (size - 1), "CHUNKING")) as relay, \
            Gateway(relay) as gateway:
        answers = [gateway.send(**fields), raw_post(gateway, own(15) + "x\n" * size),
                   curl(gateway, *form(*FROM_TO, "text=x", "attachment=@a.bin"), cwd=tmp_path)]
        for answer in answers:
            problem(answer, 413, "message_too_large", "not_sent")
        commands = [c.split(" ")[0] for one in relay.connections for c in one.commands]
        assert not set(commands) & {"DATA", "BDAT"} and not relay.ledger
        assert gateway.send().status == 200


# ---- the Message-ID of what is sent again


def derived(answer):
    assert answer.status == 200, answer
    found = re.fullmatch(r"<([0-9a-f]{32})@example\.com>", answer["message_id"])
    assert found, answer["message_id"]
    return found[1]


def test_the_same_key_and_message_give_the_same_message_id(place):
    """Seen by dry runs: a key itself is good for one message (test_idempotency.py)."""
    _, gateway = place
    one = {"Idempotency-Key": "order-42"}

    def dry(*fields, **more):
        return derived(gateway.send(*fields, headers=one, dry_run="render", **more))
    first = derived(gateway.send(headers=one))
    assert dry() == dry() == first
    others = [derived(gateway.send(headers={"Idempotency-Key": "order-43"}))]
    others += [dry(fields) for fields in (
        {"text": "Thank you!\n"}, {"subject": "Order 43"}, {"to": "bo@example.org"},
        {"bcc": "bo@example.org"}, {"cc": "ann@example.org"}, {"html": "<p>x"},
        {"text": None, "html": "Thank you.\n"}, {"headers": {"X-A": "b"}},
        {"from": {"name": "Shop 2", "address": "shop@example.com"}},
        {"attachments": [{"filename": "a", "content": "QUJD"}]},
        {"attachments": [{"filename": "b", "content": "QUJD"}]},
        {"attachments": [{"filename": "a", "content": "QUJE"}]},
        {"date": "2026-01-01T00:00:00Z"})]
    whole = "From: shop@example.com\r\nTo: ann@example.org\r\n\r\n%s\r\n"
    others += [derived(gateway.post("/send", {"raw": b64(whole % text), "dry_run": "render"}, one))
               for text in "xy"]
    assert len({first, *others}) == len(others) + 1
    own = gateway.send(headers=one, message_id="<own@example.com>", dry_run="render")
    assert own["message_id"] == "<own@example.com>"
    assert len({gateway.send()["message_id"] for _ in range(2)}) == 2


def test_twins_of_a_batch_have_message_ids_of_their_own(place):
    _, gateway = place

    def ids():
        answer = gateway.post("/send/batch", [mail(), mail()], {"Idempotency-Key": "twins"})
        return [result["message_id"] for result in answer["results"]]
    assert ids() == ids() and len(set(ids())) == 2


def test_a_form_sent_again_has_the_same_message_id(place, tmp_path):
    _, gateway = place

    def send(content):
        (tmp_path / "a.bin").write_bytes(content)
        return derived(curl(gateway, *form(*FROM_TO, "text=x", "attachment=@a.bin", "dry_run=render"),
                            "-H", "Idempotency-Key: form", cwd=tmp_path))
    large = bytes(range(256)) * 1000
    assert send(large) == send(large) != send(large[:-1] + b"x")
    assert send(large) != send(large[:-1])


def test_another_api_key_gives_another_message_id(tmp_path):
    file = tmp_path / "keys.json"
    secrets = ["lg_key%d_" % n + hashlib.sha256(b"%d" % n).hexdigest()[:43] for n in range(2)]
    file.write_text(json.dumps({"keys": [
        {"id": "key%d" % n, "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest(),
         "scopes": ["send"]} for n, secret in enumerate(secrets)]}))
    with Relay() as relay, Gateway(relay, key=secrets[0], API_KEY=None, API_KEYS_FILE=file) as gateway:
        ids = [derived(gateway.send(key=key, headers={"Idempotency-Key": "x"})) for key in secrets]
    assert ids[0] != ids[1]


# ---- memory: of the release build, as sanitizers have their own

memory = pytest.mark.skipif(SLOW > 1, reason="sanitizers take memory of their own")


def peak_kb(gateway):
    return resident_kb(gateway.pid, "VmHWM")


@memory
@pytest.mark.parametrize("size", [10 * MB, 30 * MB])
def test_a_form_takes_little_memory_whatever_its_size(size):
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.post("/send", WHOLE + "--b--", FORM).status == 200  # what is needed once
        idle = resident_kb(gateway.pid)
        assert taken(relay, big_form(gateway, size))
        assert peak_kb(gateway) - idle <= 4096


@memory
@pytest.mark.parametrize("name", ["message", "html"])
def test_a_long_field_is_held_once(name):
    size = 30 * MB
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.post("/send", WHOLE + "--b--", FORM).status == 200
        idle = resident_kb(gateway.pid)
        if name == "message":
            value, rest = json.dumps(mail(attachments=[{"filename": "a", "content": "QUJD" * (size // 4)}])), ""
        else:
            value, rest = "x" * 70 + "\r\n", WHOLE
            value *= size // len(value)
        part = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, value)
        file = '--b\r\nContent-Disposition: form-data; name="attachment"; filename="a"\r\n\r\nx\r\n'
        assert taken(relay, gateway.post("/send", (rest + part + file + "--b--\r\n").encode(), FORM))
        assert peak_kb(gateway) - idle <= size // 1024 + 4096


@memory
def test_a_form_of_many_files_takes_little_memory():
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.post("/send", WHOLE + "--b--", FORM).status == 200
        idle = resident_kb(gateway.pid)
        part = '--b\r\nContent-Disposition: form-data; name="attachment"; filename="a"\r\n\r\n'
        body = (WHOLE + (part + "x" * 65000 + "\r\n") * 100 + "--b--\r\n").encode()
        assert taken(relay, gateway.post("/send", body, FORM))
        assert peak_kb(gateway) - idle <= 4096


@memory
@pytest.mark.parametrize("size", [10 * MB, 30 * MB])
def test_json_takes_its_body_and_little_more(size):
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200
        idle = resident_kb(gateway.pid)
        body = json.dumps(mail(attachments=[{"filename": "a", "content": "QUJD" * (size // 4)}]))
        body = body.replace("/", "\\/").encode()
        assert taken(relay, gateway.post("/send", body))
        assert peak_kb(gateway) - idle <= len(body) // 1024 + 2048


@memory
@pytest.mark.parametrize("size", [10 * MB, 20 * MB])
def test_html_alone_takes_its_body_its_text_and_little_more(size):
    with Relay() as relay, Gateway(relay) as gateway:
        assert gateway.send().status == 200
        idle = resident_kb(gateway.pid)
        piece = "<p>Some words of a long <b>letter</b> that goes on."
        body = json.dumps(mail(text=None, html=piece * (size // len(piece)))).encode()
        made = len(body) * len("Some words of a long letter that goes on.\n\n") // len(piece)
        assert taken(relay, gateway.post("/send", body))
        assert peak_kb(gateway) - idle <= (len(body) + made) // 1024 + 2048


@memory
def test_fifty_forms_at_once_fit():
    with Relay(keywords=("PIPELINING", "SIZE 52428800", "CHUNKING")) as relay, Gateway(relay) as gateway:
        answers = together(lambda _n: big_form(gateway, 10 * 1000 * 1000).status, range(50), 50)
        assert answers == [200] * 50 and len(relay.ledger) == 50
        assert peak_kb(gateway) < 300 * 1024
