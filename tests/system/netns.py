"""A network namespace of its own: loopback with a firewall that can lose packets."""

import ctypes
import os
import socket
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000


def run(*words):
    subprocess.run(words, check=True, capture_output=True, timeout=30)


class Namespace:
    def __init__(self):
        self.name = "lettergate-%d" % os.getpid()
        try:
            run("ip", "netns", "add", self.name)
            run("ip", "-n", self.name, "link", "set", "lo", "up")
            self.firewall("-L")
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            pytest.skip("no network namespaces or no iptables here: %s" % error)
        self.wrap = ("ip", "netns", "exec", self.name)

    def firewall(self, *words, table="iptables"):
        run("ip", "netns", "exec", self.name, table, *words)

    def listener(self):
        """A TCP socket inside; sockets stay in the namespace that they were made in."""
        made = []

        def make():
            libc = ctypes.CDLL(None, use_errno=True)
            with open("/run/netns/" + self.name, encoding="ascii") as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET):
                    return
            made.append(socket.socket())

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            pytest.skip("setns is not allowed here")
        return made[0]

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
