"""A TCP proxy that does to bytes what networks do: late, slow, cut into pieces, lost, reset.

By itself it passes everything on, both ways, at once. A script changes that:

    with Relay() as relay, Proxy(relay, {"down": {"delay": 0.2}}) as proxy:
        ... Gateway(proxy) ... proxy.connections[0].fault("half-open") ...

**Script.** A dictionary: `up` (client to relay) and `down` hold what happens that way; `connect` what
happens to a connection as it comes: "reset", or "silent" (taken, nobody behind it, all swallowed).
"connections": {"1": {...}} holds scripts that come in place on the connection of that number.

**A way.** A dictionary:

    delay    seconds that each byte is under way
    rate     bytes a second
    split    in writes of so many bytes each; `pause` seconds between (0.001)
    at       where `then` comes: behind so many bytes (0), or behind the first of these bytes
    then     drop       what comes behind is swallowed, this way alone
             half-open  all is swallowed from now on, both ways, and nobody hears of an end
             deaf       nothing is read any more, this way: the sender's window closes
             reset      RST to both sides
             close      FIN to both sides

Several targets take turns, one a connection, as behind a balancer. Bytes that were taken before a
reset or close are delivered before it.
"""

import collections
import select
import socket
import struct
import threading
import time

HELD = 262144  # bytes on their way; more are not read


class Way:
    def __init__(self, script):
        self.delay, self.rate = script.get("delay", 0), script.get("rate")
        self.split, self.pause = script.get("split"), script.get("pause", 0.001)
        self.at, self.then = script.get("at", 0), script.get("then")
        self.source = self.sink = None
        self.under_way = collections.deque()  # (when it is due, bytes)
        self.held = self.passed = self.swallowed = 0
        self.last_due = 0.0
        self.seen = bytearray()  # while `at` is looked for
        self.is_lost = self.is_deaf = self.is_ended = self.end_is_told = False

    def meet(self, at, then):
        """From another thread: `then` comes at `at`, counted or looked for from now on."""
        self.at, self.then, self.seen = at, then, bytearray()

    def taken(self, data, now):
        """Bytes came in: those before `at` are to be passed on."""
        if self.is_lost:
            self.swallowed += len(data)
            return
        if self.then:
            before, data = len(self.seen), bytes(data)
            self.seen += data
            end = self.at if isinstance(self.at, int) else self.found()
            if end is not None and end < len(self.seen):
                self.swallowed += len(self.seen) - max(end, before)
                data = data[:max(0, end - before)]
                self.is_lost = True
            elif end == len(self.seen):
                self.is_lost = True
        size = self.split or (max(1, int(self.rate / 20)) if self.rate else len(data)) or 1
        for at in range(0, len(data), size):
            self.put(data[at:at + size], now)

    def found(self):
        at = self.seen.find(self.at)
        return None if at < 0 else at + len(self.at)

    def put(self, piece, now):
        apart = len(piece) / self.rate if self.rate else self.pause if self.split else 0
        self.last_due = max(now + self.delay, self.last_due + apart)
        self.under_way.append((self.last_due, piece))
        self.held += len(piece)

    def deliver(self, now):
        """Passes on what is due. True: the sink takes no more for now."""
        while self.under_way and self.under_way[0][0] <= now:
            due, piece = self.under_way.popleft()
            try:
                sent = self.sink.send(piece)
            except BlockingIOError:
                sent = 0
            self.held -= sent
            self.passed += sent
            if sent < len(piece):
                self.under_way.appendleft((due, piece[sent:]))
                return True
        if self.is_ended and not self.under_way and not self.end_is_told:
            self.end_is_told = True
            if not self.is_lost:
                self.sink.shutdown(socket.SHUT_WR)
        return False

    @property
    def reads(self):
        return self.source and not self.is_deaf and not self.is_ended and self.held < HELD

    @property
    def fault_is_due(self):
        return self.then and self.is_lost and not self.under_way


