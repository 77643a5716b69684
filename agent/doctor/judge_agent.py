"""What the agent itself left here: its journal, whether it runs, what the Node says of it. Pure."""

from agent.doctor.facts import Facts, NodeSeen
from agent.doctor.remark import Group, Mark, Remark
from common import names


def judge_journal(facts: Facts) -> tuple[Remark, ...]:
    """Return what was changed by us, with the first values, and who is tuning this host."""
    record = facts.record
    remarks = [_running(facts)]
    remarks += [
        _journal(Mark.NOTE, "journal", record.path, problem, "the other lines are used")
        for problem in record.problems
    ]
    if not record.originals:
        message = f"nothing was changed here since boot (no first value in {record.path})"
        return (*remarks, _journal(Mark.GOOD, "journal", record.path, message))
    for target, first, now in record.originals:
        shown = "gone" if now is None else f"now {now}"
        message = f"{_plain(target)}: first {first}, {shown}"
        remarks.append(_journal(Mark.GOOD, "first-value", target, message))
    message = f"{record.path} holds the first values; `tunegate-agent revert` puts them back"
    return (*remarks, _journal(Mark.GOOD, "journal", record.path, message))


def _journal(mark: Mark, check: str, target: str, message: str, action: str = "") -> Remark:
    return Remark(Group.JOURNAL, mark, check, target, message, action)


def _running(facts: Facts) -> Remark:
    holder = facts.record.holder
    if holder is not None:
        message = f"an agent runs on this host (process {holder}): it repairs what drifts"
        return _journal(Mark.GOOD, "running-agent", "", message)
    message = "no agent runs on this host: nobody repairs what drifts"
    return _journal(Mark.NOTE, "running-agent", "", message, "the DaemonSet does, or `run`")


def _plain(target: str) -> str:
    kind, _, rest = target.partition("/")
    if kind == "readahead":
        return f"read-ahead of {rest}, KiB"
    return f"{rest.removesuffix('/mtu')} MTU" if kind == "link" else rest


def judge_node(node: NodeSeen, *, agent_runs: bool) -> tuple[Remark, ...]:
    """Return what the Node says: gate, condition, labels; one remark when it was not read."""
    if node.problem:
        action = "set TUNEGATE_NODE_NAME, TUNEGATE_API_SERVER, TUNEGATE_TOKEN_FILE and "
        action += "TUNEGATE_CA_FILE to look there, too"
        return (_node(Mark.NOTE, "node", f"the Node was not read: {node.problem}", action),)
    return (_labels(node), _condition(node), _gate(node, agent_runs=agent_runs))


def _node(mark: Mark, check: str, message: str, action: str = "") -> Remark:
    return Remark(Group.NODE, mark, check, "", message, action)


def _labels(node: NodeSeen) -> Remark:
    labels = node.labels or {}
    shown = [
        f"{label}={labels[label]}"
        for label in (names.LABEL_NETWORK, names.LABEL_MTU, names.LABEL_MODE)
        if label in labels
    ]
    mode = labels.get(names.LABEL_MODE, "apply")
    message = f"{node.name}: {', '.join(shown) or 'none of tunegate.io/*'}"
    if mode in ("observe", "off"):
        action = f"kubectl label node {node.name} {names.LABEL_MODE}=apply --overwrite"
        return _node(Mark.NOTE, "node", f"{message}: the agent changes nothing here", action)
    return _node(Mark.GOOD, "node", message)


def _condition(node: NodeSeen) -> Remark:
    if node.condition is None:
        message = f"{node.name} has no condition {names.CONDITION}: no agent has judged it"
        action = f"is there an agent's pod on it? kubectl get pods -A -o wide | grep {node.name}"
        return _node(Mark.NOTE, "condition", message, action)
    status, reason, sentence = node.condition
    message = f"condition {names.CONDITION} is {status} ({reason}): {sentence}"
    mark = {"True": Mark.GOOD, "False": Mark.PROBLEM}.get(status, Mark.NOTE)
    return _node(mark, "condition", message)


def _gate(node: NodeSeen, *, agent_runs: bool) -> Remark:
    if not node.gate_taints:
        return _node(Mark.GOOD, "gate", f"the gate is open: {node.name} has no gate taint")
    message = f"the gate is closed: {node.name} has {', '.join(node.gate_taints)}; no pod that "
    message += "does not tolerate it starts here"
    action = "the agent opens it once the condition allows"
    if not agent_runs:
        action = "no agent runs here to open it; by hand: "
        action += " ".join(
            ("kubectl taint node", node.name, *(f"{key}-" for key in node.gate_taints))
        )
    return _node(Mark.PROBLEM, "gate", message, action)
