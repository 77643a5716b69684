"""
What is injected: one file for each feature, all of one shape.

An injection is given the draft of a pod and the case, adds to the draft what is missing, and says
what it decided. It only adds; what stands there already is its owner's.
"""

from collections.abc import Callable
from typing import Final

from webhook.decisions import Decision, Feature, Json
from webhook.inject import grace_period, pre_stop, shm, startup_probe, tolerations
from webhook.inject.case import Case

Injection = Callable[[Json, Case], Decision]

INJECTIONS: Final[tuple[tuple[Feature, Injection], ...]] = (
    (Feature.TOLERATIONS, tolerations.inject),
    (Feature.STARTUP_PROBE, startup_probe.inject),
    (Feature.PRE_STOP, pre_stop.inject),
    (Feature.GRACE_PERIOD, grace_period.inject),
    (Feature.SHM, shm.inject),
)
"""In the order in which they are run: the grace period counts the hook that was added."""
