"""The benchmark's figures as a table for people; also Markdown, as it stands in docs/benchmarks.md."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from parts import BINARY, OUT

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def first_line(*command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return (run.stdout + run.stderr).strip().partition("\n")[0]
    except OSError:
        return "none"


def package_version(name):
    return first_line("dpkg-query", "-W", "-f=${Version}", name)


def npm_version(name):
    found = re.search(r'"version": "([^"]+)"', (OUT / f"node_modules/{name}/package.json").read_text())
    return found[1] if found else "?"


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().partition("-")[0],
        "debian": Path("/etc/debian_version").read_text().strip(),
        "lettergate": first_line(str(BINARY), "version"),
        "postfix": package_version("postfix"),
        "libcurl": package_version("libcurl4-openssl-dev"),
        "openssl": package_version("openssl"),
        "wrk": package_version("wrk"),
        "node": first_line("node", "--version"),
        "fastify": npm_version("fastify"),
        "nodemailer": npm_version("nodemailer"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def counts_in(found, place):
    if isinstance(found, dict):
        if found.get("count_is_right") is False:
            yield f"{place}: {found['answers']} answers, {found['at_relay']} messages at the relay"
        for field in ("refused", "broken", "missing"):
            if found.get(field):
                yield f"{place}: {found[field]} {field}"
        for key, value in found.items():
            if key != "median":
                yield from counts_in(value, f"{place} {key}")
    elif isinstance(found, list):
        for number, value in enumerate(found, 1):
            yield from counts_in(value, f"{place} {number}")


def wrong_counts(rows):
    return [line for row, found in rows.items() for line in counts_in(found, row)]


def table(head, rows):
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"  # noqa: E731
    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def cell_name(cell):
    marks = [", CHUNKING"] * cell["chunking"] + [", lean relay"] * cell["lean"]
    marks += [", DKIM " + cell["dkim"]] if "dkim" in cell else []
    kind = ", form" if cell.get("kind") == "form" else ""
    return f"{cell['size']}{kind}, {'TLS' if cell['tls'] else 'plain'}{''.join(marks)}"


def speed_table(cells):
    rows = []
    for cell in cells:
        for name, figures in cell["median"].items():
            rows.append([
                cell_name(cell), str(cell["sessions"]), name,
                number(figures["per_second"], 0 if figures["per_second"] > 100 else 1),
                number(figures["per_second"] * cell["megabytes"], 0) if cell.get("megabytes", 0) >= 1 else "–",
                number(figures["cpu_us"], 0), number(figures.get("relay_cpu_us"), 0), number(figures.get("p50_ms"), 2), number(figures.get("p99_ms"), 2),
                number(figures["rss_mb"]),
            ])  # fmt: skip
    head = ["message", "sessions", "program", "messages/s", "MB/s", "CPU µs/message", "relay's", "p50 ms", "p99 ms", "RSS MB"]
    return table(head, rows)


def ratio(cell, name):
    found = cell["ratios"][name]
    if not found:
        return "–"
    each = found["each"]
    return f"{found['median']:.2f} ({min(each):.2f}…{max(each):.2f})"


def ratio_table(cells):
    names = [
        ("per_second_to_fastify+nodemailer", "speed ÷ Fastify+Nodemailer"),
        ("cpu_us_to_fastify+nodemailer", "CPU ÷ Fastify+Nodemailer"),
        ("cpu_us_to_libcurl", "CPU ÷ libcurl"),
        ("cpu_us_to_smtp-source", "CPU ÷ smtp-source"),
    ]
    rows = [[cell_name(cell), str(cell["sessions"]), *[ratio(cell, name) for name, _ in names]] for cell in cells]
    return table(["message", "sessions", *[label for _, label in names]], rows)


def shared_table(rows):
    """A file, PostgreSQL, and two gateways with that, which have as many clients each."""
    lines = []
    for found in rows.get("shared", []):
        cells = [f"{one['per_second']:,.0f}/s, {one['p50_ms']:.1f}, {one['p99_ms']:.1f} ms" for one in found["median"].values()]
        lines.append([f"accepts, {found['clients']} clients a gateway: p50, p99", *cells])
    if "shared-through" in rows:
        cells = [f"{one['per_second']:,.0f}/s" for one in rows["shared-through"]["median"].values()]
        lines.append(["accepted, sent, and noted", *cells])
    return table(["queue", "a file", "PostgreSQL", "two gateways with that"], lines) if lines else ""


def single_rows(rows):
    lines = []

    def add(what, value, wanted):
        lines.append([what, value, wanted])

    if "ready" in rows:
        found = rows["ready"]
        add("ready after exec (most)", f"{found['ready_ms']:.1f} ms ({found['ready_ms_most']:.1f})", "< 100 ms")
        add("idle RssAnon", f"{found['idle_rss_anon_mb']:.1f} MB", "< 10 MB")
        add("RssAnon after a burst", f"{found['after_burst_rss_anon_mb']:.1f} MB", "")
    for found in rows.get("turns", []):
        wanted = {"pipelining chunking": "1", "pipelining": "2", "neither": "4"}[found["offered"]]
        turns = f"{found['turns_a_message']:.2f} (waits: {found['waits_a_message']:.2f})"
        add(f"round trips a message, relay offers {found['offered']}", turns, wanted)
    for found in rows.get("attachment", []):
        growth = f"{found['growth_mb']:.1f} MB = {found['times_body']:.2f} × its body"
        add(f"10 MB attachment, peak growth{', TLS' if found['tls'] else ''}", growth, "< 3 ×")
    if "parked" in rows:
        found = rows["parked"]
        add(f"{found['requests']:,} requests parked, RSS", f"{found['rss_mb']:.0f} MB", "< 250 MB")
        quick = found["quick"]
        add("/readyz beside them, p50, p99", f"{quick['p50_ms']:.2f}, {quick['p99_ms']:.2f} ms", "")
        add("the parked, let go: 200 answers, at the relay", f"{found['answers']:,}, {found['at_relay']:,}", "equal")
    for found in rows.get("peak", []):
        body = f"{found['count']} × {found['size']}" if found["count"] > 1 else found["size"]
        if found["count"] > 1:
            add(f"{body} forms at once, peak RSS", f"{found['peak_mb']:.1f} MB", "< 300 MB")
        elif found["kind"] == "form":
            add(f"one {body}, peak growth", f"{found['growth_mb']:.1f} MB", "≤ 4 MB")
        else:
            most = f"≤ {found['body_mb'] + 2:.1f} MB (body + 2)"
            add(f"one {body}, peak growth", f"{found['growth_mb']:.1f} MB", most)
    for found in rows.get("exact", []):
        name = f"{found['requests']:,} requests{', TLS' if found['tls'] else ''}: 200 answers, at the relay"
        add(name, f"{found['answers']:,}, {found['at_relay']:,}", "equal")
    for found in rows.get("latency", []):
        times = f"{found['cold_ms']:.1f} ms, {found['warm_ms']:.1f} ms: {found['times']:.1f} ×"
        wanted = "≥ 8 ×" if found["delay_ms"] == 20 else ""
        add(f"one mail, TLS and AUTH, {found['delay_ms']} ms away: smtplib, gateway", times, wanted)
    for found in rows.get("held", []):
        sizes = f"{found['idle_kb']:.1f} KB idle, {found['busy_kb']:.1f} KB with its request"
        name = f"memory a session, {found['sessions']:,} of them{', TLS' if found['tls'] else ''}"
        add(name, sizes, "< 40 KB" if found["tls"] else "< 16 KB")
    for found in rows.get("isolation", []):
        name = f"p99 at a healthy relay, beside {found['beside']}"
        wanted = "" if found["beside"] == "nothing" else "< 1.2 ×"
        add(name, f"{found['p99_ms']:.2f} ms: {found['times']:.2f} ×", wanted)
    for found in rows.get("accepts", []):
        wanted = "≥ 8,000/s, ≥ 10 ×" if found["clients"] == 64 else ""
        times = f"{found['postfix_per_second']:,.0f}/s: {found['times']:.1f} × ({min(found['each']):.1f}…{max(found['each']):.1f})"
        add(f"accepts on disk, {found['clients']} clients", f"{found['per_second']:,.0f}/s, p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms", wanted)
        add("… and Postfix", times, "")
    if "through" in rows:
        add("accepted on disk, sent, and noted", f"{rows['through']['per_second']:,.0f}/s", "≥ 4,000/s")
    if "million" in rows:
        found = rows["million"]
        add(f"{found['waiting']:,} wait: ready after exec", f"{found['ready_ms']:.0f} ms", "< 2,000 ms")
        add("… RSS after a burst", f"{found['rss_mb']:.0f} MB", "< 100 MB")
        add("… accepts, 64 clients, over those into an empty queue", f"{found['times']['accepts']:.2f}", "≥ 0.8")
        add("… accepted, sent and noted, over an empty queue's", f"{found['times']['through']:.2f}", "≥ 0.8")
    return table(["figure", "measured", "wanted"], lines) if lines else ""


def text(result):
    rows, where = result["rows"], result["machine"]
    cells = [cell for row in ("speed", "lean", "sessions", "tls", "chunking", "sizes", "large", "dkim") for cell in rows.get(row, [])]
    parts = [
        f"{where['date']}: {where['cpu']}, {where['cores']} cores, {where['memory_gb']} GB, Debian {where['debian']}, "
        f"Linux {where['kernel']}; {where['lettergate']}, Postfix {where['postfix']}, libcurl {where['libcurl']}, "
        f"OpenSSL {where['openssl']}, Node.js {where['node']}, Fastify {where['fastify']}, "
        f"Nodemailer {where['nodemailer']}, wrk {where['wrk']}.",
        single_rows(rows),
        shared_table(rows),
    ]
    if cells:
        rounds = f"Medians of {result['rounds']} rounds of {result['seconds']} s."
        parts += [rounds, speed_table(cells)]
        parts += ["Gateway over peer: median of the rounds' ratios (least…most).", ratio_table(cells)]
    if result["failed"]:
        parts.append("FAILED\n" + "\n".join(f"- {line}" for line in result["failed"]))
    return "\n\n".join(part for part in parts if part)


def write_markdown(path, figures):
    """Puts the figures between the marks in `path`; the words around them stay."""
    file = Path(path)
    if not file.is_absolute():
        file = Path(__file__).resolve().parents[2] / path
    page = file.read_text() if file.exists() else f"{BEGIN}\n{END}\n"
    head, _, rest = page.partition(BEGIN)
    file.write_text(f"{head}{BEGIN}\n\n{figures}\n\n{END}{rest.partition(END)[2]}")
