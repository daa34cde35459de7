"""The real binary signs by its settings: what reaches the relay is good for dkimpy, with the record
that `lettergate check` prints.

What a signature looks like, and that other verifiers find it good, is test_dkim_verify.py's.
"""

import base64
import json
import os
import re
import signal
import subprocess
import threading

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway import ROOT, Gateway, b64, both, command, mail, together, wait_for
from relay import Relay
from test_dkim_verify import dkimpy, ed25519_key, rsa_key

IDN = "xn--bcher-kva.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def rsa(folder):
    return rsa_key(folder, "rsa", 2048)


@pytest.fixture(scope="module")
def ed(folder):
    return ed25519_key(folder, "ed")


@pytest.fixture(scope="module")
def weak(folder):
    return rsa_key(folder, "weak", 1024)


def pem(*keys):
    return "".join(open(key.path, encoding="ascii").read() for key in keys)


def signs(*keys, **settings):
    """Settings by which these keys, of one domain, sign."""
    return {"DKIM_DOMAIN": keys[0].domain, "DKIM_SELECTOR": ",".join(key.selector for key in keys),
            "DKIM_KEY": keys[0].path if len(keys) == 1 else pem(*keys), **settings}


def in_list(*keys):
    return {"dkim": [{"domain": key.domain, "selector": key.selector, "key_file": key.path}
                     for key in keys]}


def signatures(message):
    """The fields on top: [{tag: value}]."""
    found = []
    while message.startswith(b"DKIM-Signature:"):
        field = re.match(rb"DKIM-Signature:((?:.*\r\n)(?:[ \t].*\r\n)*)", message)
        tags = (tag.partition("=") for tag in re.sub(r"\s+", "", field[1].decode()).split(";"))
        found.append({name: value for name, _, value in tags})
        message = message[field.end():]
    assert b"dkim-signature" not in message.lower()
    return found


def good(message, *keys):
    """Signed by these keys, in their order, and by no other."""
    found = [(tags["d"], tags["s"]) for tags in signatures(message)]
    return found == [(key.domain, key.selector) for key in keys] and \
        all(dkimpy(keys, message, index) for index in range(len(keys)))


def sent(gateway, relay, **fields):
    count = len(relay.ledger)
    answer = gateway.send(**fields)
    assert (answer.status, len(relay.ledger)) == (200, count + 1), answer
    return relay.ledger[-1].body


def reload(gateway, event="reload"):
    count = len(gateway.log(event))
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: len(gateway.log(event)) > count), gateway.output
    return gateway.log(event)[-1]


# ---- signed

MESSAGES = {
    "small": {},
    "dots": {"text": ".\n..\n. \n\n.a\n" * 50, "subject": "Grüße " * 40},
    "blanks": {"text": "a \t b  \n \n\t\n\n\n", "html": "<p>x</p>  \n\n"},
    "empty": {"text": ""},
    "attachment": {"html": "<p>Grüße</p>", "reply_to": "help@example.com", "cc": "c@example.org",
                   "headers": {"X-Order": "42", "List-Unsubscribe": "<https://example.com/u>"},
                   "attachments": [{"filename": "ü.bin", "content": b64(bytes(range(256)) * 4000),
                                    "content_type": "application/octet-stream"}]},
}


@pytest.mark.parametrize("kind", ["rsa", "ed", "both", "list"])
def test_what_reaches_the_relay_is_signed(tmp_path, rsa, ed, kind):
    keys = {"rsa": [rsa], "ed": [ed]}.get(kind, [rsa, ed])
    path = tmp_path / "config.json"
    path.write_text(json.dumps(in_list(*keys)))
    listed = kind == "list"
    with Relay() as relay, Gateway(relay, args=("--config", str(path)) if listed else (),
                                   **{} if listed else signs(*keys)) as gateway:
        for name, fields in MESSAGES.items():
            message = sent(gateway, relay, **fields)
            assert good(message, *keys), (name, message)
            assert not good(message.replace(b"Subject:", b"Subject: x", 1), *keys)
            assert not good(message + b"x\r\n", *keys)
            assert relay.ledger[-1].mail_parameters["SIZE"] == str(len(message))
            tags = signatures(message)[0]
            assert tags["c"] == "relaxed/relaxed" and "l" not in tags
            assert tags["h"].lower().split(":").count("from") == 2


