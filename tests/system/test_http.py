"""HTTP itself: framing, deadlines, hostile JSON, listeners (faults S-40 to S-43, S-45, S-56, S-57)."""

import contextlib
import glob
import http.client
import json
import os
import re
import select
import socket
import ssl
import time

import pytest

from framing import LENIENT, REFUSED, SERVED, SMUGGLED, body_request, statuses
from gateway import (DATA, SLOW, Gateway, free_port, mail, metric, ms, open_files, read_all,
                     resident_kb, tls_client, together, wait_for)
from relay import Relay


@pytest.fixture(scope="module")
def place():
    with Relay() as relay, Gateway(relay, HTTP_TIMEOUT_HEADERS=ms(1000), HTTP_TIMEOUT_BODY=ms(1000),
                                   HTTP_TIMEOUT_IDLE=ms(1500)) as gateway:
        yield relay, gateway


# ---- framing

LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def counted(gateway):
    """Requests that the gateway knows of, without those that ask for it."""
    text = gateway.get("/metrics", key=None).body.decode()
    return metric(text, "lettergate_http_requests_total") - (
        metric(text, "lettergate_http_requests_total", route="/metrics") or 0)


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_framing_ends_the_connection(place, name):
    """S-41, S-57: one error at most, and what was hidden behind it is no request."""
    relay, gateway = place
    sent, before = len(relay.ledger), counted(gateway)
    answer = gateway.raw(REFUSED[name] + SMUGGLED + LAST, timeout=4)
    found = statuses(answer)
    # libmicrohttpd sends its own 400 header twice for some bad lengths
    assert all(400 <= status < 600 for status in found) and len(found) <= 2, answer
    assert counted(gateway) - before <= 1
    time.sleep(0.05)
    assert len(relay.ledger) == sent, "a smuggled request was served"


@pytest.mark.parametrize("name", SERVED)
def test_odd_framing_that_is_beyond_doubt_is_one_request(place, name):
    """S-41: neither more nor less, and the next one begins where it ends."""
    relay, gateway = place
    sent, before = len(relay.ledger), counted(gateway)
    answer = gateway.raw(SERVED[name] + SMUGGLED + LAST, timeout=4)
    found = statuses(answer)
    assert found[0] in (400, 422) and found[1:] == [200, 200], answer
    assert counted(gateway) - before == 3
    assert len(relay.ledger) - sent == 1


@pytest.mark.parametrize("name", LENIENT)
def test_framing_that_the_library_is_lenient_with(place, name):
    """S-41: without a balancer before it there is nobody to disagree with. Either the connection
    ends, or it was one request."""
    relay, gateway = place
    sent, before = len(relay.ledger), counted(gateway)
    answer = gateway.raw(LENIENT[name] + SMUGGLED + LAST, timeout=4)
    found = statuses(answer)
    if 200 in found[1:]:
        assert found[1:] == [200, 200] and found[0] in (200, 400, 422), answer
        assert (counted(gateway) - before, len(relay.ledger) - sent) == (3, 1)
    else:
        assert all(400 <= status < 600 for status in found) and len(found) <= 2, answer
        assert counted(gateway) - before <= 1
        time.sleep(0.05)
        assert len(relay.ledger) == sent


def test_good_framing_is_served(place):
    """S-41's other side: what must pass."""
    relay, gateway = place
    body = json.dumps(mail()).encode()
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 10]), body[at:at + 10])
                       for at in range(0, len(body), 10)) + b"0\r\n\r\n"
    length, close = "Content-Length: %d\r\n" % len(body), "Connection: close\r\n"
    for data in (body_request(length + close, body),
                 body_request("Transfer-Encoding: chunked\r\n" + close, chunked),
                 body_request(close + "transfer-encoding: Chunked\r\n", chunked),
                 body_request(length, body, "HTTP/1.0"),
                 body_request(length, body, "HTTP/1.0", host=""),
                 body_request("Content-Length:%d\r\nX-Empty:\r\n" % len(body) + close, body),
                 body_request(length + close + "Expect: 100-continue\r\n", body)):
        answer = gateway.raw(data, timeout=5)
        assert statuses(answer)[-1] == 200, answer
    # cut at every byte of the head
    data = body_request("Content-Length: %d\r\nConnection: close\r\n" % len(body), body)
    for at in range(0, len(data), 17):
        assert statuses(gateway.raw([data[:at], data[at:]], pause=0.005)) == [200]


