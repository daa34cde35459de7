"""A session belongs to one security context (attack S-05): a reload with other TLS or credentials
drains the old sessions, and nothing that comes later goes on them."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet import Fleet
from gateway import Gateway, metric, problem, together, wait_for
from ledger import nothing_lost_nothing_twice
from relay import Relay

USERS = {"one": "first", "two": "second"}


class Reloaded(Gateway):
    """A gateway whose settings for the relay come from a file."""

    def __init__(self, path, relay, **settings):
        self.path = path
        self.common = {"smtp_host": relay.host, "smtp_port": relay.port, "smtp_sessions": 2}
        self.write(settings)
        super().__init__(None, args=("--config", str(path)))

    def write(self, settings):
        self.path.write_text(json.dumps({**self.common, **settings}))

    def reload(self, **settings):
        count = len(self.log("reload"))
        self.write(settings)
        self.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: len(self.log("reload")) > count), self.output


def drained(relay, connections):
    """They said QUIT, all of them, and nothing behind."""
    return relay.wait(lambda: all(c.ended == "quit" for c in connections), 10)


def contexts(authority, certificate):
    """Pairs of settings that no session may serve both of; and what the relay has to see of the
    second one's sessions: user, mechanism, TLS."""
    tls = {"smtp_secure": "STARTTLS", "smtp_ca_file": authority.file}
    one = {**tls, "smtp_user": "one", "smtp_pass": "first", "smtp_auth": "plain"}
    return {
        "user": (one, {**one, "smtp_user": "two", "smtp_pass": "second"}, ("two", "PLAIN", True)),
        "no-user": (one, tls, (None, None, True)),
        "mechanism": (one, {**one, "smtp_auth": "login"}, ("one", "LOGIN", True)),
        "tls": ({"smtp_secure": "NONE"}, tls, (None, None, True)),
        "no-tls": (tls, {"smtp_secure": "NONE"}, (None, None, False)),
        "pin": (one, {**one, "smtp_tls_pin": certificate.pin}, ("one", "PLAIN", True)),
        "version": (one, {**one, "smtp_tls_min": "1.3"}, ("one", "PLAIN", True)),
    }


def seen(connection):
    mechanism, user = (connection.auth_attempts or [(None, None)])[0]
    assert len(connection.auth_attempts) == (user is not None)
    return user, mechanism, bool(connection.tls_version)


@pytest.mark.parametrize("name", ["user", "no-user", "mechanism", "tls", "no-tls", "pin",
                                  "version"])
def test_a_reload_leaves_the_sessions_of_another_context(tmp_path, authority, certificate, name):
    """Same host, same port: the old ones say QUIT, the new ones are others, and log in anew."""
    old, new, told = contexts(authority, certificate)[name]
    with Relay(tls="starttls", context=certificate.context(), users=USERS) as relay, \
            Reloaded(tmp_path / "config.json", relay, **old) as gateway:
        answers = together(lambda n: gateway.send(), range(4))
        before = list(relay.connections)
        gateway.reload(**new)
        answers += together(lambda n: gateway.send(), range(4))
        assert [a.status for a in answers] == [200] * 8, answers
        nothing_lost_nothing_twice(relay, answers)
        assert drained(relay, before)
        after = [c for c in relay.connections[len(before):] if c.transactions]
        assert {t.connection for t in relay.ledger[:4]} <= {c.number for c in before}
        assert {t.connection for t in relay.ledger[4:]} <= {c.number for c in after}
        assert {seen(c) for c in after} == {told}
        assert told[2] is False or not all(c.tls_reused for c in after), \
            "what was trusted is asked again"


