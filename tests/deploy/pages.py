#!/usr/bin/env python3
"""The parts of the pages that the program itself prints. `pages.py --write` puts them in their places,
test_pages.py sees that they are there."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

import gateway  # noqa: E402

EXAMPLE_HEAD = """\
# Settings for deploy/lettergate.service, and for `docker run --env-file`: every one, with its default.
# Take the # away from what you change. Each NAME may also be given as NAME_FILE, the path of a file
# that holds the value: so with passwords. `lettergate settings` prints what is in force.
"""


def settings():
    """(name, default, meaning) of each, in the program's order."""
    table = gateway.command("settings", "--markdown").stdout
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*) \|$", table, re.MULTILINE)
    assert len(rows) > 20, table
    return rows


def settings_table():
    return gateway.command("settings", "--markdown").stdout.strip()


def wrapped(text, width=96):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = line + " " + word if line else word
    return lines + [line]


def settings_example():
    parts = [EXAMPLE_HEAD]
    for name, default, meaning in settings():
        told = default if default != "–" and not default.startswith("`") else ""
        meaning = meaning.replace("\\|", "|") + (" (default: %s)" % told if told else "")
        lines = ["# " + line for line in wrapped(meaning)]
        value = default.strip("`") if default.startswith("`") else ""
        parts.append("\n".join(lines + ["#%s=%s" % (name, value)]) + "\n")
    return "\n".join(parts)


def problems_table():
    with gateway.Gateway(SMTP_HOST="capture") as one:
        found = one.get("/problems").json["problems"]
    rows = ["| code | status | meaning |", "|---|---|---|"]
    seen = set()
    for problem in found:
        if problem["code"] not in seen:
            rows.append("| `%s` | %d | %s. %s |" % (problem["code"], problem["status"],
                                                    problem["title"], problem["meaning"]))
        seen.add(problem["code"])
    return "\n".join(row.replace(".  |", ". |") for row in rows)


PARTS = {os.path.join("docs", "settings.md"): ("settings", settings_table),
         os.path.join("docs", "errors.md"): ("problems", problems_table)}


def split(path, name):
    """The page's text before, in and behind the marked part."""
    with open(os.path.join(gateway.ROOT, path), encoding="utf-8") as file:
        text = file.read()
    begin, end = "<!-- %s, printed by the program -->\n" % name, "\n<!-- end -->"
    before, _, rest = text.partition(begin)
    part, found, behind = rest.partition(end)
    assert found, "no part marked %r in %s" % (name, path)
    return before + begin, part, end + behind


def write():
    for path, (name, make) in PARTS.items():
        before, _, behind = split(path, name)
        with open(os.path.join(gateway.ROOT, path), "w", encoding="utf-8") as file:
            file.write(before + make() + behind)
    with open(os.path.join(gateway.ROOT, "deploy", "settings.example"), "w", encoding="utf-8") as file:
        file.write(settings_example())


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: pages.py --write")
    write()