def test_expect_100_continue_is_answered_or_refused_before_the_body(place):
    relay, gateway = place
    body = json.dumps(mail()).encode()
    with gateway.socket() as sock:
        sock.sendall(body_request("Content-Length: %d\r\nExpect: 100-continue\r\n" % len(body), b""))
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert b"HTTP/1.1 200" in sock.recv(65536)
    with gateway.socket() as sock:
        sock.sendall(body_request("Content-Length: 999999999\r\nExpect: 100-continue\r\n", b""))
        assert statuses(read_all(sock)) == [413]


def test_a_huge_body_is_refused_by_its_length(place):
    """S-42: before it is read."""
    _relay, gateway = place
    for more in (b"", b"x" * 1000):
        answer = gateway.raw(body_request("Content-Length: 99999999999\r\n", more))
        assert statuses(answer) == [413] and b"body_too_large" in answer, answer


def pour(sock, head, piece, most):
    """Sends `piece` over and over, and reads what comes meanwhile, until the other side ends it.
    Gives the number of bytes sent and what was read."""
    sent, found, rest = 0, b"", head
    sock.settimeout(0)
    while sent < most:
        readable, writable, _ = select.select([sock], [sock], [], 20 * SLOW)
        assert readable or writable, "neither ended nor read any further"
        if readable:
            with contextlib.suppress(ssl.SSLWantReadError):
                more = sock.recv(65536)
                if not more:
                    break
                found += more
        if writable:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                try:
                    taken = sock.send(rest)
                except OSError:
                    sock.settimeout(20 * SLOW)
                    found += read_all(sock)
                    break
                sent += taken
                rest = rest[taken:] or piece
    return sent, found


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_body_without_end_is_answered_and_cut_off(authority, certificate, tls):
    """S-42: 10 GiB in chunks. It is counted while it comes; who listens meanwhile reads the 413,
    then the end; and the gateway keeps no more of it than HTTP_MAX_BODY."""
    most = 4 << 20
    settings = {"HTTP_TLS_CERT": certificate.cert_file, "HTTP_TLS_KEY": certificate.key_file,
                "context": tls_client(authority.file)} if tls else {}
    with Relay() as relay, Gateway(relay, HTTP_MAX_BODY="4M", **settings) as gateway:
        assert gateway.send().status == 200
        memory, files = resident_kb(gateway.pid), open_files(gateway.pid)
        for _ in range(3):
            with gateway.socket() as sock:
                if tls:
                    sock = gateway.context.wrap_socket(sock, server_hostname="127.0.0.1")
                sent, answer = pour(sock, body_request("Transfer-Encoding: chunked\r\n", b""),
                                    b"10000\r\n" + b" " * 65536 + b"\r\n", 10 << 30)
                if tls:
                    sock.close()
            assert statuses(answer) == [413] and b'"code":"body_too_large"' in answer, answer[:500]
            head, _, body = answer.partition(b"\r\n\r\n")
            assert re.search(rb"(?i)\r\nconnection: close", head)
            assert int(re.search(rb"(?i)content-length: (\d+)", head).group(1)) == len(body)
            assert most < sent < 16 * most, "read no further than that a short rest may come"
        if SLOW == 1:
            assert resident_kb(gateway.pid, "VmHWM") - memory < 3 * most >> 10
        assert metric(gateway.get("/metrics").body.decode(), "lettergate_http_requests_total",
                      status="413") == 3
        assert wait_for(lambda: open_files(gateway.pid) <= files)
        assert gateway.send().status == 200
        assert len(relay.ledger) == 2


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/send", 405), ("PUT", "/send", 405), ("DELETE", "/healthz", 405), ("POST", "/metrics", 405),
    ("GET", "/", 404), ("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("GET", "//healthz", 404),
    ("GET", "/healthz/../healthz", 404), ("GET", "/%68ealthz", 404), ("GET", "/HEALTHZ", 404),
    ("POST", "/send/", 404), ("GET", "/messages/not-an-id", 404), ("GET", "/messages/../healthz", 404),
    ("HEAD", "/healthz", 200), ("GET", "/healthz?x=1", 200), ("GET", "/messages/%2e%2e/raw", 404)])
