"""docs/messages.md: each example runs as it stands, and what the relay then has is what the page says."""

import email
import email.policy
import json
import os
import re
import shlex
import subprocess

import pytest

from gateway import KEY, ROOT, Gateway
from relay import Relay

with open(os.path.join(ROOT, "docs", "messages.md"), encoding="utf-8") as file:
    PAGE = file.read()
EXAMPLES = [(section.split("\n", 1)[0], language, text)
            for section in PAGE.split("\n## ")[1:]
            for language, text in re.findall(r"^```(json|sh)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]
HELLO = b"hello world!"


def files(message):
    return {part.get_filename(): (part.get_content_type(), part.get_payload(decode=True))
            for part in message.iter_attachments()}


def body(message, kind):
    return message.get_body((kind,)).get_content().rstrip()


def types(message):
    return [part.get_content_type() for part in message.walk()]


def text_and_html(got, _taken, _answer):
    assert types(got) == ["multipart/alternative", "text/plain", "text/html"]
    assert str(got["Subject"]) == "Hello ✔"


def addresses(got, taken, _answer):
    assert taken.recipients == ["ann@example.org", "jo@example.org", "bo@example.net", "c@example.org",
                                "d@example.org"]
    assert [a.display_name for a in got["To"].addresses] == ["", "Blow, Jo", "Майлеров"]
    assert got["From"].addresses[0].display_name == "Shop, Inc." and got["Bcc"] is None
    assert str(got["Reply-To"]) == "Help <help@example.com>"


def addresses_in_a_string(got, taken, _answer):
    assert taken.recipients == ["ann@example.org", "jo@example.org"]
    assert [a.display_name for a in got["To"].addresses] == ["", "Blow, Jo"]


def groups_of(field):
    return [(group.display_name, [one.addr_spec for one in group.addresses]) for group in field.groups]


def groups(got, taken, _answer):
    assert taken.recipients == ["ann@example.org", "bo@example.net", "c@example.org", "jo@example.org"]
    assert groups_of(got["To"]) == [("Team", ["ann@example.org", "bo@example.net"]), (None, ["c@example.org"])]
    assert groups_of(got["Cc"]) == [("Board", ["jo@example.org", "ann@example.org"])]


def an_empty_group(got, taken, _answer):
    assert taken.recipients == ["ann@example.org", "bo@example.net"]
    assert got["To"] == "undisclosed-recipients:;" and got["Bcc"] is None


def a_message_as_a_file(got, _taken, _answer):
    (part,) = got.iter_attachments()
    assert (part.get_content_type(), part["Content-Transfer-Encoding"]) == ("message/rfc822", "7bit")
    assert part.get_filename() == "hello.eml"
    assert part.get_content().as_bytes() == b"From: bo@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n"


def attachments(got, _taken, _answer):
    assert files(got) == {
        "text.txt": ("text/plain", HELLO), "wrapped.bin": ("application/octet-stream", HELLO),
        "buffer.txt": ("text/plain", b"hello"), "url.txt": ("text/plain", b"hello world"),
        "Übersicht – März.csv": ("text/csv", b"a;b"), "license": ("text/plain", b"MIT")}


def embedded(got, _taken, _answer):
    assert types(got) == ["multipart/related", "multipart/alternative", "text/plain", "text/html", "image/gif"]
    image = list(got.walk())[-1]
    assert image["Content-ID"] == "<logo>" and image.get_payload(decode=True).startswith(b"GIF89a")


def calendar(got, _taken, _answer):
    assert types(got) == ["multipart/mixed", "multipart/alternative", "text/plain", "text/calendar",
                          "application/ics"]
    event = next(part for part in got.walk() if part.get_content_type() == "text/calendar")
    assert event.get_param("method") == "REQUEST"
    assert files(got)["invite.ics"][1].endswith(b"END:VEVENT\r\nEND:VCALENDAR\r\n")
    assert event.get_payload(decode=True).strip() == files(got)["invite.ics"][1].strip()


def headers(got, _taken, answer):
    assert (got["X-My-Key"], got.get_all("X-Many")) == ("header value", ["value 1", "value 2"])
    assert got["Message-ID"] == answer["message_id"] == "<order-42@example.com>"
    assert got["Date"].datetime.isoformat() == "2026-12-01T08:00:00+00:00"
    assert got["References"] == "<first@example.org> <question@example.org>"
    assert got["In-Reply-To"] == "<question@example.org>" and got["X-Priority"].startswith("1")


def list_headers(got, _taken, _answer):
    assert got["List-Unsubscribe"] == \
        "<https://example.com/unsubscribe?id=42>, <mailto:unsubscribe@example.com>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert got["List-Id"] == "News <news.example.com>" and got["List-Help"] == "<mailto:help@example.com>"


def envelope(got, taken, _answer):
    assert (taken.mail, taken.recipients) == ("bounce+42@example.com", ["archive@example.org"])
    assert (got["From"], got["To"]) == ("shop@example.com", "ann@example.org")


def a_form(got, _taken, _answer):
    assert body(got, "plain") == "Here it is."
    assert files(got) == {"report.pdf": ("application/pdf", b"%PDF-1.7\n")}


def a_form_with_an_image(got, taken, _answer):
    assert taken.recipients == ["ann@example.org", "bo@example.net"] and got["X-Order"] == "42"
    assert [p["Content-ID"] for p in got.walk() if p.get_content_type() == "image/png"] == ["<logo.png>"]
    assert files(got)["text.txt"][1] == HELLO


def a_form_with_json(got, _taken, _answer):
    assert str(got["Subject"]) == "Hello ✔" and list(files(got)) == ["report.pdf"]


def a_whole_message(got, taken, _answer):
    assert got["X-Own"] == "yes" and taken.recipients == ["ann@example.org", "bo@example.net"]
    assert body(got, "plain") == "Hello."


def raw(got, taken, _answer):
    assert (taken.mail, got["Subject"], body(got, "plain")) == ("bounce@example.com", "Raw", "Hello.")


CHECKS = {"Text and HTML": [text_and_html], "Addresses": [addresses, addresses_in_a_string],
          "Groups": [groups, an_empty_group], "Attachments": [attachments],
          "Messages as files": [a_message_as_a_file],
          "Embedded images": [embedded], "Calendar events": [calendar], "Headers": [headers],
          "List headers": [list_headers], "The envelope": [envelope],
          "Forms": [a_form, a_form_with_an_image, a_form_with_json],
          "A whole message": [a_whole_message, raw], "DKIM": ["dkim"],
          "Looking before sending": ["rendered", "probed"]}


def test_each_example_is_known():
    found = {}
    for section, language, text in EXAMPLES:
        found.setdefault(section, []).append((language, text))
    assert {section: len(examples) for section, examples in found.items()} == {
        section: len(checks) for section, checks in CHECKS.items()}


def examples_of(*names):
    count = {}
    for section, language, text in EXAMPLES:
        check = CHECKS[section][count.get(section, 0)]
        count[section] = count.get(section, 0) + 1
        if not names and callable(check) or check in names:
            yield pytest.param(language, text, check, id=section.replace(" ", "_"))


@pytest.fixture(scope="module")
def place():
    with Relay() as relay, Gateway(relay) as gateway:
        yield relay, gateway


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    (path / "report.pdf").write_bytes(b"%PDF-1.7\n")
    (path / "logo.png").write_bytes(b"\x89PNG")
    (path / "mail.json").write_text(EXAMPLES[0][2])
    (path / "mail.eml").write_text("From: shop@example.com\nTo: ann@example.org\nBcc: bo@example.net\n"
                                   "Subject: Own\nX-Own: yes\n\nHello.\n")
    return path


def run(gateway, language, text, folder):
    """The answer to the example."""
    if language == "json":
        return gateway.post("/send", text).json
    script = text.replace("http://127.0.0.1:8080", gateway.url)
    done = subprocess.run(["bash", "-ec", script], capture_output=True, cwd=folder, check=True,
                          env={**os.environ, "API_KEY": KEY})
    return json.loads(done.stdout)


@pytest.mark.parametrize("language,text,check", examples_of())
def test_the_example_is_sent_as_the_page_says(place, folder, language, text, check):
    relay, gateway = place
    answer = run(gateway, language, text, folder)
    assert answer["outcome"] == "accepted", answer
    taken = next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])
    got = email.message_from_bytes(taken.body, policy=email.policy.SMTP)
    assert not [part.defects for part in got.walk() if part.defects]
    check(got, taken, answer)


@pytest.mark.parametrize("language,text,outcome", examples_of("rendered", "probed"))
def test_the_example_sends_nothing(place, folder, language, text, outcome):
    relay, gateway = place
    before = len(relay.ledger)
    assert run(gateway, language, text, folder)["outcome"] == outcome
    assert len(relay.ledger) == before


@pytest.mark.parametrize("language,text,check", examples_of("dkim"))
def test_a_key_made_as_the_page_says_signs(folder, language, text, check):
    assert (language, check) == ("sh", "dkim")
    subprocess.run(["bash", "-ec", text], cwd=folder, check=True, capture_output=True)
    exported = [line for line in text.splitlines() if line.startswith("export ")][0]
    settings = dict(word.split("=", 1) for word in shlex.split(exported.replace("$PWD", str(folder)))[1:])
    with Relay() as relay, Gateway(relay, **settings) as gateway:
        assert gateway.send().status == 200
        header = email.message_from_bytes(relay.ledger[0].body)["DKIM-Signature"]
        assert {"a=ed25519-sha256", "d=example.com", "s=mail"} <= set(re.split(r"[;\s]+", header)), header
