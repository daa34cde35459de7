"""Messages made up at random, each from its number alone, and what every parser must read in them.

    fields = letter(seed, number)       what POST /send takes
    wanted(fields)                      what is to be read in the message, in the form of read()
    wire_fault(message)                 what is wrong with its bytes; None: nothing
    read(message)                       what Python's email reads in it

Every character of Unicode that a field takes occurs, and more often what has led composers astray:
look-alikes of encoded words and boundaries, dots, blanks at the ends, long words, lengths around the
borders of lines, base64 and the composer's own steps.
"""

import base64
import email
import email.policy
import hashlib
import http.client
import inspect
import json
import random
import re
import time
from datetime import datetime, timezone
from email.header import decode_header, make_header
from email.utils import getaddresses
from functools import lru_cache

from gateway import KEY

# ---- characters and pieces

SCRIPTS = ((0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x52f),
           (0x590, 0x5ff), (0x620, 0x6ff), (0x900, 0x97f), (0x2010, 0x2027), (0x3040, 0x30ff),
           (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xfe00, 0xfe0f), (0x1f300, 0x1faff), (0xe000, 0xe0ff))
TURNING = {*range(0x202a, 0x202f), *range(0x2066, 0x206a)}  # refused in names
CONTROLS = {*range(0x20), *range(0x7f, 0xa0), 0x2028, 0x2029, *range(0xd800, 0xe000)}

LOOKALIKES = ("=?", "?=", "=?utf-8?q?x?=", "=?UTF-8?B?eA==?=", "=?iso-8859-1?Q?=E9?=", "=?utf-8?q?",
              "?==?", "=?x?", "=3D", "=20", "_", "&#10;", "%0d%0a", "\\r\\n", "\\", "\"", "\"\"", "'",
              "%", "*", ";", ",", ":", "<", ">", "@", "(", ")", "((", "[", "]", "--", ".", "..",
              "utf-8''", "*0*=", "/", "../", "~")
LENGTHS = (1, 2, 3, 40, 55, 56, 57, 58, 59, 60, 61, 62, 63, 73, 74, 75, 76, 77, 78, 79, 114, 150, 152)
WIDE = (995, 996, 997, 998, 999, 1000)
STEPS = (4095, 4096, 4097, 8188, 8189, 8190, 8191, 8192, 8193, 8194, 8195, 8250, 12287)
LINE_BYTES = 998


def character(rng):
    """Any character that a single line may hold."""
    while True:
        code = rng.randint(*rng.choice(SCRIPTS)) if rng.random() < 0.8 else rng.randrange(0x110000)
        if code not in CONTROLS:
            return chr(code)


def cut(text, most):
    """Its first characters, in at most so many bytes of UTF-8."""
    return text.encode()[:most].decode(errors="ignore")


def piece(rng):
    kind = rng.random()
    if kind < 0.3:
        return "".join(chr(rng.randint(0x20, 0x7e)) for _ in range(rng.randint(1, 9)))
    if kind < 0.45:
        return rng.choice(LOOKALIKES)
    if kind < 0.6:
        return " " * rng.choice((1, 1, 1, 2, 3))
    if kind < 0.7:
        return rng.choice("xy=.") * rng.choice(LENGTHS)
    if kind < 0.85:
        return "".join(rng.choice("abcdefgh") for _ in range(rng.randint(1, 12)))
    return "".join(character(rng) for _ in range(rng.randint(1, 12)))


