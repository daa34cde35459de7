"""Messages through each real relay and back out of the mailbox: what was sent is what is read."""

import hashlib
import json
import os
import random
import re
import subprocess
import time

import pytest
import reading
from gateway import KEY, b64

ANN, BO, CLEO = "ann@example.org", "bo@example.net", "cleo@example.org"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154"
                    "789c6360606060000000050001a5f645400000000049454e44ae426082")


def sha(content):
    return hashlib.sha256(content).hexdigest()


def attachment(filename, content, content_type):
    return {"filename": filename, "content": b64(content), "content_type": content_type}


def in_order(value):
    """Attachments may come in any order."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(value, key=lambda part: part["sha256"])
    return value


def all_readings_agree(messages, wanted):
    """Every parser must find in each message what was sent, field by field."""
    for message in messages:
        assert max(message) < 0x80, "8-bit bytes in a generated message"
        assert max(map(len, message.replace(b"\r\n", b"\n").split(b"\n"))) <= 998
    for parser, found in reading.by_all(messages).items():
        for got, fields in zip(found, wanted, strict=True):
            for name, value in fields.items():
                assert in_order(got[name]) == in_order(value), "%s reads %s wrongly" % (parser, name)


def reads_as(message, **wanted):
    all_readings_agree([message], [wanted])


PLAIN = {
    "short": "Thank you.\n",
    "dots": ".\n..\n...\n. \n.x\nx.\n\n.\n.\n",
    "only-a-dot": ".\n",
    "long-lines": "".join("%s\n" % (chr(97 + n) * length) for n, length in
                          enumerate((75, 76, 77, 78, 79, 997, 998, 999, 1000, 5000))),
    "dots-in-long-lines": "%s\n" % ("." * 4000) + "%s.\n" % ("x" * 76) * 3,
    "spaces": "ends with a space \nand a tab\t\n \n\t\n  indented\nFrom here it goes on\n",
    "commands": "QUIT\nRSET\nMAIL FROM:<a@b>\nDATA\n250 ok\n",
    "other-scripts": "Gr\u00fc\u00dfe, \u65e5\u672c\u8a9e, \u05e9\u05dc\u05d5\u05dd, \U0001f600 = \u20ac 5\n",
    "equals": "a=b\n=3D\n=\nsoft=\nend =\n",
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_text_is_read_as_sent(target, text):
    sent = target.send(subject="Text", text=text)
    assert sent["outcome"] == "accepted"
    reads_as(target.bed.read_bytes(ANN, sent["message_id"]), text=text, html=False,
                       attachments=[], subject="Text", message_id=sent["message_id"],
                       **{"from": [["Shop", "shop@example.com"]], "to": [["", ANN]], "cc": []})


def test_everything_at_once(target):
    text = "Gr\u00fc\u00dfe\n.\nund ein Punkt\n"
    html = "<p>\u65e5\u672c\u8a9e \u2013 <img src=\"cid:logo@bed\"> " + "x" * 3000 + "</p>\n"
    parts = [attachment("Rechnung \u2116 1 \u2013 M\u00e4rz.pdf", bytes(range(256)) * 9, "application/pdf"),
             attachment("empty.bin", b"", "application/octet-stream"),
             attachment("log.txt", b".\r\n.\nlone\rcr\x00nul\n", "text/plain")]
    image = {"content_id": "logo@bed", "content": b64(PNG), "content_type": "image/png",
             "disposition": "inline", "filename": "logo.png"}
    sent = target.send(**{
        "from": {"name": "B\u00e4ckerei, \"Zum Korn\"", "address": "shop@example.com"},
        "to": [{"name": "\u00c5nn O'Neil", "address": ANN}, "Bo <%s>" % BO],
        "cc": ["\u30af\u30ec\u30aa <%s>" % CLEO], "reply_to": "Hilfe <help@example.com>",
        "subject": "Ihre Bestellung \u2116 42 \u2013 " + "sehr lang \u00fc " * 12 + "\U0001f600",
        "text": text, "html": html, "attachments": [*parts, image],
        "headers": {"X-Order": "42", "X-Note": "gr\u00fcn"}})
    wanted = [{"filename": part["filename"], "content_type": part["content_type"],
               "content_id": None, "disposition": "attachment", "sha256": sha(content)}
              for part, content in zip(parts, (bytes(range(256)) * 9, b"",
                                               b".\r\n.\nlone\rcr\x00nul\n"))]
    wanted.append({"filename": "logo.png", "content_type": "image/png",
                   "content_id": "<logo@bed>", "disposition": "inline", "sha256": sha(PNG)})
    for address in (ANN, BO, CLEO):
        message = target.bed.read_bytes(address, sent["message_id"])
        reads_as(
            message, text=text, html=html, attachments=wanted, bcc=[],
            subject="Ihre Bestellung \u2116 42 \u2013 " + "sehr lang \u00fc " * 12 + "\U0001f600",
            to=[["\u00c5nn O'Neil", ANN], ["Bo", BO]], cc=[["\u30af\u30ec\u30aa", CLEO]],
            reply_to=[["Hilfe", "help@example.com"]],
            **{"from": [["B\u00e4ckerei, \"Zum Korn\"", "shop@example.com"]]})
    read = target.bed.read(ANN, sent["message_id"])
    assert (read["X-Order"], read["X-Note"], read["MIME-Version"]) == ("42", "gr\u00fcn", "1.0")
    assert abs(read["Date"].datetime.timestamp() - time.time()) < 3600


def test_several_recipients_get_one_copy_each(target):
    names = ["r%d@example.org" % number for number in range(60)]
    sent = target.send(to=names[:20], cc=names[20:40], bcc=names[40:])
    assert [one["outcome"] for one in sent["recipients"]] == ["accepted"] * 60
    for address in names:
        headers, _ = reading.split(target.bed.read_bytes(address, sent["message_id"]))
        assert not [line for line in headers if line.lower().startswith(b"bcc:")]
        said = b" ".join(line for line in headers if line.startswith((b"To:", b"Cc:")))
        assert (b"r59@" in said, b"r0@" in said, b"r39@" in said) == (False, True, True)


def test_ten_megabytes(target):
    content = random.Random(7).randbytes(10 * 1024 * 1024)
    sent = target.send(text="See the file.\n", attachments=[
        attachment("big.bin", content, "application/octet-stream")])
    reads_as(target.bed.read_bytes(ANN, sent["message_id"]), text="See the file.\n",
                       attachments=[{"filename": "big.bin", "disposition": "attachment",
                                     "content_type": "application/octet-stream",
                                     "content_id": None, "sha256": sha(content)}])


def test_the_answer_names_the_relays_queue_id(target):
    sent = target.send()
    queue_id = sent["relay"]["queue_id"]
    assert queue_id and queue_id in sent["smtp"]["text"]
    assert re.search(r"\bid %s\b" % re.escape(queue_id),
                     target.bed.read(ANN, sent["message_id"])["Received"])
    target.bed.wait_log(r"\b%s\b" % re.escape(queue_id))
    assert sent["smtp"]["code"] == 250 and sent["relay"]["host"] == "127.0.0.1"
    assert bool(sent["relay"].get("tls")) == target.secure
    assert sent["attempts"][-1]["outcome"] == "accepted"


def test_real_curl(target, tmp_path):
    letter = {"from": "shop@example.com", "to": [ANN], "subject": "curl", "text": "By curl.\n"}
    body = tmp_path / "mail.json"
    body.write_text(json.dumps(letter), encoding="utf-8")
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-H", "Authorization: Bearer " + KEY,
         "--json", "@%s" % body, target.gateway.url + "/send"],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    reads_as(target.bed.read_bytes(ANN, answer["message_id"]), subject="curl",
                       text="By curl.\n")


def test_text_of_random_bytes_of_unicode(target):
    """Many small texts of few characters that matter, so that every rule meets every other."""
    rng = random.Random(os.path.basename(__file__) + str(target))
    pieces = (".", "..", "\n", "\n.", "\n\n", "=", " ", "\t", "From ", "\u00e9", "\u65e5", "x" * 75, "-", "--")
    texts = ["".join(rng.choice(pieces) for _ in range(rng.randrange(1, 40))) + "\n"
             for _ in range(40)]
    sent = [target.send(text=text)["message_id"] for text in texts]
    all_readings_agree([target.bed.read_bytes(ANN, one) for one in sent],
                       [{"text": text, "message_id": one} for text, one in zip(texts, sent)])


# ---- the other ways in, byte for byte

def form(*fields):
    """A body of multipart/form-data: (name, value) or (name, file name, type, content)."""
    boundary = "----form%032x" % random.Random(3).getrandbits(128)
    body = b""
    for name, *rest in fields:
        body += b"--%s\r\nContent-Disposition: form-data; name=\"%s\"" % (boundary.encode(), name.encode())
        if len(rest) == 3:
            body += ("; filename=\"%s\"\r\nContent-Type: %s" % tuple(rest[:2])).encode()
        value = rest[-1]
        body += b"\r\n\r\n" + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + b"--%s--\r\n" % boundary.encode(), "multipart/form-data; boundary=" + boundary


def posted(target, body, content_type, query=""):
    answer = target.gateway.post("/send" + query, body, {"Content-Type": content_type}, timeout=90)
    assert answer.status == 200, answer
    return answer


def delivered(message):
    """What stands in a mailbox below the lines that the relay put on top: Return-Path, Received, …"""
    head, blank, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    own = re.search(rb"(?m)^(From|X-First): ", head)
    return head[own.start():] + blank + body


def test_a_form_with_a_file_of_a_megabyte(target):
    content = random.Random(11).randbytes(1 << 20)
    text = "Gr\u00fc\u00dfe\n.\n..\nFrom a form\n"
    body, content_type = form(
        ("from", "Shop <shop@example.com>"), ("to", ANN), ("to", BO), ("subject", "Formular \u2116 1"),
        ("text", text), ("attachment", "Bericht \u2013 M\u00e4rz.bin", "application/x-report", content))
    sent = posted(target, body, content_type)
    for address in (ANN, BO):
        reads_as(target.bed.read_bytes(address, sent["message_id"]), subject="Formular \u2116 1", text=text,
                 to=[["", ANN], ["", BO]], attachments=[{
                     "filename": "Bericht \u2013 M\u00e4rz.bin", "content_type": "application/x-report",
                     "content_id": None, "disposition": "attachment", "sha256": sha(content)}])


@pytest.mark.parametrize("way", ["message/rfc822", "raw"])
def test_a_whole_message_comes_out_as_it_was_handed_over(target, way):
    """Every byte of it, but for Bcc and the line ends."""
    message_id = "<whole.%s.%08x@example.com>" % (way.partition("/")[0],
                                                  random.SystemRandom().getrandbits(32))
    head = ("X-First: yes\nFrom: Shop <shop@example.com>\nTo: Ann <%s>\nMessage-ID: %s\n"
            "Date: Tue, 24 Nov 2026 10:00:00 +0100\nSubject: =?utf-8?q?gr=C3=BCn?=  two  blanks\n"
            "X-Folded: one\n two\n\tthree\n") % (ANN, message_id)
    rest = ".\n..\n.x\n \n\t\nends in blanks  \nFrom here\n=\n%s\n\n\n" % ("y" * 998)
    whole = (head + "Bcc: %s\n\n" % BO + rest).encode()
    if way == "raw":
        answer = target.gateway.post("/send", {"raw": b64(whole)}, timeout=90)
    else:
        answer = target.gateway.post("/send", whole, {"Content-Type": way}, timeout=90)
    assert answer.status == 200, answer
    for address in (ANN, BO):
        assert delivered(target.bed.read_bytes(address, message_id)) == (head + "\n" + rest).encode()


def test_an_invitation(target):
    content = ("BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1@example.com\n"
               "SUMMARY:Gr\u00fc\u00dfe\nDESCRIPTION:%s\nEND:VEVENT\nEND:VCALENDAR\n" % ("x" * 300))
    sent = target.send(text="Come.\n", html="<p>Come.</p>\n",
                       calendar={"method": "REQUEST", "content": content})
    got = target.bed.read(ANN, sent["message_id"])
    alternatives = [part for part in got.walk() if part.get_content_maintype() == "text"]
    assert [part.get_content_type() for part in alternatives] == ["text/plain", "text/html",
                                                                  "text/calendar"]
    assert alternatives[2].get_param("method") == "REQUEST"
    assert alternatives[2].get_content().replace("\r\n", "\n") == content
    (file,) = got.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("invite.ics", "application/ics")
    assert file.get_payload(decode=True).decode() == content.replace("\n", "\r\n")


# ---- nothing but our end ends the data (fault S-13)

SEQUENCES = ("\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r",
             "\r\r\n.\r\r\n")  # those with a NUL are refused before


@pytest.mark.parametrize("mode", ["strict", "bare", "plain"])
def test_nothing_is_smuggled_past_postfix(before, mode):
    """It refuses bare line ends (strict), speaks DATA alone (bare, strict) or BDAT (plain)."""
    here = before("postfix", mode)
    since = len(here.bed.log())
    evil = len(here.bed.messages(CLEO))
    sent = []
    for number, sequence in enumerate(SEQUENCES):
        smuggled = "before%sMAIL FROM:<evil@example.com>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: no\r\n\r\n" \
                   "no%sbehind\n" % (sequence, CLEO, sequence)
        sent.append((here.send(text=smuggled), smuggled))
        sent.append((here.send(html=smuggled, text=smuggled), smuggled))
        if not re.search("\r(?!\n)", sequence):
            message = "From: shop@example.com\nTo: %s\nMessage-ID: <s%d.%s@example.com>\n\n%s" % (
                ANN, number, mode, smuggled)
            sent.append((posted(here, message, "message/rfc822"), smuggled))
    for answer, text in sent:
        got = here.bed.read(ANN, answer["message_id"]).get_body(("plain",)).get_content()
        assert got.replace("\r\n", "\n") == re.sub("\r\n|\r", "\n", text)
    log = here.bed.log()[since:]
    assert "bare <LF>" not in log and "bare <CR>" not in log and "evil" not in log
    assert len(here.bed.messages(CLEO)) == evil
