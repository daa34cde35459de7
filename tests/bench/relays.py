"""The rows of the benchmark that are about relays: far ones, many sessions, and bad neighbours."""

import http.client
import json
import smtplib
import ssl
import statistics
import sys
import threading
import time
from pathlib import Path

from body import message, mime
from parts import KEY, OUT, TYPES, Gateway, Process, Sink, free_port, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "relay"))

from proxy import Proxy  # noqa: E402
from relay import Relay  # noqa: E402

USER, PASSWORD = "app", "secret-of-the-app"
SESSIONS = 2_000


class Client:
    """One connection to the gateway that is kept."""

    def __init__(self, gateway):
        self.link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)

    def send(self, body):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        self.link.request("POST", "/send", body, headers)
        answer = self.link.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"/send: {answer.status} {text[:300]}")


def timed(work):
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1e3


def cold_send(port):
    """What a script does that has a library and no gateway."""
    trust = ssl.create_default_context(cafile=str(OUT / "cert.pem"))
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as link:
        link.starttls(context=trust)
        link.login(USER, PASSWORD)
        link.sendmail("shop@example.com", ["ann@example.org"], mime())


def secure_relay():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(OUT / "cert.pem", OUT / "key.pem")
    return Relay(tls="starttls", context=context, users={USER: PASSWORD}, require_auth=True)


def row_latency(_options):
    """One mail over TLS with AUTH to a relay that is 0, 20 or 100 ms away, each way."""
    body, found = json.dumps(message()), []
    for delay_ms, count in ((0, 40), (20, 12), (100, 4)):
        way = {"delay": delay_ms / 1e3}
        with secure_relay() as relay, Proxy(relay, {"up": way, "down": way}) as proxy:
            cold = [timed(lambda: cold_send(proxy.port)) for _ in range(count)]
            with Gateway(proxy, 4, tls=True, SMTP_USER=USER, SMTP_PASS=PASSWORD) as gateway:
                client = Client(gateway)
                client.send(body)
                before = len(relay.ledger)
                warm = [timed(lambda: client.send(body)) for _ in range(count)]
                turns = [taken.round_trips for taken in relay.ledger[before:]]
        found.append({
            "delay_ms": delay_ms, "cold_ms": statistics.median(cold), "warm_ms": statistics.median(warm),
            "times": statistics.median(cold) / statistics.median(warm),
            "turns_a_message": statistics.mean(turns), "answers": count, "at_relay": len(turns),
            "count_is_right": len(turns) == count,
        })  # fmt: skip
    return found


def config_of(relays):
    file = OUT / f"relays.{free_port()}.json"
    file.write_text(json.dumps({"relays": [{"host": "127.0.0.1", **relay} for relay in relays]}))
    return file


def row_sessions_held(_options):
    """Memory a session: when it has idled for twelve seconds, and when it carries a message that a
    client waits for."""
    path, found = OUT / "body.held", []
    path.write_text(json.dumps(message()))
    for tls in (False, True):
        wishes = ["pipelining", "chunking"] + ["starttls"] * tls
        with Sink(*wishes) as sink:
            each = {"port": sink.port, "sessions": SESSIONS // 2, "min_sessions": SESSIONS // 2,
                    "idle": "10m", "priority": 1, "secure": "STARTTLS" if tls else "NONE",
                    **({"ca_file": str(OUT / "cert.pem")} if tls else {})}  # fmt: skip
            config = config_of([{"name": "one", **each}, {"name": "other", **each}])
            with Gateway(None, config=config) as gateway:
                begin = gateway.memory_kb("RssAnon")
                wait_for(lambda: gateway.metric_sum("smtp_sessions", 'state="idle"') == SESSIONS, 60, 0.1)
                time.sleep(12)  # what the handshakes left free is given back
                idle = gateway.memory_kb("RssAnon")
                sink.write("hold_ms", 60_000)
                with Process([OUT / "loader", gateway.port, SESSIONS, SESSIONS, KEY, path, TYPES["body"]]):
                    wait_for(lambda: sink.read("held") >= SESSIONS - 20, 60, 0.1)  # shares are no halves
                    busy = gateway.memory_kb("RssAnon")
                    sink.write("hold_ms", 0)
                    wait_for(lambda: sink.messages() >= SESSIONS, 60, 0.1)
            config.unlink()
        found.append({"tls": tls, "sessions": SESSIONS, "idle_kb": (idle - begin) / SESSIONS,
                      "busy_kb": (busy - begin) / SESSIONS})  # fmt: skip
    return found


# ---- bad neighbours


class Stream(threading.Thread):
    """Sends to one relay, one message after the other, for so long."""

    def __init__(self, gateway, relay, seconds):
        super().__init__(daemon=True)
        self.gateway, self.seconds, self.times = gateway, seconds, []
        self.body = json.dumps({**message(), "relay": relay, "deadline": "5s"})

    def run(self):
        end, client = time.monotonic() + self.seconds, Client(self.gateway)
        while time.monotonic() < end:
            try:
                self.times.append(timed(lambda: client.send(self.body)))
            except (OSError, RuntimeError):
                pass


def p99(streams):
    times = sorted(time_ms for stream in streams for time_ms in stream.times)
    return times[len(times) * 99 // 100]


NEIGHBOURS = {
    "nothing": None,
    "silent": {"down": {"then": "drop"}},
    "dripping": {"down": {"rate": 1}},
    "swallowing": {"connect": "silent"},
}


def healthy_p99(script, seconds):
    with Sink("pipelining", "chunking") as good, Relay() as other, Proxy(other, script or {}) as proxy:
        config = config_of([{"name": "good", "port": good.port, "secure": "NONE"},
                            {"name": "bad", "port": proxy.port, "secure": "NONE"}])  # fmt: skip
        with Gateway(None, config=config) as gateway:
            streams = [Stream(gateway, "good", seconds) for _ in range(4)]
            load = [Stream(gateway, "bad", seconds) for _ in range(16)] if script else []
            for stream in streams + load:
                stream.start()
            for stream in streams:
                stream.join()
        config.unlink()
    return p99(streams)


def row_isolation(options):
    """A healthy relay's p99, alone and beside one that is silent, drips, or swallows all."""
    rounds = [{name: healthy_p99(script, options.seconds) for name, script in NEIGHBOURS.items()}
              for _ in range(options.rounds)]  # fmt: skip
    return [
        {"beside": name, "p99_ms": statistics.median(one[name] for one in rounds),
         "times": statistics.median(one[name] / one["nothing"] for one in rounds)}
        for name in NEIGHBOURS
    ]  # fmt: skip
