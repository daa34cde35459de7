"""What the benchmark starts and how it reads off figures: relays, the gateway, the peers, the loaders."""

import http.client
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from body import BOUNDARY

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build/bench"
BINARY = ROOT / "build/release/service/lettergate"
KEY = "bench-key-0123456789abcdef"
# The kinds of a request's body, as body.py makes them.
TYPES = {"body": "application/json", "form": f"multipart/form-data; boundary={BOUNDARY}"}
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=15, every=0.002):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise RuntimeError(f"not within {seconds} s: {condition.__qualname__}")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """Something started here, ended here, and read through /proc."""

    def __init__(self, command, env=None, output=subprocess.DEVNULL):
        self.started = time.monotonic()
        self.child = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **{name: str(value) for name, value in (env or {}).items()}},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=OUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def cpu_us(self):
        words = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) * TICK_US

    def memory_kb(self, name):
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1])

    def forget_peak(self):
        Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")


class PostfixSink(Process):
    """smtp-sink, with its running counter in a file."""

    name = "smtp-sink"

    def __init__(self):
        self.port = free_port()
        self.counter = OUT / f"smtp-sink.{self.port}"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with open(self.counter, "ab") as output:
            address = f"127.0.0.1:{self.port}"
            super().__init__(["/usr/sbin/smtp-sink", *user, "-c", "-m", "512", address, "512"], output=output)
        wait_for(lambda: accepts(self.port))

    def __exit__(self, *_):
        super().__exit__()
        self.counter.unlink()

    def messages(self):
        with open(self.counter, "r+b") as file:
            file.seek(max(0, os.path.getsize(self.counter) - 200))
            seen = re.findall(rb"mesg= *(\d+)", file.read())
        return int(seen[-1]) if seen else 0


class Sink(Process):
    """Our own: TLS, CHUNKING, slowness, and round trips counted."""

    FIELDS = ["port", "connections", "messages", "bytes", "turns", "lag_ms", "hold_ms", "held"]
    name = "sink"

    def __init__(self, *wishes):
        self.file = OUT / f"sink.{free_port()}"
        certificate = [OUT / "cert.pem", OUT / "key.pem"]
        words = []
        for wish in wishes:
            words += [wish, *certificate] if wish in ("tls", "starttls") else [wish]
        super().__init__([OUT / "sink", self.file, *words])
        wait_for(lambda: self.file.exists() and self.file.stat().st_size == 64)
        with open(self.file, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 64)
        self.port = wait_for(lambda: self.read("port"))

    def __exit__(self, *_):
        super().__exit__()
        self.file.unlink()

    def read(self, field):
        return struct.unpack_from("Q", self.map, 8 * self.FIELDS.index(field))[0]

    def write(self, field, value):
        struct.pack_into("Q", self.map, 8 * self.FIELDS.index(field), value)

    def messages(self):
        return self.read("messages")


class Gateway(Process):
    name = "gateway"
    form_path = "/send"

    def __init__(self, sink, sessions=16, tls=False, config=None, **more):
        """`config`: a file that names the relays, in place of `sink`."""
        self.port = free_port()
        relay = {} if config else {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": sink.port,
            "SMTP_SECURE": "STARTTLS" if tls else "NONE",
            "SMTP_SESSIONS": sessions,
            **({"SMTP_CA_FILE": OUT / "cert.pem"} if tls else {}),
        }  # fmt: skip
        env = {"API_KEY": KEY, "HTTP_LISTEN": f"127.0.0.1:{self.port}", **relay, **more}
        super().__init__([BINARY, "serve", *(["--config", config] if config else [])], env)
        wait_for(self.is_ready, every=0.0005)
        self.ready_ms = (time.monotonic() - self.started) * 1e3

    def is_ready(self):
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, kind="body"):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": TYPES[kind]}
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def get(self, path):
        return self.ask("GET", path)

    def metric_sum(self, name, label):
        """Of all samples of this name that have this label."""
        found = re.findall(rf"^lettergate_{name}{{(.*)}} (\S+)", self.get("/metrics")[1].decode(), re.M)
        return sum(float(value) for labels, value in found if label in labels)

    def metric(self, name):
        found = re.search(rf"^lettergate_{name} (\S+)", self.get("/metrics")[1].decode(), re.M)
        return float(found[1]) if found else 0.0


class Nodemailer(Process):
    name = "fastify+nodemailer"
    form_path = "/send/form"

    def __init__(self, sink, sessions=16, tls=False, **more):
        self.port = free_port()
        env = {
            "NODE_ENV": "production",
            "PEER_PORT": self.port,
            "SMTP_PORT": sink.port,
            "SESSIONS": sessions,
            "API_KEY": KEY,
            **({"CA_FILE": OUT / "cert.pem"} if tls else {}),
            **more,
        }
        super().__init__(["node", "server.js"], env)
        wait_for(lambda: accepts(self.port))


def result_of(output):
    found = re.search(r"^RESULT (.*)$", output, re.M)
    if not found:
        raise RuntimeError(f"no result: {output[-500:]}")
    return json.loads(found[1])


def wrk(server, body, seconds, connections=64, kind="body"):
    # One thread is enough for it, and leaves more of a small machine to what is measured.
    env = {**os.environ, "BENCH_KEY": KEY, "BENCH_BODY": str(body), "BENCH_TYPE": TYPES[kind]}
    env["BENCH_PATH"] = server.form_path if kind == "form" else "/send"
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s",
         "-s", str(ROOT / "tests/bench/send.lua"), f"http://127.0.0.1:{server.port}"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result_of(run.stdout + run.stderr)


def peak_kb(pid):
    # Not ru_maxrss: that begins with what we, its parent, had.
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def run_counted(command):
    """Runs a program to its end: its output, seconds, CPU in µs, and most memory in kB."""
    began = time.monotonic()
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    pid, most = 0, 0
    while not pid:
        most = max(most, peak_kb(child.pid))
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        time.sleep(0 if pid else 0.005)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}")
    return child.stdout.read(), seconds, (usage.ru_utime + usage.ru_stime) * 1e6, most


def loader(port, connections, requests, body, kind="body"):
    command = [OUT / "loader", port, connections, requests, KEY, body, TYPES[kind]]
    return result_of(run_counted(command)[0])
