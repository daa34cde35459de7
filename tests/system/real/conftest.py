"""What the tests with real relays share: one bed of a kind for the whole run, and what is said to it."""

import contextlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import beds  # noqa: E402
import sandbox  # noqa: E402
from gateway import Gateway  # noqa: E402

TARGETS = [("postfix", "submission"), ("postfix", "smtps"), ("postfix", "plain"),
           ("postfix", "bare"), ("exim", "submission"), ("exim", "smtps"), ("exim", "plain"),
           ("opensmtpd", "submission"), ("opensmtpd", "smtps"), ("opensmtpd", "plain")]


with contextlib.suppress(FileNotFoundError), \
        open(os.path.join(sandbox.BEDS, "servers.txt"), encoding="utf-8") as servers:
    if "opensmtpd_6." in servers.read():
        # Debian 12's cannot do TLS at all (OpenSSL 3); test_real_beds.py skips it with its words.
        TARGETS = [one for one in TARGETS if one[0] != "opensmtpd" or one[1] == "plain"]


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_no_binary: runs without the gateway")


class Target:
    """A bed's listener, with a gateway before it."""

    def __init__(self, bed, mode, **settings):
        self.bed, self.mode = bed, mode
        self.gateway = Gateway(**{**bed.settings(mode), **settings})

    @property
    def secure(self):
        return self.bed.MODES[self.mode] != "NONE"

    def send(self, **fields):
        """A message that must be taken."""
        answer = self.ask(**fields)
        assert answer.status == 200, answer
        return answer

    def ask(self, **fields):
        return self.gateway.send(fields, timeout=90)

    def __repr__(self):
        return "%s-%s" % (self.bed.NAME, self.mode)


@pytest.fixture(scope="session")
def bed_of(authority):
    """A function from a kind's name to its bed, which is started once and then kept."""
    reason = sandbox.why_not()
    running = {}

    def find(name):
        if reason:
            pytest.skip(reason)
        if name not in running:
            try:
                running[name] = beds.BEDS[name](authority)
            except AssertionError as error:
                running[name] = error
        if isinstance(running[name], Exception):
            raise running[name]
        return running[name]
    yield find
    for bed in running.values():
        if not isinstance(bed, Exception):
            bed.close()


@pytest.fixture(scope="session")
def postfix(bed_of):
    return bed_of("postfix")


@pytest.fixture(scope="session", params=TARGETS, ids="-".join)
def target(request, bed_of):
    name, mode = request.param
    bed = bed_of(name)
    reason = bed.broken(mode)
    if reason:
        pytest.skip(reason)
    found = Target(bed, mode)
    yield found
    found.gateway.stop()


@pytest.fixture
def before(bed_of):
    """A function that starts a gateway of the test's own before a listener."""
    opened = []

    def start(name, mode, **settings):
        opened.append(Target(bed_of(name), mode, **settings))
        return opened[-1]
    yield start
    for one in opened:
        one.gateway.stop()
