"""The image that Dockerfile builds: what is in it, and that it does its work as a container."""

import os
import threading

from contained import Contained
from gateway import wait_for
from relay import Relay


def programs(root):
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"):
        path = os.path.join(root, folder)
        yield from os.listdir(path) if os.path.isdir(path) else ()


def to(relay):
    return {"SMTP_HOST": relay.host, "SMTP_PORT": relay.port, "SMTP_SECURE": "NONE"}


def test_it_holds_neither_compiler_nor_tools_to_fetch_with(root):
    found = set(programs(root))
    assert "lettergate" in found
    unwanted = {"gcc", "cc", "c99", "clang", "ld", "as", "make", "cmake", "ninja", "pkg-config",
                "curl", "wget", "git", "python3"}
    assert not found & unwanted
    assert not [name for name in found if name.endswith("-gcc") or "-gcc-" in name]
    assert not os.path.exists(os.path.join(root, "usr/include/microhttpd.h"))


def test_it_says_how_it_wants_to_be_run(image):
    assert image["User"].split(":")[0] not in ("", "0", "root")
    assert image["Entrypoint"] == ["/usr/local/bin/lettergate"]
    assert image["Cmd"] == ["serve"]
    assert "HTTP_LISTEN=0.0.0.0:8080" in image["Env"]
    assert "8080/tcp" in image["ExposedPorts"]
    assert image["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/lettergate", "health"]


def test_a_message_goes_through_it(root, image):
    with Relay() as relay, Contained(root, image, **to(relay)) as gateway:
        assert gateway.get("/readyz", key=None).status == 200
        answer = gateway.send()
        assert answer.status == 200, answer
        assert answer["outcome"] == "accepted"
        assert len(relay.ledger) == 1
        assert gateway.send(key="wrong-key-0123456789").status == 401
        status, output = gateway.run("health")
        assert status == 0, output
        with open("/proc/%d/status" % gateway.pid, encoding="ascii") as file:
            own = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert own["NSpid"].split()[-1] == "1"
        assert set(own["Uid"].split()) == {"10001"}
        assert int(own["CapEff"], 16) == 0


def test_without_a_gateway_health_says_no(root, image):
    box = Contained(root, image, "health", wait=False)
    assert box.wait() == 1, box.output


def test_it_does_not_serve_the_world_without_a_key(root, image):
    box = Contained(root, image, key=None, wait=False, SMTP_HOST="capture")
    assert box.wait() == 2, box.output
    assert "API_KEY" in box.output


def test_sigterm_ends_it_when_the_last_answer_is_given(root, image):
    with Relay(script={"dot": {"delay": 2}}) as relay:
        gateway = Contained(root, image, DRAIN_DELAY="500ms", **to(relay))
        answers = []
        sending = threading.Thread(target=lambda: answers.append(gateway.send()))
        sending.start()
        assert wait_for(lambda: relay.connections and relay.connections[0].transactions)
        gateway.terminate()
        assert wait_for(lambda: gateway.get("/readyz", key=None).status == 503)
        status, _ = gateway.run("health")
        assert status != 0
        sending.join(30)
        assert gateway.wait() == 0, gateway.output
        assert answers and answers[0].status == 200, answers
        assert len(relay.ledger) == 1


def test_dev_works_in_it_too(root, image):
    with Contained(root, image, "serve", "--dev") as gateway:
        answer = gateway.send()
        assert (answer.status, answer["outcome"]) == (200, "captured"), answer
