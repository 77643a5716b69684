"""doctor: read the host and the Node, judge, print; writes nothing."""

import argparse
import os
from collections.abc import Mapping
from shlex import quote

from agent.clouds import CLOUDS, Cloud, detect_from_provider_id
from agent.commands.profile import chosen
from agent.commands.terminal import FINE, NOT_FINE, is_coloured, is_unicode, say
from agent.config import AgentConfig
from agent.doctor.diagnose import diagnose
from agent.doctor.facts import Facts, Wishes
from agent.doctor.read_devices import read_device
from agent.doctor.read_files import HostFiles
from agent.doctor.read_host import (
    is_container,
    read_kernel,
    read_node,
    read_record,
    read_rights,
)
from agent.doctor.show import diagnosis_json, diagnosis_text
from agent.facts import NodeFacts
from agent.links import stack
from agent.profiles import Chosen
from agent.scene import Scene
from agent.state import Finding, HostState, LinkName, Outcome, Plan, Report
from agent.tune import Tuner
from agent.wiring import build_tools, machine_cloud, state_folder
from common.parse import ConfigError

ROOT_VARIABLE = "TUNEGATE_HOST_ROOT"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what only doctor takes."""
    command.add_argument(
        "--no-probes", action="store_true", help="send no packet to the storage servers"
    )
    command.add_argument(
        "--root",
        metavar="DIR",
        default="",
        help=f"where the host's root folder is seen (also {ROOT_VARIABLE}; / on the host)",
    )


def doctor(config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the diagnosis; exit code 1 when something is a problem."""
    facts = _facts(config, options, environment)
    diagnosis = diagnose(facts)
    host = facts.node.name or os.uname().nodename
    if options.output == "json":
        about: dict[str, object] = {
            "host": host,
            "kernel": facts.kernel.release,
            "isProbed": facts.is_probed,
        }
        say(diagnosis_json(diagnosis, about))
    else:
        sent = "full-size packets were sent" if facts.is_probed else "no packet was sent"
        say(
            diagnosis_text(
                diagnosis,
                f"{host}: {sent if facts.endpoints else 'no storage server is known'}",
                is_coloured=is_coloured(),
                is_unicode=is_unicode(),
            )
        )
    return FINE if diagnosis.is_good else NOT_FINE


def _facts(
    config: AgentConfig, options: argparse.Namespace, environment: Mapping[str, str]
) -> Facts:
    root, is_host = _root(options, environment)
    node = read_node(config.node_name, config.gate_taints, environment)
    seen = NodeFacts(node.labels, node.provider_id) if node.labels is not None else None
    profile = chosen(config, options, environment, seen)
    config = profile.config
    cloud, cloud_by = _cloud(options.provider_id or node.provider_id, environment)
    tuner = Tuner(config, build_tools(config, environment), state_folder(environment))
    scene, report = _judged(tuner, is_probed=not options.no_probes)
    files = HostFiles(root)
    carriers = {name: _layers(name, scene.state) for name in report.plan.links}
    return Facts(
        wishes=_wishes(profile, options),
        state=scene.state,
        report=report,
        is_probed=not options.no_probes,
        endpoints=scene.desired.endpoints,
        carriers=carriers,
        left_alone=tuple(i for i in report.plan.left_alone if i.target.startswith("link/")),
        devices={name: read_device(name) for layers in carriers.values() for name in layers},
        rights=read_rights(environment),
        kernel=read_kernel(files),
        files=files.files(is_host=is_host),
        record=read_record(state_folder(environment), scene.state),
        node=node,
        cloud=cloud,
        cloud_by=cloud_by,
    )


def _root(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return the host's root as seen here, and whether it can be the host's at all."""
    root = options.root or environment.get(ROOT_VARIABLE) or "/"
    try:
        os.stat(f"{root}/etc/")
    except PermissionError:
        pass  # the remark on its files says so
    except OSError:
        field = "--root" if options.root else ROOT_VARIABLE
        raise ConfigError(
            (f"{field}: {root} has no folder etc, so it is not a host's root",)
        ) from None
    return root, root != "/" or not is_container(environment)


def _judged(tuner: Tuner, *, is_probed: bool) -> tuple[Scene, Report]:
    """Return what the pass worked on and found; without probes, the plan as a report."""
    if is_probed:
        report = tuner.verify()
        assert tuner.scene is not None  # noqa: S101 - verify has just set it
        return tuner.scene, report
    scene, plan = tuner.plan()
    return scene, Report(Outcome.PENDING, _found(scene, plan), plan, (), {})


def _found(scene: Scene, plan: Plan) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys((*plan.findings, *scene.known.findings)))


def _layers(name: LinkName, state: HostState) -> tuple[LinkName, ...]:
    """Return a link, what it stands on, and what is bound to it (Azure's VF below hv_netvsc)."""
    link = state.named(name)
    if link is None:
        return (name,)
    below = [layer.name for layer in stack(link, state)]
    bound = [port.name for port in state.links if port.master_index == link.index]
    return tuple(dict.fromkeys((name, *below, *bound))) if link.kind != "bridge" else (name, *below)


def _cloud(provider_id: str, environment: Mapping[str, str]) -> tuple[Cloud | None, str]:
    if cloud := detect_from_provider_id(provider_id):
        return cloud, "by the Node's providerID"
    return CLOUDS.get(machine_cloud(environment)), "by the machine's firmware"


def _wishes(profile: Chosen, options: argparse.Namespace) -> Wishes:
    """Return what the settings ask for, with the options to repeat in the next command."""
    typed = [("--config", options.config)] if options.config else []
    typed += [("--endpoint", item) for item in options.endpoint]
    typed += [("--profile", options.profile)] if options.profile else []
    typed += [("--node-label", item) for item in options.node_label]
    typed += [("--provider-id", options.provider_id)] if options.provider_id else []
    words = tuple(quote(word) for pair in typed for word in pair)
    name = f"{profile.name} ({profile.why})" if profile.config.profile else ""
    return Wishes(
        profile.config.mtu_bytes, profile.config.sysctls, words, name, profile.passed_over
    )
