"""The rows of the benchmark that are about the queue: how fast mail is accepted for good (it is on
disk before the answer), beside a Postfix that does the same, and how fast it goes through."""

import contextlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from body import message
from parts import OUT, Gateway, Sink, accepts, free_port, loader, run_counted, wait_for

CLIENTS = (1, 16, 64, 256)
WAITING = 1_000_000


@contextlib.contextmanager
def store_folder(name):
    """On the disk that has the build, for a file system in memory promises nothing."""
    folder = OUT / f"store-{name}.{free_port()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Postfix:
    """Debian's Postfix with the settings that it comes with, on a port and with folders of its own; what it
    accepts stays in its queue. It needs root."""

    SETTINGS = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
defer_transports = smtp
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
"""

    def __enter__(self):
        self.port, self.folder = free_port(), Path(tempfile.mkdtemp(prefix="postfix-", dir=OUT))
        self.folder.chmod(0o755)
        for name in ("spool", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.folder / "main.cf").write_text(self.SETTINGS.format(folder=self.folder))
        own = Path("/etc/postfix/master.cf").read_text().splitlines()
        kept = [line for line in own if not line.startswith(("smtp      inet", "postlog"))]
        more = [f"127.0.0.1:{self.port} inet n - y - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
        (self.folder / "master.cf").write_text("\n".join(kept + more) + "\n")
        self.control("start")
        wait_for(lambda: accepts(self.port), 20)
        return self

    def control(self, verb):
        run = subprocess.run(["postfix", "-c", str(self.folder), verb], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"postfix {verb}: {run.stderr}")

    def __exit__(self, *_):
        self.control("stop")
        shutil.rmtree(self.folder)


def body_of(name, **more):
    path = OUT / f"body.{name}"
    path.write_text(json.dumps({**message(), "delivery": "queue", **more}))
    return path


def later():
    """So long nothing is sent: what is measured is accepting."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))


def posted(gateways, clients, count, body):
    """`count` requests to each by so many clients of its own; all begin together, and the last to end counts."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda gateway: loader(gateway.port, clients, count, body), gateways))
    return {"answers": sum(one["answers"] for one in results),
            **{field: max(one[field] for one in results) for field in ("seconds", "p50_ms", "p99_ms")}}  # fmt: skip


def accepted(gateways, clients, count):
    """Each request is answered 202 when its message is on disk."""
    result, wanted = posted(gateways, clients, count, body_of("later", send_at=later())), count * len(gateways)
    return {**result, "per_second": result["answers"] / result["seconds"], "at_relay": wanted,
            "count_is_right": result["answers"] == wanted}  # fmt: skip


def accepted_by_postfix(postfix, clients, count):
    command = ["/usr/sbin/smtp-source", "-d", "-s", clients, "-m", count, "-l", 2_000]
    command += ["-f", "orders@shop.example.com", "-t", "ann@example.org", f"127.0.0.1:{postfix.port}"]
    _, seconds, _, _ = run_counted(command)
    return {"per_second": count / seconds}


def median_of(rounds, who, field):
    return statistics.median(one[who][field] for one in rounds)


def row_accepts(options):
    """Durable accepts a second, by clients that wait for each; Postfix in turns with us."""
    found = []
    for clients in CLIENTS:
        count, rounds = {1: 2_000, 16: 10_000}.get(clients, 30_000), []
        with store_folder("accepts") as folder, Sink("pipelining", "chunking") as sink, Postfix() as postfix:
            with Gateway(sink, STORE=f"sqlite:{folder}/queue.db") as gateway:
                for _ in range(options.rounds):
                    rounds.append({"gateway": accepted([gateway], clients, count),
                                   "postfix": accepted_by_postfix(postfix, clients, count // 10)})  # fmt: skip
        each = [one["gateway"]["per_second"] / one["postfix"]["per_second"] for one in rounds]
        found.append({
            "clients": clients, "times": statistics.median(each), "each": each, "rounds": rounds,
            **{field: median_of(rounds, "gateway", field) for field in ("per_second", "p50_ms", "p99_ms")},
            "postfix_per_second": median_of(rounds, "postfix", "per_second"),
        })  # fmt: skip
    return found


def through(gateways, sink, count):
    """Accepted and on disk, sent, and the verdict on disk: messages a second, from the first request on."""
    before, began, wanted = sink.messages(), time.monotonic(), count * len(gateways)
    result = posted(gateways, 64, count, body_of("through"))
    wait_for(lambda: sink.messages() - before >= wanted, 120, 0.01)
    seconds = time.monotonic() - began
    time.sleep(0.5)
    taken = sink.messages() - before
    return {"per_second": wanted / seconds, "answers": result["answers"], "at_relay": taken,
            "count_is_right": taken == result["answers"] == wanted}  # fmt: skip


def row_through(options):
    with store_folder("through") as folder, Sink("pipelining", "chunking") as sink:
        with Gateway(sink, STORE=f"sqlite:{folder}/queue.db") as gateway:
            rounds = [through([gateway], sink, 30_000) for _ in range(options.rounds)]
    return {"per_second": statistics.median(one["per_second"] for one in rounds), "rounds": rounds}


def row_million(options):
    """The same in turns with an empty queue and with one in which a million messages wait; and how a start
    with those goes."""
    rounds, names, room = [], ("empty", "full"), {"QUEUE_MAX": 2 * WAITING}
    with store_folder("empty") as one, store_folder("million") as other, Sink("pipelining", "chunking") as sink:
        with Gateway(sink, STORE=f"sqlite:{other}/queue.db", **room) as gateway:
            filled = accepted([gateway], 256, WAITING)
        full = Gateway(sink, STORE=f"sqlite:{other}/queue.db", **room)
        empty = Gateway(sink, STORE=f"sqlite:{one}/queue.db", **room)
        with full, empty:
            for _ in range(options.rounds):
                rounds.append({
                    name: {"accepts": accepted([gateway], 64, 20_000), "through": through([gateway], sink, 20_000)}
                    for name, gateway in zip(names, (empty, full))
                })  # fmt: skip
            rss_mb = full.memory_kb("VmRSS") / 1024
    times = {
        what: statistics.median(found["full"][what]["per_second"] / found["empty"][what]["per_second"] for found in rounds)
        for what in ("accepts", "through")
    }
    return {"waiting": WAITING, "ready_ms": full.ready_ms, "rss_mb": rss_mb, "filled": filled, "rounds": rounds, "times": times}
