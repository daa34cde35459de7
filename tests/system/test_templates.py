"""Messages out of templates: files of TEMPLATES_DIR, read anew on SIGHUP; those that came by PUT; and the
page about them, whose examples are run."""

import email
import email.policy
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from gateway import ROOT, Gateway, command, free_port, mail, problem, together, wait_for
from relay import Relay

ORDER = {"order.subject.mustache": "Order {{number}}\n",
         "order.text.mustache": "Dear {{name}},\n{{#items}}\n- {{title}}\n{{/items}}\n",
         "order.html.mustache": "<p>Dear {{name}},</p>{{> foot}}\n",
         "_foot.mustache": "<hr>{{shop}}"}
VALUES = {"number": 42, "name": "Ann & <Bo> Ünal", "items": [{"title": "Tea"}, {"title": "Cups"}],
          "shop": "The \"shop\""}


def fill(folder, files):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(name="folder")
def a_folder(tmp_path):
    fill(tmp_path, ORDER)
    return tmp_path


def put(gateway, name, **template):
    return gateway.request("PUT", "/templates/" + name, json.dumps(template),
                           {"Content-Type": "application/json"})


def send(gateway, name="order", values=None, key="", **fields):
    return gateway.send(subject=None, text=None, key=key,
                        template={"name": name, "data": values or VALUES}, **fields)


def read(raw):
    return email.message_from_bytes(raw, policy=email.policy.SMTP)


def text_of(message, kind):
    return message.get_body((kind,)).get_content()


def reload(gateway, event="reload"):
    count = len(gateway.log(event))
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: len(gateway.log(event)) > count), gateway.output
    return gateway.log(event)[-1]


def test_a_message_out_of_files_reaches_the_relay(folder):
    with Relay() as relay, Gateway(relay, TEMPLATES_DIR=folder) as gateway:
        answer = send(gateway)
        assert answer.status == 200, answer
        message = read(relay.ledger[0].body)
        assert message["Subject"] == "Order 42"
        assert text_of(message, "plain").replace("\r\n", "\n") == \
            "Dear Ann & <Bo> Ünal,\n- Tea\n- Cups\n"
        assert text_of(message, "html").strip() == \
            "<p>Dear Ann &amp; &lt;Bo&gt; Ünal,</p><hr>The &quot;shop&quot;"


def test_files_are_listed_and_not_changed(folder):
    with Gateway(SMTP_HOST="capture", TEMPLATES_DIR=folder) as gateway:
        assert put(gateway, "mine", text="x").status == 201
        listed = gateway.get("/templates").json["templates"]
        assert [(one["name"], one["kept_in"], one["parts"]) for one in listed] == \
            [("mine", "memory", ["text"]), ("order", "file", ["subject", "text", "html"])]
        answer = put(gateway, "order", text="x")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert "TEMPLATES_DIR" in answer["detail"]
        assert gateway.request("DELETE", "/templates/order").status == 405
        shown = gateway.get("/templates/order").json
        assert (shown["subject"], shown["html"]) == \
            (ORDER["order.subject.mustache"], ORDER["order.html.mustache"])


def test_a_reload_takes_up_new_files(folder):
    with Gateway(SMTP_HOST="capture", TEMPLATES_DIR=folder) as gateway:
        put(gateway, "mine", html="{{> foot}}")
        fill(folder, {"_foot.mustache": "new {{shop}}", "other.text.mustache": "other"})
        (folder / "order.text.mustache").unlink()
        reload(gateway)
        assert "text" not in gateway.get("/templates/order").json
        assert gateway.get("/templates/other").json["text"] == "other"
        rendered = gateway.post("/templates/mine/render", {"data": {"shop": "<>"}}).json
        assert rendered["html"] == "new &lt;&gt;"


