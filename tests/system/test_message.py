"""What arrives at the relay, read back by Python's own parser, is what was asked for (docs/messages.md,
fault S-11)."""

import base64
import email
import email.policy
import os

import pytest

from gateway import Gateway, b64
from relay import Relay

GREEK = "Καλημέρα κόσμε"
EMOJI = "Grüße 🎉 aus Köln – «ça va»"


@pytest.fixture(scope="module")
def place():
    with Relay() as relay, Gateway(relay) as gateway:
        yield relay, gateway


def sent(place, **fields):
    relay, gateway = place
    answer = gateway.send(fields)
    assert answer.status == 200, answer
    taken = next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])
    assert all(len(line) <= 998 for line in taken.body.split(b"\r\n"))
    assert max(taken.body) < 128, "generated messages are 7bit on the wire"
    assert b"\n" not in taken.body.replace(b"\r\n", b"")
    return email.message_from_bytes(taken.body, policy=email.policy.SMTP)


def test_text_alone(place):
    got = sent(place, text="line 1\n.\n..two\n\nFrom here\r\n", subject="Plain")
    assert got.get_content_type() == "text/plain"
    assert got.get_content().replace("\r\n", "\n") == "line 1\n.\n..two\n\nFrom here\n"
    assert (got["Subject"], got["From"], got["To"]) == ("Plain", "Shop <shop@example.com>",
                                                        "ann@example.org")
    assert got["MIME-Version"] == "1.0" and got["Date"].datetime and got["Message-ID"]
    assert not got.defects


def test_non_ascii_everywhere(place):
    got = sent(place, subject=EMOJI, text=GREEK + "\n" + "ü" * 3000 + "\n",
               html="<p>%s</p>" % EMOJI,
               **{"from": {"name": "Åsa, \"Q\" Öberg", "address": "asa@example.com"}},
               to=[{"name": GREEK, "address": "ann@example.org"}], cc="Jürgen <j@example.org>",
               reply_to=["Réponse <r@example.com>"], headers={"X-Note": EMOJI},
               attachments=[{"filename": "Übersicht – é.pdf", "content": b64(b"%PDF\0\xff"),
                             "content_type": "application/pdf"}])
    assert got["Subject"] == EMOJI
    assert got["From"].addresses[0].display_name == "Åsa, \"Q\" Öberg"
    assert got["To"].addresses[0].display_name == GREEK
    assert got["Cc"].addresses[0].display_name == "Jürgen"
    assert got["Reply-To"].addresses[0].display_name == "Réponse"
    assert str(got["X-Note"]) == EMOJI
    text = got.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert text == GREEK + "\n" + "ü" * 3000 + "\n"
    assert got.get_body(("html",)).get_content().strip() == "<p>%s</p>" % EMOJI
    (attached,) = got.iter_attachments()
    assert attached.get_filename() == "Übersicht – é.pdf"
    assert attached.get_content_type() == "application/pdf"
    assert attached.get_content() == b"%PDF\0\xff"
    assert not got.defects and not any(part.defects for part in got.walk())


def test_a_file_name_goes_as_rfc_2231_alone_and_as_an_encoded_word(place):
    relay, gateway = place
    answer = gateway.send(attachments=[{"filename": "é.txt", "content": b64("x")}])
    assert answer.status == 200
    body = next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"]).body
    assert b"filename*=" in body and b"filename=" not in body
    assert b"=?utf-8?" in body.lower()


def test_html_gets_a_readable_text_part(place):
    got = sent(place, text=None, html="<h1>Hello &amp; welcome</h1><p>See <a href=\"https://e.com/x\">"
                                      "here</a></p><style>p{}</style>")
    text = got.get_body(("plain",)).get_content()
    assert "Hello & welcome" in text and "https://e.com/x" in text and "p{}" not in text
    assert [part.get_content_type() for part in got.walk()] == [
        "multipart/alternative", "text/plain", "text/html"]


def test_text_false_leaves_the_text_part_out(place):
    got = sent(place, text=False, html="<p>only</p>")
    assert got.get_content_type() == "text/html" and got.get_content().strip() == "<p>only</p>"


def test_inline_images_stand_beside_the_html(place):
    png = os.urandom(5000)
    got = sent(place, html='<img src="cid:logo">', attachments=[
        {"content_id": "logo", "content": b64(png), "content_type": "image/png",
         "disposition": "inline"},
        {"filename": "a.bin", "content": b64(os.urandom(100))}])
    assert got.get_content_type() == "multipart/mixed"
    related = [part for part in got.walk() if part.get_content_type() == "multipart/related"]
    assert len(related) == 1
    (image,) = [part for part in got.walk() if part.get_content_type() == "image/png"]
    assert image["Content-ID"] == "<logo>" and image.get_content() == png
    assert image.get_content_disposition() == "inline"
    assert [part.get_filename() for part in got.iter_attachments()][-1] == "a.bin"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 56, 57, 58, 75, 76, 1000, 100000, 3000000])
