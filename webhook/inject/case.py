"""What every injection is given besides the pod, and how the parts of a decision become one."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from webhook import pods
from webhook.annotations import Wishes
from webhook.decisions import Decision, Feature, Json, Outcome
from webhook.policy import Policy
from webhook.recognition import Recognition, Server
from webhook.record import reason_of


@dataclass(frozen=True, slots=True)
class Case:
    """
    One pod's case, the same for every injection.

    Attributes:
        previous: what the pod's record says of an earlier pass; empty at the first.
        warnings: sentences for people; injections append.
    """

    recognition: Recognition
    policy: Policy
    wishes: Wishes
    previous: Mapping[Feature, Decision] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def had(self, feature: Feature) -> Outcome | None:
        """Return what an earlier pass made of a feature; None where there was none."""
        decision = self.previous.get(feature)
        return decision.outcome if decision else None


class State(Enum):
    """What became of a feature in one container."""

    ADDED = auto()
    SAME = auto()
    """There already, exactly as it would be added: by an earlier pass, or by the user."""
    OWNED = auto()
    BARRED = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """
    One container's share in a decision.

    Attributes:
        text: continues "CONTAINER: "; for ADDED and SAME the same, so that a second pass says what
            the first one said.
    """

    state: State
    container: str
    text: str


def server_containers(pod: Json, case: Case) -> Iterator[tuple[Server, Json]]:
    """Yield the containers that serve, each with the dict in this pod."""
    for server in case.recognition.servers:
        yield server, pods.spec(pod)[server.place][server.index]


def decide(case: Case, feature: Feature, states: Collection[State], reason: str) -> Decision:
    """
    Return one decision for all parts.

    What stands there as we would add it is ours when an earlier pass recorded so; what another
    mutator made of ours is its own from then on, and the record says so for good.
    """
    if State.ADDED in states or (State.SAME in states and case.had(feature) is Outcome.INJECTED):
        return Decision(Outcome.INJECTED, reason)
    if State.SAME in states or State.OWNED in states:
        return owned(case, feature, reason)
    return Decision(Outcome.NOT_APPLICABLE, reason)


def decide_parts(case: Case, feature: Feature, parts: Sequence[Part], nothing: str) -> Decision:
    """Return one decision for all containers; `nothing` is the reason where there are none."""
    reason = "; ".join(f"{part.container}: {part.text}" for part in parts)
    return decide(case, feature, {part.state for part in parts}, reason_of(reason or nothing))


def owned(case: Case, feature: Feature, reason: str) -> Decision:
    """Return that a feature is not ours, and remember whether it once was."""
    previous = case.previous.get(feature)
    if previous and previous.outcome is Outcome.INJECTED:
        reason = "something else changed it after it was injected"
    elif previous and previous.outcome is Outcome.USER_OWNED:
        reason = previous.reason
    return Decision(Outcome.USER_OWNED, reason)
