"""Certificates for tests: an authority of their own per run, and leaves as good or bad as wanted."""

import base64
import datetime
import hashlib
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(thing):
    return thing.public_bytes(serialization.Encoding.PEM)


class Certificate:
    """A key and its chain, on disk."""

    def __init__(self, folder, label, key, certificate, chain=()):
        self.key, self.certificate, self.chain = key, certificate, chain
        self.key_pem = key.private_bytes(serialization.Encoding.PEM,
                                         serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption())
        self.cert_pem = b"".join(_pem(part) for part in (certificate, *chain))
        self.cert_file = os.path.join(folder, label + ".crt")
        self.key_file = os.path.join(folder, label + ".key")
        with open(self.cert_file, "wb") as out:
            out.write(self.cert_pem)
        with open(self.key_file, "wb") as out:
            out.write(self.key_pem)

    @property
    def pin(self):
        spki = self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def context(self, least=None, most=None, ciphers=None, client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")
        if least:
            context.minimum_version = least
        if most:
            context.maximum_version = most
        context.load_cert_chain(self.cert_file, self.key_file)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context


class Authority:
    def __init__(self, folder, name="Test Root", parent=None):
        self.folder, self.name, self.parent = str(folder), name, parent
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.made = 0
        builder = self._builder(_name(name), _name((parent or self).name), self.key, (-1, 30))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        self.certificate = builder.sign((parent or self).key, hashes.SHA256())
        self.file = os.path.join(self.folder, name.replace(" ", "-") + ".ca.crt")
        with open(self.file, "wb") as out:
            out.write(_pem(self.certificate))

    @staticmethod
    def _builder(subject, issuer, key, days):
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY))

    def make(self, *names, days=(-1, 10), common_name="relay.test", key=None, self_signed=False,
             usage=ExtendedKeyUsageOID.SERVER_AUTH, chain=None, digest=None):
        """A leaf for `names` (addresses become IP entries; none: no subjectAltName at all)."""
        key = {None: lambda: ec.generate_private_key(ec.SECP256R1()),
               "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
               "rsa2048": lambda: rsa.generate_private_key(65537, 2048)}[key]()
        issuer = _name(common_name if self_signed else self.name)
        builder = self._builder(_name(common_name), issuer, key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        signer = key if self_signed else self.key
        # Python's own client wants this one from 3.13 on.
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        signed = builder.sign(signer, digest or hashes.SHA256())
        self.made += 1
        if chain is None:
            chain = (self.certificate,) if self.parent else ()
        return Certificate(self.folder, "%s-%d" % (self.name.replace(" ", "-"), self.made), key,
                           signed, chain)


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
