"""Twenty thousand messages made up at random, rendered by the real binary: every field reads back as
it was sent, and the bytes are fit for any relay.

LETTERGATE_LETTERS is how many, LETTERGATE_SEED which ones; a failure prints both and the smallest
message that is still wrong.
"""

import json
import multiprocessing
import os

import pytest

from gateway import SLOW, Gateway
from letters import Renderer, faults_of, letter, smallest, wire_fault

SEED = os.environ.get("LETTERGATE_SEED", "2026")
COUNT = int(os.environ.get("LETTERGATE_LETTERS", "20000" if SLOW == 1 else "3000"))
SHARES = 16  # of the numbers, so that the processes end at about the same time


@pytest.fixture(scope="module")
def gateway():
    with Gateway(SMTP_HOST="127.0.0.1", SMTP_PORT="9", SMTP_SECURE="NONE") as found:
        yield found


def told(gateway, number, fault):
    """The fault, with the smallest message that has one of the same kind."""
    kind = fault.split("\n")[0].split(":")[0]

    def is_wrong(fields):
        try:
            return (Renderer(gateway.port).fault(fields) or "").startswith(kind)
        except Exception as error:  # noqa: BLE001 - as in faults_of
            return type(error).__name__ == kind
    least = smallest(letter(SEED, number), is_wrong)
    return "LETTERGATE_SEED=%s, number %d: %s\nthe smallest such message: %s" % (
        SEED, number, fault, json.dumps(least))


def test_every_field_reads_back_as_it_was_sent(gateway):
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        shares = pool.starmap(faults_of, [(gateway.port, SEED, range(first, COUNT, SHARES), 3, SLOW)
                                          for first in range(SHARES)])
    found = [fault for share in shares for fault in share]
    assert not found, "%d shares have faults:\n%s" % (
        sum(map(bool, shares)), "\n".join(told(gateway, *fault) for fault in found[:3]))


def test_a_fault_would_be_seen():
    """The check of the wire itself, so that it is no empty one."""
    good = b"Subject: x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    assert wire_fault(good) is None
    for bad in (good[:-2], good + b"a\n\r\n", good + b"a\rb\r\n", good + b"\0\r\n",
                good + b"\xc3\xa4\r\n", good + b"x" * 79 + b"\r\n",
                b"X: " + b"a " * 60 + b"\r\n" + good, b"X: " + b"a" * 1000 + b"\r\n" + good,
                b"X: =?UTF-8?B?" + b"YWFh" * 20 + b"?=\r\n" + good, b"X: =?UTF-8?B?w6Q=?=\r\n" + good[:20],
                b"X: =?UTF-8?B?ww==?=\r\n =?UTF-8?B?pA==?=\r\n" + good):
        assert wire_fault(bad), bad
