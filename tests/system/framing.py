"""Requests whose framing is in doubt, as bytes: what smugglers send (faults S-41, S-57). The system
tests send them to the gateway itself, those of deploy/ through a balancer."""

import json
import re

from gateway import KEY, mail

AUTH = "Authorization: Bearer %s\r\n" % KEY


def body_request(headers, body, version="HTTP/1.1", method="POST", path="/send", host="Host: x\r\n"):
    return ("%s %s %s\r\n%s%sContent-Type: application/json\r\n%s\r\n"
            % (method, path, version, host, AUTH, headers)).encode("latin-1") + body


def with_length(body, headers="", **more):
    return body_request("Content-Length: %d\r\n%s" % (len(body), headers), body, **more)


def chunks(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def statuses(data):
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


# What hides behind, or inside, each of the following.
SMUGGLED = with_length(json.dumps(mail(subject="smuggled")).encode())
CHUNKED = "Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"

# Refused, and with them the connection: what stands behind is no request.
REFUSED = {
    "two lengths": body_request("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}x"),
    "two equal lengths": body_request("Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "a list of lengths": body_request("Content-Length: 2, 2\r\n", b"{}"),
    "two numbers as length": body_request("Content-Length: 2 2\r\n", b"{}"),
    "a comma as length": body_request("Content-Length: ,\r\n", b""),
    "length and a vertical tab": body_request("Content-Length: 2\x0b\r\n", b"{}"),
    "length and coding": body_request("Content-Length: 5\r\n" + CHUNKED, END),
    "coding and length": body_request(CHUNKED + "Content-Length: 5\r\n", END),
    "length over the coding's tail": body_request(
        "Content-Length: %d\r\n" % (5 + len(SMUGGLED)) + CHUNKED, END + SMUGGLED),
    "two codings": body_request(CHUNKED + "Transfer-Encoding: identity\r\n", END),
    "two codings, one unknown": body_request(CHUNKED + "Transfer-encoding: cow\r\n", END),
    "chunked twice": body_request("Transfer-Encoding: chunked, chunked\r\n", END),
    "unknown coding": body_request("Transfer-Encoding: gzip\r\n", b""),
    "gzip, chunked": body_request("Transfer-Encoding: gzip, chunked\r\n", END),
    "chunked, gzip": body_request("Transfer-Encoding: chunked, gzip\r\n", END),
    "a comma and chunked": body_request("Transfer-Encoding: , chunked\r\n", END),
    "chunked with a parameter": body_request("Transfer-Encoding: chunked;q=1\r\n", END),
    "chunked in quotes": body_request('Transfer-Encoding: "chunked"\r\n', END),
    "a vertical tab and chunked": body_request("Transfer-Encoding: \x0bchunked\r\n", END),
    "a hard blank and chunked": body_request("Transfer-Encoding: \xa0chunked\r\n", END),
    "xchunked": body_request("Transfer-Encoding: xchunked\r\n", END),
    "no coding": body_request("Transfer-Encoding:\r\nContent-Length: 2\r\n", b"{}"),
    "chunked in 1.0": body_request(CHUNKED, END, "HTTP/1.0"),
    "blank before the colon": body_request("Content-Length : 2\r\n", b"{}"),
    "blank before coding's colon": body_request("Transfer-Encoding : chunked\r\n", END),
    "negative length": body_request("Content-Length: -2\r\n", b"{}"),
    "length with a plus": body_request("Content-Length: +2\r\n", b"{}"),
    "length in hexadecimal": body_request("Content-Length: 0x2\r\n", b"{}"),
    "length with rubbish": body_request("Content-Length: 2x\r\n", b"{}"),
    "enormous length": body_request("Content-Length: 99999999999999999999\r\n", b"{}"),
    "length over the most": body_request("Content-Length: 999999999\r\n", b"{}"),
    "folded length": body_request("Content-Length:\r\n 2\r\n", b"{}"),
    "folded coding": body_request("X: y\r\nTransfer-Encoding:\r\n chunked\r\n", END),
    "glued by folding": body_request("Content-Length\r\n : 2\r\n", b"{}"),
    "no host": body_request("Content-Length: 2\r\n", b"{}", host=""),
    "two hosts": body_request("Content-Length: 2\r\n", b"{}", host="Host: a\r\nHost: b\r\n"),
    "control in a value": body_request("X-A: a\x01b\r\nContent-Length: 2\r\n", b"{}"),
    "bare CR in a value": body_request("X-A: a\rContent-Length: 0\r\nContent-Length: 2\r\n", b"{}"),
    "a name that is no token": body_request("X(A): b\r\nContent-Length: 2\r\n", b"{}"),
    "an empty name": body_request(": b\r\nContent-Length: 2\r\n", b"{}"),
    "two keys": body_request(AUTH + "Content-Length: 2\r\n", b"{}"),
    "HTTP/1.9": body_request("Content-Length: 2\r\n", b"{}", "HTTP/1.9"),
    "HTTP/2.0": body_request("Content-Length: 2\r\n", b"{}", "HTTP/2.0"),
    "HTTP/0.9": b"GET /healthz\r\n",
    "lower case version": body_request("Content-Length: 2\r\n", b"{}", "http/1.1"),
    "CONNECT": body_request("", b"", method="CONNECT", path="relay.test:25"),
    "TRACE": body_request("", b"", method="TRACE"),
    "unknown method": body_request("", b"", method="BREW"),
    "absolute target": body_request("", b"", method="GET", path="http://x/healthz"),
    "NUL in the path": body_request("", b"", method="GET", path="/healthz%00x"),
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "SMTP": b"EHLO client.test\r\nMAIL FROM:<a@example.com>\r\n",
    "chunk size with rubbish": body_request(CHUNKED, b"2x\r\n{}\r\n" + END),
    "chunk size with 0x": body_request(CHUNKED, b"0x2\r\n{}\r\n" + END),
    "negative chunk": body_request(CHUNKED, b"-2\r\n{}\r\n" + END),
    "enormous chunk": body_request(CHUNKED, b"fffffffffffffffff\r\n{}\r\n" + END),
    "chunk longer than said": body_request(CHUNKED, b"1\r\n{}\r\n" + END),
    # its body is read by nobody, and must not be taken for the next request
    "body on GET": with_length(SMUGGLED, method="GET", path="/healthz"),
    "body on HEAD": with_length(SMUGGLED, method="HEAD", path="/healthz"),
    "body on DELETE": with_length(SMUGGLED, method="DELETE", path="/send"),
    "chunks on GET": body_request(CHUNKED, chunks(SMUGGLED), method="GET", path="/healthz"),
    "body for a path that is none": with_length(SMUGGLED, path="/nothing"),
    "chunks for a path that is none": body_request(CHUNKED, chunks(SMUGGLED), path="/nothing"),
    "body for a path without": with_length(SMUGGLED, path="/healthz"),
    "body that awaits a word": with_length(SMUGGLED, "Expect: 100-continue\r\n", path="/nothing"),
}

# Beyond doubt though odd: each is one request, and what stands behind is the next.
SERVED = {
    "an empty body": body_request("Content-Length: 0\r\n", b""),
    "length with zeros before": body_request("Content-Length: 0002\r\n", b"{}"),
    "chunked behind a tab": body_request("Transfer-Encoding:\tchunked\r\n", b"2\r\n{}\r\n" + END),
    "chunked in capitals": body_request("TRANSFER-ENCODING: CHUNKED\r\n", b"2\r\n{}\r\n" + END),
    "a chunk with an extension": body_request(CHUNKED, b"2;a=b\r\n{}\r\n" + END),
    "a length in the trailer": body_request(CHUNKED, b"2\r\n{}\r\n0\r\nContent-Length: 99\r\n\r\n"),
    "a coding in the trailer": body_request(
        CHUNKED, b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a request as body": with_length(SMUGGLED),
    "a request in a chunk": body_request(CHUNKED, chunks(SMUGGLED)),
    "a name like the coding's": body_request("Transfer_Encoding: chunked\r\nContent-Length: 2\r\n",
                                             b"{}"),
    "a length that is only of the connection": body_request(
        "Connection: Content-Length\r\nContent-Length: 2\r\n", b"{}"),
    "an upgrade that is not made": body_request(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        "Content-Length: 2\r\n", b"{}"),
    "blank lines before": b"\r\n\r\n" + body_request("Content-Length: 2\r\n", b"{}"),
}

# libmicrohttpd reads on where others refuse, or the other way round: what matters is that a balancer
# before it lets none of these through, or that both count the same.
LENIENT = {
    "LF for line ends": with_length(b"{}").replace(b"\r\n", b"\n"),
    "LF before the body": body_request("Content-Length: 2\r\n", b"{}").replace(b"\r\n\r\n", b"\r\n\n"),
    "LF behind a header": body_request("X-A: b\nContent-Length: 2\r\n", b"{}"),
    "LF behind the coding": body_request("Transfer-Encoding: chunked\nX: y\r\n", END),
    "LF around chunks": body_request(CHUNKED, b"2\n{}\n0\n\n"),
    "LF behind a chunk's extension": body_request(CHUNKED, b"2;x\n{}\r\n" + END),
    "LF behind the last chunk": body_request(CHUNKED, b"2\r\n{}\r\n0\n\r\n"),
    "CR around chunks": body_request(CHUNKED, b"2\r{}\r0\r\r"),
    "a NUL in a value": body_request("X-A: a\0Content-Length: 0\r\nContent-Length: 2\r\n", b"{}"),
    "a NUL in the length": body_request("Content-Length: 2\0\r\n", b"{}"),
    "a NUL behind the coding": body_request("Transfer-Encoding: chunked\0\r\n", END),
    "a NUL in the path itself": body_request("", b"", method="GET", path="/healthz\0x"),
    "a folded value": body_request("X-A: a\r\n Content-Length: 0\r\nContent-Length: 2\r\n", b"{}"),
    "an empty length": body_request("Content-Length:\r\n", b""),
    "two blanks before the version": body_request("Content-Length: 2\r\n", b"{}", " HTTP/1.1"),
    "a tab before the path": body_request("Content-Length: 2\r\n", b"{}", path="\t/send"),
    "a blank in the path": body_request("Content-Length: 2\r\n", b"{}", path="/se nd"),
    "a header before the first line": b"X-A: b\r\n" + body_request("Content-Length: 2\r\n", b"{}"),
    "a blank before the first header": body_request("Content-Length: 2\r\n", b"{}", host=" Host: x\r\n"),
    "a line without a colon": body_request("Content-Length 99\r\nContent-Length: 2\r\n", b"{}"),
    "a blank behind the chunk's size": body_request(CHUNKED, b"2 \r\n{}\r\n" + END),
    "a chunk's size of zeros": body_request(CHUNKED, b"0000000000000002\r\n{}\r\n" + END),
    "a chunk without its end": body_request(CHUNKED, b"2\r\n{}0\r\n\r\n"),
    "no last chunk": body_request(CHUNKED, b"2\r\n{}\r\n"),
    "a trailer without a colon": body_request(CHUNKED, b"2\r\n{}\r\n0\r\nPOST /send HTTP/1.1\r\n\r\n"),
}
