"""F-46: a relay was away while much was queued for it, and is back: it is not overrun, and what comes in meanwhile does not wait
until all of that is sent."""

import json
import threading

from gateway import Gateway, free_port, mail, ms, wait_for
from relay import Relay
from stores import either_store, in_both, module_server  # noqa: F401  the fixtures `store` and `server`
from test_keys import entry, secret_of

MANY, SESSIONS = 400, 16


class Return:
    """Takes so many as it may, and then answers nobody until it may take more, but for those from direct@. Notes at each MAIL how
    many of the queue's are under way with it, and how many of all were taken before."""

    def __init__(self, port):
        self.changed = threading.Condition()
        self.may, self.under, self.taken, self.seen = 1, 0, 0, []
        self.relay = Relay({"mail": self.begin, "dot": self.end}, port=port)

    def begin(self, connection, step, line):
        with self.changed:
            if b"direct@" not in line:
                self.under += 1
                self.seen.append((self.under, self.taken))

    def end(self, connection, step, line):
        is_queued = "direct@" not in connection.transactions[-1].mail
        with self.changed:
            if is_queued:
                self.changed.wait_for(lambda: self.taken < self.may, 60)
            self.under -= is_queued
            self.taken += 1

    def take(self, count):
        with self.changed:
            self.may = count
            self.changed.notify_all()

    def is_at(self, taken):
        """So many were taken, and each of them made room for one more."""
        return self.taken == taken and self.under == taken + 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.take(2 * MANY)
        self.relay.stop()


def put(gateway, sender, count):
    batch = [mail(delivery="queue", **{"from": sender + "@example.com"}) for _ in range(count)]
    answer = gateway.post("/send/batch", {"messages": batch}, key=secret_of(sender), timeout=60)
    assert {result["status"] for result in answer["results"]} == {202}


@in_both
def test_a_relay_is_back_and_much_waits_for_it(store, tmp_path):
    keys, port = tmp_path / "keys.json", free_port()
    keys.write_text(json.dumps({"keys": [entry("old"), entry("fresh"), entry("admin", ["admin"])]}))
    with Gateway(None, key=secret_of("admin"), API_KEY=None, API_KEYS_FILE=keys, STORE=store, SMTP_HOST="127.0.0.1",
                 SMTP_PORT=port, SMTP_SECURE="NONE", SMTP_SESSIONS=SESSIONS, RETRY_DELAYS=ms(300)) as gateway:
        put(gateway, "old", MANY)
        assert wait_for(lambda: gateway.get("/relays")["relays"][0]["state"] == "resting")
        with Return(port) as back:
            for taken in (1, 3, 7):
                back.take(taken)
                assert wait_for(lambda n=taken: back.is_at(n), 20), (back.taken, back.under)
            assert gateway.send(key=secret_of("old"), **{"from": "direct@example.com"}).status == 200
            put(gateway, "fresh", 10)
            assert wait_for(lambda: back.is_at(8)), (back.taken, back.under)
            back.take(15)
            assert wait_for(lambda: back.is_at(15), 20), "as many as there may be sessions"
            back.take(2 * MANY)
            assert wait_for(lambda: len(back.relay.ledger) == MANY + 11, 30)
            senders = [transaction.mail.partition("@")[0] for transaction in back.relay.ledger]
    assert all(under <= taken + 1 for under, taken in back.seen), back.seen
    assert senders[-50:] == ["old"] * 50 and "fresh" in senders[:50], "keys take turns"