def line(rng, most, pieces=12):
    """A single line of at most so many bytes."""
    kind = rng.random()
    if kind < 0.03:
        return ""
    if kind < 0.07:
        return rng.choice("x\u00e9") * min(rng.choice(LENGTHS + WIDE), most // 2)
    made = "".join(piece(rng) for _ in range(rng.randint(1, pieces)))
    if kind < 0.3:
        made = made.encode("ascii", "ignore").decode()
    return cut(made, most)


def name(rng, most=120):
    return "".join(c for c in line(rng, most, 6) if ord(c) not in TURNING)


def text_line(rng):
    kind = rng.random()
    if kind < 0.15:
        return ""
    if kind < 0.25:
        return "." * rng.randint(1, 3) + rng.choice(("", "x", " "))
    if kind < 0.32:
        return rng.choice(("From here", "QUIT", "DATA", ">From", "--", "---", "=", "end =", "\t", " "))
    if kind < 0.38:
        return "--=_" + rng.choice("abc") + "%032x" % rng.getrandbits(128) + rng.choice(("", "--"))
    if kind < 0.5:
        return rng.choice("x.=\u00e9") * rng.choice(LENGTHS + (WIDE if rng.random() < 0.3 else ()))
    if kind < 0.58:
        return line(rng, 300) + rng.choice((" ", "\t", "  ", " \t", "."))
    return line(rng, 300)


def body(rng):
    """A text: line ends of any kind, mixed or not; empty at times, or about as long as a step."""
    ends = rng.choice((("\n",), ("\n",), ("\r\n",), ("\r",), ("\n", "\r\n", "\r", "\n\r")))
    kind = rng.random()
    if kind < 0.04:
        return ""
    if kind < 0.08:
        row = cut(text_line(rng), 200) + rng.choice(ends)
        length = rng.choice(STEPS)
        return cut(row * (length // len(row.encode()) + 1), length)
    made = "".join(text_line(rng) + rng.choice(ends) for _ in range(rng.randint(1, 8)))
    return made if rng.random() < 0.6 else made.rstrip("\r\n")


def content(rng):
    kind = rng.random()
    if kind < 0.1:
        return b""
    if kind < 0.6:
        return rng.randbytes(rng.choice((1, 2, 3, 56, 57, 58, 75, 76, 77, 113, 114, 115, 171, 999)))
    if kind < 0.66:
        return rng.randbytes(rng.choice(STEPS) * 3 // 4 + rng.randint(-3, 3))
    return body(rng).encode()


# ---- fields

ATOMS = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"
DOMAINS = ("example.org", "example.org", "example.com", "b\u00fccher.example",
           "a-rather-long-label.of-a.rather-long-domain.name.example")


def local(rng):
    if rng.random() < 0.03:
        return '"%s"' % rng.choice(("a b", "a@b", "a\\\"b", "x;y", "(c)"))
    parts = ("".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 12)))
             for _ in range(rng.choice((1, 1, 1, 2, 3))))
    return ".".join(parts)[:64].rstrip(".")


def mailbox(rng):
    address = "%s@%s" % (local(rng), rng.choice(DOMAINS))
    if rng.random() < 0.25:
        return {"address": address}
    return {"name": name(rng, 250 if rng.random() < 0.1 else 70), "address": address}


class Written(str):
    """A list as it would stand in a header, which remembers its `boxes`."""


def written(boxes):
    def word(text):
        return '"%s"' % re.sub(r'([\\"])', r"\\\1", text)

    def one(box):
        if "group" in box:
            return "%s:%s;" % (word(box["name"]), ", ".join(map(one, box["group"])))
        return "%s <%s>" % (word(box["name"]), box["address"]) if box.get("name") else box["address"]
    made = Written(", ".join(map(one, boxes)))
    made.boxes = boxes
    return made


def group(rng):
    return {"name": name(rng) or "x", "group": [mailbox(rng) for _ in range(rng.choice((0, 1, 2, 3)))]}


def mailboxes(rng, least):
    """At least so many that are in no group."""
    made = [mailbox(rng) for _ in range(max(least, rng.choice((1, 1, 1, 2, 3))))]
    if rng.random() < 0.15:
        made.insert(rng.randint(0, len(made)), group(rng))
    if len(made) > 1 and rng.random() < 0.2:
        return written(made)
    return made


def identifier(rng):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.!#$%&'*+-/=?^_`{|}~"
    return "<%s@%s>" % ("".join(rng.choice(letters) for _ in range(rng.choice((1, 8, 30, 70, 120)))),
                        rng.choice(("example.com", "mail.example.org", "x")))


TYPES = ("application/pdf", "text/plain", "text/csv; charset=utf-8", "image/png", "application/x-a.b+c",
         "text/plain; a=\"b;c\"; d=e", "audio/x-y; q=\"a \\\" b\"", "message/rfc822",
         "text/html", "APPLICATION/ZIP", "application/json;charset=utf-8", "text/plain;",
         "message/rfc822", "Message/RFC822; x=y", "message/delivery-status", "message/global")


def inner(rng):
    """A message, more or less."""
    ends = rng.choice((("\n",), ("\r\n",), ("\n", "\r\n"), ("\n", "\r\n", "\r")))
    rows = ["Subject: " + line(rng, 60), "X-Inner: --=_a", rng.choice(("", "no header"))]
    rows += [text_line(rng) for _ in range(rng.choice((0, 1, 5, 400)))]
    made = "".join(row + rng.choice(ends) for row in rows)
    if rng.random() < 0.8:
        made = made.encode("ascii", "ignore").decode()
    return (made if rng.random() < 0.6 else made.rstrip("\r\n")).encode()


def attachment(rng, number):
    made, inside = {}, content(rng)
    if rng.random() < 0.85:
        made["filename"] = name(rng, 900 if rng.random() < 0.05 else 90)
    if rng.random() < 0.7:
        made["content_type"] = rng.choice(TYPES)
    if made.get("content_type", "").lower().startswith("message/") and rng.random() < 0.8:
        inside = inner(rng)
    made["content"] = base64.b64encode(inside).decode()
    if rng.random() < 0.3:
        made["disposition"] = rng.choice(("inline", "inline", "attachment"))
    if rng.random() < 0.3:
        made["content_id"] = "logo%d.%s" % (number, rng.choice(("", "a@b", "=?x?=", "x" * 80)))
    return made


def calendar(rng):
    method = rng.choice(("REQUEST", "CANCEL", "REPLY", None))
    ends = rng.choice(("\r\n", "\n", "\r"))
    rows = ["BEGIN:VCALENDAR", "VERSION:2.0", "SUMMARY:" + line(rng, 60)]
    if method and rng.random() < 0.5:
        rows.insert(2, "METHOD:" + method)
    made = {"content": ends.join([*rows, "END:VCALENDAR"]) + rng.choice(("", ends))}
    return {**made, "method": method} if method else made


def headers(rng):
    made = {}
    for number in range(rng.randint(1, 3)):
        values = [line(rng, 4000 if rng.random() < 0.02 else 300) for _ in range(rng.choice((1, 1, 2)))]
        made["X-%d%s" % (number, rng.choice(("", "-Order", "-" + "n" * 60)))] = \
            values if len(values) > 1 else values[0]
    if rng.random() < 0.2:
        made["List-Id"] = "<%s.example.com>" % ("list" * rng.choice((1, 5, 20)))
    return made


def unsubscribe(rng):
    made = {"url": "https://example.com/u?" + rng.choice(("a", "=?utf-8?q?x?=", "b" * 300)),
            "mailto": "leave@example.com?subject=" + rng.choice(("x", "y" * 70))}
    kind = rng.random()
    if kind < 0.3:
        del made["mailto"]
    elif kind < 0.5:
        del made["url"]
    if "url" in made and rng.random() < 0.5:
        made["one_click"] = True
    return made


MAYBE = (("cc", 0.15, lambda rng: mailboxes(rng, 1)), ("reply_to", 0.15, lambda rng: mailboxes(rng, 1)),
         ("headers", 0.25, headers), ("message_id", 0.15, identifier),
         ("in_reply_to", 0.1, identifier),
         ("references", 0.1, lambda rng: [identifier(rng) for _ in range(rng.choice((1, 2, 10, 40)))]),
         ("priority", 0.1, lambda rng: rng.choice(("high", "normal", "low"))),
         ("list_unsubscribe", 0.1, unsubscribe), ("calendar", 0.08, calendar),
         ("date", 0.1, lambda rng: datetime.fromtimestamp(rng.randrange(4102444800), timezone.utc)
          .strftime("%Y-%m-%dT%H:%M:%SZ")))


def letter(seed, number):
    """The message of this number: always the same."""
    rng = random.Random("%s/%d" % (seed, number))
    made = {"from": mailbox(rng), "to": mailboxes(rng, 1), "subject": line(rng, LINE_BYTES)}
    kind = rng.random()
    if kind < 0.75:
        made["text"] = body(rng)
    if kind > 0.6:
        made["html"] = "<p>" + body(rng)
    if "text" not in made and rng.random() < 0.5:
        made["text"] = False
    for field, share, make in MAYBE:
        if rng.random() < share:
            made[field] = make(rng)
    if rng.random() < 0.3:
        made["attachments"] = [attachment(rng, n) for n in range(rng.choice((1, 1, 2, 3)))]
    return made


# ---- what is to be read

LINE_END = re.compile("\r\n|\r|\n")
BY_ENDING = {"pdf": "application/pdf", "png": "image/png", "txt": "text/plain"}


def lines(text):
    return LINE_END.sub("\n", text)


def _boxes(found):
    """[name, address] each; what has no name has an empty one. A group is [name, boxes]."""
    found = getattr(found, "boxes", found)
    found = found if isinstance(found, list) else [found]
    return [[box["name"], _boxes(box["group"])] if "group" in box else
            [box.get("name", ""), box["address"].replace("b\u00fccher", "xn--bcher-kva")] for box in found]


def _goes_as_it_is(inside):
    """A message that is 7bit (RFC 2045 2.7)."""
    return (re.match(rb"[!-9;-~]+:", inside) and inside.isascii() and
            not re.search(rb"\0|\r(?!\n)|[^\r\n]{999}", inside))


def _file(given):
    kind = given.get("content_type") or "application/octet-stream"
    kind = kind.partition(";")[0].strip().lower()
    inside = base64.b64decode(given["content"])
    if kind.startswith("message/") and kind != "message/global":
        if _goes_as_it_is(inside):
            inside = re.sub(rb"\r?\n", b"\r\n", inside)
        else:
            kind = "application/octet-stream"
    return {"filename": given.get("filename") or None, "content_type": kind,
            "content_id": "<%s>" % given["content_id"] if given.get("content_id") else None,
            "disposition": given.get("disposition", "attachment"),
            "sha256": hashlib.sha256(inside).hexdigest()}


def _headers(fields):
    found = {}
    for header, value in fields.get("headers", {}).items():
        found[header] = value if isinstance(value, list) else [value]
    if "priority" in fields:
        found["X-Priority"] = [{"high": "1", "normal": "3", "low": "5"}[fields["priority"]]]
        found["Importance"] = [fields["priority"]]
    leave = fields.get("list_unsubscribe", {})
    if leave:
        both = ["<%s>" % leave["url"]] if "url" in leave else []
        both += ["<mailto:%s>" % leave["mailto"]] if "mailto" in leave else []
        found["List-Unsubscribe"] = [", ".join(both)]
    if leave.get("one_click"):
        found["List-Unsubscribe-Post"] = ["List-Unsubscribe=One-Click"]
    return found


def shape(fields):
    """The types of the parts, a multipart with its own: alternative in related in mixed, none of them
    needlessly."""
    files = fields.get("attachments", [])
    inner = []
    if fields.get("text") is not False or "html" not in fields:
        inner.append("text/plain")
    inner += ["text/html"] if "html" in fields else []
    inner += ["text/calendar"] if "calendar" in fields else []
    core = inner[0] if len(inner) == 1 else ["alternative", *inner]
    beside = [_file(one)["content_type"] for one in files if one.get("disposition") == "inline"]
    behind = [_file(one)["content_type"] for one in files if one.get("disposition") != "inline"]
    behind += ["application/ics"] if "calendar" in fields else []
    core = ["related", core, *beside] if beside else core
    return ["mixed", core, *behind] if behind else core


def wanted(fields):
    files = fields.get("attachments", [])
    found = {
        "subject": fields["subject"], "from": _boxes(fields["from"]), "to": _boxes(fields["to"]),
        "cc": _boxes(fields.get("cc", [])), "reply_to": _boxes(fields.get("reply_to", [])),
        "headers": _headers(fields), "shape": shape(fields),
        "html": lines(fields["html"]) if "html" in fields else None,
        "attachments": [_file(one) for one in files if one.get("disposition") == "inline"] +
                       [_file(one) for one in files if one.get("disposition") != "inline"]}
    if "html" not in fields or fields.get("text"):
        found["text"] = lines(fields.get("text") or "")
    for field in ("message_id", "date"):
        if field in fields:
            found[field] = fields[field]
    found["in_reply_to"] = [fields["in_reply_to"]] if "in_reply_to" in fields else []
    found["references"] = fields.get("references", [])
    if "calendar" in fields:
        inside = re.search(r"(?m)^METHOD:(\w+)", lines(fields["calendar"]["content"]))
        found["calendar"] = lines(fields["calendar"]["content"])
        found["method"] = fields["calendar"].get("method") or (inside and inside[1]) or "PUBLISH"
    return found


def same(got, sent):
    """Is it the value that was sent? A text's last line may have got its end."""
    if isinstance(sent, str) and isinstance(got, str) and not sent.endswith("\n"):
        return got in (sent, sent + "\n")
    return got == sent


def difference(got, fields):
    """The first field that reads otherwise than it was sent; None: none."""
    for field, sent in wanted(fields).items():
        if field in ("text", "html", "calendar"):
            equal = same(got[field], sent)
        else:
            equal = got[field] == sent
        if not equal:
            return "%s\n  sent %r\n  read %r" % (field, sent, got[field])
    return None


# ---- the bytes

WORD = re.compile(rb"=\?UTF-8\?B\?([A-Za-z0-9+/=]*)\?=")


def may_be_long(row):
    """Is there no blank in it at which it could have been folded? A parameter is one piece."""
    rest = re.sub(rb"^[!-9;-~]+:", b"", row).strip(b" ")
    return b" " not in rest or re.fullmatch(rb'[\w*]+="(?:[^"\\]|\\.)*";?', rest)


def header_fault(row):
    for word in WORD.finditer(row):
        if len(word[0]) > 75:
            return "an encoded word over 75"
        try:
            base64.b64decode(word[1], validate=True).decode()
        except ValueError:
            return "an encoded word that splits a character"
    if len(row) > 78 and not may_be_long(row):
        return "a header line over 78 that could be folded"
    return None


def wire_fault(message):
    if not message.endswith(b"\r\n"):
        return "it does not end with CRLF"
    if b"\0" in message or not message.isascii():
        return "NUL, or a byte over 0x7f"
    boundaries, in_header, as_it_is = [], True, False
    for row in message[:-2].split(b"\r\n"):
        fault = None
        if b"\r" in row or b"\n" in row:
            fault = "a bare CR or LF"
        elif len(row) > 998:
            fault = "a line over 998"
        elif in_header:
            boundaries += re.findall(rb'boundary="([^"]+)"', row)
            fault = header_fault(row)
            in_header = row != b""
            as_it_is |= row.lower().startswith(b"content-type: message/")
        elif row.startswith(b"--") and row[2:] in boundaries:
            in_header, as_it_is = True, False
        elif len(row) > 78 and not as_it_is:
            fault = "a line of a body over 78"
        if fault:
            return "%s: %r" % (fault, row)
    return None


# ---- Python's reader

class Remembering(email.policy.EmailPolicy):
    """email.policy.SMTP, which would parse a field anew each time that it is asked for."""

    header_fetch_parse = lru_cache(64)(email.policy.EmailPolicy.header_fetch_parse)


POLICY = Remembering(linesep="\r\n")
# Newer ones take a quoted comma or parenthesis for a trick, and give no address at all.
LENIENT = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}


