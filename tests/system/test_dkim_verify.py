"""What smtp/dkim signs is good for verifiers that are not ours: dkimpy and libopendkim.

tests/smtp/dkim_sign_main.c signs; the keys' records are given to the verifiers instead of DNS.
"""

import base64
import ctypes
import os
import random
import re
import subprocess
import time

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from gateway import BINARY, SLOW

PROGRAM = os.path.join(os.path.dirname(BINARY), "..", "tests", "dkim_sign")
DOMAIN = "example.com"
COUNT, FEW = 600, 60


class Key:
    def __init__(self, folder, selector, private, record, domain=DOMAIN):
        self.domain, self.selector = domain, selector
        self.path = os.path.join(folder, selector + ".pem")
        with open(self.path, "wb") as file:
            file.write(private.private_bytes(serialization.Encoding.PEM,
                                             serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))
        self.record = record.encode()


def rsa_key(folder, selector, bits, domain=DOMAIN):
    private = rsa.generate_private_key(65537, bits)
    spki = private.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(folder, selector, private,
               "v=DKIM1; k=rsa; p=" + base64.b64encode(spki).decode(), domain)


def ed25519_key(folder, selector, domain=DOMAIN):
    private = ed25519.Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(serialization.Encoding.Raw,
                                            serialization.PublicFormat.Raw)
    return Key(folder, selector, private,
               "v=DKIM1; k=ed25519; p=" + base64.b64encode(raw).decode(), domain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def keys(folder):
    """The third signs for another domain, so not at all."""
    return [rsa_key(folder, "rsa2048", 2048), ed25519_key(folder, "ed.two"),
            ed25519_key(folder, "other", "example.org")]


@pytest.fixture(scope="module")
def sizes(folder):
    """The least and the most that RFC 8301 allows."""
    return [rsa_key(folder, "rsa1024", 1024), rsa_key(folder, "rsa4096", 4096)]


def sign(keys, messages, sender=DOMAIN):
    """What the relay would get, one for each of [(bytes, where to cut)]."""
    names = [word for key in keys for word in (key.domain, key.selector, key.path)]
    given = b"".join(b"%s %d %d\n%s" % (sender.encode(), cut, len(message), message)
                     for message, cut in messages)
    ran = subprocess.run([PROGRAM, str(int(time.time())), *names], input=given,
                         capture_output=True, timeout=120 * SLOW, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    out, signed = ran.stdout, []
    while out:
        size, out = out.split(b"\n", 1)
        signed.append(out[:int(size)])
        out = out[int(size):]
    assert len(signed) == len(messages)
    return signed


# ---- messages

WORDS = ["a", "word", "Grüße", "日本語", ".", "..", ":", ";", "=", "b=", "bh=x", "<x@example.com>",
         "\xa0", "emoji 🎉", "x" * 90, "\\", '"q"', "(c)", "\udcff", "\udc80",
         "=?utf-8?q?=C3=BC?=", "--", "From", "0"]
BLANKS = [" ", " ", " ", "  ", "\t", " \t ", "\r\n ", "\r\n\t", " \r\n  ", "\t\r\n\t\t"]
NAMES = ["To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "Sender", "References",
         "In-Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Id",
         "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "X-Odd", "Received",
         "DKIM-Signature-Not", "Auto-Submitted", "Resent-To", "Content-ID", "T", "X-" + "y" * 70]


def value(rng):
    out = rng.choice(["", " ", " ", "\t", "\r\n ", "  "])
    for _ in range(rng.randrange(0, 9)):
        out += rng.choice(WORDS) + rng.choice(BLANKS)
    return out + rng.choice(["", "", "z", " ", "\t"])


def head(rng):
    names = [rng.choice(NAMES) for _ in range(rng.randrange(0, 14))]
    names += rng.choices(names, k=rng.randrange(0, 4)) if names else []  # duplicates
    names.insert(rng.randrange(0, len(names) + 1), "From")
    lines = []
    for name in names:
        name = rng.choice([name, name, name.lower(), name.upper(), name.swapcase()])
        text = " Joe <joe@example.com>" if name.lower() == "from" else value(rng)
        lines.append(name + ":" + text + "\r\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def body(rng):
    lines = []
    for _ in range(rng.randrange(0, 12)):
        line = "".join(rng.choice(WORDS + [".", ""]) + rng.choice(["", " ", "  ", "\t", " \t"])
                       for _ in range(rng.randrange(0, 8)))
        lines.append(rng.choice(["", "", " ", ".", "\t "]) + line)
    if not rng.randrange(20):
        lines = [line * 200 for line in lines]
    lines += rng.choice([[], [], [""], ["", "", ""], [" ", "\t", ""]])
    end = "" if lines and not rng.randrange(6) else "\r\n"
    return ("\r\n".join(lines) + end if lines else "").encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def messages():
    out = []
    for seed in range(COUNT):
        rng = random.Random(seed)
        top, rest = head(rng), body(rng)
        out.append((top + b"\r\n" + rest, rng.randrange(0, len(top) + len(rest) + 3)))
    return out


@pytest.fixture(scope="module")
def signed(keys, messages):
    return sign(keys, messages)


def signatures(message, before):
    """The fields that were put in front."""
    assert message.endswith(before)
    front = message[:len(message) - len(before)]
    assert front.startswith(b"DKIM-Signature: ") and front.endswith(b"\r\n")
    return ["DKIM-Signature: " + part for part in front.decode().split("DKIM-Signature: ")[1:]]


CHANGES = [b"From: evil@example.net\r\n", b"subject: evil\r\n", b"TO: evil@example.net\r\n",
           b"Content-Type: text/html\r\n", b"Reply-To: evil@example.net\r\n"]


def changed(message, before):
    """What no signature may hold for: fields put on top, a line behind the body, a field less."""
    front = message[:len(message) - len(before)]
    nameless = re.sub(rb"(?im)^From:", b"X-From:", before, count=1)
    assert nameless != before
    return ([front + field + before for field in CHANGES] +
            [ended(message) + b"evil\r\n", front + nameless])


def ended(message):
    """As the end of DATA leaves it."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


# ---- dkimpy

def dkimpy(keys, message, index):
    records = {b"%s._domainkey.%s." % (key.selector.encode(), key.domain.encode()): key.record
               for key in keys}
    try:
        return dkim.DKIM(ended(message)).verify(
            idx=index, dnsfunc=lambda name, timeout=5: records.get(name))
    except dkim.DKIMException:
        return False


def test_every_signature_has_its_form(messages, signed):
    for (before, _), message in zip(messages, signed):
        fields = signatures(message, before)
        assert [re.search(r" s=([^;]*);", field)[1] for field in fields] == ["rsa2048", "ed.two"]
        for field in fields:
            assert max(len(line) for line in field.split("\r\n")) <= 76
            tags = re.findall(r"(?:^DKIM-Signature: |;\s+)([a-z]+)=", field)
            assert tags == ["v", "a", "c", "d", "s", "t", "h", "bh", "b"]


@pytest.mark.parametrize("index", [0, 1])
def test_dkimpy_finds_them_good(keys, signed, index):
    assert [i for i, message in enumerate(signed) if not dkimpy(keys, message, index)] == []


@pytest.mark.parametrize("index", [0, 1])
def test_dkimpy_and_keys_of_other_sizes(sizes, messages, index):
    some = sign(sizes, messages[:FEW])
    assert [i for i, message in enumerate(some) if not dkimpy(sizes, message, index)] == []


def test_dkimpy_finds_what_was_changed(keys, messages, signed):
    for (before, _), message in list(zip(messages, signed))[:FEW]:
        assert dkimpy(keys, b"X-Spam: no\r\n" + message, 0)
        for other in changed(message, before):
            assert not dkimpy(keys, other, 0), other


# ---- libopendkim

class OpenDkim:
    """Just enough of libopendkim's API (dkim.h of 2.11)."""
    OK, CONTINUE, FOUND_NOT, SYNTAX = 0, 0, 3, 5
    PROCESSED_AND_PASSED = 0x02 | 0x04
    LOOKUP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                              ctypes.c_size_t)

    def __init__(self, keys):
        self.records = {key.selector.encode(): key.record for key in keys}
        self.lib = ctypes.CDLL("libopendkim.so.11")
        for name in ("dkim_init", "dkim_verify"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        for name in ("dkim_sig_getselector", "dkim_getresultstr"):
            getattr(self.lib, name).restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p(self.lib.dkim_init(None, None))
        assert self.handle
        self.lookup = self.LOOKUP(self.look_up)
        assert self.lib.dkim_set_key_lookup(self.handle, self.lookup) == self.OK

    def look_up(self, _dkim, siginfo, room, room_len):
        record = self.records.get(self.lib.dkim_sig_getselector(ctypes.c_void_p(siginfo)))
        if record is None or len(record) >= room_len:
            return self.FOUND_NOT
        ctypes.memmove(room, record + b"\0", len(record) + 1)
        return self.CONTINUE

    def verify(self, message):
        """Of every signature: is it good? None at all: the message is not what it accepts."""
        message, status = ended(message), ctypes.c_int(0)
        handle = ctypes.c_void_p(self.lib.dkim_verify(self.handle, b"test", None,
                                                      ctypes.byref(status)))
        assert handle
        try:
            for begin in range(0, len(message), 1000):
                piece = message[begin:begin + 1000]
                status = self.lib.dkim_chunk(handle, piece, ctypes.c_size_t(len(piece)))
                if status == self.SYNTAX:
                    return {}
                assert status == self.OK, self.lib.dkim_getresultstr(status)
            assert self.lib.dkim_chunk(handle, b"", ctypes.c_size_t(0)) == self.OK
            self.lib.dkim_eom(handle, None)  # of the first good one; results() looks at each
            return self.results(handle)
        finally:
            self.lib.dkim_free(handle)

    def results(self, handle):
        found, count, out = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int(0), {}
        assert self.lib.dkim_getsiglist(handle, ctypes.byref(found), ctypes.byref(count)) == self.OK
        for sig in (ctypes.c_void_p(found[i]) for i in range(count.value)):
            self.lib.dkim_sig_process(handle, sig)
            selector = self.lib.dkim_sig_getselector(sig).decode()
            out[selector] = (self.lib.dkim_sig_geterror(sig) == 0 and
                             self.lib.dkim_sig_getflags(sig) & self.PROCESSED_AND_PASSED ==
                             self.PROCESSED_AND_PASSED)
        return out


@pytest.fixture(scope="module")
def opendkim(keys, sizes):
    return OpenDkim(keys + sizes)


def test_opendkim_finds_them_good(opendkim, signed):
    good = {"rsa2048": True, "ed.two": True}
    assert [i for i, message in enumerate(signed) if opendkim.verify(message) != good] == []


def test_opendkim_and_keys_of_other_sizes(opendkim, sizes, messages):
    good = {"rsa1024": True, "rsa4096": True}
    some = sign(sizes, messages[:FEW])
    assert [i for i, message in enumerate(some) if opendkim.verify(message) != good] == []


def test_opendkim_finds_what_was_changed(opendkim, messages, signed):
    for (before, _), message in list(zip(messages, signed))[:FEW]:
        assert all(opendkim.verify(b"X-Spam: no\r\n" + message).values())
        for other in changed(message, before):
            assert not any(opendkim.verify(other).values()), other
