"""What a received message says, read by two parsers that are not ours: Python's and mailparser's.

Both give the same dictionary: subject, from/to/cc/bcc/reply_to as [name, address], message_id, text,
html, and attachments with name, type, content id, disposition and digest.
"""

import base64
import email
import email.policy
import hashlib
import json
import os
import shutil
import subprocess

from sandbox import BEDS

NODE = os.path.join(BEDS, "node")


def has_mailparser():
    return bool(shutil.which("node")) and os.path.isdir(os.path.join(NODE, "node_modules/mailparser"))


def by_mailparser(messages):
    done = subprocess.run(["node", os.path.join(os.path.dirname(__file__), "mailparser.js"), NODE],
                          input=json.dumps([base64.b64encode(one).decode() for one in messages]),
                          capture_output=True, timeout=120, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _addresses(mail, name):
    field = mail[name]
    return [[one.display_name, one.addr_spec] for one in field.addresses] if field else []


def _lines(text):
    return text.replace("\r\n", "\n")


def by_python(message):
    mail = email.message_from_bytes(message, policy=email.policy.SMTP)
    found = {"subject": mail["Subject"], "message_id": mail["Message-ID"],
             "text": None, "html": False, "attachments": []}
    for name in ("from", "to", "cc", "bcc", "reply_to"):
        found[name] = _addresses(mail, name.replace("_", "-"))
    for part in mail.walk():
        assert not part.defects, (part.defects, message[:3000])
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        plain = part.get_filename() is None and part["Content-ID"] is None
        if plain and kind == "text/plain":
            found["text"] = _lines(part.get_content())
        elif plain and kind == "text/html":
            found["html"] = _lines(part.get_content())
        else:
            found["attachments"].append({
                "filename": part.get_filename(), "content_type": kind,
                "content_id": part["Content-ID"], "disposition": part.get_content_disposition(),
                "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest()})
    return found


def by_all(messages):
    """What each parser at hand reads in each message."""
    found = {"python": [by_python(one) for one in messages]}
    if has_mailparser():
        found["mailparser"] = by_mailparser(messages)
    return found


def split(message):
    """Header lines (unfolded, as bytes) and the body."""
    head, _, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    return head.replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n"), body