def test_a_bad_file_keeps_the_old_ones_and_is_named(folder):
    with Gateway(SMTP_HOST="capture", TEMPLATES_DIR=folder) as gateway:
        fill(folder, {"order.subject.mustache": "New", "order.html.mustache": "<p>\n  {{#items}}"})
        line = reload(gateway, "reload_failed")
        assert "%s/order.html.mustache: line 2, column 3: " % folder in line["why"], line
        assert gateway.get("/templates/order").json["subject"] == "Order {{number}}\n"
        assert send(gateway).status == 200
        fill(folder, {"order.html.mustache": "<p>"})
        reload(gateway)
        assert gateway.get("/templates/order").json["subject"] == "New"


def test_a_reload_that_would_be_too_much_keeps_all_that_was(folder):
    """Keys and relay, too: it is one reload."""
    with Relay() as relay, Gateway(relay, TEMPLATES_DIR=folder) as gateway:
        together(lambda n: put(gateway, "mine%d" % n, text="x"), range(999))
        fill(folder, {"order.subject.mustache": "New", "other.text.mustache": "one too many"})
        line = reload(gateway, "reload_failed")
        assert line["why"].startswith("TEMPLATES_DIR: with those that came over HTTP"), line
        assert gateway.get("/templates/order").json["subject"] == "Order {{number}}\n"
        assert len(gateway.get("/templates").json["templates"]) == 1000
        assert send(gateway).status == 200
        assert gateway.request("DELETE", "/templates/mine7").status == 200
        reload(gateway)
        assert gateway.get("/templates/order").json["subject"] == "New"
        assert gateway.get("/templates/other").status == 200
        assert send(gateway).status == 200


@pytest.mark.parametrize("name, text, words", [
    ("order.html.mustache", "{{name", "order.html.mustache: line 1, column 1: "),
    ("order.mustache", "", "order.mustache: give it a name such as"),
    ("_foot.mustache", "{{/x}}", "_foot.mustache: line 1, column 1: "),
])
def test_it_does_not_start_with_a_bad_file(folder, name, text, words):
    fill(folder, {name: text})
    done = command("serve", settings={"SMTP_HOST": "capture", "TEMPLATES_DIR": folder,
                                      "HTTP_LISTEN": "127.0.0.1:%d" % free_port()})
    assert done.returncode == 2
    assert done.stderr.startswith("lettergate: TEMPLATES_DIR: %s/%s" % (folder, words)), done.stderr
    assert done.stderr.count("\n") == 1


def test_it_does_not_start_without_the_folder():
    done = command("serve", settings={"SMTP_HOST": "capture", "TEMPLATES_DIR": "/nowhere/at/all",
                                      "HTTP_LISTEN": "127.0.0.1:%d" % free_port()})
    assert (done.returncode, done.stderr) == \
        (2, "lettergate: TEMPLATES_DIR: /nowhere/at/all: No such file or directory\n")


@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.com", "a\n", "a\rb", "\x00", "a\x1bb",
                                   "a\u2028b", "a\u0085b"])
def test_no_value_breaks_a_subject(folder, value):
    with Relay() as relay, Gateway(relay, TEMPLATES_DIR=folder) as gateway:
        answer = send(gateway, values={"number": value})
        problem(answer, 422, "template_error", outcome="not_sent")
        assert answer["errors"][0]["pointer"] == "/template/name"
        assert answer["errors"][0]["detail"].startswith("subject: ")
        assert gateway.send(subject=None, template={"subject": "{{{x}}}", "data": {"x": value}}
                            ).status == 422
        assert not relay.ledger


def test_a_batch_out_of_one_template(folder):
    with Gateway(SMTP_HOST="capture", TEMPLATES_DIR=folder) as gateway:
        messages = [mail(subject=None, text=None, template={
            "name": "order", "data": {"number": number, "name": "No. %d" % number}})
            for number in range(1000)]
        results = gateway.post("/send/batch", messages).json["results"]
        assert {result["status"] for result in results} == {200}
        for number in (0, 7, 999):
            message = read(gateway.get("/messages/%s/raw" % results[number]["id"]).body)
            assert message["Subject"] == "Order %d" % number
            assert "Dear No. %d," % number in text_of(message, "plain")