def test_keys_are_chosen_by_the_header_from(tmp_path, rsa, folder):
    other = ed25519_key(folder, "other", "mail.example.com")
    third = ed25519_key(folder, "third", IDN)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(in_list(rsa, other, third)))
    with Relay() as relay, Gateway(relay, args=("--config", str(path))) as gateway:
        for sender, keys in [("a@example.com", [rsa]), ("Shop <a@EXAMPLE.Com>", [rsa]),
                             ("a@news.example.com", [rsa]), ("a@mail.example.com", [other]),
                             ("a@de.mail.example.com", [other]), ("a@bücher.example", [third]),
                             ("a@notexample.com", []), ("a@example.org", []), ("a@com", []),
                             ("a@example.com.example.org", [])]:
            message = sent(gateway, relay, **{"from": sender})
            assert good(message, *keys), (sender, message)
        message = sent(gateway, relay, **{"from": "a@example.org",
                                          "envelope": {"from": "bounce@example.com"}})
        assert signatures(message) == [], "the envelope decides nothing"


RAW = "From: Shop <a@example.com>\r\nTo: ann@example.org\r\nMessage-ID: <1@example.com>\r\n" \
      "Date: Thu, 1 Jan 2026 12:00:00 +0000\r\nSubject: Grüße\r\n\r\n..Grüße \t x \r\n\r\n\r\n"


def form(*parts, kind=b"application/octet-stream"):
    """multipart/form-data: (name, file name, content)"""
    body = b"".join(b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
                    % (name, b'; filename="%s"\r\nContent-Type: %s' % (file, kind) if file else b"",
                       content)
                    for name, file, content in parts)
    return body + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def whole(message):
    return message.encode(), {"Content-Type": "message/rfc822"}


def test_whatever_way_it_came_in(rsa, ed):
    fields = [(b"from", b"", b"a@example.com"), (b"to", b"", b"ann@example.org"),
              (b"subject", b"", b"x"), (b"text", b"", b"x")]
    relay = Relay()
    with both(relay, **signs(rsa, ed)) as gateway:
        for body, headers in [
                form(*fields), form(*fields, (b"attachment", b"a.bin", bytes(range(256)) * 20000)),
                form(*fields, (b"attachment", b"a.eml", b"A: b\n\n" + b"line \n\n" * 20000),
                     kind=b"message/rfc822"),
                (json.dumps(mail(to="Grüße: ann@example.org, bo@example.net;", attachments=[
                    {"content": b64("A: b\n\nx" + " \n" * lines), "content_type": "message/rfc822"}
                    for lines in (0, 1, 9000)])).encode(), {}),
                whole(RAW), whole(RAW.replace("\r\n", "\n")), whole(RAW.rstrip()),
                whole(RAW.replace("Date:", "X-Date:").replace("Message-ID:", "X-ID:")),
                whole("Sender: b@example.org\r\n" +
                      RAW.replace("Shop <a@example.com>", "a@example.com, b@example.org")),
                (json.dumps({"raw": b64(RAW)}).encode(), {})]:
            answer = gateway.post("/send", body, headers)
            assert answer.status == 200, answer
            assert good(relay.ledger[-1].body, rsa, ed), relay.ledger[-1].body[:3000]
        answer = gateway.post("/send/batch", [{"raw": b64(RAW)}, mail(), {"raw": b64(RAW)}])
        assert [one["status"] for one in answer["results"]] == [200] * 3
        assert all(good(taken.body, rsa, ed) for taken in relay.ledger[-3:])


def test_the_signature_of_another_stays(rsa):
    """A message may have been signed before; ours comes in front."""
    relay = Relay()
    with both(relay, **signs(rsa)) as gateway:
        before = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=x; b=y\r\n"
        answer = gateway.post("/send", *whole(before + RAW))
        assert answer.status == 200, answer
        message = relay.ledger[-1].body
        assert message.endswith((before + RAW).encode()) and dkimpy([rsa], message, 0)
        assert message.count(b"DKIM-Signature:") == 2


def test_a_rendered_message_is_signed_too(rsa, ed):
    relay = Relay()
    with both(relay, **signs(rsa, ed)) as gateway:
        answer = gateway.send(dry_run="render")
        message = base64.b64decode(answer["raw"])
        assert good(message, rsa, ed) and answer["size"] == len(message)
        assert relay.ledger == []


def test_a_captured_message_is_signed_too(rsa, ed):
    with Gateway(SMTP_HOST="capture", **signs(rsa, ed)) as gateway:
        answer = gateway.send()
        assert good(gateway.get("/messages/%s/raw" % answer["id"]).body, rsa, ed)


