"""Nothing that arrives in a field reaches the relay as a command, a header or a message of its own
(faults S-10, S-11, S-13, S-15)."""

import email
import email.policy
import json
import re
from collections import Counter

import pytest

from gateway import Gateway, b64, mail, together
from relay import KEYWORDS, Relay

BREAKS = ["\r\n", "\r", "\n", "\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x01"]
ODD = ["\x85", "\u2028", "\u2029", "%0d%0a", "\\r\\n", "\ufeff", "\u202e", "&#10;", "=0D=0A",
       "=?utf-8?q?=0D=0A?="]
PAYLOAD = "RCPT TO:<evil@example.org>"


def attached(**fields):
    return {"attachments": [{"filename": "a.txt", "content": "", **fields}]}


# where → a message with `value` in one field: every string that a message takes, names included
LINES = {
    "/subject": lambda v: {"subject": "a" + v},
    "/from": lambda v: {"from": "Sh%sop <shop@example.com>" % v},
    "/from address": lambda v: {"from": "shop%s@example.com" % v},
    "/from/name": lambda v: {"from": {"name": "x" + v, "address": "shop@example.com"}},
    "/from/address": lambda v: {"from": {"name": "x", "address": "shop@exam%sple.com" % v}},
    "/from/email": lambda v: {"from": {"email": "shop@example.com" + v}},
    "/to/0": lambda v: {"to": ["ann@example.org>" + v]},
    "/to/0 quoted": lambda v: {"to": ['"ann%s"@example.org' % v]},
    "/to/0 behind": lambda v: {"to": ["Ann <ann@example.org>" + v]},
    "/to before": lambda v: {"to": v + "ann@example.org"},
    "/to/0/name": lambda v: {"to": [{"name": "Ann" + v, "address": "ann@example.org"}]},
    "/to/address": lambda v: {"to": {"address": "ann@example.org" + v}},
    "/cc": lambda v: {"cc": "Cc%s <cc@example.org>" % v},
    "/cc/0/name": lambda v: {"cc": [{"name": "C" + v, "address": "cc@example.org"}]},
    "/bcc": lambda v: {"bcc": "bcc@example.org" + v},
    "/bcc/0/address": lambda v: {"bcc": [{"name": "B", "address": "bcc%s@example.org" % v}]},
    "/reply_to": lambda v: {"reply_to": "R%s <r@example.org>" % v},
    "/reply_to/0/address": lambda v: {"reply_to": [{"address": "r@example.org" + v}]},
    "/headers/X-A": lambda v: {"headers": {"X-A": "b" + v}},
    "/headers/": lambda v: {"headers": {"X-A%s" % v: "b"}},
    "/message_id": lambda v: {"message_id": "<a%s@example.com>" % v},
    "/message_id behind": lambda v: {"message_id": "<a@example.com>" + v},
    "/in_reply_to": lambda v: {"in_reply_to": "<a%s@example.com>" % v},
    "/references": lambda v: {"references": ["<a%s@example.com>" % v]},
    "/references behind": lambda v: {"references": "<a@example.com>%s" % v},
    "/date": lambda v: {"date": "2026-11-24T10:00:00Z" + v},
    "/priority": lambda v: {"priority": "high" + v},
    "/list_unsubscribe/url": lambda v: {"list_unsubscribe": {"url": "https://example.com/u" + v}},
    "/list_unsubscribe/mailto": lambda v: {"list_unsubscribe": {"mailto": "u@example.com?subject=a" + v}},
    "/list_unsubscribe/mailto address": lambda v: {"list_unsubscribe": {"mailto": "u%s@example.com" % v}},
    "/list_unsubscribe/": lambda v: {"list_unsubscribe": {"url": "https://example.com", "one" + v: True}},
    "/envelope/from": lambda v: {"envelope": {"from": "shop%s@example.com" % v}},
    "/envelope/from behind": lambda v: {"envelope": {"from": "shop@example.com" + v}},
    "/envelope/to/0": lambda v: {"envelope": {"to": ["ann%s@example.org" % v]}},
    "/envelope/to": lambda v: {"envelope": {"to": "ann@example.org" + v}},
    "/envelope/": lambda v: {"envelope": {"fro" + v: "shop@example.com"}},
    "/dsn/notify/0": lambda v: {"dsn": {"notify": ["failure" + v]}},
    "/dsn/return": lambda v: {"dsn": {"return": "headers" + v}},
    "/dsn/envelope_id": lambda v: {"dsn": {"envelope_id": "a" + v}},
    "/dsn/": lambda v: {"dsn": {"retur" + v: "headers"}},
    "/attachments/0/filename": lambda v: attached(filename="a%s.txt" % v),
    "/attachments/0/content_type": lambda v: attached(content_type="text/plain" + v),
    "/attachments/0/content_type parameter": lambda v: attached(content_type='text/plain; a="b%s"' % v),
    "/attachments/0/content_id": lambda v: attached(content_id="a" + v, disposition="inline"),
    "/attachments/0/disposition": lambda v: attached(disposition="inline" + v),
    "/attachments/0/": lambda v: attached(**{"cid" + v: "a"}),
    "/tags/0": lambda v: {"tags": ["a" + v]},
    "/metadata/order": lambda v: {"metadata": {"order": "a" + v}},
    "/metadata": lambda v: {"metadata": {"order" + v: "a"}},
    "/metadata/deep/0/order": lambda v: {"metadata": {"deep": [{"order": "a" + v}]}},
    "/relay": lambda v: {"relay": "default" + v},
    "/delivery": lambda v: {"delivery": "now" + v},
    "/partial": lambda v: {"partial": "allow" + v},
    "/deadline": lambda v: {"deadline": "20s" + v},
    "/send_at": lambda v: {"send_at": "2026-12-01T08:00:00Z" + v},
    "/on_unknown": lambda v: {"on_unknown": "retry" + v},
    "/": lambda v: {"sender" + v: "a"},
}


