"""A soak (fault F-52 in small): messages of all kinds through relays that restart, dawdle, refuse and
lose, with reloads in between, for a while: memory and descriptors stay what they were, nothing is
lost, nothing comes twice, and it all ends in order.

LETTERGATE_SOAK sets for how many seconds (60; 15 in slow builds)."""

import os
import random
import threading
import time

from fleet import Fleet
from gateway import SLOW, free_port, mail, ms, open_files, resident_kb, wait_for
from ledger import CHUNKED, PIPELINED, PLAIN
from proxy import Proxy
from relay import Relay

SECONDS = float(os.environ.get("LETTERGATE_SOAK", "60" if SLOW == 1 else "15"))
CLIENTS = 8


class Restarted:
    """A relay that is started anew now and then, at the same port; its ledgers are one."""

    host, tls = "127.0.0.1", None

    def __init__(self, script, keywords):
        self.script, self.keywords, self.port = script, keywords, free_port()
        self.ledger = []
        self.relay = None
        self.start()

    def start(self):
        self.relay = Relay(self.script, keywords=self.keywords, port=self.port, brief=True)
        self.relay.ledger = self.ledger

    def restart(self, pause):
        self.relay.stop()
        time.sleep(pause)
        self.start()


def odd(chances, seed):
    """A script that does one of `chances` now and then: (step, probability, action)."""
    dice, lock = random.Random(seed), threading.Lock()

    def at(probability, action):
        def act(_connection, _step, _line):
            with lock:
                return action if dice.random() < probability else None
        return act
    return {step: at(probability, action) for step, probability, action in chances}


class Load:
    """Clients that send one message after another until they are told to stop."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.answers = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        dice = random.Random(n)
        while not self.over.is_set():
            fields = {"text": "x" * dice.choice([10, 200, 5000, 300000]),
                      "to": ["r%d@example.org" % i for i in range(dice.choice([1, 1, 1, 3, 25]))]}
            if dice.random() < 0.3:
                fields["tags"] = [dice.choice(["slow", "lossy"])]
            if dice.random() < 0.1:
                fields["to"] = "no@example.org"
            if dice.random() < 0.1:
                fields["deadline"] = ms(300)
            answer = self.gateway.send(fields, timeout=60)
            self.answers.append((answer.status, answer["outcome"], answer.get("message_id"),
                                 answer.get("recipients") or []))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(90 * SLOW)
            assert not thread.is_alive(), "an answer is owed"


def fill_records(gateway):
    """Results are remembered, up to 10,000: from the start there are as many."""
    if SLOW > 1:
        return
    many = mail(to=["r%d@example.org" % n for n in range(4)], relay="two")
    for _ in range(10):
        answer = gateway.post("/send/batch", [many] * 1000, timeout=60)
        assert {result["status"] for result in answer["results"]} == {200}


def measured(gateway):
    return open_files(gateway.pid), resident_kb(gateway.pid, "RssAnon")


def test_nothing_grows_and_nothing_is_lost(tmp_path):
    common = {"rcpt:no@example.org": "550 5.1.1 no"}
    one = Restarted({**common, **odd([("mail", 0.02, "421 4.3.2 bye"), ("dot", 0.01, "451 4.3.0 disk"),
                                      ("greeting", 0.02, "421 4.3.2 busy")], 1)}, CHUNKED)
    two = Restarted(common, PIPELINED)
    slow = Relay({**common, **odd([("dot", 0.3, {"delay": 0.1})], 2)}, keywords=PLAIN, brief=True)
    lossy = Relay({**common, **odd([("data", 0.1, {"reply": "", "then": "reset"}),
                                    ("dot", 0.1, {"reply": "", "then": "close", "take": True})], 3)},
                  keywords=PIPELINED, brief=True)
    limited = {"sessions": 6}
    with slow, lossy, Proxy(slow, {"down": {"delay": 0.01}}) as late:
        relays = [("one", one, limited), ("two", two, {**limited, "priority": 2}),
                  ("slow", late, limited), ("lossy", lossy, limited)]
        routes = [{"tag": "slow", "relay": "slow"}, {"tag": "lossy", "relay": "lossy"},
                  {"from_domain": "example.com", "relay": ["one", "two"]}]
        with Fleet(tmp_path, relays, routes, LOG_LEVEL="error", SMTP_IDLE="2s",
                   SMTP_TIMEOUT_COMMAND=ms(3000), SMTP_TIMEOUT_CONNECT=ms(3000),
                   SMTP_TIMEOUT_DOT=ms(3000), SEND_DEADLINE="10s") as gateway:
            fill_records(gateway)
            two.ledger.clear()
            load = Load(gateway)
            began, found = time.monotonic(), []
            while time.monotonic() - began < SECONDS:
                for act in (lambda: one.restart(0.05), lambda: gateway.write(relays, routes),
                            lambda: two.restart(0.2), lambda: late.fault("half-open")):
                    act()
                    gateway.process.send_signal(1)
                    time.sleep(1)
                    assert gateway.get("/healthz", key=None).status == 200
                found.append(measured(gateway))
            load.stop()
            assert wait_for(lambda: gateway.get("/readyz", key=None)["in_flight"] == 0, 30)
            check_answers(load.answers, [one, two, slow, lossy])
            check_growth(found)
            assert wait_for(lambda: measured(gateway)[0] <= found[0][0], 30), "idle sessions leave"
        for relay in (one, two):
            relay.relay.stop()


def check_answers(answers, relays):
    taken = [t for relay in relays for t in relay.ledger]
    copies = {}
    for transaction in taken:
        for address in transaction.recipients:
            key = transaction.message_id, address
            copies[key] = copies.get(key, 0) + 1
    assert max(copies.values()) == 1, "twice"
    for status, outcome, message_id, recipients in answers:
        assert status in (200, 422, 502, 503, 504), (status, outcome)
        for recipient in recipients:
            had = copies.pop((message_id, recipient["address"]), 0)
            assert had or recipient["outcome"] != "accepted", "lost"
            assert not had or recipient["outcome"] in ("accepted", "unknown"), recipient
    assert not copies, "nobody was told of these: %r" % list(copies)[:3]
    share = sum(status == 200 for status, *_rest in answers) / len(answers)
    print("%d messages, %.0f %% taken" % (len(answers), 100 * share))
    assert share > 0.5


def check_growth(found):
    """The last third against the second: the first is for warming up."""
    third = len(found) // 3
    if not third:
        return
    files_before, memory_before = zip(*found[third:2 * third])
    files_after, memory_after = zip(*found[2 * third:])
    print("descriptors %r, RssAnon %r kB" % ([f for f, _m in found], [m for _f, m in found]))
    assert min(files_after) <= max(files_before) + 8, found
    if SLOW == 1:  # sanitizers keep what was freed
        assert min(memory_after) <= max(memory_before) + 4096, found
