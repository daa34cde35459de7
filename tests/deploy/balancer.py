"""HAProxy with deploy/haproxy.cfg itself, and what it needs: a name server and gateways at the
addresses that it names. Needs those to itself: see alone.sh."""

import contextlib
import http.client
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest
import yaml

import gateway
from gateway import Gateway


class Names:
    """A name server for one name, like that of a container network: "gateway" is all that run."""

    def __init__(self):
        self.addresses = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.socket.settimeout(0.1)  # who waits in it keeps the port, closed or not
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over:
            try:
                query, client = self.socket.recvfrom(512)
            except socket.timeout:
                continue
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack("!H", query[end - 4:end - 2])[0]
            found = sorted(self.addresses) if kind == 1 else []
            answers = b"".join(struct.pack("!HHHIH", 0xc00c, 1, 1, 1, 4) + socket.inet_aton(address)
                               for address in found)
            self.socket.sendto(query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) +
                               query[12:end] + answers, client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.socket.close()


def start(address, relay, **more):
    with open(os.path.join(gateway.ROOT, "deploy", "compose.yaml"), encoding="utf-8") as file:
        environment = yaml.safe_load(file)["services"]["gateway"]["environment"]
    settings = {name: environment[name] for name in ("DRAIN_DELAY", "DRAIN_TIMEOUT")}
    settings.update(more)
    one = Gateway(relay, host=address, wait=False, HTTP_LISTEN=address + ":8080", **settings)
    one.port = 8080
    one.wait_ready()
    return one


def balancer_is_ready():
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def haproxy(tmp_path):
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        pytest.skip("no haproxy here")
    with open(tmp_path / "haproxy.log", "wb") as log:
        process = subprocess.Popen([program, "-db", "-f",
                                    os.path.join(gateway.ROOT, "deploy", "haproxy.cfg")],
                                   stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
