"""
Ask a replica what it serves, by a TLS handshake straight to its pod, as the API server would.

The chain is verified against one CA alone. OpenSSL would judge validity by this machine's clock, so
that part is left out there and done here by the time that is given (X509_V_FLAG_NO_CHECK_TIME:
https://docs.openssl.org/3.0/man3/X509_VERIFY_PARAM_set_flags/).
"""

import contextlib
import socket
import ssl
from typing import Final

from cryptography import x509

from webhook import pki

TIMEOUT_SECONDS: Final = 3.0
_NO_CHECK_TIME = 0x200000


def why_not_verified(
    endpoint: tuple[str, int], server_name: str, authority: x509.Certificate, now: float
) -> str:
    """Return why the chain served at an endpoint is not good under this CA alone; "" if it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pki.pem(authority).decode())
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(socket.create_connection(endpoint, TIMEOUT_SECONDS))
            served = stack.enter_context(context.wrap_socket(raw, server_hostname=server_name))
            leaf = x509.load_der_x509_certificate(served.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        return f"{endpoint[0]} serves another chain: {error.verify_message}"
    except (OSError, ValueError) as error:
        return f"{endpoint[0]} cannot be asked: {error}"
    if not pki.period_of(leaf).holds(now):
        return f"{endpoint[0]} serves a certificate that is not valid now"
    return ""