@pytest.mark.parametrize("name", ["trust", "password"])
def test_a_reload_to_what_does_not_hold_is_no_way_back_to_a_warm_session(tmp_path, authority,
                                                                         certificate, name):
    good, bad, code = {
        "trust": ({"smtp_ca_file": authority.file},
                  {"smtp_tls_pin": authority.make("127.0.0.1").pin}, "tls_verify_failed"),
        "password": ({"smtp_ca_file": authority.file, "smtp_user": "one", "smtp_pass": "first"},
                     {"smtp_ca_file": authority.file, "smtp_user": "one", "smtp_pass": "wrong"},
                     "relay_auth_failed"),
    }[name]
    with Relay(tls="starttls", context=certificate.context(), users=USERS) as relay, \
            Reloaded(tmp_path / "config.json", relay, smtp_secure="STARTTLS", **good) as gateway:
        assert gateway.send().status == 200
        gateway.reload(smtp_secure="STARTTLS", **bad)
        problem(gateway.send(), 502, code, "not_sent")
        # a password that was refused is not tried again for a while
        problem(gateway.send(), 503 if name == "password" else 502, code, "not_sent")
        gateway.reload(smtp_secure="STARTTLS", **good)
        assert gateway.send().status == 200
        assert len(relay.ledger) == 2
        assert relay.ledger[0].connection == 1 < relay.ledger[1].connection
        assert drained(relay, relay.connections[:1])


def test_a_reload_lets_what_is_under_way_end_and_takes_over_what_waits(tmp_path, authority,
                                                                       certificate):
    """The message that is on its way ends on its session, which then leaves. Those that wait for
    that session, and those that come, go on another's."""
    tls = {"smtp_secure": "STARTTLS", "smtp_ca_file": authority.file, "smtp_sessions": 1}
    with Relay({"connections": {"1": {"1/dot": {"delay": 1.5}}}}, tls="starttls",
               context=certificate.context(), users=USERS) as relay, \
            Reloaded(tmp_path / "config.json", relay, smtp_user="one", smtp_pass="first",
                     **tls) as gateway, ThreadPoolExecutor(8) as pool:
        first = pool.submit(gateway.send)
        assert relay.wait(lambda: relay.commands("BDAT"))
        waiting = [pool.submit(gateway.send) for _ in range(3)]
        assert wait_for(lambda: metric(gateway.get("/metrics", key=None).body.decode(),
                                       "lettergate_in_flight") == 4)
        gateway.reload(smtp_user="two", smtp_pass="second", **tls)
        waiting += [pool.submit(gateway.send) for _ in range(2)]
        answers = [send.result() for send in (first, *waiting)]
        assert [a.status for a in answers] == [200] * 6, answers
        assert {t.message_id: t.user for t in relay.ledger} == {
            a["message_id"]: "one" if a is answers[0] else "two" for a in answers}
        nothing_lost_nothing_twice(relay, answers)
        assert drained(relay, relay.connections[:1])
        assert relay.connections[0].transactions == [
            t for t in relay.ledger if t.message_id == answers[0]["message_id"]]


def test_relays_at_one_address_share_no_session(tmp_path, authority, certificate):
    """S-05: same host, same port, other credentials or other TLS: each relay has its own sessions."""
    tls = {"secure": "STARTTLS", "ca_file": authority.file}
    entries = {"one": {**tls, "user": "one", "pass": "first", "auth": "plain"},
               "two": {**tls, "user": "two", "pass": "second", "auth": "plain"},
               "no-user": tls, "clear": {"secure": "NONE"},
               "pinned": {**tls, "tls_pin": certificate.pin}}
    told = {"one": ("one", "PLAIN", True), "two": ("two", "PLAIN", True), "no-user": (None, None, True),
            "clear": (None, None, False), "pinned": (None, None, True)}
    with Relay(tls="starttls", context=certificate.context(), users=USERS) as relay, Fleet(
            tmp_path, [(name, relay, {**more, "sessions": 2}) for name, more in entries.items()]) as gateway:
        names = list(entries) * 8
        answers = together(lambda name: gateway.send(relay=name), names)
        nothing_lost_nothing_twice(relay, answers)
        went = {t.message_id: t.connection for t in relay.ledger}
        used = {name: {went[a["message_id"]] for a, to in zip(answers, names) if to == name}
                for name in entries}
        assert sum(map(len, used.values())) == len(set().union(*used.values())), used
        for name, numbers in used.items():
            assert {seen(relay.connections[n - 1]) for n in numbers} == {told[name]}, name
