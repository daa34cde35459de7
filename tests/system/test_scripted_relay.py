"""The scripted relay itself, against Python's own SMTP client: what it says must be believed."""

import email.message
import json
import os
import smtplib
import socket
import ssl
import subprocess
import sys

import pytest

from gateway import ROOT, wait_for
from relay import Relay


def message(text="Hello\n.\n..dots\n"):
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@example.com", "b@example.org", "Hi"
    made["Message-ID"] = "<1@example.com>"
    made.set_content(text)
    return made


def test_takes_a_message_and_unstuffs_it():
    with Relay() as relay, smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.send_message(message())
        taken = relay.ledger[0]
        assert (taken.mail, taken.recipients) == ("a@example.com", ["b@example.org"])
        assert taken.body.endswith(b"\r\nHello\r\n.\r\n..dots\r\n")
        assert taken.wire_body.endswith(b"\r\n..\r\n...dots\r\n.\r\n")
        assert taken.message_id == "<1@example.com>"
        assert taken.mail_parameters["SIZE"].isdigit()


def test_scripted_refusals_by_number_address_and_transaction():
    script = {"rcpt:2": "550 5.1.1 second", "rcpt:c@example.org": "450 4.2.0 c",
              "2/rcpt": "551 5.1.6 all of the second"}
    with Relay(script) as relay, smtplib.SMTP("127.0.0.1", relay.port) as client:
        refused = client.sendmail("a@example.com", [n + "@example.org" for n in "abc"], "x\r\n")
        assert {who: answer[0] for who, answer in refused.items()} == {
            "b@example.org": 550, "c@example.org": 450}
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("a@example.com", ["a@example.org"], "x\r\n")
        assert [taken.recipients for taken in relay.ledger] == [["a@example.org"]]
        assert relay.ledger[0].refused == ["b@example.org", "c@example.org"]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_and_passwords(authority, certificate, tls):
    trust = ssl.create_default_context(cafile=authority.file)
    with Relay(tls=tls, context=certificate.context(), users={"me": "secret"},
               mechanisms=["CRAM-MD5", "PLAIN", "LOGIN"], require_auth=True) as relay:
        if tls == "implicit":
            client = smtplib.SMTP_SSL("localhost", relay.port, context=trust)
        else:
            client = smtplib.SMTP("localhost", relay.port)
            client.starttls(context=trust)
        with client:
            client.ehlo()
            client.user, client.password = "me", "wrong"
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth("PLAIN", client.auth_plain)
            client.password = "secret"
            client.auth("CRAM-MD5", client.auth_cram_md5)
            client.send_message(message())
        assert relay.auth_attempts == [("PLAIN", None), ("CRAM-MD5", "me")]
        assert relay.ledger[0].user == "me" and relay.ledger[0].tls.startswith("TLSv1")
        assert relay.connections[0].server_name == "localhost"
        assert relay.wait(lambda: relay.connections[0].ended == "quit")


def talk(relay, *pieces):
    with socket.create_connection(("127.0.0.1", relay.port), 5) as sock:
        found = b""
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            found += data
        return found


def test_one_write_is_one_round_trip():
    wire = (b"EHLO x\r\n", b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n"
            b"BDAT 6 LAST\r\nx\r\ny\r\n")
    with Relay(hold=0.05) as relay:
        found = talk(relay, *wire)
        assert found.count(b"\r\n250 ") == 4  # EHLO MAIL RCPT BDAT
        assert relay.ledger[0].body == b"x\r\ny\r\n" and relay.ledger[0].chunked


@pytest.mark.parametrize("keywords,most", [((), 4), (("PIPELINING",), 4)])
def test_a_client_that_waits_is_counted_as_waiting(keywords, most):
    with Relay(keywords=keywords, hold=0.02) as relay, \
            smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.sendmail("a@example.com", ["b@example.org"], "x\r\n")
        assert relay.ledger[0].round_trips == most


def test_ends_as_told():
    for then, error in (("close", smtplib.SMTPServerDisconnected), ("reset", ConnectionError)):
        with Relay({"mail": {"reply": "", "then": then}}) as relay:
            client = smtplib.SMTP("127.0.0.1", relay.port)
            with pytest.raises((error, smtplib.SMTPServerDisconnected)):
                client.sendmail("a@example.com", ["b@example.org"], "x\r\n")
            client.close()
            assert relay.ledger == []


def test_pieces_surplus_and_dribble():
    with Relay({"greeting": {"reply": "220 hello", "split": 1},
                "noop": {"reply": "250 ok", "extra": "250 surplus\r\n", "dribble": 0.001}}) as relay:
        found = talk(relay, b"NOOP\r\n", b"QUIT\r\n")
        assert found == b"220 hello\r\n250 ok\r\n250 surplus\r\n221 2.0.0 bye\r\n"


def test_the_command_line(tmp_path):
    ledger = tmp_path / "ledger"
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "tests/relay/relay.py"), "--port", "0", "--ledger",
         str(ledger), "--script", '{"rcpt:no@example.org": "550 5.1.1 no"}'],
        stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().split()[-1])
        with smtplib.SMTP("127.0.0.1", port) as client:
            assert list(client.sendmail("a@example.com", ["no@example.org", "b@example.org"],
                                        "x\r\n")) == ["no@example.org"]
        assert wait_for(ledger.exists)
        assert json.loads(ledger.read_text())["to"] == ["b@example.org"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
