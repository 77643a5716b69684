"""What is changed in an object other than a pod, and what is said to the person who made it."""

from dataclasses import dataclass

from webhook.decisions import Json


@dataclass(frozen=True, slots=True)
class Amendment:
    """
    The answer for one object.

    Attributes:
        rule: the rule that decided (bounded set: a metric label); "" where none had to.
        patch: RFC 6902 operations, `add` only; () changes nothing.
        warnings: sentences of at most 256 characters.
    """

    rule: str = ""
    patch: tuple[Json, ...] = ()
    warnings: tuple[str, ...] = ()
