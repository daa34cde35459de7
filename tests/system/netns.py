"""A network namespace of its own: loopback with a firewall that can lose packets."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000


def run(*words):
    subprocess.run(words, check=True, capture_output=True, timeout=30)


class Namespace:
    folder = None  # of files that stand in place of those in /etc

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

    def address(self, address):
        """One more that is its own."""
        run("ip", "-n", self.name, "address", "add", address, "dev", "lo")

    def ask(self, *servers):
        """Whoever is started in it from now on asks these name servers."""
        self.folder = "/etc/netns/" + self.name
        os.makedirs(self.folder, exist_ok=True)
        with open(self.folder + "/resolv.conf", "w", encoding="ascii") as out:
            out.writelines("nameserver %s\n" % server for server in servers)

    def listener(self):
        return self.socket(socket.AF_INET, socket.SOCK_STREAM)

    def socket(self, family, kind):
        """A socket inside; sockets stay in the namespace that they were made in."""
        made = []

        def make():
            libc = ctypes.CDLL(None, use_errno=True)
            with open("/run/netns/" + self.name, encoding="ascii") as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET):
                    return
            made.append(socket.socket(family, kind))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            pytest.skip("setns is not allowed here")
        return made[0]

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
