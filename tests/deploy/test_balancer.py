"""Gateways behind HAProxy with deploy/haproxy.cfg itself: restarted one after the other under load,
no request fails, nothing is lost, nothing arrives twice; and of three with one queue, one is killed.
Needs the addresses to itself: see alone.sh."""

import collections
import contextlib
import http.client
import itertools
import json
import re
import threading

import pytest

from balancer import Names, balancer_is_ready, haproxy, start
from gateway import KEY, mail, metric, wait_for
from postgres import Postgres
from relay import Relay

CLIENTS, SESSIONS = 8, 16
ADDRESSES = ("127.0.0.2", "127.0.0.3")


class Load:
    """Clients that send without pause through the balancer, each on a connection that it keeps."""

    def __init__(self, **fields):
        self.fields = fields
        self.numbers, self.stop = itertools.count(), threading.Event()
        self.sent, self.failed = [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=70)
        headers = {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"}
        while not self.stop.is_set():
            number = "n%d" % next(self.numbers)
            try:
                connection.request("POST", "/send", json.dumps(mail(subject=number, **self.fields)),
                                   headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status in (200, 202):
                    self.sent.append(number)
                else:
                    self.failed.append((number, answer.status, body[:300]))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append((number, repr(error)))
                connection.close()
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(80)


def subject(message):
    return re.search(rb"(?im)^subject: (\S+)", message.header).group(1).decode()


def has_sent(one):
    return metric(one.get("/metrics", key=None).body.decode(), "lettergate_sends_total",
                  outcome="accepted")


def left(postgres):
    """Messages that are neither settled nor held."""
    return int(postgres.sql("SELECT count(*) FROM lettergate_message WHERE turn BETWEEN 1 AND 4")[0])


@contextlib.contextmanager
def shared_queue():
    """Settings of gateways with one queue, and what their requests say."""
    postgres = Postgres()
    try:
        yield {"STORE": postgres.url()}, {"delivery": "queue"}
    finally:
        postgres.close()


@contextlib.contextmanager
def no_queue():
    yield {}, {}


@pytest.mark.parametrize("queue", [no_queue, shared_queue])
def test_restarting_one_after_the_other_fails_no_request(alone, tmp_path, queue):
    del alone
    relay = Relay(script={"dot": {"delay": 0.03}})
    with relay, Names() as names, contextlib.ExitStack() as stack:
        settings, fields = stack.enter_context(queue())
        gateways = {}
        for address in ADDRESSES:
            gateways[address] = start(address, relay, **settings)
            stack.callback(gateways[address].kill)
            names.addresses.add(address)
        stack.enter_context(haproxy(tmp_path))
        assert wait_for(balancer_is_ready), (tmp_path / "haproxy.log").read_text()
        load = Load(**fields)
        with load:
            for address in ADDRESSES:
                old = gateways[address]
                assert wait_for(lambda one=old: has_sent(one)), "the balancer leaves it out"
                old.terminate()
                assert old.wait(60) == 0, old.output[-4000:]
                names.addresses.discard(address)
                gateways[address] = new = start(address, relay, **settings)
                stack.callback(new.kill)
                names.addresses.add(address)
                assert wait_for(lambda one=new: has_sent(one), 20), "not taken in again"
        assert load.failed == []
        assert relay.wait(lambda: len(relay.ledger) >= len(load.sent))
        for one in gateways.values():
            one.terminate()
        for one in gateways.values():
            assert one.wait(60) == 0, one.output[-4000:]
        arrived = sorted(subject(message) for message in relay.ledger)
        assert arrived == sorted(load.sent)
        assert len(arrived) > 100


def test_one_of_three_is_killed(alone, tmp_path):
    """What it had accepted the others send; a request fails only if it was in its hands. Twice comes
    at most what was at the relay when it died."""
    del alone
    postgres = Postgres()
    relay = Relay(script={"dot": {"delay": 0.03}})
    with contextlib.closing(postgres), relay, Names() as names, contextlib.ExitStack() as stack:
        gateways = []
        for address in (*ADDRESSES, "127.0.0.4"):
            owners = postgres.owners() if gateways else []
            gateways.append(start(address, relay, STORE=postgres.url()))
            stack.callback(gateways[-1].kill)
            names.addresses.add(address)
        assert len(owners) == 2
        stack.enter_context(haproxy(tmp_path))
        assert wait_for(balancer_is_ready), (tmp_path / "haproxy.log").read_text()
        load = Load(delivery="queue")
        with load:
            assert wait_for(lambda: all(map(has_sent, gateways)), 20), "the balancer leaves one out"
            gateways[-1].kill()
            names.addresses.discard("127.0.0.4")
            so_far = len(load.sent)
            assert wait_for(lambda: len(load.sent) > so_far + 200, 30)
        assert len(load.failed) <= 2 * CLIENTS, load.failed
        assert wait_for(lambda: postgres.leases_are_over(living=owners) or left(postgres) == 0, 30, 0.5)
        arrived = collections.Counter(map(subject, relay.ledger))
        assert set(load.sent) <= set(arrived), "something was lost"
        again = arrived.total() - len(arrived)
        assert again <= SESSIONS, "%d came twice" % again