def test_templates_change_while_messages_are_made_of_them():
    """Each message is of one version of the template, whole."""
    with Gateway(SMTP_HOST="capture") as gateway:
        put(gateway, "order", subject="0", text="0", html="0")

        def change(number):
            assert put(gateway, "order", **dict.fromkeys(("subject", "text", "html"),
                                                         str(number))).status == 200

        def use(_):
            answer = send(gateway)
            assert answer.status == 200, answer
            message = read(gateway.get("/messages/%s/raw" % answer["id"]).body)
            return {message["Subject"], text_of(message, "plain").strip(),
                    text_of(message, "html").strip()}

        found = together(lambda number: change(number) if number % 2 else use(number), range(200))
        assert all(len(one) == 1 for one in found if one is not None)


# ---- the page about them

def blocks():
    with open(os.path.join(ROOT, "docs", "templates.md"), encoding="utf-8") as file:
        return re.findall(r"^```(sh|json)\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_examples_of_the_page_run():
    """In their order, in a shell; what is shown to be the answer is the answer."""
    shown = blocks()
    ran = 0
    with Gateway(SMTP_HOST="capture") as gateway:
        for place, (kind, block) in enumerate(shown):
            if kind != "sh":
                continue
            done = subprocess.run(["sh", "-c", block.replace("http://127.0.0.1:8080", gateway.url)],
                                  env={**os.environ, "API_KEY": gateway.key}, text=True,
                                  capture_output=True, timeout=60, check=True)
            answer = json.loads(done.stdout)
            assert "status" not in answer, done.stdout  # no problem
            if "/render" in block:
                assert answer == json.loads(shown[place + 1][1])
            if "/send" in block:
                message = read(gateway.get("/messages/%s/raw" % answer["id"]).body)
                assert message["Subject"] == "Order 42"
                assert "Hello Ann" in text_of(message, "plain")
            ran += 1
    assert ran == 4


def test_the_error_on_the_page_is_the_error():
    wanted = json.loads(blocks()[-1][1])
    with Gateway(SMTP_HOST="capture") as gateway:
        answer = gateway.send(text=None, template={"html": "<ul>\n    {{#items}}"})
    found = {**answer.json, "request_id": wanted["request_id"]}
    assert found == wanted


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_with_a_store_they_outlive_the_process(tmp_path, how):
    store = "sqlite:%s" % (tmp_path / "queue.db")
    kept = {"subject": "Order {{n}}", "text": "Hello {{name}}. {{> foot}}", "partials": {"foot": "Bye {{name}}."}}
    gateway = Gateway(SMTP_HOST="capture", STORE=store)
    for name in ("order", "gone", "changed"):
        assert gateway.request("PUT", "/templates/" + name, json.dumps(kept), {"Content-Type": "application/json"}).status == 201
    assert gateway.request("PUT", "/templates/changed", json.dumps({"text": "Other."}), {"Content-Type": "application/json"}).status == 200
    assert gateway.request("DELETE", "/templates/gone").status in (200, 204)
    before = gateway.get("/templates").json
    getattr(gateway, how)()
    with Gateway(SMTP_HOST="capture", STORE=store) as gateway:
        assert gateway.get("/templates").json == before
        told = gateway.post("/templates/order/render", {"data": {"n": 1, "name": "Ann"}})
        assert told["subject"] == "Order 1" and told["text"] == "Hello Ann. Bye Ann."
        assert gateway.get("/templates/gone").status == 404
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "order.text.mustache").write_text("A file.")
    with Gateway(SMTP_HOST="capture", STORE=store, TEMPLATES_DIR=folder) as gateway:
        assert gateway.get("/templates/order")["text"].strip() == "A file.", "a file comes first"
        assert gateway.get("/templates/changed")["text"] == "Other."
        (folder / "order.text.mustache").unlink()
        reload(gateway)
        assert wait_for(lambda: gateway.get("/templates/order").json.get("subject") == "Order {{n}}"), "it is seen again"
    with Gateway(SMTP_HOST="capture", STORE=store) as gateway:
        assert gateway.get("/templates/order")["subject"] == "Order {{n}}"