def test_what_the_relay_writes_anew_may_stay_unsigned(rsa):
    """Amazon SES puts a Message-ID and a Date of its own in place of ours."""
    def rewritten(message):
        return re.sub(rb"Message-ID:.*\r\n", b"Message-ID: <1@ses.example>\r\n", message)

    relay = Relay()
    with both(relay, **signs(rsa, DKIM_UNSIGN="Date, message-id")) as gateway:
        message = sent(gateway, relay)
        assert good(message, rsa) and good(rewritten(message), rsa)
        assert not {"date", "message-id"} & set(signatures(message)[0]["h"].lower().split(":"))
    relay = Relay()
    with both(relay, **signs(rsa)) as gateway:
        message = sent(gateway, relay)
        assert good(message, rsa) and not good(rewritten(message), rsa)


# ---- reload

def test_a_reload_swaps_the_key(tmp_path, rsa, ed):
    path, relay = tmp_path / "key.pem", Relay()
    path.write_text(pem(rsa))
    with both(relay, **signs(rsa, DKIM_KEY=path)) as gateway:
        assert good(sent(gateway, relay), rsa)
        path.write_text(pem(ed))
        assert good(sent(gateway, relay), rsa), "not before SIGHUP"
        reload(gateway)
        renamed = ed25519_like(ed, "rsa")
        assert good(sent(gateway, relay), renamed)
        for wrong, why in [("", "PEM"), (pem(ed)[:60], "damaged"), (pem(ed, rsa), "DKIM_SELECTOR"),
                           ("-----BEGIN PUBLIC KEY-----\n", "private")]:
            path.write_text(wrong)
            line = reload(gateway, "reload_failed")
            assert "DKIM_" in line["why"] and why in line["why"], line
            assert good(sent(gateway, relay), renamed), "the old key stays"
        path.unlink()
        assert str(path) in reload(gateway, "reload_failed")["why"]
        assert good(sent(gateway, relay), renamed)


def ed25519_like(key, selector):
    """The same key under another name."""
    copy = object.__new__(type(key))
    copy.__dict__.update(key.__dict__, selector=selector)
    return copy


def test_signing_begins_and_ends_with_a_reload(tmp_path, rsa, ed):
    path = tmp_path / "config.json"
    path.write_text("{}")
    with Relay() as relay, Gateway(relay, args=("--config", str(path))) as gateway:
        for keys in [[], [rsa, ed], [ed], []]:
            path.write_text(json.dumps(in_list(*keys)))
            reload(gateway)
            assert good(sent(gateway, relay), *keys)


