"""Which profile a command uses: as its options say, as the agent of this boot knows, or neither."""

import argparse
from collections.abc import Mapping, Sequence

from agent.config import DEFAULT_PROFILE, AgentConfig
from agent.facts import NodeFacts
from agent.profiles import Chosen, choose, named
from agent.switch import remembered
from agent.wiring import boot_id, machine_cloud, state_folder
from common.parse import ConfigError
from common.readers import is_qualified_name, near
from common.record import replace


def chosen(
    config: AgentConfig,
    options: argparse.Namespace,
    environment: Mapping[str, str],
    seen: NodeFacts | None = None,
) -> Chosen:
    """
    Return the settings of this node.

    Labels and provider ID are those given, else those of the Node where the caller has read it
    (``seen``), else those that a running agent read on this boot.

    Raises:
        ConfigError: There is no such profile, or a label is none.
    """
    facts = _facts(options, environment, seen)
    if options.profile is None:
        return choose(config, facts)
    found = named(config, options.profile, facts)
    if found is None:
        known = {DEFAULT_PROFILE, *(profile.name for profile in config.profiles)}
        meant = near(options.profile, known) or f"; there are {', '.join(sorted(known))}"
        raise ConfigError((f"--profile: no profile {options.profile!r}{meant}",))
    return found


def _facts(
    options: argparse.Namespace, environment: Mapping[str, str], seen: NodeFacts | None
) -> NodeFacts:
    facts = seen or remembered(state_folder(environment), boot_id(environment)) or NodeFacts()
    if options.node_label:
        facts = replace(facts, labels=_labels(options.node_label))
    if options.provider_id is not None:
        facts = replace(facts, provider_id=options.provider_id)
    return replace(facts, machine_cloud=machine_cloud(environment))


def _labels(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [
        f"--node-label: {text!r} is not KEY=VALUE"
        for text, (key, equals, _) in zip(given, pairs, strict=True)
        if not equals or not is_qualified_name(key)
    ]
    if wrong:
        raise ConfigError(tuple(wrong))
    return {key: value for key, _, value in pairs}
