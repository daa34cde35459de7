"""What forms may take together: memory by MAX_IN_FLIGHT_BYTES, which what lies in a file on a disk does
not take; and the disk by what is free."""

import os
import subprocess
import threading

import pytest

from gateway import KEY, SLOW, Gateway, metric, problem, together, wait_for
from relay import Relay

MB = 1 << 20
PART = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
WHOLE = "".join(PART % field for field in (("from", "a@example.com"), ("to", "b@example.org")))
FILE = '--b\r\nContent-Disposition: form-data; name="attachment"; filename="a"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def form(file_bytes=0, text="Hello"):
    file = FILE.encode() + b"x" * file_bytes + b"\r\n" if file_bytes else b""
    return (WHOLE + PART % ("text", text)).encode() + file + b"--b--\r\n"


def post(gateway, *what):
    return gateway.post("/send", form(*what), FORM)


def begin(gateway, body):
    """As far as it goes, all but the last byte."""
    sock = gateway.socket(60 * SLOW)
    sock.sendall(b"POST /send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (KEY.encode(), FORM["Content-Type"].encode(), len(body),
                                                  body[:-1]))
    return sock


def held(gateway):
    return metric(gateway.get("/metrics", key=None).body.decode(), "lettergate_in_flight_bytes")


def kind_of(folder):
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, check=True,
                          text=True).stdout.strip()


@pytest.fixture(name="disk")
def a_disk(tmp_path):
    for folder in (str(tmp_path), "/var/tmp", os.getcwd()):
        if os.path.isdir(folder) and kind_of(folder) not in ("tmpfs", "ramfs"):
            return folder
    pytest.skip("there is nothing but memory to write to")
    return None


@pytest.fixture(name="memory")
def a_memory():
    if not os.path.isdir("/dev/shm") or kind_of("/dev/shm") != "tmpfs":
        pytest.skip("no /dev/shm")
    return "/dev/shm"


def test_files_on_a_disk_take_none_of_the_budget(disk):
    """Eighty megabytes of files in a budget of eight."""
    gate = threading.Event()

    def wait(*_):
        gate.wait(60 * SLOW)

    with Relay({"dot": wait}) as relay, \
            Gateway(relay, MAX_IN_FLIGHT_BYTES="8M", HTTP_MAX_BODY="8M", TMPDIR=disk) as gateway:
        begun = [begin(gateway, form(4 * MB)) for _ in range(20)]
        assert wait_for(lambda: held(gateway) >= 20 * 65536)
        assert held(gateway) <= 20 * 4 * 65536, "a fixed share for each"
        for sock in begun:
            sock.sendall(b"\n")
        gate.set()
        for sock in begun:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            sock.close()
        assert len(relay.ledger) == 20
        assert wait_for(lambda: held(gateway) == 0)


def test_fields_are_charged_as_they_grow(disk):
    with Relay() as relay, Gateway(relay, MAX_IN_FLIGHT_BYTES="8M", HTTP_MAX_BODY="8M",
                                   TMPDIR=disk) as gateway:
        one = begin(gateway, form(text="x" * 3 * MB))
        assert wait_for(lambda: held(gateway) >= 3 * MB)
        refused = post(gateway, 0, "x" * 6 * MB)
        problem(refused, 503, "overloaded", "not_sent")
        assert "MAX_IN_FLIGHT_BYTES" in refused["detail"]
        assert post(gateway, 6 * MB).status == 200, "a file of this size has room"
        one.sendall(b"\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
        one.close()
        assert len(relay.ledger) == 2
        assert wait_for(lambda: held(gateway) == 0)


@pytest.mark.parametrize("how", ["tmpfs", "nowhere"])
def test_files_in_memory_are_charged(how, memory):
    """A tmpfs is memory; and so is what is kept where no folder can be written."""
    wrap = ()
    if how == "nowhere":
        wrap = inside("for at in /tmp /var/tmp; do mount --bind $at $at; mount -o remount,ro,bind $at; done; ")
    with Relay() as relay, Gateway(relay, MAX_IN_FLIGHT_BYTES="8M", HTTP_MAX_BODY="8M", wrap=wrap,
                                   TMPDIR=memory if how == "tmpfs" else "") as gateway:
        one = begin(gateway, form(5 * MB))
        assert wait_for(lambda: held(gateway) >= 5 * MB)
        problem(post(gateway, 5 * MB), 503, "overloaded", "not_sent")
        one.sendall(b"\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
        one.close()
        assert wait_for(lambda: held(gateway) == 0)
        assert post(gateway, 5 * MB).status == 200
        assert len(relay.ledger) == 2


def inside(mounts):
    """A command in front of the gateway's, with mounts that nobody else sees."""
    wrap = ["unshare", "--mount", "sh", "-ec", mounts + 'exec "$@"', "sh"]
    done = subprocess.run([*wrap, "true"], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no mounts of one's own here: " + done.stderr.strip())
    return wrap


def test_a_full_disk_is_told_and_forgotten(tmp_path):
    """What does not fit is 503, what does is sent, and afterwards there is room again."""
    wrap = inside("mount -t tmpfs -o size=8m none %s && " % tmp_path)
    with Relay() as relay, Gateway(relay, wrap=wrap, TMPDIR=tmp_path) as gateway:
        problem(post(gateway, 20 * MB), 503, "storage_unavailable", "not_sent")
        assert not relay.ledger
        assert post(gateway, 6 * MB).status == 200
        statuses = together(lambda _n: post(gateway, 3 * MB).status, range(10), 10)
        assert set(statuses) <= {200, 503} and 200 in statuses, statuses
        assert post(gateway, 6 * MB).status == 200
        assert len(relay.ledger) == 2 + statuses.count(200)
        assert wait_for(lambda: held(gateway) == 0)


def test_some_of_the_disk_is_left_free(tmp_path):
    """A twentieth, for whoever else writes there."""
    wrap = inside("mount -t tmpfs -o size=40m none %s && " % tmp_path)
    with Relay() as relay, Gateway(relay, wrap=wrap, TMPDIR=tmp_path, HTTP_MAX_BODY="40M") as gateway:
        problem(post(gateway, 39 * MB + MB // 2), 503, "storage_unavailable", "not_sent")
        assert post(gateway, 36 * MB).status == 200
        assert len(relay.ledger) == 1