def _addresses(mail, field):
    """Addresses by the new parser. Names by the old one: the new one, as of Python 3.13, puts a blank
    between the encoded words of a phrase, where RFC 2047 section 6.2 wants none."""
    if field not in mail:
        return []
    value = re.sub(r"\r?\n", "", next(v for k, v in mail.raw_items() if k == field))
    names = [str(make_header(decode_header(name))) for name, address in getaddresses([value], **LENIENT)
             if address]
    groups = _group_names(value)
    boxes = iter([list(pair) for pair in zip(names, (one.addr_spec for one in mail[field].addresses),
                                             strict=True)])
    return [next(boxes) if group.display_name is None else
            [groups.pop(0), [next(boxes) for _ in group.addresses]] for group in mail[field].groups]


def _group_names(value):
    """What stands before each colon, behind the comma or semicolon before that, outside of quotes."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', lambda found: "x" * len(found[0]), value)
    found = [value[match.start(1):match.end(1)].strip() for match in re.finditer(r"([^,;:]*):", plain)]
    return [re.sub(r"\\(.)", r"\1", one[1:-1]) if one.startswith('"') else
            str(make_header(decode_header(one))) for one in found]


def _unfolded(field, value):
    """Python, as of 3.13, takes the fold in front of a value's first word for a blank of its own."""
    whole = re.sub(r"\r?\n", "", value)
    if not field.startswith("X-"):
        return whole  # it is for a grammar, in which there are no encoded words
    return str(POLICY.header_factory(field, whole[value[:2] == "\r\n":]))


