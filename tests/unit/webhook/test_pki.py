"""What is in the certificates that are made, and what is read of those that come."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook import pki
from webhook.certificates import BACKDATE_SECONDS, Problem

NOW = 1_800_000_000.0
DAY = 86_400.0
NAMES = pki.server_names("hook", "a")


def leaf_of(authority: pki.Authority, seconds: float = DAY) -> x509.Certificate:
    """Return a serving certificate."""
    made = pki.issue(authority, NAMES, NOW, seconds)
    return x509.load_pem_x509_certificate(made.certificate_pem)


def test_a_service_has_four_names() -> None:
    """The third is what the API server verifies."""
    assert NAMES == ("hook", "hook.a", "hook.a.svc", "hook.a.svc.cluster.local")


def test_a_ca_may_sign_serving_certificates_and_nothing_else() -> None:
    """Path length 0, certificate signing, P-256."""
    made = pki.new_authority(NOW, DAY).certificate
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        True,
        True,
        0,
    )
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_a_serving_certificate_has_the_names_and_may_only_serve() -> None:
    """No CA; server authentication alone; it points at its CA's key."""
    authority = pki.new_authority(NOW, DAY)
    made = leaf_of(authority)
    found = made.extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    issuer = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert issuer.key_identifier == own.value.digest
    made.verify_directly_issued_by(authority.certificate)


def test_certificates_are_valid_before_they_were_made() -> None:
    """API servers' clocks differ; the life itself is counted from the making."""
    authority = pki.new_authority(NOW, DAY)
    leaf = pki.period_of(leaf_of(authority, 3 * 3600))
    assert leaf.begins == authority.period.begins == NOW - BACKDATE_SECONDS
    assert (leaf.ends, authority.period.ends) == (NOW + 3 * 3600, NOW + DAY)
    assert leaf.renew_at() == NOW + 2 * 3600


def test_a_serving_certificate_never_outlives_its_ca() -> None:
    """It would be worth nothing from then on."""
    authority = pki.new_authority(NOW, 10.0)
    assert pki.period_of(leaf_of(authority)).ends == NOW + 10


def test_every_certificate_has_another_serial_number_and_every_ca_another_name() -> None:
    """Two CAs in one bundle must not be taken for each other."""
    cas = [pki.new_authority(NOW, DAY) for _ in range(20)]
    leaves = [leaf_of(cas[0]) for _ in range(20)]
    assert len({one.certificate.serial_number for one in cas}) == 20
    assert len({one.serial_number for one in leaves}) == 20
    assert len({one.certificate.subject.rfc4514_string() for one in cas}) == 20


def test_a_ca_is_read_as_it_was_written() -> None:
    """Its key as well."""
    made = pki.new_authority(NOW, DAY)
    read = pki.read_authority(made.certificate_pem, made.key_pem)
    assert read.certificate == made.certificate
    assert read.key_pem == made.key_pem


def test_keys_do_not_show_in_a_repr() -> None:
    """What is logged by mistake holds no secret."""
    authority = pki.new_authority(NOW, DAY)
    leaf = pki.issue(authority, NAMES, NOW, DAY)
    assert "PRIVATE" not in repr(leaf)
    assert "PRIVATE" not in repr(authority)


def other_key(kind: str) -> bytes:
    """Return a private key, PEM."""
    made: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    made = ed25519.Ed25519PrivateKey.generate()
    if kind == "ec":
        made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        (b"", b"", Problem.GARBLED),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, Problem.GARBLED),
        (None, b"nonsense", Problem.GARBLED),
        (None, other_key("ed25519"), Problem.GARBLED),
        (None, other_key("ec"), Problem.MISMATCHED),
    ],
    ids=["empty", "bad-der", "bad-key", "other-kind", "other-key"],
)
def test_what_is_no_pair_is_named(
    certificate: bytes | None, key: bytes | None, problem: Problem
) -> None:
    """And raises nothing else."""
    made = pki.new_authority(NOW, DAY)
    with pytest.raises(pki.PairError) as raised:
        pki.read_authority(
            made.certificate_pem if certificate is None else certificate,
            made.key_pem if key is None else key,
        )
    assert raised.value.problem is problem


def test_a_serving_pair_is_no_ca() -> None:
    """It cannot sign what the API server would take."""
    leaf = pki.issue(pki.new_authority(NOW, DAY), NAMES, NOW, DAY)
    with pytest.raises(pki.PairError) as raised:
        pki.read_authority(leaf.certificate_pem, leaf.key_pem)
    assert raised.value.problem is Problem.NO_AUTHORITY


def test_a_ca_with_an_rsa_key_can_sign() -> None:
    """A person's own CA in the Secret."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    ours = pki.new_authority(NOW, DAY).certificate
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(ours.not_valid_before_utc)
        .not_valid_after(ours.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    authority = pki.read_authority(pki.pem(own), text)
    leaf_of(authority).verify_directly_issued_by(own)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_bundle_without_certificates_is_empty(text: bytes) -> None:
    """It raises nothing."""
    assert pki.read_certificates(text) == ()


def test_a_bundle_is_read_whole() -> None:
    """Several CAs, with words and with a garbled one between them: none is lost."""
    cas = [pki.new_authority(NOW, DAY).certificate for _ in range(3)]
    garbled = b"a note\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    text = garbled.join(pki.pem(one) for one in cas)
    assert pki.read_certificates(text) == tuple(cas)
