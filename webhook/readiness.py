"""Whether the webhook takes reviews, and what is missing while it does not."""

from collections.abc import Callable


class Readiness:
    """Asks each need, whenever somebody asks; a need answers why it is not met, or ""."""

    def __init__(self) -> None:
        """Begin without a need."""
        self._needs: dict[str, Callable[[], str]] = {}

    def needs(self, name: str, why_not: Callable[[], str]) -> None:
        """Add a need, or replace the one of that name."""
        self._needs[name] = why_not

    def missing(self) -> tuple[str, ...]:
        """Return one sentence for each need that is not met."""
        answers = ((name, why_not()) for name, why_not in self._needs.items())
        return tuple(f"{name}: {why}" for name, why in answers if why)