def _ids(mail, field):
    return [one for name, value in mail.raw_items() if name == field for one in value.split()]


def _type(part):
    return part.get_content_type().replace("x-message/", "message/")


def _shape(part):
    if part.is_multipart():
        return [part.get_content_subtype(), *map(_shape, part.iter_parts())]
    return _type(part)


def _lines_of(part):
    return lines(part.get_payload(decode=True).decode())


def read(message):
    # Python reads a message within a message, and would write it anew: it is compared by its bytes.
    message = re.sub(rb"(?i)(\r\n--=_[abc][0-9a-f]{32}\r\ncontent-type: )message/", rb"\1x-message/", message)
    mail = email.message_from_bytes(message, policy=POLICY)
    found = {"subject": str(mail["Subject"] or ""), "message_id": str(mail["Message-ID"]),
             "date": mail["Date"].datetime.strftime("%Y-%m-%dT%H:%M:%SZ"),
             "from": _addresses(mail, "From"), "to": _addresses(mail, "To"),
             "cc": _addresses(mail, "Cc"), "reply_to": _addresses(mail, "Reply-To"),
             "in_reply_to": _ids(mail, "In-Reply-To"), "references": _ids(mail, "References"),
             "headers": {}, "attachments": [], "shape": _shape(mail), "text": None, "html": None}
    for field in mail.keys():
        if field.startswith(("X-", "List-", "Importance")):
            found["headers"][field] = [_unfolded(field, value) for name, value in mail.raw_items()
                                       if name == field]
    for part in mail.walk():
        if part.defects:
            found["defects"] = repr(part.defects)
        _read_part(part, found)
    return found