@pytest.fixture(scope="module")
def place():
    with Relay() as relay, Gateway(relay) as gateway:
        yield relay, gateway


def message_of(relay, answer):
    return next(t for t in reversed(relay.ledger) if t.message_id == answer["message_id"])


def conversation_is_clean(connection):
    """Only whole commands of ours, in clear text, and as many as messages want."""
    for line in connection.commands:
        assert re.fullmatch(r"(EHLO client\.test|MAIL FROM:<[^<>\r\n]*>( [A-Z0-9]+(=[!-~]+)?)*"
                            r"|RCPT TO:<[^<>\r\n]*>( [A-Z]+=[!-~]+)*|DATA|BDAT \d+ LAST|RSET|QUIT|NOOP)",
                            line), line
        assert "evil" not in line


def asked_for(relay):
    """How many senders, recipients and messages the relay was asked to take, and what else it heard."""
    counts = Counter(line.upper().split(" ")[0] for connection in relay.connections
                     for line in connection.commands)
    for idle in ("EHLO", "RSET", "NOOP", "QUIT"):
        del counts[idle]
    counts["messages"] = counts.pop("DATA", 0) + counts.pop("BDAT", 0)
    return counts


@pytest.mark.parametrize("payload", [PAYLOAD, ""], ids=["with a command behind", "alone"])
@pytest.mark.parametrize("where", LINES)
def test_line_breaks_and_controls_are_refused_with_the_pointer(place, where, payload):
    """S-10: every string field × CR, LF, NUL and other controls. The relay hears nothing."""
    relay, gateway = place
    before, asked = len(relay.ledger), asked_for(relay)
    pointer = where.split(" ")[0].rstrip("/")

    def run(value):
        answer = gateway.send(LINES[where](value + payload))
        if (answer.status, answer["code"]) != (422, "invalid_request"):
            return value, answer
        if not any(error["pointer"].startswith(pointer) for error in answer["errors"]):
            return value, answer
        return None
    wrong = [found for found in together(run, BREAKS) if found]
    assert not wrong, wrong
    assert len(relay.ledger) == before and asked_for(relay) == asked


@pytest.mark.parametrize("where", LINES)
def test_look_alikes_of_line_breaks_stay_text(place, where):
    """S-10, S-11: U+0085, U+2028 and encodings of CR and LF are data, or refused: a message more and
    its own recipients, or nothing."""
    relay, gateway = place
    asked = asked_for(relay)

    def run(value):
        answer = gateway.send(LINES[where](value + "Evil: yes"))
        if answer.status == 422:
            return None, 0
        if answer.status != 200:
            return (value, answer), 0
        taken = message_of(relay, answer)
        parsed = email.message_from_bytes(taken.body, policy=email.policy.SMTP)
        if "Evil" in parsed or len(taken.recipients) != len(answer["recipients"]) or \
                b"\r\nEvil" in taken.body:
            return (value, taken.body), 0
        return None, len(taken.recipients)
    done = together(run, ODD)
    wrong = [found for found, _recipients in done if found]
    assert not wrong, wrong
    recipients = [count for _found, count in done if count]
    assert asked_for(relay) - asked == Counter(
        {"MAIL": len(recipients), "RCPT": sum(recipients), "messages": len(recipients)})


def test_breaks_in_base64_are_no_content(place):
    """S-10: base64 may be folded; no other control, and nothing that is no base64, is in it."""
    relay, gateway = place
    for value in BREAKS + ODD:
        answer = gateway.send(attached(content="QUJD" + value + "REVG", content_type="text/plain"))
        if value in ("\r\n", "\r", "\n"):
            taken = email.message_from_bytes(message_of(relay, answer).body, policy=email.policy.SMTP)
            assert [part.get_content() for part in taken.iter_attachments()] == ["ABCDEF"], taken
        else:
            assert answer.status == 422, answer
            assert answer["errors"][0]["pointer"] == "/attachments/0/content"


