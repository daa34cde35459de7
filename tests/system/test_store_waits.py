"""A store that does not answer for a while: what need not wait for it does not, and what waits holds no thread."""

import concurrent.futures
import os
import signal
import time

import pytest

from gateway import Gateway, wait_for
from postgres import Postgres, Way

KIND = {"Content-Type": "application/json"}
MANY = 4 * os.cpu_count()  # more than there are threads for HTTP


@pytest.fixture(name="postgres", scope="module")
def _postgres():
    server = Postgres()
    yield server
    server.close()


def test_a_store_that_hangs_at_the_end(postgres):
    """Who waits for it alone cannot be answered: the second SIGTERM ends that, too."""
    with Way(postgres) as way, concurrent.futures.ThreadPoolExecutor(4) as pool:
        gateway = Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000))
        try:
            way.stall()
            asked = [pool.submit(gateway.request, *words, timeout=60) for words in (
                ("GET", "/messages"), ("GET", "/events?wait=60"), ("PUT", "/templates/a", '{"text": "x"}', KIND))]
            time.sleep(0.3)
            gateway.terminate()
            assert wait_for(lambda: gateway.log("drain"))
            gateway.terminate()
            assert gateway.wait() == 1
            assert gateway.log("ended_at_once")[0]["requests"] == 3
            assert all(each.exception() for each in asked)
        finally:
            gateway.kill()
        way.go_on()
        gateway = Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000))
        try:
            way.stall()
            time.sleep(1.2)  # by then it has asked the store by itself
            gateway.terminate()
            assert wait_for(lambda: gateway.log("drain"))
            gateway.terminate()
            assert gateway.wait() == 1
            assert "ended at once" in gateway.output, "nor does the end itself wait for it"
        finally:
            gateway.kill()


def gauges(gateway):
    return {line.split("{")[0].split(" ")[0] for line in gateway.get("/metrics", key=None).body.decode().splitlines()}


def test_a_store_that_hangs_holds_up_no_thread(postgres):
    with Way(postgres) as way, Gateway(SMTP_HOST="capture", STORE=way.url(tcp_user_timeout=60000)) as gateway, \
            concurrent.futures.ThreadPoolExecutor(2 * MANY) as pool:
        assert gateway.request("PUT", "/templates/old", '{"text": "Old."}', KIND).status == 201
        assert "lettergate_queue_messages" in gauges(gateway)
        way.stall()
        puts = [pool.submit(gateway.request, "PUT", "/templates/t%d" % n, '{"text": "New."}', KIND, timeout=60)
                for n in range(MANY)]
        gone = pool.submit(gateway.request, "DELETE", "/templates/old", timeout=60)
        time.sleep(0.3)
        assert gateway.get("/healthz").status == 200
        began = time.monotonic()
        told = gauges(gateway)
        assert time.monotonic() - began < 8, "1.5 s, and a slow machine"
        assert "lettergate_in_flight" in told and "lettergate_queue_messages" not in told
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload"))
        assert gateway.get("/templates/old")["text"] == "Old.", "nothing is seen before it is kept"
        assert not any(put.done() for put in puts)
        way.go_on()
        assert [put.result().status for put in puts] == [201] * MANY
        assert gone.result().status == 200
        assert len(gateway.get("/templates")["templates"]) == MANY
        assert wait_for(lambda: "lettergate_queue_messages" in gauges(gateway))
