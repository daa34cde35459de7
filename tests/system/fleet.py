"""Gateways with several relays, which stand in a config file."""

import json
import signal

from gateway import Gateway, wait_for


class Fleet(Gateway):
    """`relays` are (name, relay, what else its entry holds)."""

    def __init__(self, folder, relays, routes=(), **settings):
        self.path = folder / "relays.json"
        self.write(relays, routes)
        super().__init__(None, args=("--config", str(self.path)), **settings)

    def write(self, relays, routes=()):
        self.path.write_text(json.dumps({
            "relays": [{"name": name, "host": relay.host, "port": relay.port, "secure": "NONE", **more}
                       for name, relay, more in relays],
            "routes": list(routes)}))

    def reload(self, relays, routes=()):
        count = len(self.log("reload"))
        self.write(relays, routes)
        self.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: len(self.log("reload")) > count), self.output

    def relays(self, key=""):
        """What GET /relays says, by name."""
        answer = self.get("/relays", key=key)
        assert answer.status == 200, answer
        return {relay["name"]: relay for relay in answer["relays"]}


def tries(answer):
    """Where it went, and what came of it."""
    return [(attempt["relay"], attempt["outcome"]) for attempt in answer["attempts"]]


def each_once(relays, answers):
    """What was said to be taken is in one relay's ledger, once; what was not is in none."""
    taken = sorted(t.message_id for relay in relays for t in relay.ledger)
    assert len(set(taken)) == len(taken), "twice"
    assert taken == sorted(a["message_id"] for a in answers if a.status == 200)
