#!/usr/bin/env python3
"""A scripted SMTP relay for tests: byte-exact, TLS capable, and it counts what it took.

By itself it takes every message, correctly. A script changes what it does at any step:

    relay = Relay(script={"rcpt:2": "550 5.1.1 no such user", "dot": {"then": "reset"}})
    ... relay.port, relay.ledger, relay.connections, relay.wait(lambda: relay.ledger) ...
    relay.stop()

or for people:  python3 tests/relay/relay.py --port 2525 --script '{"mail": "421 4.3.2 go away"}'

**Script.** A dictionary from step to action. Steps: greeting ehlo helo starttls handshake auth mail
rcpt data body bdat dot rset noop quit unknown. `body` acts while content arrives (see `after`);
`dot` is the answer to the end of the data, also that of BDAT LAST; `bdat` is any other chunk's. A
step may be narrowed, the narrowest wins: `2/rcpt:3` (in the connection's 2nd transaction the 3rd
RCPT), `2/rcpt`, `rcpt:ann@example.org`, `rcpt:3`, `rcpt`. `mail:2` is the connection's 2nd MAIL.
"connections": {"1": {...}} holds scripts that come first on the connection of that number.

**Action.** A reply ("250 ok"; a line break in it begins another line), bytes that are sent as they
are, None for the usual, a function (connection, step, line) that gives one of these, or a dictionary:

    reply    as above; "" says nothing          raw      exact bytes, no line end added
    delay    seconds to wait before             dribble  seconds before each byte
    split    sizes of the pieces that it is sent in, or one size; `pause` seconds between (0.01)
    extra    bytes behind it, in the same write  later   [seconds, bytes]: bytes some time behind it
    then     close (close_notify, FIN), cut (FIN alone), reset (RST), stall (silence until the end),
             deaf (reads nothing any more, RST after two seconds)
    endless  bytes sent over and over until the other side hangs up
    take     the message is in the ledger, whatever is said (or not, if false)
    after    `body`: act when so many bytes of content have arrived
    go       True: go on as after success, whatever was said
    keep     True: go on as if nothing had been asked, whatever was said

A reply that begins with 421 closes the connection, unless `then` is given as "stay".

**What is kept.** `ledger`: each message taken, with MAIL, RCPTs, parameters, unstuffed body,
connection and transaction number, and the round trips that it took. `connections`: every byte
received and sent, commands, AUTH attempts, how it ended. With `brief`, bytes are forgotten once a
message is taken, but for its header. With `hold` (seconds) replies wait until
the input is quiet for so long: then round trips are exact, however the bytes were cut on their way.
"""

import argparse
import base64
import binascii
import json
import os
import re
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import sasl  # noqa: E402
from wire import Over, Wire  # noqa: E402

KEYWORDS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES",
            "CHUNKING")


