"""Where events may go (S-50): to public addresses alone, whatever name leads there, and whenever.

In a network namespace, with a name server of its own, there are receivers at all addresses. The
public one is 8.8.4.4; nothing leaves the namespace."""

import contextlib
import json
import socket

import pytest

from certificates import Authority
from gateway import Gateway, wait_for
from names import Names
from netns import Namespace
from receiver import Receiver
from relay import Relay
from test_webhooks import OLD, secret

PUBLIC, PORT = "8.8.4.4", 8443
SHUT = {
    "loopback": ["127.0.0.1"], "high": ["127.200.3.4"], "six": ["::1"], "mapped": ["::ffff:127.0.0.1"],
    "metadata": ["169.254.169.254"], "metadata-mapped": ["::ffff:169.254.169.254"],
    "private": ["10.0.0.7"], "home": ["192.168.1.1"], "carrier": ["100.64.0.1"], "unique": ["fd00::7"],
    "link": ["fe80::7"], "zero": ["0.0.0.0"], "several": ["127.0.0.1", "10.0.0.7", "::1"],
}


@pytest.fixture(scope="module", name="namespace")
def _namespace():
    namespace = Namespace()
    for address in ["%s/32" % PUBLIC, "10.0.0.7/32", "192.168.1.1/32", "169.254.169.254/32",
                    "100.64.0.1/32", "fd00::7/128"]:
        namespace.address(address)
    namespace.ask("127.0.0.1")
    yield namespace
    namespace.close()


@pytest.fixture(scope="module", name="authority")
def _authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def listener(namespace, address, family=socket.AF_INET):
    sock = namespace.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, PORT))
    return sock


def gateway_in(namespace, authority, tmp_path, relay_listener, hooks, **more):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"webhooks": [
        {"name": name, "url": "https://%s.test:%d/" % (name, PORT), "secret": secret(OLD)}
        for name in hooks]}))
    return Gateway(None, args=("--config", path), wrap=namespace.wrap, unix=tmp_path / "socket",
                   SMTP_HOST="127.0.0.1", SMTP_PORT=relay_listener.getsockname()[1],
                   SMTP_SECURE="NONE", STORE="sqlite:%s" % (tmp_path / "queue.db"),
                   SSL_CERT_FILE=authority.file, **more)


@contextlib.contextmanager
def inside(namespace):
    sock = namespace.listener()
    with Relay(listener=sock, port=0) as relay:
        yield relay, sock


def test_only_public_ones(namespace, authority, tmp_path):
    zone = {name + ".test": addresses for name, addresses in SHUT.items()}
    zone["open.test"] = [PUBLIC]
    zone["mixed.test"] = ["127.0.0.1", PUBLIC]
    context = authority.make(*zone).context()
    with Names(zone, sockets=namespace.socket), inside(namespace) as (_relay, sock), \
            Receiver(context, listener=listener(namespace, PUBLIC)) as public, \
            Receiver(context, listener=listener(namespace, "::1", socket.AF_INET6)) as six, \
            contextlib.ExitStack() as stack:
        shut = [six] + [stack.enter_context(Receiver(context, listener=listener(namespace, address)))
                        for address in ("127.0.0.1", "127.200.3.4", "10.0.0.7", "192.168.1.1",
                                        "169.254.169.254", "100.64.0.1")]
        gateway = stack.enter_context(gateway_in(namespace, authority, tmp_path, sock,
                                                 [*SHUT, "open", "mixed"]))
        assert gateway.send().status == 200
        assert wait_for(lambda: {line["webhook"] for line in gateway.log("webhook_forbidden")} ==
                        set(SHUT)), gateway.output
        assert wait_for(lambda: len(public.posts) == 2), "open, and mixed past what is shut"
        assert gateway.log("webhook_forbidden")[0]["why"] == "the address is not allowed"
        for receiver in shut:
            assert not receiver.connections, receiver.host


def test_a_name_that_changes_its_mind(namespace, authority, tmp_path):
    """It is public when it is looked up first, and inside the next time: what is looked at is what is
    connected to."""
    def flip(_kind, before):
        return [PUBLIC] if before == 0 else ["127.0.0.1"]
    context = authority.make("flip.test").context()
    with Names({"flip.test": flip}, sockets=namespace.socket), \
            inside(namespace) as (_relay, sock), \
            Receiver(context, listener=listener(namespace, PUBLIC)) as public, \
            Receiver(context, listener=listener(namespace, "127.0.0.1")) as shut:
        with gateway_in(namespace, authority, tmp_path, sock, ["flip"]) as gateway:
            assert gateway.send().status == 200
            assert wait_for(lambda: len(public.posts) == 1), gateway.output
        with gateway_in(namespace, authority, tmp_path, sock, ["flip"]) as gateway:
            assert gateway.send().status == 200
            assert wait_for(lambda: gateway.log("webhook_forbidden"))
            assert len(public.posts) == 1 and not shut.connections


def test_one_that_is_named_is_reached(namespace, authority, tmp_path):
    context = authority.make("private.test", "loopback.test").context()
    zone = {"private.test": SHUT["private"], "loopback.test": SHUT["loopback"]}
    with Names(zone, sockets=namespace.socket), inside(namespace) as (_relay, sock), \
            Receiver(context, listener=listener(namespace, "10.0.0.7")) as receiver, \
            Receiver(context, listener=listener(namespace, "127.0.0.1")) as shut, \
            gateway_in(namespace, authority, tmp_path, sock, ["private", "loopback"],
                       WEBHOOK_ALLOW_NETWORKS="10.0.0.0/24") as gateway:
        assert gateway.send().status == 200
        assert wait_for(lambda: len(receiver.posts) == 1)
        assert wait_for(lambda: gateway.log("webhook_forbidden"))
        assert not shut.connections
