"""The real binary, started and stopped, and ways to talk to it.

LETTERGATE_BIN names the binary; LETTERGATE_SLOW is the factor by which the tests' patience grows
(sanitizer builds); LETTERGATE_PORTS is where the ports begin, for runs beside each other.
"""

import base64
import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.abspath(os.environ.get("LETTERGATE_BIN",
                                        os.path.join(ROOT, "build/release/service/lettergate")))
SLOW = float(os.environ.get("LETTERGATE_SLOW", "1"))
PACE = min(SLOW, 2.0)  # by how much the gateway's own time-outs, and a relay's delays, are stretched
DATA = os.path.join(ROOT, "..", "shared", "data")
KEY = "test-key-0123456789"

sys.path.insert(0, os.path.join(ROOT, "tests", "relay"))

REPORT = re.compile(r"(Address|Thread|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error:")


# Below the range that the system gives out by itself, and each one once, by whichever worker: a port
# that was only just free may be another gateway's, or another relay's, when it is listened on.
PORTS = itertools.count(int(os.environ.get("LETTERGATE_PORTS", "20000")) +
                        4000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) +
                        os.getpid() * 61 % 2000)


def free_port(host="127.0.0.1"):
    while True:
        port = next(PORTS)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            try:
                sock.bind((host, port))
                return port
            except OSError:
                continue


def ms(value):
    """A setting's duration in milliseconds, stretched a little where the build is slow."""
    return "%dms" % int(value * PACE)


def wait_for(predicate, seconds=10.0, step=0.01):
    end = time.monotonic() + seconds * SLOW
    while True:
        found = predicate()
        if found or time.monotonic() > end:
            return found
        time.sleep(step)