class Transaction:
    """One MAIL and what followed; in the ledger if it was taken."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.mail = ""
        self.mail_parameters = {}
        self.recipients = []  # taken ones: addresses
        self.recipient_parameters = {}
        self.refused = []
        self.body = b""
        self.wire_body = b""
        self.chunked = False
        self.complete = False  # the end of the data was seen
        self.taken = False
        self.round_trips = 0
        self.began = time.monotonic()
        self.reply = ""

    @property
    def header(self):
        return self.body.partition(b"\r\n\r\n")[0]

    @property
    def message_id(self):
        found = re.search(rb"(?im)^message-id:\s*(\S+)", self.header)
        return found.group(1).decode() if found else None


def unstuff(data):
    """Content as it came behind DATA, with its final dot, as the message that it means."""
    lines = data[:-3].split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


class Connection:
    def __init__(self, relay, number, sock, peer):
        self.relay, self.number, self.peer = relay, number, peer
        self.wire = Wire(sock)
        self.received = bytearray()  # in clear, from the first byte to the last
        self.sent = bytearray()
        self.chunks = []  # (time, length) of each read
        self.commands = []
        self.auth_attempts = []  # (mechanism, user or None)
        self.user = None
        self.transactions = []
        self.transaction = None
        self.tls_version = None
        self.server_name = None
        self.handshake_error = None
        self.behind_starttls = b""  # what the client had sent behind STARTTLS: must be nothing
        self.ended = None  # quit eof reset closed
        self.turns = 0
        self.began = time.monotonic()
        self.input = bytearray()
        self.output = bytearray()
        self.times = {}
        self.settling = None

    # ---- reading and writing

    def flush(self):
        if not self.output:
            return
        data, self.output = bytes(self.output), bytearray()
        self.turns += 1
        self.transmit(data)

    def transmit(self, data):
        self.sent += data
        self.wire.send(data)

    def fill(self):
        if self.output:
            hold = self.relay.hold
            if not (hold and self.wire.ready(hold)):
                self.flush()
        data = self.wire.recv()
        if not data:
            self.flush()
            raise Over("eof")
        self.chunks.append((time.monotonic(), len(data)))
        self.received += data
        self.input += data
        self.relay.changed()

    def line(self):
        while True:
            at = self.input.find(b"\r\n")
            if at >= 0:
                line = bytes(self.input[:at])
                del self.input[:at + 2]
                return line
            if len(self.input) > 1 << 20:
                raise Over("endless line")
            self.fill()

    def exactly(self, count):
        while len(self.input) < count:
            self.fill()
            self.body_progress(len(self.input))
        data = bytes(self.input[:count])
        del self.input[:count]
        return data

    # ---- the script

    def action(self, step, line, names=()):
        """What the script says about this step now; and counts the step."""
        tx = len(self.transactions)
        wanted = ["%d/%s:%s" % (tx, step, name) for name in names]
        wanted += ["%d/%s" % (tx, step)]
        wanted += ["%s:%s" % (step, name) for name in names]
        wanted += [step]
        script = self.relay.script
        own = script.get("connections", {})
        own = own.get(str(self.number), own.get(self.number)) or {}
        for table in (own, script):
            for name in wanted:
                if name in table:
                    found = table[name]
                    if callable(found):
                        found = found(self, step, line)
                    if found is not None:
                        return found
        return None

    def count(self, step):
        self.times[step] = self.times.get(step, 0) + 1
        return self.times[step]

    def step(self, step, usual, line=b"", names=None):
        """Answers a step; gives the code of what was said (0: nothing that is a code)."""
        number = self.count(step)
        action = self.action(step, line, names if names is not None else [number])
        return self.perform(action, usual)

    def perform(self, action, usual):
        if action is None:
            action = {}
        if isinstance(action, str):
            action = {"reply": action}
        elif isinstance(action, (bytes, bytearray)):
            action = {"raw": action}
        if action.get("delay"):
            self.flush()
            self.relay.pause(action["delay"])
        raw = action.get("raw")
        if isinstance(raw, str):
            raw = raw.encode("latin-1")
        if raw is None:
            reply = action.get("reply", usual)
            raw = b"".join(part.encode("utf-8", "surrogateescape") + b"\r\n"
                           for part in reply.split("\n")) if reply else b""
        code = int(raw[:3]) if raw[:3].isdigit() else 0
        if self.settling:
            self.settle(action, code, raw)
        then = action.get("then") or ("close" if raw.startswith(b"421") else None)
        self.say(raw, action)
        if "endless" in action:
            self.endless(action["endless"])
        if then and then != "stay":
            self.flush()
            self.end(then)
        if action.get("go"):
            return 250
        return 0 if action.get("keep") else code

    def settle(self, action, code, raw):
        """The verdict on a message goes to the ledger before it is said."""
        tx, self.settling = self.settling, None
        tx.round_trips = self.turns - tx.turns + 1
        tx.reply = raw.decode("latin-1").strip()
        tx.taken = action.get("take", 200 <= code < 300)
        if tx.taken:
            if self.relay.brief:
                tx.body, tx.wire_body = tx.header + b"\r\n\r\n", b""
                self.received.clear()
            self.relay.take(tx)

    def say(self, raw, action):
        extra = action.get("extra", b"")
        raw += extra.encode("latin-1") if isinstance(extra, str) else extra
        if action.get("dribble"):
            self.flush()
            for at in range(len(raw)):
                self.relay.pause(action["dribble"])
                self.transmit(raw[at:at + 1])
        elif action.get("split"):
            self.flush()
            for piece in pieces(raw, action["split"]):
                self.transmit(piece)
                self.relay.pause(action.get("pause", 0.01))
        else:
            self.output += raw
        if action.get("later"):
            seconds, more = action["later"]
            self.flush()
            self.relay.pause(seconds)
            self.transmit(more.encode("latin-1") if isinstance(more, str) else more)

    def endless(self, what):
        self.flush()
        what = what.encode("latin-1") if isinstance(what, str) else what
        block = what * (1 + 65536 // len(what))
        while not self.relay.stopping.is_set():
            self.relay.flooded += len(block)
            self.wire.send(block)

    def end(self, how):
        if how == "stall":
            self.stall()
        elif how == "deaf":
            self.relay.pause(2)
            self.wire.reset()
        elif how == "reset":
            self.wire.reset()
        elif how == "cut":
            self.wire.cut()
        else:
            self.wire.close()
        raise Over("closed")

    def stall(self):
        """Keeps silent and listens until the other side has gone."""
        while not self.relay.stopping.is_set():
            if self.wire.ready(0.1):
                data = self.wire.recv()
                if not data:
                    raise Over("eof")
                self.received += data
                self.relay.changed()
        raise Over("closed")

    # ---- the conversation

    def run(self):
        try:
            if self.relay.tls == "implicit":
                self.start_tls()
            self.step("greeting", "220 relay.test ESMTP scripted")
            while True:
                self.command(self.line())
        except Over as over:
            self.ended = self.ended or str(over)
        except (OSError, ssl.SSLError) as error:
            self.ended = self.ended or ("reset" if isinstance(error, ConnectionError) else
                                        "error: %s" % error)
        finally:
            try:
                self.wire.sock.close()
            except OSError:
                pass
            self.relay.changed()

    def command(self, line):
        self.commands.append(line.decode("latin-1"))
        self.relay.changed()
        verb = line.split(b" ")[0].upper().decode("latin-1")
        handler = {"EHLO": self.ehlo, "HELO": self.helo, "STARTTLS": self.starttls,
                   "AUTH": self.auth, "MAIL": self.mail, "RCPT": self.rcpt, "DATA": self.data,
                   "BDAT": self.bdat, "RSET": self.rset, "NOOP": self.noop,
                   "QUIT": self.quit}.get(verb, self.unknown)
        handler(line)

    def keywords(self):
        script = self.relay.script
        own = script.get("connections", {})
        own = own.get(str(self.number), own.get(self.number)) or {}
        for table in (own, script):
            if self.tls_version and "keywords_tls" in table:
                return table["keywords_tls"]
            if "keywords" in table:
                return table["keywords"]
        words = list(self.relay.keywords)
        if self.relay.tls == "starttls" and not self.tls_version:
            words.append("STARTTLS")
        if self.relay.mechanisms and (self.tls_version or self.relay.auth_in_clear):
            words.append("AUTH " + " ".join(self.relay.mechanisms))
        return words

    def ehlo(self, line):
        self.transaction = None
        lines = ["relay.test greets you"] + list(self.keywords())
        usual = "\n".join("250%s%s" % ("-" if at < len(lines) - 1 else " ", text)
                          for at, text in enumerate(lines))
        self.step("ehlo", usual, line)

    def helo(self, line):
        self.transaction = None
        self.step("helo", "250 relay.test", line)

    def starttls(self, line):
        usual = "220 2.0.0 go ahead" if self.relay.context and not self.tls_version else \
            "502 5.5.1 no TLS here"
        code = self.step("starttls", usual, line)
        self.flush()
        if 200 <= code < 300 and not self.tls_version:
            self.behind_starttls = bytes(self.input)
            self.input.clear()
            self.start_tls(self.behind_starttls)

    def start_tls(self, early=b""):
        action = self.action("handshake", b"") or {}
        if isinstance(action, (str, bytes)):
            action = {"raw": action}
        if action.get("delay"):
            self.relay.pause(action["delay"])
        if action.get("raw"):
            self.perform(action, "")
            self.flush()
            self.stall()
        if action.get("then"):
            if self.wire.ready(10):
                self.handshake_bytes = self.wire.recv()
            self.end(action["then"])
        context = self.relay.context
        context.sni_callback = self.note_name
        try:
            self.wire.start_tls(context, early, action.get("dribble", 0))
        except (ssl.SSLError, OSError) as error:
            self.handshake_error = str(error)
            raise Over("handshake") from error
        self.tls_version = self.wire.tls.version()
        self.tls_reused = self.wire.tls.session_reused

    def note_name(self, obj, name, _context):
        for connection in self.relay.connections:
            if connection.wire.tls is obj:
                connection.server_name = name

    def auth(self, line):
        words = line.decode("latin-1").split(" ")
        name = words[1].upper() if len(words) > 1 else ""
        number = self.count("auth")
        action = self.action("auth", line, [number])
        if action is not None:
            self.auth_attempts.append((name, None))
            self.auth_scripted(action)
            return
        if name not in self.relay.mechanisms:
            self.auth_attempts.append((name, None))
            self.perform(None, "504 5.5.4 no such mechanism")
            return
        if not self.tls_version and not self.relay.auth_in_clear:
            self.auth_attempts.append((name, None))
            self.perform(None, "538 5.7.11 encryption required")
            return
        try:
            user = self.auth_dialogue(name, words[2] if len(words) > 2 else None)
        except (binascii.Error, ValueError, KeyError):
            user = None
        self.auth_attempts.append((name, user))
        self.user = user
        self.perform(None, "235 2.7.0 welcome" if user else "535 5.7.8 wrong credentials")

    def auth_scripted(self, action):
        """Challenges go on for as long as the script answers with them."""
        rounds = 0
        while self.perform(action, "") == 334 and rounds < 100:
            rounds += 1
            self.auth_lines = getattr(self, "auth_lines", []) + [self.line()]
            if self.auth_lines[-1] == b"*":
                action = "501 5.7.0 cancelled"
            else:
                action = self.action("challenge", self.auth_lines[-1], [rounds]) or action

    def auth_dialogue(self, name, initial):
        first = None
        if initial is not None:
            first = b"" if initial == "=" else base64.b64decode(initial, validate=True)
        mechanism = sasl.MECHANISMS[name](self.relay.accounts, first)
        answer = None
        try:
            challenge = next(mechanism)
            while True:
                self.output += b"334 " + base64.b64encode(challenge) + b"\r\n"
                answer = self.line()
                if answer == b"*":
                    return None
                challenge = mechanism.send(base64.b64decode(answer, validate=True))
        except StopIteration as stop:
            return stop.value

    def mail(self, line):
        parts = re.fullmatch(rb"MAIL FROM:<(.*?)>((?: [^ ]+)*)", line, re.I | re.S)
        if self.relay.require_auth and not self.user:
            self.step("mail", "530 5.7.0 authentication required", line)
            return
        if self.transaction:
            self.step("mail", "503 5.5.1 nested MAIL", line)
            return
        if not parts:
            self.step("mail", "501 5.5.4 syntax", line)
            return
        tx = Transaction(self.number, len(self.transactions) + 1)
        tx.turns = self.turns
        tx.mail = parts.group(1).decode("utf-8", "surrogateescape")
        tx.mail_parameters = parameters(parts.group(2))
        tx.user, tx.tls = self.user, self.tls_version
        self.transactions.append(tx)
        code = self.step("mail", "250 2.1.0 sender ok", line)
        if 200 <= code < 300:
            self.transaction = tx

    def rcpt(self, line):
        tx = self.transaction
        parts = re.fullmatch(rb"RCPT TO:<(.*)>((?: [^ ]+)*)", line, re.I | re.S)
        if not tx:
            self.step("rcpt", "503 5.5.1 need MAIL", line)
            return
        if not parts:
            self.step("rcpt", "501 5.5.4 syntax", line)
            return
        address = parts.group(1).decode("utf-8", "surrogateescape")
        number = len(tx.recipients) + len(tx.refused) + 1
        code = self.step("rcpt", "250 2.1.5 recipient ok", line, [address, number])
        if 200 <= code < 300:
            tx.recipients.append(address)
            tx.recipient_parameters[address] = parameters(parts.group(2))
        else:
            tx.refused.append(address)

    def data(self, line):
        tx = self.transaction
        usual = "354 go on" if tx and tx.recipients else \
            "554 5.5.1 no valid recipients" if tx else "503 5.5.1 need MAIL"
        code = self.step("data", usual, line)
        if code != 354:
            return
        tx = tx or Transaction(self.number, 0)
        self.content(tx)
        self.settling = tx
        if not hasattr(tx, "turns"):
            tx.turns = self.turns
        self.transaction = None
        usual = "250 2.0.0 Ok: queued as R%dT%d" % (self.number, tx.number) if tx.recipients else \
            "554 5.5.1 no valid recipients"
        self.step("dot", usual, line)

    def content(self, tx):
        scanned = 0
        if self.input.startswith(b".\r\n"):
            del self.input[:3]
            tx.wire_body, tx.body, tx.complete = b".\r\n", b"", True
            return
        while True:
            at = self.input.find(b"\r\n.\r\n", max(0, scanned - 4))
            if at >= 0:
                break
            if scanned == 0 and self.input.startswith(b".\r\n"):
                del self.input[:3]
                tx.wire_body, tx.body, tx.complete = b".\r\n", b"", True
                return
            scanned = len(self.input)
            self.fill()
            self.body_progress(len(self.input))
        tx.wire_body = bytes(self.input[:at + 5])
        del self.input[:at + 5]
        tx.body = unstuff(tx.wire_body)
        tx.complete = True

    def body_progress(self, length):
        action = self.action("body", b"")
        if isinstance(action, dict) and length >= action.get("after", 0):
            self.perform(action, "")
        elif isinstance(action, str):
            self.perform(action, "")

    def bdat(self, line):
        tx = self.transaction
        words = line.decode("latin-1").upper().split()
        last = len(words) > 2 and words[2] == "LAST"
        chunk = self.exactly(int(words[1]))
        if tx:
            tx.chunked = True
            tx.body += chunk
            tx.wire_body += chunk
        if not last:
            self.step("bdat", "250 2.0.0 chunk ok" if tx else "503 5.5.1 need MAIL", line)
            return
        self.transaction = None
        usual = "503 5.5.1 need MAIL"
        if tx:
            tx.complete = True
            self.settling = tx
            usual = "250 2.0.0 Ok: queued as R%dT%d" % (self.number, tx.number) \
                if tx.recipients else "554 5.5.1 no valid recipients"
        self.step("dot", usual, line)

    def rset(self, line):
        code = self.step("rset", "250 2.0.0 ok", line)
        if 200 <= code < 300:
            self.transaction = None

    def noop(self, line):
        self.step("noop", "250 2.0.0 ok", line)

    def quit(self, line):
        self.ended = "quit"
        self.step("quit", "221 2.0.0 bye", line)
        self.flush()
        self.end("close")

    def unknown(self, line):
        self.step("unknown", "500 5.5.2 what?", line)


def pieces(data, sizes):
    if isinstance(sizes, int):
        sizes = [sizes] * (len(data) // sizes + 1)
    for size in sizes:
        if data:
            yield data[:size]
        data = data[size:]
    if data:
        yield data


def parameters(text):
    found = {}
    for part in text.decode("latin-1").split():
        name, _, value = part.partition("=")
        found[name.upper()] = value
    return found


class Relay:
    """Listens from the first moment on. `tls` is None, "starttls" or "implicit"; `context` is an
    ssl.SSLContext then. `users` {name: password} and `tokens` {name: token} are checked."""

    def __init__(self, script=None, keywords=KEYWORDS, tls=None, context=None, users=None,
                 tokens=None, mechanisms=None, auth_in_clear=False, require_auth=False, hold=0.0,
                 host="127.0.0.1", port=0, ledger_file=None, verbose=False, listener=None,
                 receive_buffer=None, brief=False):
        self.script = script or {}
        self.brief = brief
        self.keywords = keywords
        self.tls, self.context = tls, context
        self.accounts = sasl.Accounts(users, tokens)
        self.mechanisms = mechanisms or (
            ["PLAIN", "LOGIN"] * bool(users) + ["XOAUTH2", "OAUTHBEARER"] * bool(tokens))
        self.auth_in_clear, self.require_auth = auth_in_clear, require_auth
        self.hold = hold
        self.ledger = []
        self.ledger_file = ledger_file
        self.connections = []
        self.flooded = 0
        self.verbose = verbose
        self.stopping = threading.Event()
        self.condition = threading.Condition()
        self.threads = []
        self.listener = listener or socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((host, port))
        self.listener.listen(1024)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.acceptor.start()

    def accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, len(self.connections) + 1, sock, peer)
            self.connections.append(connection)
            thread = threading.Thread(target=connection.run, daemon=True)
            self.threads.append(thread)
            thread.start()
            self.changed()

    def take(self, transaction):
        with self.condition:
            self.ledger.append(transaction)
            if self.ledger_file:
                with open(self.ledger_file, "a", encoding="utf-8") as out:
                    out.write(json.dumps({
                        "mail": transaction.mail, "to": transaction.recipients,
                        "message_id": transaction.message_id, "bytes": len(transaction.body),
                        "connection": transaction.connection}) + "\n")
                    out.flush()
                    os.fsync(out.fileno())
            self.condition.notify_all()
        if self.verbose:
            print("took %d bytes from <%s> for %s" % (
                len(transaction.body), transaction.mail, ", ".join(transaction.recipients)),
                flush=True)

    def changed(self):
        with self.condition:
            self.condition.notify_all()

    def pause(self, seconds):
        if self.stopping.wait(seconds):
            raise Over("closed")

    def wait(self, predicate, seconds=10.0):
        """Waits until `predicate` holds; gives whether it does."""
        end = time.monotonic() + seconds
        with self.condition:
            while not predicate():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.condition.wait(min(left, 0.1))
        return True

    @property
    def open_connections(self):
        return [connection for connection in self.connections if connection.ended is None]

    @property
    def auth_attempts(self):
        return [attempt for connection in self.connections for attempt in connection.auth_attempts]

    def commands(self, verb):
        return [line for connection in self.connections for line in connection.commands
                if line.upper().split(" ")[0] == verb]

    @property
    def received(self):
        """All that ever came in, in clear."""
        return b"".join(bytes(connection.received) for connection in self.connections)

    def stop_listening(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join(5)

    def stop(self):
        self.stopping.set()
        self.stop_listening()
        for connection in list(self.connections):
            try:
                connection.wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    parser = argparse.ArgumentParser(description="A scripted SMTP relay.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--script", default="{}", help="JSON, or @FILE")
    parser.add_argument("--keywords", help="comma-separated EHLO keywords")
    parser.add_argument("--tls", choices=["starttls", "implicit"])
    parser.add_argument("--cert", help="PEM chain and key, in one file or with --key")
    parser.add_argument("--key")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    parser.add_argument("--auth-in-clear", action="store_true")
    parser.add_argument("--ledger", metavar="FILE", help="a line of JSON for each message taken")
    options = parser.parse_args()
    script = options.script
    if script.startswith("@"):
        with open(script[1:], encoding="utf-8") as file:
            script = file.read()
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    relay = Relay(json.loads(script), host=options.host, port=options.port, tls=options.tls,
                  context=context, users=dict(user.split(":", 1) for user in options.user),
                  auth_in_clear=options.auth_in_clear, ledger_file=options.ledger, verbose=True,
                  keywords=options.keywords.split(",") if options.keywords else KEYWORDS)
    print("listening on %s port %d" % (relay.host, relay.port), flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        relay.stop()


if __name__ == "__main__":
    main()
