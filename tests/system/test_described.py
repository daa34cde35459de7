"""Each answer's status, and each header of ours that it has, stands in /openapi.json."""

import pytest

from gateway import KEY, Gateway, free_port, wait_for
from relay import Relay

PLAIN = {"Date", "Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Connection"}
NONE = "/messages/01a21923-5799-7b42-b969-82f7aba47d24"


class Described:
    def __init__(self, gateway):
        self.gateway = gateway
        self.all = gateway.get("/openapi.json", key=None).json
        self.wrong = []

    def look(self, method, path, answer):
        response = self.all["paths"][path][method.lower()]["responses"].get(str(answer.status))
        if response and "$ref" in response:
            response = self.all["components"]["responses"][response["$ref"].rpartition("/")[2]]
        known = set((response or {}).get("headers", ()))
        more = sorted(set(answer.headers) - PLAIN - known)
        if more or response is None:
            self.wrong.append((method, path, answer.status, more))
        return answer

    def send(self, status, path="/send", headers=None, key=KEY, **fields):
        mail = {"from": "a@example.com", "to": "b@example.org", "text": "x", **fields}
        answer = self.gateway.post(path, [mail] if path.endswith("batch") else mail, headers=headers or {}, key=key)
        assert answer.status == status, answer
        return self.look("POST", path, answer)

    def ask(self, status, method, path, template=None):
        answer = self.gateway.request(method, path)
        assert answer.status == status, answer
        return self.look(method, template or path.partition("?")[0], answer)


@pytest.fixture(name="store")
def _store(tmp_path):
    return "sqlite:%s" % (tmp_path / "queue.db")


def keyed(word, prefer=None):
    return {"Idempotency-Key": word, **({"Prefer": prefer} if prefer else {})}


def test_what_is_sent_and_queued(store):
    with Relay() as relay, Gateway(relay, STORE=store) as gateway:
        described = Described(gateway)
        for prefer, status in ((None, 200), ("wait=5", 200), ("respond-async", 202)):
            for path in ("/send", "/send/batch"):
                for _ in range(2):
                    described.send(200 if path.endswith("batch") else status, path, keyed("%s %s" % (path, prefer), prefer))
        described.send(422, headers=keyed("/send None"), subject="Another")
        described.send(401, key="nobody")
        described.send(422, frm="a@example.com")
        sent = described.send(200)["id"]
        described.ask(200, "GET", "/messages/" + sent, "/messages/{id}")
        for path in ("/messages", "/events"):
            described.ask(200, "GET", path + "?limit=1")
            described.ask(422, "GET", path + "?limit=0")
        for method, ending, status in (("GET", "/raw", 410), ("DELETE", "", 409), ("POST", "/retry", 409)):
            described.ask(status, method, "/messages/" + sent + ending, "/messages/{id}" + ending)
            described.ask(404, method, NONE + ending, "/messages/{id}" + ending)
        assert not described.wrong


def test_what_goes_wrong(store):
    with Relay() as relay, Gateway(relay, STORE=store, SEND_DEADLINE="1s", RETRY_DELAYS="1h") as gateway:
        described = Described(gateway)
        for reply, status, waits in (("550 5.1.1 no", 422, 422), ("535 5.7.8 no", 502, 202), ("451 4.3.0 later", 503, 202)):
            relay.script["mail"] = reply
            described.send(status, headers=keyed("direct %d" % status))
            described.send(waits, headers=keyed("waits %d" % status, "wait=1"))
        relay.script["mail"] = {"then": "stall", "reply": ""}
        described.send(504, headers=keyed("silent"))
        relay.script.clear()
        assert wait_for(lambda: len(gateway.get("/messages?state=deferred")["messages"]) == 2)
        first, second = [message["id"] for message in gateway.get("/messages")["messages"] if message["state"] == "deferred"]
        described.ask(200, "DELETE", "/messages/" + first, "/messages/{id}")
        described.ask(200, "POST", "/messages/%s/retry" % second, "/messages/{id}/retry")
        assert not described.wrong


def test_without_a_store():
    with Gateway(None, SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE") as gateway:
        described = Described(gateway)
        described.send(422, delivery="queue")
        described.send(503, headers=keyed("a", "wait=1"))
        for method, ending, status in (("DELETE", "", 422), ("POST", "/retry", 422), ("GET", "", 404)):
            described.ask(status, method, NONE + ending, "/messages/{id}" + ending)
        described.ask(422, "GET", "/events")
        assert not described.wrong
