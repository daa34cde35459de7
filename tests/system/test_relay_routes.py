"""Routes: which relay of several a message takes."""

import json
import signal

from gateway import Gateway, mail, wait_for
from relay import Relay
from test_keys import entry, secret_of


def write(path, relays, routes):
    path.write_text(json.dumps({
        "relays": [{"name": name, "host": relay.host, "port": relay.port, "secure": "NONE",
                    "priority": priority} for name, relay, priority in relays],
        "routes": routes}))


def took(gateway, **fields):
    answer = gateway.send(**fields)
    assert answer.status == 200, answer
    return answer["relay"]["name"]


def test_the_first_route_that_fits_decides(tmp_path):
    path = tmp_path / "relays.json"
    with Relay() as one, Relay() as two:
        write(path, [("one", one, 1), ("two", two, 2)],
              [{"from_domain": "*.example.org", "relay": "two"},
               {"to_domain": "example.net", "relay": ["two"]},
               {"tag": "bulk", "relay": "two"}])
        with Gateway(args=("--config", str(path))) as gateway:
            assert took(gateway) == "one"
            assert took(gateway, tags=["a", "bulk"]) == "two"
            assert took(gateway, to=["a@example.net", "b@EXAMPLE.net"]) == "two"
            assert took(gateway, to=["a@example.net", "b@example.com"]) == "one"
            assert took(gateway, **{"from": "a@b.example.org"}) == "two"
            assert took(gateway, **{"from": "a@example.org"}) == "one"
            assert took(gateway, tags=["bulk"], relay="one") == "one"


def test_a_route_by_key(tmp_path):
    """The id of the key that the request came with; a batch's messages, too."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [entry("web"), entry("bulk")]}))
    path = tmp_path / "relays.json"
    with Relay() as one, Relay() as two:
        write(path, [("one", one, 1), ("two", two, 2)], [{"key": "bulk", "relay": "two"}])
        with Gateway(args=("--config", str(path)), API_KEY=None, API_KEYS_FILE=keys,
                     key=secret_of("web")) as gateway:
            assert took(gateway) == "one"
            assert took(gateway, key=secret_of("bulk")) == "two"
            batch = gateway.post("/send/batch", [mail(), mail()], key=secret_of("bulk"))
            assert [result["relay"]["name"] for result in batch["results"]] == ["two"] * 2
            assert len(one.ledger) == 1 and len(two.ledger) == 3


def test_a_route_leads_nowhere_else(tmp_path):
    path = tmp_path / "relays.json"
    with Relay({"mail": "451 4.3.0 later"}) as one, Relay() as two:
        write(path, [("one", one, 1), ("two", two, 2)], [{"tag": "bulk", "relay": "one"}])
        with Gateway(args=("--config", str(path))) as gateway:
            assert took(gateway) == "two"
            assert gateway.send(tags=["bulk"]).status == 503


def test_routes_are_read_again(tmp_path):
    path = tmp_path / "relays.json"
    with Relay() as one, Relay() as two:
        write(path, [("one", one, 1), ("two", two, 2)], [])
        with Gateway(args=("--config", str(path))) as gateway:
            assert took(gateway, tags=["bulk"]) == "one"
            write(path, [("one", one, 1), ("two", two, 2)], [{"tag": "bulk", "relay": "two"}])
            gateway.process.send_signal(signal.SIGHUP)
            assert wait_for(lambda: took(gateway, tags=["bulk"]) == "two")
            write(path, [("one", one, 1)], [{"tag": "bulk", "relay": "two"}])
            gateway.process.send_signal(signal.SIGHUP)
            assert wait_for(lambda: "/routes/0/relay" in gateway.output)
            assert took(gateway, tags=["bulk"]) == "two"