def test_routes_are_exact(place, method, path, status):
    """S-57"""
    _relay, gateway = place
    answer = gateway.request(method, path)
    assert answer.status == status, answer
    assert answer.headers["X-Request-Id"]
    if status == 405:
        assert answer.headers["Allow"] and answer["code"] == "method_not_allowed"
    if status == 404:
        assert answer["code"] == "not_found"
    if method == "HEAD":
        assert answer.body == b""


def test_headers_against_browsers(place):
    """S-56"""
    _relay, gateway = place
    for answer in (gateway.send(), gateway.get("/healthz"), gateway.send(to="x")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json", "", None,
                                  "application/jsonx", "application/json5"])
def test_other_kinds_of_body_are_415(place, kind):
    """S-56"""
    _relay, gateway = place
    body = json.dumps(mail())
    headers = {} if kind is None else {"Content-Type": kind}
    answer = gateway.request("POST", "/send", body, headers)
    assert (answer.status, answer["code"]) == (415, "unsupported_media_type"), answer


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8",
                                  "application/json;charset=UTF-8"])
def test_json_by_any_spelling(place, kind):
    _relay, gateway = place
    assert gateway.post("/send", mail(), {"Content-Type": kind}).status == 200


def test_compressed_bodies_are_415(place):
    """S-45"""
    _relay, gateway = place
    answer = gateway.post("/send", mail(), {"Content-Encoding": "gzip"})
    assert (answer.status, answer["code"]) == (415, "unsupported_media_type")


# ---- deadlines

def held(gateway, pieces, seconds, step):
    """How long the connection lived while `pieces` came one by one."""
    began = time.monotonic()
    with gateway.socket(seconds) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
                sock.settimeout(step)
                try:
                    if not sock.recv(4096):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        except OSError:
            pass
    return time.monotonic() - began


def drip(data):
    return [data[at:at + 1] for at in range(len(data))]


def test_slow_headers_and_bodies_have_a_total_deadline(place):
    """S-40: a byte now and then does not prolong it."""
    relay, gateway = place
    head = body_request("X-Long: " + "a" * 2000 + "\r\n", b"")
    slow_body = [body_request("Content-Length: 2000\r\n", b"")] + drip(b" " * 2000)
    before = len(relay.ledger)
    lived = together(lambda pieces: held(gateway, pieces, 20 * SLOW, 0.05), [drip(head), slow_body] * 4, 8)
    assert max(lived) < 10 * SLOW, lived
    assert len(relay.ledger) == before


def test_connections_that_say_nothing_are_closed(place):
    """S-40: HTTP_TIMEOUT_IDLE, before the first request and between two."""
    _relay, gateway = place
    for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        with gateway.socket(20) as sock:
            sock.sendall(first)
            began = time.monotonic()
            read_all(sock)
            assert time.monotonic() - began < 12 * SLOW


def test_a_crowd_of_slow_clients_does_not_hold_up_good_ones(place):
    """S-40: 300 connections in each manner; health and sends go on."""
    relay, gateway = place
    crowd = []
    for n in range(600):
        sock = gateway.socket()
        sock.sendall(b"POST /send HTTP/1.1\r\nHost: x\r\n" if n % 2 else
                     body_request("Content-Length: 1000\r\n", b"{"))
        crowd.append(sock)
    before = len(relay.ledger)
    for n in range(20):
        assert gateway.get("/healthz", timeout=3).status == 200
        assert gateway.send(timeout=5).status == 200
    assert len(relay.ledger) == before + 20
    for sock in crowd:
        sock.settimeout(15 * SLOW)
        read_all(sock)  # all are ended by the deadline
        sock.close()


