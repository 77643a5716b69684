"""
Make and read certificates: a private authority (CA) and the serving certificates that it signs.

ECDSA P-256, random serial numbers. What the API server verifies is a chain from the CA bundle of
its webhook configuration to a certificate for `<service>.<namespace>.svc`: Kubernetes
documentation, "Dynamic Admission Control", and RFC 5280 sections 4.2.1.3 (key usage), 4.2.1.9
(path length) and 4.2.1.12 (extended key usage). Times are seconds since the epoch, given by the
caller.
"""

import contextlib
import datetime as dt
import re
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook.certificates import BACKDATE_SECONDS, Period, Problem

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class PairError(ValueError):
    """A certificate and a key that are of no use; `problem` says which way."""

    def __init__(self, problem: Problem, detail: str) -> None:
        """Keep both; the text never holds a key."""
        super().__init__(detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate and its private key."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)

    @property
    def period(self) -> Period:
        """Return its identity and when it is valid."""
        return period_of(self.certificate)

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """Return the private key as PEM (PKCS #8, not encrypted)."""
        return _key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A serving certificate, its private key as PEM, and the identity of the CA that signed it."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    period: Period
    authority: str


def server_names(service: str, namespace: str) -> tuple[str, ...]:
    """Return the names a Service is called by; the API server verifies `<svc>.<ns>.svc`."""
    full = f"{service}.{namespace}.svc"
    return (service, f"{service}.{namespace}", full, f"{full}.cluster.local")


def new_authority(now: float, lifetime_seconds: float) -> Authority:
    """Make a CA that signs serving certificates only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    name = _name(f"tunegate-webhook-ca-{own.digest.hex()[:8]}")
    builder = _builder(name, name, public, now - BACKDATE_SECONDS, now + lifetime_seconds)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(is_authority=True), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Authority, names: tuple[str, ...], now: float, seconds: float) -> Leaf:
    """Make a serving certificate for DNS names; it never outlives its CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + seconds, authority.period.ends)
    begins = max(now - BACKDATE_SECONDS, authority.period.begins)
    builder = _builder(
        _name("tunegate-webhook"), authority.certificate.subject, key.public_key(), begins, ends
    )
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(is_authority=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_issued_by(authority.certificate), False),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    signed = builder.sign(authority.key, hashes.SHA256())
    return Leaf(pem(signed), _key_pem(key), period_of(signed), authority.period.identity)


def read_authority(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """
    Return the CA that two PEM texts hold.

    Raises:
        PairError: Either is garbled, they do not fit, or it is no CA.
    """
    certificate, key = _read_pair(certificate_pem, key_pem)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.ca:
        raise PairError(Problem.NO_AUTHORITY, "the certificate is not a CA's")
    return Authority(certificate, key)


def read_leaf(certificate_pem: bytes, key_pem: bytes) -> Leaf:
    """
    Return the serving pair that two PEM texts hold; the first certificate is the server's.

    Raises:
        PairError: Either is garbled, or they do not fit.
    """
    certificate, _ = _read_pair(certificate_pem, key_pem)
    return Leaf(certificate_pem, key_pem, period_of(certificate), "")


def read_certificates(text: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM bundle; what else stands in it is passed over."""
    found = []
    for block in _PEM.findall(text):
        with contextlib.suppress(ValueError):
            found.append(x509.load_pem_x509_certificate(block))
    return tuple(found)


def period_of(certificate: x509.Certificate) -> Period:
    """Return a certificate's identity (SHA-256 of the whole) and when it is valid."""
    return Period(
        certificate.fingerprint(hashes.SHA256()).hex(),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _read_pair(certificate_pem: bytes, key_pem: bytes) -> tuple[x509.Certificate, SigningKey]:
    certificates = read_certificates(certificate_pem)
    if not certificates:
        raise PairError(Problem.GARBLED, "the certificate cannot be read as PEM")
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PairError(Problem.GARBLED, "the private key cannot be read as PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PairError(Problem.GARBLED, "the private key is neither ECDSA nor RSA")
    if _public_bytes(key.public_key()) != _public_bytes(certificates[0].public_key()):
        raise PairError(Problem.MISMATCHED, "the private key is not the certificate's")
    return certificates[0], key


def _public_bytes(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return b""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    begins: float,
    ends: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(int(begins), dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(int(ends), dt.UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _issued_by(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        public = certificate.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)  # type: ignore[arg-type]
    own = extension.value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: SigningKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
