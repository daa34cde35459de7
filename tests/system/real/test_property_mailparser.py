"""The messages of tests/system/test_property.py, read by mailparser too: the other parser that is not
ours, and of another family. In one process of Node.js."""

import os
import re

import letters
import pytest
import reading
from gateway import SLOW, Gateway

SEED = os.environ.get("LETTERGATE_SEED", "2026")
COUNT = int(os.environ.get("LETTERGATE_LETTERS_MAILPARSER", "4000" if SLOW == 1 else "1000"))


OCTETS = "application/octet-stream"


def reads_alike(got, sent):
    """mailparser takes blanks off the ends, and makes one of each run of them in names."""
    return re.sub(r"\s+", " ", got).strip() == re.sub(r"\s+", " ", sent).strip()


def boxes(found):
    return [[re.sub(r"\s+", " ", name).strip(), boxes(inside) if isinstance(inside, list) else
             inside.replace("xn--bcher-kva", "b\u00fccher")] for name, inside in found]


def joins_texts(fields):
    """It takes a file of text, or a message, that is to be shown inline for more of the text."""
    return any(one.get("disposition") == "inline" and re.match("(?i)text/|message/", one.get("content_type", ""))
               for one in fields.get("attachments", []))


def files(found, sent):
    """It guesses at the type of what is an octet-stream, by the file's name."""
    return [{**one, "filename": (one.get("filename") or "").strip() or None,
             "content_type": other["content_type"] if other["content_type"] == OCTETS
             else one["content_type"].lower()} for one, other in zip(found, sent)] + found[len(sent):]


def faults(got, fields):
    sent = letters.wanted(fields)
    alternatives = [one for one in got["attachments"] if one["content_type"] == "text/calendar"]
    attached = [{name: value for name, value in one.items() if name != "text"}
                for one in got["attachments"]
                if one["content_type"] not in ("text/calendar", "application/ics")]
    pairs = {"subject": (got.get("subject") or "", sent["subject"]),
             "in_reply_to": ([got["in_reply_to"]] if got.get("in_reply_to") else [], sent["in_reply_to"]),
             "references": (got["references"], sent["references"]),
             "headers": (sorted(got["headers"]), sorted(
                 name.lower() for name, values in sent["headers"].items() for _one in values
                 if name.startswith(("X-", "List-")))),
             "calendar": ([letters.lines(one["text"]).rstrip("\n") for one in alternatives],
                          [sent["calendar"].rstrip("\n")] if "calendar" in sent else [])}
    for name in ("from", "to", "cc", "reply_to"):
        pairs[name] = boxes(got[name]), boxes(sent[name])
    if "message_id" in sent:
        pairs["message_id"] = got["message_id"], sent["message_id"]
    if "date" in sent:
        pairs["date"] = got["date"].replace(".000Z", "Z"), sent["date"]
    if not joins_texts(fields):
        pairs["attachments"] = (files(attached, sent["attachments"]),
                                files(sent["attachments"], sent["attachments"]))
        pairs["html"] = (got["html"] or "").rstrip("\n"), (sent["html"] or "").rstrip("\n")
        if "text" in sent:
            pairs["text"] = (got.get("text") or "").rstrip("\n"), sent["text"].rstrip("\n")
    for name, (one, other) in pairs.items():
        if one != other and not (name == "subject" and reads_alike(one, other)):
            yield "%s\n  sent %r\n  read %r" % (name, other, one)


def test_mailparser_reads_every_field_as_it_was_sent():
    if not reading.has_mailparser():
        pytest.skip("mailparser is not installed (npm): messages are read by Python alone")
    sent = [letters.letter(SEED, number) for number in range(COUNT)]
    with Gateway(SMTP_HOST="127.0.0.1", SMTP_PORT="9", SMTP_SECURE="NONE") as gateway:
        renderer = letters.Renderer(gateway.port, 60 * SLOW)
        answers = [renderer.render(fields) for fields in sent]
    assert {status for status, _message in answers} == {200}
    found = reading.by_mailparser([message for _status, message in answers])
    wrong = [(number, fault) for number, (got, fields) in enumerate(zip(found, sent, strict=True))
             for fault in faults(got, fields)]
    assert not wrong, "LETTERGATE_SEED=%s: %d, the first: %s" % (
        SEED, len(wrong), "\n".join("number %d: %s" % one for one in wrong[:8]))