def test_a_client_that_does_not_read_its_answer_is_let_go():
    """S-40: slow read; the answer has a deadline too."""
    with Relay() as relay, Gateway(relay, HTTP_TIMEOUT_IDLE=ms(1000), HTTP_TIMEOUT_BODY=ms(1000)) as gateway:
        crowd = []
        for _ in range(50):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect((gateway.host, gateway.port))
            try:
                sock.settimeout(0.2)
                sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            except OSError:
                pass
            crowd.append(sock)
        assert gateway.send().status == 200
        import gateway as module
        assert wait_for(lambda: module.open_files(gateway.pid) < 60, 20)
        for sock in crowd:
            sock.close()


# ---- JSON

SUITE = sorted(glob.glob(os.path.join(DATA, "json-parsing/test_parsing/*.json")))
STRICTER = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
            "y_string_null_escape.json", "y_object_escaped_null_in_key.json"}


@pytest.mark.skipif(not SUITE, reason="the JSON test suite is not beside the checkout")
@pytest.mark.parametrize("kind", ["y", "n", "i"])
def test_the_json_test_suite(place, kind):
    """S-43: what must be refused is 400, what is JSON is not called broken, nothing is a 5xx."""
    relay, gateway = place
    before = len(relay.ledger)
    connection = gateway.connect()
    wrong = []
    for path in SUITE:
        name = os.path.basename(path)
        if not name.startswith(kind + "_"):
            continue
        with open(path, "rb") as file:
            answer = gateway.post("/send", file.read(), connection=connection)
        allowed = {"y": [422], "n": [400], "i": [400, 422]}[kind]
        if name in STRICTER:
            allowed = [400, 422]
        if answer.status not in allowed or (answer.status == 400 and answer["code"] != "invalid_json"):
            wrong.append((name, answer))
    connection.close()
    assert not wrong, "\n".join(map(repr, wrong))
    assert len(relay.ledger) == before


@pytest.mark.parametrize("body,status", [
    (b"", 400), (b"{", 400), (b"[]", 422), (b"null", 422), (b"3", 422), (b'"x"', 422),
    (b'{"from":"a@example.com","from":"b@example.com"}', 400),
    (b'{"from":"a@example.com","fr\\u006fm":"b@example.com"}', 400),
    (b'\xef\xbb\xbf{}', 400), (b"{} {}", 400), (b'{"a":1e999}', 422), (b'{"subject":"\\u0000"}', 422),
    (b'{"subject":"\\ud800"}', 400), (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 400),
    (b'{"a":' * 40 + b"1" + b"}" * 40, 400), (b"[" * 100000, 400), (b"[" + b"1," * 250000 + b"1]", 400),
    (b'{"a":"' + b"x" * 100000 + b'"}', 422), (b'{"from":NaN}', 400), (b"{'from':1}", 400)])
def test_json_at_its_limits(place, body, status):
    """S-43: depth, width, duplicates, surrogates, rubbish behind."""
    _relay, gateway = place
    answer = gateway.post("/send", body)
    allowed = [status] if status == 400 else [422, 400]
    assert answer.status in allowed, answer
    assert answer["code"] in ("invalid_json", "invalid_request")


def test_many_keys_are_no_bomb(place):
    """S-44"""
    _relay, gateway = place
    body = json.dumps({"k%d" % n: n for n in range(50000 if SLOW == 1 else 5000)})
    began = time.monotonic()
    answer = gateway.post("/send", body)
    assert answer.status in (400, 422) and time.monotonic() - began < 5 * SLOW
    assert len(answer.body) < 1 << 20


# ---- listeners

def test_a_unix_socket(tmp_path):
    path = tmp_path / "lettergate.sock"
    with Relay() as relay, Gateway(relay, unix=path) as gateway:
        assert gateway.send().status == 200
        assert gateway.get("/healthz", key=None).status == 200
    # a left over socket of a dead process is no obstacle
    left = socket.socket(socket.AF_UNIX)
    path2 = tmp_path / "left.sock"
    left.bind(str(path2))
    left.close()
    with Relay() as relay, Gateway(relay, unix=path2) as gateway:
        assert gateway.send().status == 200


