"""README and docs/: what they print of the program is what the program prints, their links lead
somewhere, their examples are examples."""

import glob
import json
import os
import re

import pytest

import gateway
import pages

PAGES = ["README.md"] + sorted(os.path.relpath(path, gateway.ROOT) for path in
                               glob.glob(os.path.join(gateway.ROOT, "docs", "*.md")))


def read(page):
    with open(os.path.join(gateway.ROOT, page), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("page", pages.PARTS)
def test_the_printed_part_is_up_to_date(page):
    name, make = pages.PARTS[page]
    assert pages.split(page, name)[1] == make(), "run tests/deploy/pages.py --write"


def test_the_example_of_settings_is_up_to_date():
    assert read("deploy/settings.example") == pages.settings_example(), \
        "run tests/deploy/pages.py --write"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = os.path.dirname(os.path.join(gateway.ROOT, page))
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", read(page))
    assert [link for link in links if not os.path.exists(os.path.join(folder, link))] == []


def headings(page):
    """The names that links may give behind a #, as GitHub makes them."""
    lines = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", lines, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_a_heading(page):
    folder = os.path.dirname(page)
    links = re.findall(r"\]\(([^)#:\s]*)#([^)]*)\)", read(page))
    assert [(to, name) for to, name in links
            if name not in headings(os.path.normpath(os.path.join(folder, to)) if to else page)] == []


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_json_are_json(page):
    for example in re.findall(r"^```json\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL):
        json.loads(example)


@pytest.mark.parametrize("page", PAGES)
def test_what_repeats_by_itself_has_an_idempotency_key(page):
    """Else the 504 of an unknown outcome would be followed by a second mail."""
    examples = re.findall(r"^```\w*\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL)
    assert [one for one in examples if "--retry" in one and "Idempotency-Key" not in one] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_it_speaks_of_exist(page):
    known = {name for name, _, _ in pages.settings()}
    known.add("SMTP_PASSWORD")  # shown as the wrong one
    families = {name.split("_")[0] for name in known}
    words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)[`=]", read(page)))
    assert [word for word in sorted(words) if word.split("_")[0] in families
            and word not in known and word.removesuffix("_FILE") not in known] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_codes_it_speaks_of_exist(page):
    with gateway.Gateway(SMTP_HOST="capture") as one:
        known = {problem["code"] for problem in one.get("/problems").json["problems"]}
    # names of events and metrics look the same
    for source in ("session/carrier_log.c", "metrics/metrics_relays.c", "relay/relay_log.c"):
        with open(os.path.join(gateway.ROOT, "service", source), encoding="utf-8") as file:
            known |= set(re.findall(r'"(relay_[a-z_]+)"', file.read()))
    words = set(re.findall(r'"code":\s*"([a-z_]+)"', read(page)))
    words |= set(re.findall(r"`((?:relay|tls|auth|sender|recipient|content)_[a-z_]+)`", read(page)))
    assert sorted(words - known) == []


def test_every_message_in_the_examples_is_taken():
    """The bodies behind each -d '…' of a POST /send in the pages go through as they stand."""
    bodies = [(page, body) for page in PAGES
              for body in re.findall(r"/send\b[^']*?(?:-H '[^']*'\s*\\?\s*)*-d '(\{.*?\})'",
                                     read(page), re.DOTALL)]
    assert bodies
    kept = [template for page in PAGES
            for template in re.findall(r"-X PUT \S+(/templates/\S+)[^']*(?:-H '[^']*'\s*\\?\s*)*"
                                       r"-d '(\{.*?\})'$", read(page), re.DOTALL | re.MULTILINE)]
    assert kept
    with gateway.Gateway(SMTP_HOST="capture") as one:
        for path, body in kept:
            one.request("PUT", path, body, {"Content-Type": "application/json"})
        for page, body in bodies:
            answer = one.post("/send", body)
            assert (answer.status, answer["outcome"]) == (200, "captured"), (page, body, answer)
