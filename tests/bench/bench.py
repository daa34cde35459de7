"""The benchmark's rows: see run.sh. Peers take turns with the gateway round by round, and what is
compared is the median of the ratios of each round, so that a noisy machine disturbs both alike."""

import argparse
import json
import statistics
import subprocess
import sys
import time

import body
import queued
import relays
import report
import shared
from parts import (
    KEY,
    OUT,
    TYPES,
    Gateway,
    Nodemailer,
    PostfixSink,
    Sink,
    loader,
    result_of,
    run_counted,
    wait_for,
    wrk,
)

SIZES = {"2KB": 0, "100KB": 75_000, "10MB": 10_000_000, "30MB JSON": 22_400_000, "30MB form": 30_000_000}
# What one peer run on its own sends: enough for about three seconds.
COUNTS = {"2KB": 30_000, "100KB": 6_000, "10MB": 60}
PARKED = 10_000


def file_of(size, kind):
    path = OUT / f"{kind}-{size}"
    path.write_bytes(getattr(body, kind)(SIZES[size]))
    return path


def settled(sink, quiet_s):
    """What the relay took, once it takes no more."""
    count, since = sink.messages(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        time.sleep(0.02)
        if sink.messages() != count:
            count, since = sink.messages(), time.monotonic()
    return count


def counted(sink, work, slack=0, quiet_s=0.25):
    """Runs `work`, which returns its result, and holds its answers against what the sink took. A
    load that ends by the clock leaves up to `slack` messages taken whose answer it did not await."""
    before = settled(sink, quiet_s)
    result = work()
    result["at_relay"] = settled(sink, quiet_s) - before
    result["count_is_right"] = 0 <= result["at_relay"] - result["answers"] <= slack
    return result


def measure_served(server, sink, path, seconds, connections, kind="body"):
    """One round of wrk on something that serves HTTP."""
    quiet_s = 2 if path.stat().st_size > 1_000_000 else 0.25
    settled(sink, quiet_s)
    relay_before, before = sink.cpu_us(), server.cpu_us()
    result = counted(sink, lambda: wrk(server, path, seconds, connections, kind), connections, quiet_s)
    done = max(1, result["at_relay"])
    result["per_second"] = result["answers"] / result["seconds"]
    result["cpu_us"] = (server.cpu_us() - before) / done
    result["relay_cpu_us"] = (sink.cpu_us() - relay_before) / done
    result["rss_mb"] = server.memory_kb("VmRSS") / 1024
    return result


def measure_alone(command, sink, count, answers_of):
    """One run of a peer that speaks SMTP by itself."""

    def work():
        output, seconds, cpu_us, rss_kb = run_counted(command)
        result = answers_of(output)
        result.setdefault("seconds", seconds)
        result.update(cpu_us=cpu_us / count, rss_mb=rss_kb / 1024)
        return result

    result = counted(sink, work)
    result["per_second"] = result["answers"] / result["seconds"]
    return result


def libcurl_round(sink, sessions, size, tls):
    count = COUNTS[size]
    command = [OUT / "peer_curl", f"smtp://127.0.0.1:{sink.port}", sessions, count, file_of(size, "mime")]
    return measure_alone(command + [OUT / "cert.pem"] * tls, sink, count, result_of)


def smtp_source_round(sink, sessions, size):
    count = COUNTS[size]
    length = file_of(size, "mime").stat().st_size
    command = ["/usr/sbin/smtp-source", "-d", "-s", sessions, "-m", count, "-l", length]
    command += ["-f", "orders@shop.example.com", "-t", "ann@example.org", f"127.0.0.1:{sink.port}"]
    return measure_alone(command, sink, count, lambda output: {"answers": count, "refused": 0, "broken": 0})


def relay_of(tls, chunking, lean=False):
    if lean:
        return Sink("pipelining")
    if tls:
        return Sink("starttls", "pipelining", *["chunking"] * chunking)
    return Sink("pipelining", "chunking") if chunking else PostfixSink()


def throughput(size, sessions, tls, options, chunking=False, lean=False, kind="body"):
    """Rounds of gateway, Fastify + Nodemailer, libcurl and smtp-source (which knows no TLS)."""
    connections = 8 if size == "10MB" else 64
    path = file_of(size, kind)
    rounds = []
    with relay_of(tls, chunking, lean) as sink, Gateway(sink, sessions, tls) as gateway:
        with Nodemailer(sink, sessions, tls) as nodemailer:
            for server in (gateway, nodemailer):
                wrk(server, path, 1, connections, kind)
            for _ in range(options.rounds):
                one = {
                    server.name: measure_served(server, sink, path, options.seconds, connections, kind)
                    for server in (gateway, nodemailer)
                }
                one["libcurl"] = libcurl_round(sink, sessions, size, tls)
                if not tls:
                    one["smtp-source"] = smtp_source_round(sink, sessions, size)
                rounds.append(one)
        name = sink.name
    return {
        "size": size, "sessions": sessions, "tls": tls, "relay": name, "chunking": chunking, "lean": lean,
        "kind": kind, "megabytes": SIZES[size] / 1e6,
        "rounds": rounds, "median": medians(rounds), "ratios": ratios(rounds),
    }  # fmt: skip


def medians(rounds):
    return {
        name: {
            field: statistics.median(one[name][field] for one in rounds)
            for field in rounds[0][name]
            if field != "count_is_right"
        }
        for name in rounds[0]
    }


def ratios(rounds):
    def median_of(field, peer, over="gateway"):
        if peer not in rounds[0] or field not in rounds[0][peer]:
            return None
        each = [one[over][field] / one[peer][field] for one in rounds if one[peer][field]]
        if not each:  # it answered nothing in time
            return None
        return {"median": statistics.median(each), "each": each}

    return {
        f"{field}_to_{peer}": median_of(field, peer)
        for field in ("per_second", "cpu_us")
        for peer in ("fastify+nodemailer", "libcurl", "smtp-source")
    }


def row_speed(options):
    return [throughput("2KB", 16, False, options)]


def row_lean(options):
    """As `speed`, with a relay that leaves more of the machine to what is measured."""
    return [throughput("2KB", 16, False, options, lean=True)]


def row_sessions(options):
    return [throughput("2KB", sessions, False, options) for sessions in (1, 64)]


def row_tls(options):
    return [throughput("2KB", sessions, True, options) for sessions in (1, 16, 64)]


def row_chunking(options):
    return [throughput("2KB", 16, tls, options, chunking=True) for tls in (False, True)]


def row_sizes(options):
    return [throughput(size, 16, tls, options) for size in ("100KB", "10MB") for tls in (False, True)]


def row_large(options):
    """Attachments of 10 MB, as JSON and as a form, over a relay that leaves the machine to what is measured."""
    return [
        throughput("10MB", 16, tls, options, chunking=True, kind=kind) for kind in ("body", "form") for tls in (False, True)
    ]


def row_dkim(options):
    """Signed by each; Nodemailer knows no ed25519, and signs with RSA beside both."""
    path = file_of("2KB", "body")
    found = []
    for key in ("rsa", "ed25519"):
        signs = {"DKIM_DOMAIN": "shop.example.com", "DKIM_SELECTOR": "bench"}
        rounds = []
        with relay_of(False, True) as sink, Gateway(sink, DKIM_KEY=OUT / f"dkim-{key}.pem", **signs) as gateway:
            with Nodemailer(sink, DKIM_KEY=OUT / "dkim-rsa.pem", **signs) as nodemailer:
                for server in (gateway, nodemailer):
                    wrk(server, path, 1)
                for _ in range(options.rounds):
                    rounds.append({
                        server.name: measure_served(server, sink, path, options.seconds, 64)
                        for server in (gateway, nodemailer)
                    })  # fmt: skip
        found.append({
            "size": "2KB", "sessions": 16, "tls": False, "chunking": True, "lean": False, "kind": "body",
            "dkim": key, "rounds": rounds, "median": medians(rounds), "ratios": ratios(rounds),
        })  # fmt: skip
    return found


def peak_of(kind, size, count, **more):
    """What `count` requests at once add to the peak of memory: RSS, as the kernel keeps it."""
    path = file_of(size, kind)
    with relay_of(False, True) as sink, Gateway(sink, **more) as gateway:
        for _ in range(20):
            gateway.ask("POST", "/send", file_of("2KB", kind).read_bytes(), kind)
        gateway.forget_peak()
        before = gateway.memory_kb("VmHWM")
        result = loader(gateway.port, count, count, path, kind)
        peak = gateway.memory_kb("VmHWM")
        answers = {"answers": result["answers"], "wanted": count, "count_is_right": result["answers"] == count}
        return {
            "kind": kind, "size": size, "count": count, "body_mb": path.stat().st_size / 2**20,
            "growth_mb": (peak - before) / 1024, "peak_mb": peak / 1024, "at_relay": sink.messages() - 20, **answers,
        }  # fmt: skip


def row_peak(options):
    return [peak_of("body", "30MB JSON", 1), peak_of("form", "30MB form", 1), peak_of("form", "10MB", 50)]


def row_exact(options):
    """A fixed number of requests, each with its answer: 200 answers are messages at the relay."""
    requests = 20_000
    found = []
    for tls in (False, True):
        with relay_of(tls, False) as sink, Gateway(sink, 16, tls) as gateway:
            work = lambda: loader(gateway.port, 64, requests, file_of("2KB", "body"))  # noqa: E731
            found.append({"tls": tls, "requests": requests, **counted(sink, work)})
    return found


def row_ready(options):
    """From exec to the first 200 of /readyz; what it holds idle, and after a burst."""
    ready, idle = [], []
    with PostfixSink() as sink:
        for _ in range(max(5, 2 * options.rounds)):
            with Gateway(sink) as gateway:
                ready.append(gateway.ready_ms)
                time.sleep(0.3)
                idle.append(gateway.memory_kb("RssAnon") / 1024)
        with Gateway(sink) as gateway:
            wrk(gateway, file_of("2KB", "body"), 2)
            burst = gateway.memory_kb("RssAnon") / 1024
    return {
        "ready_ms": statistics.median(ready), "ready_ms_most": max(ready),
        "idle_rss_anon_mb": statistics.median(idle), "after_burst_rss_anon_mb": burst,
    }  # fmt: skip


def quick_requests(gateway, count=200):
    times = []
    for _ in range(count):
        began = time.monotonic()
        status, _ = gateway.get("/readyz")
        times.append((time.monotonic() - began) * 1e3)
        if status != 200:
            raise RuntimeError(f"/readyz: {status}")
    times.sort()
    return {"p50_ms": times[count // 2], "p99_ms": times[count * 99 // 100]}


def row_parked(options):
    """Ten thousand requests wait for a relay that takes its time; then it lets go."""
    path = file_of("2KB", "body")
    with Sink("pipelining", "chunking") as sink, Gateway(sink, 16) as gateway:
        gateway.ask("POST", "/send", path.read_bytes())
        sink.write("hold_ms", 40_000)
        before, began = sink.messages(), time.monotonic()
        command = [OUT / "loader", gateway.port, PARKED, PARKED, KEY, path, TYPES["body"]]
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: gateway.metric("in_flight") >= PARKED, 30, 0.2)
        found = {
            "requests": PARKED,
            "rss_mb": gateway.memory_kb("VmRSS") / 1024,
            "rss_anon_mb": gateway.memory_kb("RssAnon") / 1024,
            "parked_after_s": time.monotonic() - began,
            "quick": quick_requests(gateway),
        }
        sink.write("hold_ms", 0)
        output, _ = child.communicate(timeout=60)
        found.update(result_of(output), at_relay=sink.messages() - before)
        found["peak_rss_mb"] = gateway.memory_kb("VmHWM") / 1024
        found["count_is_right"] = found["at_relay"] == found["answers"]
    return found


def row_attachment(options):
    """What one request with a 10 MB attachment adds to the peak of memory."""
    small, large = file_of("2KB", "body").read_bytes(), file_of("10MB", "body").read_bytes()
    found = []
    for tls in (False, True):
        with relay_of(tls, True) as sink, Gateway(sink, 16, tls) as gateway:
            for _ in range(20):
                gateway.ask("POST", "/send", small)
            gateway.forget_peak()
            before = gateway.memory_kb("VmHWM")
            status, _ = gateway.ask("POST", "/send", large)
            if status != 200:
                raise RuntimeError(f"the large message: {status}")
            growth = (gateway.memory_kb("VmHWM") - before) * 1024
            time.sleep(0.5)
            kept = (gateway.memory_kb("VmRSS") - before) * 1024
            found.append({
                "tls": tls, "body_mb": len(large) / 1e6, "attachment_mb": 10.0,
                "growth_mb": growth / 1e6, "times_body": growth / len(large), "kept_mb": kept / 1e6,
            })  # fmt: skip
    return found


def row_turns(options):
    """Round trips a message, counted by the relay, which looks only every 20 ms at what came."""
    found, count, lag_ms = [], 20, 20
    for wishes in (["pipelining", "chunking"], ["pipelining"], []):
        with Sink(*wishes) as sink, Gateway(sink, 1) as gateway:
            sink.write("lag_ms", lag_ms)
            small = file_of("2KB", "body")
            gateway.ask("POST", "/send", small.read_bytes())
            before, messages = sink.read("turns"), sink.messages()
            result = loader(gateway.port, 1, count, small)
            taken = sink.messages() - messages
            found.append({
                "offered": " ".join(wishes) or "neither",
                "turns_a_message": (sink.read("turns") - before) / max(1, taken),
                "waits_a_message": result["p50_ms"] / lag_ms,
                "answers": result["answers"], "at_relay": taken, "count_is_right": taken == result["answers"],
            })  # fmt: skip
    return found


ROWS = {
    "ready": row_ready,
    "turns": row_turns,
    "attachment": row_attachment,
    "parked": row_parked,
    "exact": row_exact,
    "speed": row_speed,
    "lean": row_lean,
    "tls": row_tls,
    "chunking": row_chunking,
    "sessions": row_sessions,
    "sizes": row_sizes,
    "latency": relays.row_latency,
    "held": relays.row_sessions_held,
    "isolation": relays.row_isolation,
    "accepts": queued.row_accepts,
    "through": queued.row_through,
    "million": queued.row_million,
    "shared": shared.row_shared_accepts,
    "shared-through": shared.row_shared_through,
    "large": row_large,
    "dkim": row_dkim,
    "peak": row_peak,
}
SHORT = ["ready", "turns", "attachment", "parked", "exact", "speed", "lean"]


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh")
    parser.add_argument("--short", action="store_true", help="the main rows, few rounds")
    parser.add_argument("--rows", help="comma-separated; --list names them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rounds", type=int, help="alternating rounds (5; short: 3)")
    parser.add_argument("--seconds", type=int, help="of each measured load (4; short: 3)")
    parser.add_argument("--markdown", help="write the tables to this file, too")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.short else 5)
    options.seconds = options.seconds or (3 if options.short else 4)
    rows = options.rows.split(",") if options.rows else SHORT if options.short else list(ROWS)
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return options, rows


def main():
    options, rows = arguments()
    if options.list:
        print("\n".join(ROWS))
        return 0
    result = {"machine": report.machine(), "rounds": options.rounds, "seconds": options.seconds, "rows": {}}
    failed = []
    for row in rows:
        print(f"{row} …", file=sys.stderr, flush=True)
        try:
            result["rows"][row] = ROWS[row](options)
        except Exception as error:  # the other rows are worth having all the same
            failed.append(f"{row}: {type(error).__name__}: {error}")
    result["failed"] = failed + report.wrong_counts(result["rows"])
    (OUT / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    text = report.text(result)
    print(text)
    if options.markdown:
        report.write_markdown(options.markdown, text)
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