def test_attachments_of_any_size_come_through(place, size):
    content = os.urandom(size)
    got = sent(place, attachments=[{"filename": "data.bin", "content": b64(content)}])
    (attached,) = got.iter_attachments()
    assert attached.get_payload(decode=True) == content
    lines = attached.get_payload().split("\n")
    assert max(len(line.rstrip("\r")) for line in lines) <= 76


def test_base64_that_comes_wrapped_or_escaped_is_taken(place):
    content = os.urandom(4000)
    wrapped = base64.encodebytes(content).decode()
    got = sent(place, attachments=[{"filename": "w.bin", "content": wrapped}])
    (attached,) = got.iter_attachments()
    assert attached.get_payload(decode=True) == content


def test_own_headers_ids_and_dates_are_kept(place):
    got = sent(place, message_id="<mine@example.com>", date="2026-11-24T10:00:00Z",
               headers={"X-Order": "42", "X-Many": ["a", "b"]},
               in_reply_to="<before@example.com>", references=["<1@example.com>", "<2@example.com>"])
    assert got["Message-ID"] == "<mine@example.com>"
    assert got["Date"].datetime.isoformat() == "2026-11-24T10:00:00+00:00"
    assert got["X-Order"] == "42" and got.get_all("X-Many") == ["a", "b"]
    assert got["In-Reply-To"] == "<before@example.com>"
    assert got["References"].split() == ["<1@example.com>", "<2@example.com>"]


def test_a_long_header_is_folded_and_reads_the_same(place):
    words = " ".join("word%d" % n for n in range(60))
    got = sent(place, subject=words, headers={"X-Long": words},
               to=["user%d@example.org" % n for n in range(50)])
    assert got["Subject"] == words and got["X-Long"] == words
    assert len(got["To"].addresses) == 50


def test_a_long_line_of_text_is_encoded(place):
    text = "x" * 5000 + "\n"
    assert sent(place, text=text).get_content().replace("\r\n", "\n") == text


def test_a_display_name_that_needs_quotes_gets_them(place):
    for name in ("Smith, John", 'The "Best"', "a@b", "semi;colon", "(paren)", "back\\slash"):
        got = sent(place, to=[{"name": name, "address": "x@example.org"}])
        assert got["To"].addresses[0].display_name == name
        assert got["To"].addresses[0].addr_spec == "x@example.org"


def test_international_domains_go_as_a_labels(place):
    relay, gateway = place
    answer = gateway.send(to="ann@bücher.example")
    assert answer.status == 200, answer
    taken = next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])
    assert taken.recipients == ["ann@xn--bcher-kva.example"]


def test_an_international_mailbox_needs_smtputf8(place):
    relay, gateway = place
    answer = gateway.send(to="jürgen@example.org")
    assert answer.status == 200, answer
    taken = next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])
    assert taken.recipients == ["jürgen@example.org"] and "SMTPUTF8" in taken.mail_parameters
    with Relay(keywords=("PIPELINING", "8BITMIME")) as plain, Gateway(plain) as without:
        answer = without.send(to="jürgen@example.org")
        assert (answer.status, answer["code"]) == (422, "unsupported_feature"), answer
        assert plain.ledger == []


@pytest.mark.parametrize("keywords", [("PIPELINING", "CHUNKING"), ("PIPELINING",), ()])
def test_dots_come_through_by_every_way_to_send(keywords):
    """S-14 on the wire: stuffed behind DATA, as they are in BDAT."""
    text = "\n".join(["." * n for n in range(6)] + ["x."] + ["." + "y" * n for n in range(990)]) + "\n"
    with Relay(keywords=keywords) as relay, Gateway(relay) as gateway:
        assert gateway.send(text=text).status == 200
        got = email.message_from_bytes(relay.ledger[0].body, policy=email.policy.SMTP)
        assert got.get_content().replace("\r\n", "\n") == text
        assert relay.ledger[0].chunked == ("CHUNKING" in keywords)


def test_the_size_that_was_declared_is_the_size_that_came(place):
    relay, gateway = place
    assert gateway.send(text="ü" * 1000, html="<p>x</p>").status == 200
    taken = relay.ledger[-1]
    assert int(taken.mail_parameters["SIZE"]) == len(taken.body)
