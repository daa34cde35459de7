#!/usr/bin/env python3
"""A scripted OAuth 2.0 token endpoint for tests: it checks what it is asked, and counts.

By itself it grants every well-formed request a new token (RFC 6749 sections 4.4 and 6):

    server = TokenServer(accounts=relay.accounts, user="me@example.com")
    ... server.url, server.requests, server.tokens ...
    server.stop()

or for people:  python3 tests/relay/token_server.py --port 9099

**Script.** A list of actions, one per request; the last one holds for all that follow. None is the
usual grant. An action is a dictionary:

    status   of HTTP (200)                   body     bytes, or a dictionary that goes as JSON
    grant    members over the usual grant's  headers  more of them
    delay    seconds to wait before          then     "close" (no answer), "stall" (silence)
    endless  bytes of the body, sent until the other side hangs up
    accounts False: the relay does not learn of the token that is granted

With `context` (ssl.SSLContext) it speaks TLS. `requests` holds the fields of each form.
"""

import argparse
import json
import os
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802 - named by http.server
        length = int(self.headers.get("Content-Length", "0"))
        self.server.owner.asked(self, self.rfile.read(length))

    def do_GET(self):  # noqa: N802
        self.server.owner.strays.append(self.path)
        self.answer(405, b"{}")

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        context = self.owner.context
        if context:
            request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        self.owner.errors.append(str(sys.exc_info()[1]))


class TokenServer:
    def __init__(self, script=(), accounts=None, user=None, context=None, host="127.0.0.1", port=0,
                 expires_in=3600, prefix="tok.en"):
        self.script, self.accounts, self.user = list(script), accounts, user
        self.context, self.host, self.expires_in, self.prefix = context, host, expires_in, prefix
        self.requests, self.raw, self.tokens = [], [], []
        self.times, self.strays, self.errors, self.headers = [], [], [], []
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.server = Server((host, port), Handler)
        self.server.owner = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return "%s://%s:%d/oauth2/token" % ("https" if self.context else "http", self.host, self.port)

    def _next(self, body):
        """Notes the request; its number and what to do."""
        with self.lock:
            self.raw.append(body)
            self.requests.append(dict(parse_qsl(body.decode(), keep_blank_values=True,
                                                strict_parsing=True)))
            self.times.append(time.monotonic())
            number = len(self.requests)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            action = self.script[min(number, len(self.script)) - 1] if self.script else None
        return number, dict(action or {})

    def _grant(self, number, action):
        token = "%s-%d" % (self.prefix, number)
        with self.lock:
            self.tokens.append(token)
            if self.accounts is not None and action.get("accounts", True):
                self.accounts.tokens[self.user] = token
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in,
                **action.get("grant", {})}

    def asked(self, handler, body):
        number, action = self._next(body)
        self.headers.append(dict(handler.headers))
        try:
            self._act(handler, number, action)
        finally:
            with self.lock:
                self.at_once -= 1

    def _act(self, handler, number, action):
        self.stopped.wait(action.get("delay", 0))
        if action.get("then") == "stall":
            self.stopped.wait(60)
        if action.get("then"):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if "endless" in action:
            self._flood(handler, action["endless"])
            return
        status = action.get("status", 200)
        answer = action.get("body", self._grant(number, action) if status == 200 else {})
        if not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        handler.answer(status, answer, action.get("headers", ()))

    def _flood(self, handler, piece):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while not self.stopped.is_set():
                handler.wfile.write(piece)
        except OSError:
            handler.close_connection = True

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=9099)
    parser.add_argument("--script", default="[]", help="as JSON")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
    server = TokenServer(json.loads(args.script), context=context, port=args.port)
    print("token endpoint:", server.url, flush=True)
    try:
        while True:
            time.sleep(1)
            while server.requests:
                print(server.requests.pop(0), flush=True)
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