def _read_part(part, found):
    kind = _type(part)
    if part.is_multipart():
        return
    if part["Content-Disposition"] is None:
        field = {"text/plain": "text", "text/html": "html", "text/calendar": "calendar"}[kind]
        assert part.get_content_charset() == "utf-8"
        found[field] = _lines_of(part)
        if field == "calendar":
            found["method"] = part.get_param("method")
    elif kind == "application/ics":
        assert part.get_filename() == "invite.ics"
        found["invitation"] = part.get_payload(decode=True).decode()
    else:
        found["attachments"].append({
            "filename": part["Content-Disposition"].params.get("filename"), "content_type": kind,
            "content_id": part["Content-ID"] and str(part["Content-ID"]),
            "disposition": part.get_content_disposition(),
            "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest()})


# ---- a gateway that renders them

class Renderer:
    """Asks for the bytes that would be sent, over one connection."""

    def __init__(self, port, timeout=60):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def render(self, fields):
        self.connection.request("POST", "/send", json.dumps({**fields, "dry_run": "render"}), {
            "Authorization": "Bearer " + KEY, "Content-Type": "application/json",
            "Accept": "message/rfc822"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def fault(self, fields):
        """What is wrong with this message, in words; None: nothing."""
        status, message = self.render(fields)
        if status != 200:
            return "refused: %s" % message.decode()
        found = wire_fault(message)
        if found:
            return found
        got = read(message)
        if "defects" in got:
            return "Python finds defects: " + got["defects"]
        return difference(got, fields) or _invitation_fault(got, fields)


def _invitation_fault(got, fields):
    sent = fields.get("calendar", {}).get("content")
    crlf = sent and lines(sent).rstrip("\n").replace("\n", "\r\n") + "\r\n"
    return None if got.get("invitation") == crlf else "the invitation's file reads %r" % got["invitation"]


def faults_of(port, seed, numbers, most=3, pace=1):
    """(number, what is wrong) of the first few of these messages that are not as wanted."""
    renderer, found = Renderer(port, 60 * pace), []
    for number in numbers:
        try:
            fault = renderer.fault(letter(seed, number))
        except Exception as error:  # noqa: BLE001 - a parser that stumbles is a finding
            fault = "%s: %s" % (type(error).__name__, error)
            renderer = Renderer(port, 60 * pace)
        if fault:
            found.append((number, fault))
            if len(found) == most:
                break
    return found


# ---- the smallest message that is still wrong

def _smaller(value):
    """Values that are a little less than this one, the boldest first."""
    if isinstance(value, dict):
        for field in value:
            if field not in ("from", "to", "subject", "address", "content", "group"):
                yield {name: inner for name, inner in value.items() if name != field}
        for field, inner in value.items():
            for less in _smaller(inner):
                yield {**value, field: less}
    elif isinstance(value, list):
        for at in range(len(value) if len(value) > 1 else 0):
            yield value[:at] + value[at + 1:]
        for at, inner in enumerate(value):
            for less in _smaller(inner):
                yield [*value[:at], less, *value[at + 1:]]
    elif isinstance(value, str):
        size = len(value) // 2
        while size:
            for at in range(0, len(value), size):
                yield value[:at] + value[at + size:]
            size //= 2


def smallest(fields, is_wrong, seconds=20):
    """Takes away from the message whatever it is wrong without."""
    end = time.monotonic() + seconds
    shrunk = True
    while shrunk and time.monotonic() < end:
        shrunk = False
        for less in _smaller(fields):
            if time.monotonic() > end:
                break
            if is_wrong(less):
                fields, shrunk = less, True
                break
    return fields
