"""The fault proxy itself: what it does must be believed."""

import socket
import threading
import time

import pytest

from gateway import wait_for
from proxy import Proxy


class Echo:
    """Says back what it hears, and keeps it."""

    tls = None

    def __init__(self):
        self.heard, self.ends = [], []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.host, self.port = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _peer = self.listener.accept()
            except OSError:
                return
            self.heard.append(b"")
            threading.Thread(target=self.serve, args=(sock, len(self.heard) - 1), daemon=True).start()

    def serve(self, sock, number):
        with sock:
            try:
                while data := sock.recv(65536):
                    self.heard[number] += data
                    sock.sendall(data)
                self.ends.append("eof")
            except OSError:
                self.ends.append("reset")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def through(proxy, data=b"0123456789" * 100, seconds=0.5):
    """What comes back of it, in what reads, after what time, and how it ended."""
    reads, end, began, first = [], "open", time.monotonic(), None
    with socket.create_connection((proxy.host, proxy.port)) as sock:
        sock.settimeout(seconds)
        try:
            sock.sendall(data)
            while sum(map(len, reads)) < len(data):
                reads.append(sock.recv(65536))
                first = first or time.monotonic() - began
                if not reads[-1]:
                    end = "eof"
                    break
        except socket.timeout:
            pass
        except OSError:
            end = "reset"
    return b"".join(reads), len(reads), first, time.monotonic() - began, end


def test_the_proxy_passes_everything_on():
    with Echo() as echo, Proxy(echo) as proxy:
        data = bytes(range(256)) * 40000
        assert through(proxy, data, 5)[0] == data
        assert wait_for(lambda: echo.ends == ["eof"]), "and the end, too"
        assert wait_for(lambda: not proxy.open_connections)


def test_the_proxy_delays_slows_and_splits():
    with Echo() as echo:
        with Proxy(echo, {"up": {"delay": 0.3}, "down": {"delay": 0.2}}) as proxy:
            data, _reads, first, _all, _end = through(proxy, seconds=5)
            assert len(data) == 1000 and first >= 0.5
        with Proxy(echo, {"down": {"rate": 2000}}) as proxy:
            data, _reads, first, every, _end = through(proxy, seconds=5)
            assert len(data) == 1000 and first < 0.4 and every >= 0.4
        with Proxy(echo, {"down": {"split": 100, "pause": 0.01}}) as proxy:
            data, reads, *_ = through(proxy, seconds=5)
            assert len(data) == 1000 and reads >= 5


@pytest.mark.parametrize("then,end", [("drop", "open"), ("half-open", "open"), ("reset", "reset"),
                                      ("close", "eof"), ("deaf", "open")])
def test_the_proxy_acts_at_the_byte(then, end):
    """Behind so many bytes, or behind those; the next connection is another."""
    for at in (500, b"0123456789" * 50):
        with Echo() as echo, Proxy(echo, {"connections": {
                "1": {"down": {"at": at, "then": then}}}}) as proxy:
            data, *_rest, how = through(proxy)
            assert (len(data), how) == (500, end)
            assert through(proxy, seconds=5)[0] == b"0123456789" * 100
            assert len(echo.heard[0]) == 1000
    with Echo() as echo, Proxy(echo, {"up": {"at": 500, "then": then}}) as proxy:
        through(proxy)
        assert wait_for(lambda: echo.heard and len(echo.heard[0]) == 500)
        assert then in ("reset", "close") or not echo.ends


def test_the_proxy_acts_at_a_word():
    with Echo() as echo, Proxy(echo) as proxy, \
            socket.create_connection((proxy.host, proxy.port)) as sock:
        sock.settimeout(0.3)
        sock.sendall(b"one")
        assert sock.recv(10) == b"one"
        proxy.fault("half-open")
        time.sleep(0.2)
        sock.sendall(b"two")
        with pytest.raises(socket.timeout):
            sock.recv(10)
        sock.close()
        time.sleep(0.2)
        assert echo.heard == [b"one"] and not echo.ends, "it does not hear of the end"


def test_the_proxy_refuses_or_keeps_silent_and_lets_targets_take_turns():
    with Echo() as one, Echo() as two, Proxy([one, two], {"connections": {
            "1": {"connect": "reset"}, "2": {"connect": "silent"}}}) as proxy:
        assert through(proxy)[-1] == "reset"
        assert through(proxy)[-1] == "open"
        for _ in range(4):
            assert len(through(proxy, seconds=5)[0]) == 1000
        assert [len(one.heard), len(two.heard)] == [2, 2]
