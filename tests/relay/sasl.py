"""The server's side of SASL, really verified: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER.

Each mechanism is a generator: it yields a challenge (bytes) and is sent the client's answer (bytes);
it returns the user's name, or None if the proof is wrong.
"""

import base64
import hashlib
import hmac
import os


def plain(accounts, first):
    answer = first if first is not None else (yield b"")
    parts = answer.split(b"\0")
    if len(parts) != 3:
        return None
    return accounts.by_password(parts[1], parts[2])


def login(accounts, first):
    user = first if first is not None else (yield b"Username:")
    password = yield b"Password:"
    return accounts.by_password(user, password)


def cram_md5(accounts, first):
    challenge = b"<%s@relay.test>" % os.urandom(8).hex().encode()
    answer = yield challenge
    user, _, digest = answer.rpartition(b" ")
    password = accounts.passwords.get(user.decode())
    if password is None:
        return None
    want = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest().encode()
    return user.decode() if hmac.compare_digest(want, digest) else None


def scram_sha_256(accounts, first, iterations=4096, lie=False):
    """`lie`: a server that does not know the password and says yes all the same."""
    message = first if first is not None else (yield b"")
    if not message.startswith(b"n,,"):
        return None
    bare = message[3:]
    fields = dict(part.split(b"=", 1) for part in bare.split(b","))
    user = fields[b"n"].replace(b"=2C", b",").replace(b"=3D", b"=")
    nonce = fields[b"r"] + os.urandom(12).hex().encode()
    salt = os.urandom(16)
    server_first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt), iterations)
    final = yield server_first
    without_proof, _, proof = final.rpartition(b",p=")
    password = accounts.passwords.get(user.decode())
    if password is None or b"r=" + nonce not in without_proof.split(b","):
        return None
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    auth_message = bare + b"," + server_first + b"," + without_proof
    signature = hmac.digest(stored, auth_message, "sha256")
    right = bytes(a ^ b for a, b in zip(client_key, signature)) == base64.b64decode(proof)
    if not right and not lie:
        return None
    server_key = hmac.digest(salted if not lie else b"x", b"Server Key", "sha256")
    yield b"v=" + base64.b64encode(hmac.digest(server_key, auth_message, "sha256"))
    return user.decode()


REFUSED = b'{"status":"401","schemes":"bearer","scope":"https://mail.test/"}'


def xoauth2(accounts, first):
    answer = first if first is not None else (yield b"")
    user = token = b""
    for part in answer.split(b"\1"):
        if part.startswith(b"user="):
            user = part[5:]
        if part.startswith(b"auth=Bearer "):
            token = part[12:]
    if accounts.by_token(user, token):
        return user.decode()
    accounts.refusals.append((yield REFUSED))
    return None


def oauthbearer(accounts, first):
    answer = first if first is not None else (yield b"")
    header, *parts = answer.split(b"\1")
    user = b""
    for part in header.split(b","):
        if part.startswith(b"a="):
            user = part[2:].replace(b"=2C", b",").replace(b"=3D", b"=")
    if header != b"n,," and (header.count(b",") != 2 or not header.startswith(b"n,a=") or not user):
        return None  # RFC 5801 section 4
    for part in parts:
        if part.startswith(b"auth=Bearer ") and accounts.by_token(user, part[12:]):
            return user.decode() or "(whoever the token is for)"
    accounts.refusals.append((yield REFUSED))
    return None


MECHANISMS = {"PLAIN": plain, "LOGIN": login, "CRAM-MD5": cram_md5, "SCRAM-SHA-256": scram_sha_256,
              "XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


class Accounts:
    def __init__(self, passwords=None, tokens=None):
        self.passwords = passwords or {}
        self.tokens = tokens or {}
        self.refusals = []  # what clients answered to the error challenge of a token mechanism

    def by_password(self, user, password):
        try:
            user, password = user.decode(), password.decode()
        except UnicodeDecodeError:
            return None
        return user if self.passwords.get(user) == password else None

    def by_token(self, user, token):
        return self.tokens.get(user.decode("latin-1")) == token.decode("latin-1")