def test_the_relay_heard_only_whole_commands_of_ours(place):
    """S-10: over all that the tests before it sent."""
    relay, _gateway = place
    assert relay.connections
    for connection in relay.connections:
        conversation_is_clean(connection)


@pytest.mark.parametrize("raw", [b"\xc0\x8d\xc0\x8a", b"\xe0\x80\x8d\xe0\x80\x8a", b"\xf0\x80\x80\x8d",
                                 b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\x85", b"\xc3"])
def test_overlong_and_broken_utf8_is_refused(place, raw):
    """S-10: overlong forms of CR and LF, surrogates, stray bytes, in every field and name."""
    relay, gateway = place
    before, asked = len(relay.ledger), asked_for(relay)
    connection = gateway.connect()
    for where, message in {**LINES, "/text": lambda v: {"text": v}, "/html": lambda v: {"html": v}}.items():
        body = json.dumps(mail(**message("MARK"))).encode()
        assert body.count(b"MARK") == 1
        answer = gateway.post("/send", body.replace(b"MARK", raw), connection=connection)
        assert (answer.status, answer["code"]) == (400, "invalid_json"), (where, answer)
    connection.close()
    assert len(relay.ledger) == before and asked_for(relay) == asked


@pytest.mark.parametrize("name", ["From", "to", "BCC", "Received", "DKIM-Signature", "Content-Type",
                                  "content-transfer-encoding", "MIME-Version", "Return-Path",
                                  "Sender", "X A", "X:A", "", "X-\u00e4", "X-A\t", "Date",
                                  "Message-ID", "Subject"])
def test_header_names_that_are_ours_or_none_are_refused(place, name):
    """S-11"""
    relay, gateway = place
    before = len(relay.ledger)
    answer = gateway.send({"headers": {name: "value"}})
    assert (answer.status, answer["code"]) == (422, "invalid_request"), answer
    assert len(relay.ledger) == before


def test_header_values_come_as_they_are_and_add_no_headers(place):
    """S-11: the set of headers is exactly what was asked for."""
    relay, gateway = place
    values = {"X-Empty": "", "X-Colon": "a: b", "X-Encoded": "=?utf-8?q?x?=", "X-Quote": '"<>",;',
              "X-Spaces": "a  b", "X-Long": "y" * 900}
    answer = gateway.send({"headers": values})
    assert answer.status == 200, answer
    parsed = email.message_from_bytes(message_of(relay, answer).body, policy=email.policy.compat32)
    assert {k.lower() for k in parsed.keys()} == {
        "from", "to", "subject", "date", "message-id", "mime-version", "content-type",
        "content-transfer-encoding"} | {name.lower() for name in values}
    assert parsed["X-Colon"] == "a: b" and parsed["X-Quote"] == '"<>",;'


SEQUENCES = ["\r\n.\r\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\n", "\r.\r", "\r\n\0.\r\n",
             "\n.\r", "\r\n..\r\n", "\r\r\n.\r\r\n", "\r\n.\r\n.\r\n", ".\r\n", "\u2028.\u2028"]
SMUGGLED = ("MAIL FROM:<evil@example.com>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\n"
            "Subject: smuggled\r\n\r\nhello\r\n.\r\n")


@pytest.mark.parametrize("keywords", [("PIPELINING",), KEYWORDS], ids=["data", "bdat"])
@pytest.mark.parametrize("place_of", ["text", "html", "both", "start", "end", "attachment"])
def test_no_sequence_ends_the_data_early(keywords, place_of):
    """S-13: outbound smuggling (CVE-2023-51764 and its kin): one message each, no bare CR or LF."""
    with Relay(keywords=keywords) as relay, Gateway(relay) as gateway:
        def run(sequence):
            value = sequence + SMUGGLED
            fields = {"text": {"text": "before" + value + "behind"},
                      "html": {"html": "<p>before" + value + "</p>"},
                      "both": {"text": value, "html": value},
                      "start": {"text": value}, "end": {"text": "x" + sequence},
                      "attachment": {"attachments": [{"filename": "a.txt", "content": b64(value),
                                                      "content_type": "text/plain"}]}}[place_of]
            return sequence, gateway.send(fields)
        answers = together(run, SEQUENCES)
        good = [a for _s, a in answers if a.status == 200]
        for sequence, answer in answers:
            assert answer.status == 200 or ("\0" in sequence and answer.status == 422), answer
        assert len(relay.ledger) == len(good)
        for taken in relay.ledger:
            assert taken.recipients == ["ann@example.org"] and taken.mail == "shop@example.com"
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", taken.wire_body), taken.wire_body
            assert b"\0" not in taken.wire_body
            if not taken.chunked:
                assert taken.wire_body.count(b"\r\n.\r\n") == 1
        for connection in relay.connections:
            conversation_is_clean(connection)


def test_dots_at_every_buffer_boundary():
    """S-13, S-14: the sequence slides over the edges of whatever is read and written at a time."""
    with Relay(keywords=("PIPELINING",)) as relay, Gateway(relay) as gateway:
        def run(shift):
            text = "x" * (shift % 70) + "\n" + ("y" * 60 + "\n.\n..\n") * (150 + shift * 7)
            answer = gateway.send(text=text)
            assert answer.status == 200, answer
            got = email.message_from_bytes(message_of(relay, answer).body, policy=email.policy.SMTP)
            return got.get_content().replace("\r\n", "\n") == text
        assert all(together(run, range(64)))
        assert len(relay.ledger) == 64


@pytest.mark.parametrize("address", [
    "a b@example.org", "a@b@example.org", "@example.org", "a@", "a", "a@example..org",
    "a@.example.org", "a@example.org.", "a@-example.org", "a..b@example.org", ".a@example.org",
    "a.@example.org", "a@[127.0.0.1", "<a@example.org", "a@example.org>", "a@exam ple.org",
    "a,b@example.org", "a;b@example.org", "(c)a@example.org", "@relay.test:a@example.org", "a@exa_mple.org\u0000", "a" * 65 + "@example.org",
    "a@" + "b" * 64 + ".org", "a@" + "b." * 130 + "org", "", " ", "<>", "mailto:a@example.org"])
def test_addresses_that_are_none_are_refused(place, address):
    """S-15: one parser, one result."""
    relay, gateway = place
    before = len(relay.ledger)
    for fields in ({"to": [address]}, {"from": address}, {"envelope": {"to": [address]}},
                   {"to": {"address": address}}):
        answer = gateway.send(fields)
        assert (answer.status, answer["code"]) == (422, "invalid_request"), (fields, answer)
    assert len(relay.ledger) == before


@pytest.mark.parametrize("address", ["a@example.org,b@example.org", "group:a@example.org;", "group:;",
                                     "group:b@example.org,group:a@example.org;"])
def test_lists_and_groups_are_none_where_one_address_is_wanted(place, address):
    relay, gateway = place
    before = len(relay.ledger)
    for fields in ({"from": address}, {"envelope": {"to": [address]}}, {"envelope": {"from": address}},
                   {"to": {"address": address}}, {"to": {"name": "x", "group": [{"address": address}]}}):
        answer = gateway.send(fields)
        assert (answer.status, answer["code"]) == (422, "invalid_request"), (fields, answer)
    assert len(relay.ledger) == before


# What some parser of lists has read in two ways (CVE-2025-13033 and its kin).
@pytest.mark.parametrize("text", [
    '"x@example.com, y" <ann@example.org', '"x@example.com" ann@example.org, bo@example.org',
    "ann@example.org, x@example.com <bo@example.org>", "ann@example.org, <x@example.com>bo@example.org",
    "ann@example.org, bo@example.org)x@example.com", "ann@example.org;x@example.com,bo@example.org",
    "g:h:ann@example.org;;", "g:ann@example.org;bo@example.org", "ann@example.org, (bo@example.org",
    "ann@example.org, Blow, Jo <bo@example.org>", ",", ";", "ann@example.org, @x:bo@example.org"])
def test_a_list_is_taken_as_a_whole_or_not_at_all(place, text):
    relay, gateway = place
    before = len(relay.ledger)
    for fields in ({"to": text}, {"cc": [text]}, {"bcc": text}, {"reply_to": text},
                   {"to": {"name": "x", "group": [text]}}):
        answer = gateway.send(fields)
        assert (answer.status, answer["code"]) == (422, "invalid_request"), (fields, answer)
    assert len(relay.ledger) == before


def test_what_is_allowed_is_what_goes_on_the_wire(place):
    """S-15: quoting is made canonical, the domain is not touched but for case and A-labels."""
    relay, gateway = place
    for given, wire in (("Ann@Example.ORG", "Ann@Example.ORG"), ("a+b=c@example.org", "a+b=c@example.org"),
                        ("Ann <ann@example.org>", "ann@example.org"),
                        ('"a b"@example.org', '"a b"@example.org'),
                        ("o'neil/x@example.org", "o'neil/x@example.org")):
        answer = gateway.send(to=given)
        if answer.status == 422 and given.startswith('"'):
            continue  # quoted local parts are a matter of policy
        assert answer.status == 200, answer
        (got,) = message_of(relay, answer).recipients
        assert got.lower() == wire.lower()
