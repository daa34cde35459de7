"""The rows of the benchmark that are about a queue which gateways share: how fast one and two of them accept
into a PostgreSQL of the benchmark's own, and send from it, beside one with a file, in turns."""

import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
from urllib.parse import urlencode

from parts import ROOT, Gateway, Process, Sink, wait_for
from queued import CLIENTS, accepted, store_folder, through

SERVER = ROOT / "tests/postgres/server.sh"
PROGRAMS = ("file", "one", "two")


class Postgres(Process):
    """With the settings that it comes with, but for where it listens: its commits are on disk."""

    def __init__(self):
        # not below the build: the server runs as a user of its own, who may not get there
        self.folder = tempfile.mkdtemp(prefix="lettergate-bench-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        subprocess.run([SERVER, "make", self.folder], check=True)
        super().__init__([SERVER, "run", self.folder, "-c", "listen_addresses="])
        wait_for(lambda: self.sql("SELECT 1").stdout == "1\n", 20, 0.05)

    def url(self, database):
        return f"postgresql:///{database}?" + urlencode({"host": self.folder, "user": "lettergate"})

    def sql(self, words):
        return subprocess.run(["psql", "-AtXc", words, self.url("postgres")], capture_output=True, text=True, check=False)

    def new_database(self, name):
        self.sql(f"CREATE DATABASE {name}").check_returncode()
        return self.url(name)

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def gateways_of(sink):
    """By the name of what is measured: a list of gateways."""
    with contextlib.ExitStack() as stack:
        folder, postgres = stack.enter_context(store_folder("shared")), stack.enter_context(Postgres())
        stores = {"file": [f"sqlite:{folder}/queue.db"], "one": [postgres.new_database("one")],
                  "two": [postgres.new_database("two")] * 2}  # fmt: skip
        yield {
            name: [stack.enter_context(Gateway(sink, STORE=store)) for store in stores[name]] for name in PROGRAMS
        }  # fmt: skip


def median_of(rounds, fields):
    return {name: {field: statistics.median(one[name][field] for one in rounds) for field in fields} for name in PROGRAMS}


def row_shared_accepts(options):
    found = []
    for clients in CLIENTS:
        count = {1: 500, 16: 5_000}.get(clients, 10_000)
        with Sink("pipelining", "chunking") as sink, gateways_of(sink) as gateways:
            rounds = [
                {name: accepted(gateways[name], clients, count) for name in PROGRAMS}
                for _ in range(options.rounds)
            ]  # fmt: skip
        median = median_of(rounds, ["per_second", "p50_ms", "p99_ms"])
        found.append({"clients": clients, "median": median, "rounds": rounds})
    return found


def row_shared_through(options):
    with Sink("pipelining", "chunking") as sink, gateways_of(sink) as gateways:
        rounds = [{name: through(gateways[name], sink, 10_000) for name in PROGRAMS} for _ in range(options.rounds)]
    return {"median": median_of(rounds, ["per_second"]), "rounds": rounds}