def together(function, things, at_once=8):
    """function(thing) for all, several at a time; the results in order. The first error is raised."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(function, things))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __getitem__(self, name):
        return self.json[name]

    def get(self, name, default=None):
        return self.json.get(name, default)

    def __repr__(self):
        return "<%s %s %s>" % (self.status, dict(self.headers), self.body[:2000])


def clean_environment(settings):
    keep = {name: value for name, value in os.environ.items()
            if name in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LANG")}
    keep.update({name: str(value) for name, value in settings.items() if value is not None})
    return keep


def command(*args, settings=None, text=None, timeout=20, cwd=None):
    """Runs a command of the binary to its end."""
    done = subprocess.run([BINARY, *args], env=clean_environment(settings or {}), input=text,
                          capture_output=True, text=True, timeout=timeout * SLOW, cwd=cwd,
                          check=False)
    assert not REPORT.search(done.stdout + done.stderr), done.stdout + done.stderr
    return done


class Gateway:
    """`lettergate serve`, ready. Settings are environment variables; None leaves one out."""

    def __init__(self, relay=None, key=KEY, args=(), wrap=(), wait=True, cwd=None, host="127.0.0.1",
                 pass_fds=(), stdout=subprocess.PIPE, unix=None, context=None, **settings):
        self.port = free_port(host)
        self.host, self.key = host, key
        self.context, self.unix = context, unix and str(unix)
        listen = "unix:%s" % unix if unix else \
            "%s:%d" % ("[%s]" % host if ":" in host else host, self.port)
        environment = {"HTTP_LISTEN": listen, "API_KEY": key, "LOG_LEVEL": "debug",
                       "SMTP_EHLO_NAME": "client.test"}
        if relay is not None:
            environment.update({"SMTP_HOST": relay.host, "SMTP_PORT": relay.port,
                                "SMTP_SECURE": {None: "NONE", "starttls": "STARTTLS",
                                                "implicit": "TLS"}[relay.tls]})
        environment.update(settings)
        self.settings = environment
        self.lines, self.errors = [], []
        self.status = None
        self.process = subprocess.Popen([*wrap, BINARY, "serve", *args],
                                        env=clean_environment(environment), stdout=stdout,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=cwd,
                                        pass_fds=pass_fds)
        self.readers = [self._read(self.process.stderr, self.errors)]
        if self.process.stdout:
            self.readers.append(self._read(self.process.stdout, self.lines))
        if wait:
            self.wait_ready()

    def _read(self, stream, into):
        def run():
            for line in stream:
                into.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        return "\n".join(self.lines + self.errors)

    @property
    def url(self):
        return "%s://%s:%d" % ("https" if self.context else "http", self.host, self.port)

    def log(self, event=None):
        """The log's lines, parsed: each must be JSON."""
        found = [json.loads(line) for line in list(self.lines) if line]
        return [line for line in found if event is None or line.get("event") == event]

    def wait_ready(self, seconds=10):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("ended with %s:\n%s" % (self.process.returncode, self.output))
            try:
                return self.get("/readyz", key=None).status == 200
            except (OSError, http.client.HTTPException):
                return False
        try:
            assert wait_for(ready, seconds), "never ready:\n" + self.output
        except BaseException:
            self.kill()
            raise

    # ---- talking to it

    def connect(self, timeout=30):
        if self.unix:
            return UnixConnection(self.unix, timeout * SLOW)
        if self.context:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout * SLOW,
                                               context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)

    def request(self, method, path, body=None, headers=None, key="", timeout=30, connection=None):
        headers = dict(headers or {})
        if key == "":
            key = self.key
        if key:
            headers.setdefault("Authorization", "Bearer " + key)
        own = connection is None
        connection = connection or self.connect(timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            if own:
                connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, headers=None, **more):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self.request("POST", path, body, headers, **more)

    def send(self, message=None, path="/send", headers=None, key="", timeout=30, connection=None,
             **fields):
        """A small message with `fields` on top."""
        return self.post(path, mail(**(message or {}), **fields), headers, key=key,
                         timeout=timeout, connection=connection)

    def socket(self, timeout=10):
        return socket.create_connection((self.host, self.port), timeout * SLOW)

    def raw(self, data, timeout=5, pause=0.0):
        """Sends bytes (or pieces of them) and gives all that comes until the end or the time-out."""
        with self.socket(timeout) as sock:
            try:
                for piece in [data] if isinstance(data, bytes) else data:
                    sock.sendall(piece)
                    time.sleep(pause)
            except OSError:
                pass
            return read_all(sock)

    # ---- its end

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=30):
        try:
            self.status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT if SLOW > 1 else signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not stop:\n" + self.output[-4000:]) from None
        for reader in self.readers:
            reader.join(5)
        assert not REPORT.search(self.output), self.output
        return self.status

    def stop(self, status=0):
        """SIGTERM, then the exit code must be as wanted."""
        if self.status is None:
            if self.process.poll() is None:
                self.terminate()
            self.wait()
        assert self.status == status, "exit %s:\n%s" % (self.status, self.output[-6000:])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            try:
                self.stop()
            except AssertionError as error:
                print(error)
                self.kill()
            print("log of the gateway:\n" + "\n".join(self.output.split("\n")[-60:]))


def read_all(sock):
    found = b""
    try:
        while True:
            data = sock.recv(65536)
            if not data:
                return found
            found += data
    except OSError:
        return found


def mail(**fields):
    """A message that passes, with `fields` on top (None takes a field away)."""
    message = {"from": "Shop <shop@example.com>", "to": ["ann@example.org"], "subject": "Order 42",
               "text": "Thank you.\n"}
    message.update(fields)
    return {name: value for name, value in message.items() if value is not None}


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def tls_client(ca_file):
    return ssl.create_default_context(cafile=ca_file)


def open_files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def resident_kb(pid, field="VmRSS"):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return int(re.search(r"%s:\s+(\d+)" % field, status.read()).group(1))


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(text, name, **labels):
    """The sum of a metric's samples that carry these labels; None if there is none."""
    total = None
    for line in text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: .*)?", line)
        if not found or found.group(1) != name:
            continue
        own = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
        if all(own.get(label) == value for label, value in labels.items()):
            total = (total or 0) + float(found.group(3))
    return total


def problem(answer, status, code, outcome):
    """The answer must be this problem, whole in its form; gives its members."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer["status"] == status
    assert (answer["code"], answer["outcome"]) == (code, outcome), answer
    assert answer["type"] == "/problems/" + code
    assert answer["title"] and answer["detail"]
    assert answer["request_id"] == answer.headers["X-Request-Id"]
    if status == 503:
        assert int(answer.headers["Retry-After"]) > 0
    return answer.json


@contextlib.contextmanager
def both(relay, **settings):
    """A gateway before a relay; both are stopped."""
    with relay, Gateway(relay, **settings) as gateway:
        yield gateway
