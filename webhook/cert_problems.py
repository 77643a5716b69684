"""What each problem with the certificates means, what happens then, and what a person can do."""

from collections.abc import Mapping
from typing import Final

from webhook.certificates import Problem

_MADE_ANEW: Final = "a new CA is made; no call fails"

PROBLEMS: Final[Mapping[Problem, tuple[str, str]]] = {
    Problem.FOREIGN: (
        "the Secret has content without the label `tunegate.io/secret: serving`, or another type",
        "it is never written: set `certificates.secret` to another name, or delete it",
    ),
    Problem.HALF_WRITTEN: (
        "a certificate without its key, or the other way round; of files: one is missing",
        f"Secret: {_MADE_ANEW}; files: the pair before is served on",
    ),
    Problem.GARBLED: (
        "what is there is no PEM certificate or key",
        f"Secret: {_MADE_ANEW}; files: the pair before is served on",
    ),
    Problem.MISMATCHED: (
        "the key is not the certificate's",
        f"Secret: {_MADE_ANEW}; files: the pair before is served on",
    ),
    Problem.NO_AUTHORITY: ("the certificate in the Secret is no CA", _MADE_ANEW),
    Problem.EXPIRED: (
        "it is past its end by the API server's clock",
        "Secret: a new CA is made, and served as soon as it is live; files: not ready; renew them",
    ),
    Problem.FUTURE: (
        "it is not valid yet by the API server's clock",
        f"Secret: {_MADE_ANEW}; files: served; look at the clocks",
    ),
    Problem.NOT_IN_BUNDLE: (
        "a live configuration lacks the CA in use",
        "it is written again; stays only where that is forbidden or fails",
    ),
    Problem.CONTESTED: (
        "somebody else writes `caBundle` again and again; the message names the field manager",
        "tried again after a minute; is there still a cert-manager annotation, or a chart's value?",
    ),
    Problem.NO_CONFIGURATION: (
        "no configuration of the names that are set calls the Service",
        "nobody calls; is `certificates.mutatingConfigurations` right?",
    ),
    Problem.UNVERIFIED: (
        "a ready replica could not be shown to serve the current CA's chain",
        "the old CA stays in the bundle; may replicas reach each other's serving port?",
    ),
    Problem.FORBIDDEN: (
        "the ServiceAccount may not read or write what it must",
        "the message names it; what is served goes on meanwhile",
    ),
    Problem.REFUSED: (
        "the API server refused a write for another reason; of files: OpenSSL refused them",
        "the message says which; an immutable Secret, or an admission policy",
    ),
    Problem.UNREACHABLE: (
        "the API server does not answer",
        "asked again after at most 30 s; what is served goes on meanwhile",
    ),
}