class Connection:
    def __init__(self, proxy, number, sock, peer, script):
        self.proxy, self.number, self.peer = proxy, number, peer
        self.client, self.server = sock, None
        self.target = None
        self.script = script
        self.up, self.down = Way(script.get("up", {})), Way(script.get("down", {}))
        self.order = script.get("connect")
        self.ended = None  # closed reset

    def fault(self, what):
        """From another thread: it happens now, whatever the script says."""
        self.order = what

    # ---- its thread

    def run(self):
        try:
            if self.order == "silent":
                self.up.is_lost = self.down.is_lost = True
            elif self.order != "reset":
                self.target = self.proxy.next_target()
                self.server = socket.create_connection(self.target)
            self.client.setblocking(False)
            if self.server:
                self.server.setblocking(False)
                self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.up.source, self.up.sink = self.client, self.server
            self.down.source, self.down.sink = self.server, self.client
            while not self.ended and not self.proxy.stopping.is_set():
                self.turn()
        except OSError:
            self.reset()  # one side has gone that way, or was never there: so does the other
        self.close()

    def turn(self):
        for way in (self.up, self.down):
            if not self.order and way.fault_is_due:
                self.order, way.then = way.then, None
                if self.order in ("drop", "deaf"):
                    way.is_deaf |= self.order == "deaf"
                    self.order = None
        if self.order:
            self.obey()
            return
        now = time.monotonic()
        poll, wait = select.poll(), 0.1
        wanted = collections.defaultdict(int)
        for way in (self.up, self.down):
            if way.deliver(now):
                wanted[way.sink.fileno()] |= select.POLLOUT
            elif way.under_way:
                wait = min(wait, max(0, way.under_way[0][0] - now))
            if way.reads:
                wanted[way.source.fileno()] |= select.POLLIN
        if self.up.fault_is_due or self.down.fault_is_due:
            return
        if self.up.end_is_told and (self.down.end_is_told or not self.server):
            self.ended = "closed"
            return
        for number, events in wanted.items():
            poll.register(number, events)
        ready = dict(poll.poll(wait * 1000))
        for way in (self.up, self.down):
            if way.reads and ready.get(way.source.fileno(), 0) & ~select.POLLOUT:
                self.read(way)

    @staticmethod
    def read(way):
        try:
            data = way.source.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            if not way.is_lost:
                raise
            data = b""  # nobody is to hear of it
        if data:
            way.taken(data, time.monotonic())
        else:
            way.is_ended = True

    def obey(self):
        order, self.order = self.order, None
        if order == "reset":
            self.reset()
        elif order == "close":
            self.ended = "closed"
        elif order in ("half-open", "silent", "drop"):
            for way in (self.up, self.down):
                way.is_lost, way.then = True, None
                way.under_way.clear()
                way.held = 0
        elif order == "deaf":
            self.up.is_deaf = self.down.is_deaf = True

    def reset(self):
        self.ended = "reset"
        for sock in (self.client, self.server):
            if sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self):
        self.ended = self.ended or "closed"
        for sock in (self.client, self.server):
            if sock:
                sock.close()


class Proxy:
    """Listens from the first moment on, and goes for a relay: it has its `host`, `port`, `tls`."""

    def __init__(self, targets, script=None, host="127.0.0.1", port=0, listener=None,
                 receive_buffer=None):
        self.targets = targets if isinstance(targets, (list, tuple)) else [targets]
        self.script = script or {}
        self.tls = self.targets[0].tls
        self.connections = []
        self.threads = []
        self.turn = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.listener = listener or socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((host, port))
        self.listener.listen(1024)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def next_target(self):
        with self.lock:
            target = self.targets[self.turn % len(self.targets)]
            self.turn += 1
        return target.host, target.port

    def accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = len(self.connections) + 1
            script = {**self.script, **self.script.get("connections", {}).get(str(number), {})}
            connection = Connection(self, number, sock, peer, script)
            self.connections.append(connection)
            thread = threading.Thread(target=connection.run, daemon=True)
            self.threads.append(thread)
            thread.start()

    def fault(self, what):
        """To all connections that there are."""
        for connection in list(self.connections):
            connection.fault(what)

    @property
    def open_connections(self):
        return [connection for connection in self.connections if not connection.ended]

    def stop(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join(5)
        for thread in self.threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
