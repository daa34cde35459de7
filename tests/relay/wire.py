"""A connection as bytes, in clear or in TLS, with control over how it ends.

TLS runs over memory buffers, so that the relay decides when and how its records go out, and whether
a connection ends with close_notify or is simply cut.
"""

import select
import socket
import ssl
import struct
import time


class Over(Exception):
    """The connection has ended, or shall."""


class Wire:
    def __init__(self, sock):
        self.sock = sock
        self.tls = None
        self.incoming = self.outgoing = None

    # ---- TLS

    def start_tls(self, context, early=b"", pause=0.0):
        """The handshake as server. `early` are bytes of the client's that were read already."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        if early:
            self.incoming.write(early)
        while True:
            try:
                self.tls.do_handshake()
                self._push(pause)
                return
            except ssl.SSLWantReadError:
                self._push(pause)
                self._pull()
            except ssl.SSLError:
                self._push(pause)
                raise

    def _push(self, pause=0.0):
        data = self.outgoing.read()
        if pause:
            for at in range(len(data)):
                self.sock.sendall(data[at:at + 1])
                time.sleep(pause)
        elif data:
            self.sock.sendall(data)

    def _pull(self):
        data = self.sock.recv(65536)
        if not data:
            raise Over("eof")
        self.incoming.write(data)

    # ---- bytes

    def recv(self):
        """Some bytes; b"" at the end."""
        if not self.tls:
            return self.sock.recv(65536)
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self._push()
                try:
                    self._pull()
                except Over:
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    def send(self, data):
        if self.tls:
            self.tls.write(data)
            self._push()
        else:
            self.sock.sendall(data)

    def ready(self, seconds):
        """Is there something to read within that time?"""
        if self.tls and (self.tls.pending() or self.incoming.pending):
            return True
        return bool(select.select([self.sock], [], [], seconds)[0])

    # ---- ends

    def close(self):
        """Says close_notify and FIN, and reads what the other side still has to say, so that no
        unread byte turns the close into a reset."""
        try:
            if self.tls:
                try:
                    self.tls.unwrap()
                except ssl.SSLError:
                    pass
                self._push()
            self.cut()
        except OSError:
            pass

    def cut(self):
        """FIN alone."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(5)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
