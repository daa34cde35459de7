"""A name server of the tests' own: it says what it is told to, as late as it is told to.

    names = Names({"mx.test": ["127.0.0.2", "::1"]}, sockets=namespace.socket)
    names.zone["mx.test"] = {"code": "SERVFAIL"}

What stands in the zone is a list of addresses, a function (kind, how often that name and kind was
asked for before) that gives something of these, or a dictionary:

    addresses  each is given to who asks for its kind
    ttl        seconds (0)
    cname      another name of the zone, which is followed, a few times at most
    code       NXDOMAIN SERVFAIL REFUSED, in place of an answer
    delay      seconds to wait before
    silent     True: no answer
    raw        bytes in place of what would stand behind the question's id
    a, aaaa    one of these for that kind alone

A name that is not there is NXDOMAIN. `asked` are the questions, in order.
"""

import ipaddress
import socket
import struct
import threading

CODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
KINDS = {1: "A", 28: "AAAA"}
TRUNCATED, ANSWER = 0x0200, 0x8180  # recursion is wanted, and to be had
LINKS = 8


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(name, kind, ttl, content):
    return wire_name(name) + struct.pack("!HHIH", kind, 1, ttl, len(content)) + content


class Question:
    def __init__(self, query):
        self.id = query[:2]
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        self.name = ".".join(labels)
        self.kind = KINDS.get(struct.unpack("!H", query[at + 1:at + 3])[0], "?")
        self.section = query[12:at + 5]
        self.room = 512
        if query[10:12] != b"\0\0":  # EDNS (RFC 6891): its class is the room
            self.room = max(512, struct.unpack("!H", query[at + 8:at + 10])[0])


class Names:
    def __init__(self, zone=None, host="127.0.0.1", port=53, sockets=socket.socket):
        self.zone = dict(zone or {})
        self.asked = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.datagrams = sockets(socket.AF_INET, socket.SOCK_DGRAM)
        self.streams = sockets(socket.AF_INET, socket.SOCK_STREAM)
        self.streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.threads = []
        for sock, serve in ((self.datagrams, self.serve_datagrams),
                            (self.streams, self.serve_streams)):
            sock.bind((host, port))
            sock.settimeout(0.1)  # who waits in it keeps the port, closed or not
            if sock is self.streams:
                sock.listen(16)
            self.threads.append(threading.Thread(target=serve, daemon=True))
            self.threads[-1].start()

    # ---- answers

    def meant(self, name, kind):
        found = self.zone.get(name, {"code": "NXDOMAIN"})
        if isinstance(found, dict) and kind.lower() in found:
            found = found[kind.lower()]
        if callable(found):
            found = found(kind, self.asked.count((name, kind)) - 1)
        return found if isinstance(found, dict) else {"addresses": found}

    def answer(self, question):
        """What stands behind the id; None: nothing is said."""
        with self.lock:
            name, kind = question.name.lower(), question.kind
            self.asked.append((name, kind))
            meant = self.meant(name, kind)
        if meant.get("delay") and self.stopping.wait(meant["delay"]):
            return None
        if meant.get("silent"):
            return None
        if "raw" in meant:
            return meant["raw"]
        records = []
        while "cname" in meant and len(records) < LINKS:
            records.append(record(name, 5, meant.get("ttl", 0), wire_name(meant["cname"])))
            name = meant["cname"]
            meant = self.meant(name, kind)
        code = CODES[meant.get("code", "NOERROR")]
        version = {"A": 4, "AAAA": 6}.get(kind)
        for address in map(ipaddress.ip_address, meant.get("addresses", [])):
            if address.version == version:
                records.append(record(name, 1 if version == 4 else 28, meant.get("ttl", 0),
                                      address.packed))
        return struct.pack("!HHHHH", ANSWER | code, 1, len(records), 0, 0) + question.section + \
            b"".join(records)

    def serve_datagrams(self):
        while not self.stopping.is_set():
            try:
                query, client = self.datagrams.recvfrom(4096)
            except socket.timeout:
                continue
            threading.Thread(target=self.reply, args=(Question(query), client), daemon=True).start()
        self.datagrams.close()

    def reply(self, question, client):
        said = self.answer(question)
        if said is None or self.stopping.is_set():
            return
        if len(said) + 2 > question.room:
            said = struct.pack("!HHHHH", ANSWER | TRUNCATED, 1, 0, 0, 0) + question.section
        try:
            self.datagrams.sendto(question.id + said, client)
        except OSError:
            pass  # who asked has gone

    def serve_streams(self):
        while not self.stopping.is_set():
            try:
                sock, _client = self.streams.accept()
            except socket.timeout:
                continue
            threading.Thread(target=self.stream, args=(sock,), daemon=True).start()
        self.streams.close()

    def stream(self, sock):
        with sock:
            sock.settimeout(10)
            try:
                while len(head := sock.recv(2, socket.MSG_WAITALL)) == 2:
                    query = sock.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                    said = self.answer(Question(query))
                    if said is None:
                        return
                    sock.sendall(struct.pack("!H", len(said) + 2) + query[:2] + said)
            except OSError:
                pass

    # ---- its end

    def stop(self):
        """It is dead: the port is closed."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