def test_reloads_while_messages_are_signed(tmp_path, rsa, ed):
    """Each goes out signed by the keys of before or of after, whole; none of them is freed."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(in_list(rsa)))
    done = threading.Event()
    big = b64(b"x" * 2000000)
    with Relay() as relay, Gateway(relay, args=("--config", str(path))) as gateway:
        def go(number):
            if number:
                return gateway.send(text="%d" % number, attachments=[
                    {"filename": "a", "content": big}] if number % 8 == 1 else None)
            for keys in [[rsa, ed], [ed], [rsa]] * 8:
                path.write_text(json.dumps(in_list(*keys)))
                reload(gateway)
            done.set()
            return None

        answers = [answer for answer in together(go, range(161)) if answer]
        assert done.is_set() and [a.status for a in answers] == [200] * 160
        ways = [[rsa], [rsa, ed], [ed]]
        found = [[good(taken.body, *keys) for keys in ways] for taken in relay.ledger]
        assert len(found) == 160 and all(any(way) for way in found)
        assert all(any(way[i] for way in found) for i in range(3)), "each was in force for some"


# ---- at the start

def refused(wrong):
    done = command("serve", settings={"SMTP_HOST": "127.0.0.1", "API_KEY": "x" * 20, **wrong})
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done
    return done.stderr


@pytest.mark.parametrize("name, wrong, says", [
    ("DKIM_KEY", {"DKIM_KEY": "/does/not/exist"}, "No such file"),
    ("DKIM_KEY", {"DKIM_KEY": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"},
     "damaged"),
    ("DKIM_KEY", {"DKIM_KEY": None}, "is missing"),
    ("DKIM_KEY_FILE", {"DKIM_KEY": None, "DKIM_KEY_FILE": "/does/not/exist"}, "No such file"),
    ("DKIM_SELECTOR", {"DKIM_SELECTOR": "a b"}, "letters, digits"),
    ("DKIM_SELECTOR", {"DKIM_SELECTOR": None}, "is missing"),
    ("DKIM_SELECTOR", {"DKIM_SELECTOR": "rsa,ed"}, "each key"),
    ("DKIM_DOMAIN", {"DKIM_DOMAIN": "shop@example.com"}, "domain name"),
    ("DKIM_DOMAIN", {"DKIM_DOMAIN": "bücher.example"}, "xn--"),
    ("DKIM_DOMAIN", {"DKIM_DOMAIN": None}, "is missing"),
    ("DKIM_UNSIGN", {"DKIM_UNSIGN": "From"}, "always signed"),
])
def test_what_is_wrong_is_said_at_the_start(rsa, name, wrong, says):
    line = refused(signs(rsa, **wrong))
    assert line.startswith("lettergate: %s: " % name) and says in line, line
    assert pem(rsa).split("\n")[1] not in line


def test_keys_that_nobody_would_take_are_refused(tmp_path):
    def written(private, encryption):
        path = tmp_path / "wrong.pem"
        path.write_bytes(private.private_bytes(serialization.Encoding.PEM,
                                               serialization.PrivateFormat.PKCS8, encryption))
        return refused({"DKIM_DOMAIN": "example.com", "DKIM_SELECTOR": "s", "DKIM_KEY": path})

    assert "RSA and Ed25519" in written(ec.generate_private_key(ec.SECP256R1()),
                                        serialization.NoEncryption())
    assert "without a passphrase" in written(ed25519.Ed25519PrivateKey.generate(),
                                             serialization.BestAvailableEncryption(b"sesame"))


# ---- the page

def test_the_keys_that_the_page_makes_sign(tmp_path):
    with open(os.path.join(ROOT, "docs", "dkim.md"), encoding="utf-8") as page:
        blocks = re.findall(r"^ *```sh\n(.*?)```", page.read(), re.MULTILINE | re.DOTALL)
    made = [block for block in blocks if "openssl" in block]
    assert len(made) == 2
    subprocess.run(["sh", "-e", "-c", "".join(made)], cwd=tmp_path, check=True, capture_output=True)
    for name, selectors in [("dkim", "mail2026"), ("both", "rsa,ed")]:
        path = tmp_path / (name + ".pem")
        assert path.stat().st_mode & 0o777 == 0o600
        settings = {"SMTP_HOST": "capture", "DKIM_DOMAIN": "example.com", "DKIM_KEY": path,
                    "DKIM_SELECTOR": selectors}
        printed = command("check", settings=settings).stdout
        records = dict(re.findall(r"at (\S+):\n +(v=DKIM1.*)\n", printed))
        with Gateway(**settings) as gateway:
            message = gateway.get("/messages/%s/raw" % gateway.send()["id"]).body
        for index, selector in enumerate(selectors.split(",")):
            record = records["%s._domainkey.example.com" % selector].encode()
            assert dkim.DKIM(message).verify(idx=index, dnsfunc=lambda name, timeout=5: record)


# ---- what is shown

def test_the_settings_do_not_show_the_key(rsa, ed):
    for settings in [signs(rsa), signs(rsa, ed)]:
        shown = command("settings", settings=settings).stdout
        assert re.search(r"^DKIM_DOMAIN +example\.com ", shown, re.MULTILINE)
        assert re.search(r"^DKIM_KEY +\*\*\* ", shown, re.MULTILINE)
        assert "BEGIN" not in shown and rsa.path not in shown
        assert pem(rsa).split("\n")[1][:30] not in shown


def test_check_prints_the_records_that_dns_must_hold(rsa, ed, weak):
    with Relay() as relay:
        settings = {"SMTP_HOST": relay.host, "SMTP_PORT": relay.port, "SMTP_SECURE": "NONE"}
        done = command("check", settings={**settings, **signs(rsa, ed)})
        assert done.returncode == 0 and re.search("^DKIM +ok ", done.stdout, re.MULTILINE)
        for key in [rsa, ed]:
            assert "%s._domainkey.example.com:\n" % key.selector in done.stdout
            assert " %s\n" % key.record.decode() in done.stdout
        assert "PRIVATE" not in done.stdout
        done = command("check", settings={**settings, **signs(weak, DKIM_UNSIGN="Date")})
        assert done.returncode == 0 and re.search("^DKIM +warning ", done.stdout, re.MULTILINE)
        assert "2048" in done.stdout and "unsigned Date" in done.stdout
        assert "DKIM" not in command("check", settings=settings).stdout
    done = command("check", settings={"SMTP_HOST": "capture", **signs(ed)})
    assert ed.record.decode() in done.stdout
