"""The gateway at its system calls: what it does there, and what happens when one is its last.

strace is attached to one that is ready, so that nothing counts but what a test asks of it.
"""

import os
import re
import signal
import subprocess
import threading

from gateway import wait_for

CALL = re.compile(r"(\d+) +(?:(\w+)\(|<\.\.\. \w+ resumed>)(.*)")  # what another thread interrupted goes on


class Point:
    """Before a thread's `count`th call of that name."""

    def __init__(self, thread, name, count, text):
        self.thread, self.name, self.count, self.text = thread, name, count, text

    def __repr__(self):
        return "%s %s %d: %s" % (self.thread, self.name, self.count, self.text[:60])


def threads(pid):
    """Name → ids. All that serve HTTP are alike; each other one is known by its place."""
    found, others = {"http": []}, 0
    for tid in sorted(map(int, os.listdir("/proc/%d/task" % pid))):
        with open("/proc/%d/task/%d/comm" % (pid, tid), encoding="utf-8") as name:
            if name.read().startswith("MHD"):
                found["http"].append(tid)
                continue
        found["thread %d" % others] = [tid]
        others += 1
    return found


class Strace:
    """Watches these threads, or all, until the block is left."""

    def __init__(self, gateway, *arguments, tids=()):
        which = [word for tid in tids for word in ("-p", str(tid))] or ["-f", "-p", str(gateway.pid)]
        self.process = subprocess.Popen(["strace", *which, *arguments], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        for _ in tids or [0]:
            line = self.process.stderr.readline()
            assert b"attached" in line, line
        self.reader = threading.Thread(target=self.process.stderr.read)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()


def inject(gateway, point, what, more=""):
    """That happens there, and with more="+" from there on."""
    return Strace(gateway, "-o", "/dev/null", "-e", "trace=" + point.name, "-e",
                  "inject=%s:%s:when=%d%s" % (point.name, what, point.count, more),
                  tids=threads(gateway.pid)[point.thread])


def calls_of(gateway, path, act, names):
    """The calls of these names, in their order, while act() runs."""
    who = {tid: name for name, tids in threads(gateway.pid).items() for tid in tids}
    with Strace(gateway, "-y", "-s", "200", "-o", path, "-e", "trace=" + names):
        act()
    counts, last, found = {}, {}, []
    with open(path, encoding="utf-8") as trace:
        for match in filter(None, map(CALL.match, trace)):
            tid, name = int(match[1]), match[2]
            if name:
                counts[tid, name] = counts.get((tid, name), 0) + 1
                last[tid] = Point(who[tid], name, counts[tid, name], "")
                found.append(last[tid])
            if tid in last:
                last[tid].text += match[3]
    return found


def state_of(pid, tid):
    with open("/proc/%d/task/%s/stat" % (pid, tid), encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def is_stopped(gateway):
    """All of its threads are: one that is watched stops for a moment at each of its calls."""
    tids = os.listdir("/proc/%d/task" % gateway.pid)
    return all(state_of(gateway.pid, tid) in "Tt" for tid in tids)


def died(gateway, unless, seconds=10):
    """Whether it did, before `unless` came true."""
    wait_for(lambda: gateway.process.poll() is not None or unless(), seconds)
    return gateway.process.poll() is not None
