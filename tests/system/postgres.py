"""A PostgreSQL of a test's own (tests/postgres/server.sh), and a way to it that can stall."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.parse

import pytest

import gateway

# Gateways wait for those that were there before them, where a server has started just now: that takes ten seconds, and is tested
# by itself (test_store_pg.c).
AGED = "CREATE SCHEMA aged; CREATE FUNCTION aged.pg_control_system(OUT pg_control_last_modified timestamptz) " \
       "LANGUAGE sql AS 'SELECT to_timestamp(0)'; ALTER ROLE lettergate SET search_path = public, aged, pg_catalog"
SCRIPT = os.path.join(gateway.ROOT, "tests", "postgres", "server.sh")


def fast_folder():
    """In memory where that can be; FAST_FOLDER is set by who removes what is left there."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return os.environ.get("FAST_FOLDER", shared)


class Postgres:
    """What it wrote stays in its folder when it is ended; a crash of the machine is not tested."""

    def __init__(self, *options, wrap=()):
        self.folder = tempfile.mkdtemp(prefix="lettergate-pg-", dir=fast_folder())
        self.options = ("-c", "listen_addresses=", "-c", "fsync=off") + options
        self.process, self.wrap, self.is_aged = None, wrap, False
        made = subprocess.run([SCRIPT, "make", self.folder], check=False, timeout=60 * gateway.SLOW)
        if made.returncode == 77:
            shutil.rmtree(self.folder)
            pytest.skip("PostgreSQL is not installed")
        assert made.returncode == 0
        self.start()

    def url(self, **more):
        query = {"host": self.folder, "user": "lettergate", **more}
        return "postgresql:///postgres?" + urllib.parse.urlencode(query)

    def sql(self, words, check=True):
        """The lines of the answer."""
        done = subprocess.run(["psql", "-AtX", "-v", "ON_ERROR_STOP=1", "-c", words, self.url()],
                              capture_output=True, text=True, timeout=20 * gateway.SLOW, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.split()

    def start(self):
        self.process = subprocess.Popen([*self.wrap, SCRIPT, "run", self.folder, *self.options])
        assert gateway.wait_for(lambda: self.sql("SELECT 1", check=False) == ["1"], 20)
        if not self.is_aged:
            self.sql(AGED)
        self.is_aged = True

    def end(self, how=signal.SIGQUIT):
        """At once, as in a crash, if not told otherwise."""
        self.process.send_signal(how)
        self.process.wait(30)

    def check(self):
        """What is wrong with its tables and indexes; "": nothing."""
        done = subprocess.run([SCRIPT, "check", self.folder], capture_output=True, text=True,
                              timeout=60 * gateway.SLOW, check=False)
        return done.stdout + done.stderr if done.returncode else ""

    def terminate_all(self):
        """Connections of gateways; how many they were."""
        return len(self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE application_name = 'lettergate'", check=False))

    def time_passes(self, ms):
        """For leases alone; how long the shortest and the longest are from now on."""
        self.sql("UPDATE lettergate_message SET lease_ms = lease_ms - %d WHERE turn = 4" % ms)
        left = "lease_ms - (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        return [int(self.sql("SELECT %s(%s) FROM lettergate_message WHERE turn = 4" % (end, left))[0])
                for end in ("min", "max")]

    @contextlib.contextmanager
    def locked(self):
        """Nobody reads or writes the messages' table, as in a VACUUM FULL; their leases end meanwhile."""
        with subprocess.Popen(["psql", "-AtXq", self.url()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as psql:
            psql.stdin.write("BEGIN; LOCK TABLE lettergate_message;\n\\echo locked\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "locked\n"
            yield
            psql.stdin.write("UPDATE lettergate_message SET lease_ms = lease_ms - 60000 WHERE turn = 4; COMMIT;\n")

    def owners(self):
        """Those that are there, each a gateway's."""
        return self.sql("SELECT owner FROM lettergate_replica")

    def leases_are_over(self, living=()):
        """As if so much time had passed, for all but these owners. Where rows are locked the other way round by a gateway, one of the
        two is told of a deadlock, and comes again."""
        command = "WITH over AS (UPDATE lettergate_message SET lease_ms = 0 WHERE turn = 4 AND owner " \
                  "NOT IN (%s)) SELECT 1" % ", ".join(["0", *living])
        assert gateway.wait_for(lambda: self.sql(command, check=False) == ["1"], 20)

    def forget(self):
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def close(self):
        if self.process.poll() is None:
            self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(name="store")
def shared_store():
    """What STORE is, for gateways that share one."""
    postgres = Postgres()
    yield postgres.url()
    postgres.close()


class Way:
    """A socket in a folder that leads to the server, until it stalls: nothing comes through then, and
    nobody is told."""

    def __init__(self, postgres):
        self.folder = tempfile.mkdtemp(prefix="lettergate-way-")
        self.target = postgres.folder + "/.s.PGSQL.5432"
        self.open = threading.Event()
        self.open.set()
        self.is_over = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.folder + "/.s.PGSQL.5432")
        self.listener.listen(20)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.is_over:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                self.open.wait()
                server.connect(self.target)
                other = {client: server, server: client}
                while not self.is_over:
                    for ready in select.select([client, server], [], [], 0.2)[0]:
                        self.open.wait()
                        data = ready.recv(65536)
                        if not data:
                            return
                        other[ready].sendall(data)
            except OSError:
                return

    def stall(self):
        self.open.clear()

    def go_on(self):
        self.open.set()

    def url(self, **more):
        return "postgresql:///postgres?" + urllib.parse.urlencode(
            {"host": self.folder, "user": "lettergate", **more})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.open.set()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