def test_several_listeners(tmp_path):
    ports = [free_port(), free_port()]
    path = tmp_path / "sock"
    with Relay() as relay, Gateway(relay, HTTP_LISTEN="127.0.0.1:%d,127.0.0.1:%d,[::1]:%d,unix:%s"
                                   % (ports[0], ports[1], ports[0], path), wait=False) as gateway:
        gateway.port = ports[0]
        gateway.wait_ready()
        for host, port in (("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), ("::1", ports[0])):
            gateway.host, gateway.port = host, port
            assert gateway.send().status == 200
        gateway.unix = str(path)
        assert gateway.send().status == 200


def test_https_with_certificate_reloaded(authority, tmp_path):
    """HTTP_TLS_CERT, HTTP_TLS_KEY: TLS 1.2 up, files are read again on reload."""
    import shutil
    import signal
    first, second = authority.make("127.0.0.1"), authority.make("127.0.0.1", "localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(first.cert_file, cert)
    shutil.copy(first.key_file, key)
    with Relay() as relay, Gateway(relay, context=tls_client(authority.file), HTTP_TLS_CERT=cert,
                                   HTTP_TLS_KEY=key) as gateway:
        assert gateway.send().status == 200

        def serial():
            with socket.create_connection((gateway.host, gateway.port), 5) as sock, \
                    gateway.context.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped:
                return wrapped.getpeercert()["serialNumber"]
        before = serial()
        shutil.copy(second.cert_file, cert)
        shutil.copy(second.key_file, key)
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: serial() != before)
        assert gateway.send().status == 200
        cert.write_text("rubbish")
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log("reload_failed"))
        assert gateway.send().status == 200
        old = ssl.create_default_context(cafile=authority.file)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises(OSError):
            with socket.create_connection((gateway.host, gateway.port), 5) as sock:
                old.wrap_socket(sock, server_hostname="127.0.0.1")


def test_the_admin_listener_takes_metrics_away_from_the_public_one():
    """S-54: HTTP_ADMIN_LISTEN."""
    port = free_port()
    with Relay() as relay, Gateway(relay, HTTP_ADMIN_LISTEN="127.0.0.1:%d" % port) as gateway:
        assert gateway.get("/metrics").status == 404
        assert gateway.send().status == 200
        public = gateway.port
        gateway.port = port
        answer = gateway.get("/metrics", key=None)
        assert answer.status == 200 and b"lettergate_" in answer.body
        gateway.port = public


def test_keep_alive_serves_many_requests_on_one_connection(place):
    _relay, gateway = place
    connection = gateway.connect()
    connection.connect()
    own = connection.sock.getsockname()
    for _ in range(30):
        assert gateway.send(connection=connection).status == 200
        assert connection.sock.getsockname() == own
    connection.close()
    old = http.client.HTTPConnection(gateway.host, gateway.port, timeout=5)
    old._http_vsn, old._http_vsn_str = 10, "HTTP/1.0"
    assert gateway.get("/healthz", connection=old).status == 200
    old.close()


def test_request_ids_of_clients_are_taken_if_harmless(place):
    _relay, gateway = place
    ids = {gateway.get("/healthz").headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5
    answer = gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\"b<c>\xff\r\n"
                         b"Connection: close\r\n\r\n")
    assert statuses(answer) in ([200], [400])
    line = re.search(rb"(?i)x-request-id: ([^\r]*)", answer).group(1)
    assert not re.search(rb"[\"<>\xff]", line)


def test_forwarded_addresses_count_only_from_trusted_proxies():
    """S-55: HTTP_TRUSTED_PROXIES."""
    def client_of(gateway, *values):
        answer = gateway.get("/nothing", headers={"X-Forwarded-For": ", ".join(values)})
        found = wait_for(lambda: [line for line in gateway.log("request")
                                  if line["request_id"] == answer.headers["X-Request-Id"]])
        return found[0]["client"]

    with Relay() as relay, Gateway(relay) as gateway:
        assert client_of(gateway, "192.0.2.7") == "127.0.0.1"
    with Relay() as relay, Gateway(relay, HTTP_TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8") as gateway:
        assert client_of(gateway, "192.0.2.7") == "192.0.2.7"
        assert client_of(gateway, "198.51.100.9", "192.0.2.7", "10.1.2.3") == "192.0.2.7", \
            "the last one that no trusted proxy is; what stands before it is hearsay"
        assert client_of(gateway, "2001:db8::7") == "2001:db8::7"
        assert "<" not in client_of(gateway, "<script>")
