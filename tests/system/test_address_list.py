"""An address list means to us what it means to Python's two parsers, or it is refused.

tests/smtp/address_list_main.c reads lists with smtp/address_list. Lists that are made by the grammar
are all taken, and come out as they were made; of lists that were damaged afterwards, those that are
taken must be read alike by email.headerregistry and email.utils.getaddresses.
"""

import contextlib
import inspect
import os
import random
import re
import subprocess
from email import headerregistry
from email.utils import getaddresses

import pytest

from gateway import BINARY, SLOW

PROGRAM = os.path.join(os.path.dirname(BINARY), "..", "tests", "address_list_read")
MADE, DAMAGED = 1500, 6000
REGISTRY = headerregistry.HeaderRegistry()
LENIENT = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}
ATEXT = "abcxyzABC019!#$%&'*+-/=?^_`{|}~"


def read_lists(lists):
    """For each list the [(name, address)…] that we read, or a string: why it was refused."""
    lines = "".join(one.encode().hex() + "\n" for one in lists)
    done = subprocess.run([PROGRAM], input=lines, capture_output=True, text=True,
                          timeout=60 * SLOW, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(lists)
    return [answer[2:] if answer[0] == "-" else
            [tuple(bytes.fromhex(part).decode() for part in box.split(":"))
             for box in answer[2:].split()] for answer in answers]


# What stands in a list, each with what it means.

def word(rng):
    return "".join(rng.choice(ATEXT) for _ in range(rng.randint(1, 6)))


def quoted(inside):
    return '"%s"' % re.sub(r'([\\"])', r"\\\1", inside)


def blanks(rng):
    return rng.choice(["", "", "", " ", "  ", "\t", "\r\n ", "\n\t"])


def comment(rng, depth=0):
    inside = rng.choice(["x", "a@b.org", "a@b.org, c@d.org", "\\)", "\\\\", "<x@y.org>", ";", '"', ""])
    if depth < 3 and rng.random() < 0.3:
        inside += comment(rng, depth + 1)
    return "(%s)" % inside


def around(rng):
    return blanks(rng) + (comment(rng) + blanks(rng) if rng.random() < 0.15 else "")


def between(rng):
    return rng.choice([" ", "  ", "\r\n ", " \n\t", " (a@b.org) "])


def local_part(rng):
    """As it is written, as it comes out."""
    if rng.random() < 0.85:
        plain = ".".join(word(rng) for _ in range(rng.randint(1, 3)))
        return plain, plain
    inside = "".join(rng.choice("ab @,;:<>()[]\\\".") for _ in range(rng.randint(1, 6)))
    return quoted(inside), inside


def domain(rng):
    return ".".join(rng.choice(["a", "B", "x-y", "example", "Org", "xn--bcher-kva", "9a"])
                    for _ in range(rng.randint(1, 4))) + ".org"


def display_name(rng):
    kind = rng.random()
    if kind < 0.3:
        inside = "".join(rng.choice("ab @,;:<>()[]\\\".'") for _ in range(rng.randint(1, 10)))
        return quoted(inside), inside
    if kind < 0.4:
        inside = rng.choice(["=?utf-8?Q?Bo=2C_x=40y.org?=", "=?utf-8?B?eEB5Lm9yZw==?="])
        return inside, inside
    if kind < 0.5:
        return "J\u00fcrgen", "J\u00fcrgen"
    words = [word(rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        words.append("Q.")
    return "".join(w + between(rng) for w in words[:-1]) + words[-1], " ".join(words)


def canonical(local, name):
    """An address as ours are written."""
    atoms = re.fullmatch(r"[^\s\"(),:;<>@\[\]\\.]+(\.[^\s\"(),:;<>@\[\]\\.]+)*", local)
    with contextlib.suppress(UnicodeError):
        name = name.encode("idna").decode()
    return "%s@%s" % (local if atoms else quoted(local), name.lower())


def mailbox(rng):
    written, local = local_part(rng)
    where = domain(rng)
    address = written + "@" + where
    if rng.random() < 0.5:
        return around(rng) + address + around(rng), [("", canonical(local, where))]
    if rng.random() < 0.2:
        name, meaning = "", ""
    else:
        name, meaning = display_name(rng)
    return (around(rng) + name + blanks(rng) + "<" + address + ">" + around(rng),
            [(meaning, canonical(local, where))])


def group(rng):
    boxes = [mailbox(rng) for _ in range(rng.randint(0, 3))]
    name = display_name(rng)[0]
    return (around(rng) + name + ":" + ",".join(box for box, _ in boxes) + blanks(rng) + ";" + blanks(rng),
            [meaning for _, box in boxes for meaning in box])


def address_list(rng):
    parts = [group(rng) if rng.random() < 0.2 else mailbox(rng) for _ in range(rng.randint(1, 5))]
    return ",".join(part for part, _ in parts), [box for _, boxes in parts for box in boxes]


def damaged(rng):
    text, _ = address_list(rng)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        kind = rng.random()
        if kind < 0.4:
            text = text[:at] + text[at + rng.randint(1, 3):]
        elif kind < 0.8:
            text = text[:at] + rng.choice('@,;:<>()[]\\". a\r\n\t\u00fc') + text[at:]
        else:
            end = min(len(text), at + rng.randint(1, 12))
            text = text[:at] + text[at:end] * 2 + text[end:]
    return text


def unfolded(text):
    return re.sub(r"\r?\n(?=[ \t])", "", text)


def by_registry(text):
    """What email.headerregistry reads; None where it breaks down, over a dot at the end of a name and
    much else."""
    try:
        boxes = REGISTRY("to", unfolded(text)).addresses
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return [(box.display_name, canonical(box.username, box.domain)) for box in boxes]


def by_getaddresses(text):
    found = []
    for _, address in getaddresses([unfolded(text)], **LENIENT):
        local, _, where = address.rpartition("@")
        if local.startswith('"'):
            local = re.sub(r"\\(.)", r"\1", local[1:-1])
        if address:
            found.append(canonical(local, where))
    return found


def addresses(boxes):
    return [address for _, address in boxes]


def test_lists_made_by_the_grammar_come_out_as_they_were_made():
    rng = random.Random(5322)
    made = [address_list(rng) for _ in range(MADE)]
    asked = 0
    for (text, boxes), read in zip(made, read_lists([text for text, _ in made])):
        assert read == boxes, text
        assert by_getaddresses(text) == addresses(boxes), text
        registry = by_registry(text)
        if registry is None:
            continue
        asked += 1
        assert addresses(registry) == addresses(boxes), text
        if "=?" not in text:  # it decodes; we leave that as it stands
            assert registry == boxes, text
    assert asked > MADE / 2


def test_damaged_lists_are_read_as_others_read_them_or_refused():
    rng = random.Random(822)
    made = [damaged(rng) for _ in range(DAMAGED)]
    taken = asked = 0
    for text, read in zip(made, read_lists(made)):
        if isinstance(read, str):
            continue
        taken += 1
        assert by_getaddresses(text) == addresses(read), text
        registry = by_registry(text)
        if registry is None:
            continue
        asked += 1
        assert addresses(registry) == addresses(read), text
    assert taken > DAMAGED / 10 and asked > DAMAGED / 20
    assert taken < DAMAGED * 9 / 10  # else the damage does nothing


# What parsers are known to have read in two ways: one of them sent mail to somebody else.
@pytest.mark.parametrize("text", [
    "alice@example.org)bob@example.com",
    "alice@example.org<bob@example.com>",
    "<alice@example.org>bob@example.com",
    "alice@example.org (bob@example.com",
    'alice@example.org"bob@example.com',
    '"alice@example.org" bob@example.com',
    '"alice@example.org bob"@example.com"',
    '"x@example.org,alice"@example.com@example.net',
    "alice@example.org,bob@example.com;",
    "alice@example.org:bob@example.com",
    "a:b:c:d:alice@example.org;;;;",
    "<@example.org:bob@example.com>",
    "alice@[example.org]bob@example.com",
    "alice@example.org\\bob@example.com",
    "alice@example.org\r\nbob@example.com",
    "alice@example.org\r bob@example.com",
    "alice@example.org\0,bob@example.com",
    "=?utf-8?Q?alice=40example.org=2C?=",
    "=?utf-8?Q?alice=40example.org=3E=00?=bob <bob@example.com> x",
])
def test_what_can_be_read_in_two_ways_is_refused(text):
    (read,) = read_lists([text])
    assert isinstance(read, str) and read.startswith("address ")
