"""Who receives events by HTTPS: it does what it is told to, and keeps all that came.

    receiver = Receiver(context, script=[{"status": 500}, None])
    ... receiver.url, receiver.posts, receiver.connections ...
    receiver.stop()

**Script.** A list of actions, one per post; the last one holds for all that follow. None is 204. An
action is a dictionary:

    status   of HTTP (200)        headers  more of them         body  bytes
    then     "stall": no answer, until it is told to go on by release()
             "close": it hangs up
    endless  True: the body goes on until the other side hangs up
"""

import json
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Post:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.time()

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%s %s %s>" % (self.path, dict(self.headers), self.body[:500])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802 - named by http.server
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.owner.got(self, Post(self.path, self.headers, body))

    def do_GET(self):  # noqa: N802
        self.server.owner.strays.append(self.path)
        self.answer({"status": 405})

    def answer(self, action):
        body = action.get("body", b"")
        status = action.get("status", 200)
        self.send_response(status)
        if status != 204 and not action.get("endless"):
            self.send_header("Content-Length", str(len(body)))
        for name, value in action.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        while action.get("endless"):
            self.wfile.write(b"x" * 65536)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def finish_request(self, request, client_address):
        self.owner.connections.append(client_address)
        if self.owner.context:
            request = self.owner.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        self.owner.errors.append(str(sys.exc_info()[1]))


class Receiver:
    def __init__(self, context, script=(), host="127.0.0.1", port=0, listener=None):
        self.context, self.script, self.host = context, list(script), host
        self.posts, self.strays, self.connections, self.errors = [], [], [], []
        self.lock, self.released = threading.Lock(), threading.Event()
        self.server = Server((host, port), Handler, bind_and_activate=False)
        if listener:
            self.server.socket.close()
            self.server.socket = listener
        else:
            self.server.server_bind()
        self.server.server_activate()
        self.server.owner = self
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return "https://%s:%d/events" % (self.host, self.port)

    @property
    def told(self):
        """The types and messages of all that came."""
        return [(post.json["type"], post.json["data"]["id"]) for post in list(self.posts)]

    def got(self, handler, post):
        with self.lock:
            number = len(self.posts)
            self.posts.append(post)
            action = self.script[min(number, len(self.script) - 1)] if self.script else None
        action = {"status": 204} if action is None else action
        then = action.get("then")
        if then == "stall":
            self.released.wait(120)
        if then == "close":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            handler.answer(action)
        except (OSError, ssl.SSLError):
            handler.close_connection = True

    def release(self):
        self.released.set()

    def stop(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
