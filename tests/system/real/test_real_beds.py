"""The beds themselves, with Python's own SMTP client: a bed that is wrong must not look like a bug
of the gateway."""

import base64
import smtplib
import ssl
import uuid

import beds
import pytest
import reading

pytestmark = pytest.mark.needs_no_binary

ALL = [(name, mode) for name, kind in beds.BEDS.items() for mode in kind.MODES
       if mode not in ("wrong_name", "expired", "self_signed")]


@pytest.fixture(params=ALL, ids="-".join)
def listener(request, bed_of):
    bed = bed_of(request.param[0])
    reason = bed.broken(request.param[1])
    if reason:
        pytest.skip(reason)
    return bed, request.param[1]


def client_of(bed, mode):
    context = ssl.create_default_context(cafile=bed.authority.file)
    if bed.MODES[mode] == "TLS":
        client = smtplib.SMTP_SSL("127.0.0.1", bed.ports[mode], context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", bed.ports[mode])
    if bed.MODES[mode] == "STARTTLS":
        client.starttls(context=context)
    client.ehlo("client.test")
    return client


def log_in(client, password):
    secret = "\0%s\0%s" % (beds.USER, password)
    return client.docmd("AUTH", "PLAIN " + base64.b64encode(secret.encode()).decode())


def message():
    message_id = "<%s@bed.test>" % uuid.uuid4()
    return message_id, ("From: shop@example.com\r\nTo: ann@example.org\r\nMessage-ID: %s\r\n"
                        "Subject: bed\r\n\r\none\r\n.two\r\n.\r\nthree\r\n" % message_id)


def test_a_message_is_read_back(listener):
    bed, mode = listener
    message_id, text = message()
    with client_of(bed, mode) as client:
        if mode in bed.AUTH:
            assert client.mail("shop@example.com")[0] >= 500 or client.rcpt("bo@example.net")[0] >= 500
            client.rset()
            assert log_in(client, "wrong")[0] == 535
            assert log_in(client, beds.PASSWORD)[0] == 235
        assert list(client.sendmail("shop@example.com", ["ann@example.org", "no@example.org"],
                                    text)) == ["no@example.org"]
    assert bed.read("ann@example.org", message_id).get_content().split() == \
        ["one", ".two", ".", "three"]


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_bdat(name, bed_of):
    bed = bed_of(name)
    message_id, text = message()
    with client_of(bed, "plain") as client:
        assert client.has_extn("chunking") and client.has_extn("pipelining")
        assert client.mail("shop@example.com")[0] == 250
        assert client.rcpt("ann@example.org")[0] == 250
        half = len(text) // 2
        for piece, last in ((text[:half], ""), (text[half:], " LAST")):
            client.send("BDAT %d%s\r\n%s" % (len(piece), last, piece))
            assert client.getreply()[0] == 250
    assert bed.read("ann@example.org", message_id)["Subject"] == "bed"


def test_both_parsers_read_a_message():
    if not reading.has_mailparser():
        pytest.skip("mailparser is not installed (npm): messages are read by Python alone")
    message_id, text = message()
    for parser, (found,) in reading.by_all([text.encode()]).items():
        assert (found["message_id"], found["subject"]) == (message_id, "bed"), parser
        assert found["from"] == [["", "shop@example.com"]] and not found["attachments"]


def test_bare_newlines_are_refused(postfix):
    message_id, text = message()
    with client_of(postfix, "strict") as client:
        client.mail("shop@example.com")
        client.rcpt("ann@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(text.partition("one")[0] + "smuggled\n.\r\nmore\r\n.\r\n")
        code, words = client.getreply()
        assert code == 550 and b"bare <LF>" in words
    assert not postfix.copies("ann@example.org", message_id)


def test_silence_is_ended(postfix):
    with client_of(postfix, "brief") as client:
        assert client.getreply()[0] == 421


@pytest.mark.parametrize("mode,words", [("wrong_name", "IP address mismatch|doesn't match"),
                                        ("expired", "expired"),
                                        ("self_signed", "self.signed")])
def test_certificates_that_are_wrong(postfix, mode, words):
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        client_of(postfix, mode)
