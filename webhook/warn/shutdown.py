"""Mistakes that lose requests, or time, when a pod ends. Pure."""

import re
from typing import Final

from webhook import pods
from webhook.decisions import Feature
from webhook.warn.caution import Row, Severity
from webhook.warn.scene import Scene, whole

DEFAULT_GRACE_SECONDS: Final = 30
MAX_HOOK, MAX_WORDS = 4096, 8
"""What is longer is not searched."""
BY_REASON: Final = (0, 20)
"""First vLLM with `num_requests_waiting_by_reason`: vllm-project/vllm#38435."""
_SLEEP: Final = re.compile(r"(?:.*[\s/;])?sleep\s+(\d{1,6})\s*;?\s*")
_GREPPED: Final = re.compile(
    r"""grep\s+(?P<flags>(?:-\S+\s+)*)(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s|;)]+))"""
)
_OPEN_END: Final = re.compile(r"num_requests_(?:waiting|\\?\(?[\w\\|]*waiting[\w\\|]*\\?\)?)$")
_TRUSTED: Final = re.compile(
    r"(?:curl|wget)\b[^;&\n]*?\|\|\s*(?:echo\s+)?['\"]?(?:0\b|true\b|:|exit 0)"
)
_DEFAULTED: Final = re.compile(r"\$\{\w+:[-=]0\}")
_VERSION: Final = re.compile(r":v?(\d+)\.(\d+)")


def shell_hides_signal(scene: Scene) -> str:
    """Judge a shell that stays PID 1; a drain of ours ends vLLM itself."""
    is_ended = any("kill" in word for word in _hook_words(scene))
    if not scene.server.shell or is_ended or Feature.PRE_STOP in scene.injected:
        return ""
    return (
        f"{scene.server.shell} stays PID 1 and keeps SIGTERM from vLLM: each deletion takes the "
        f"whole {_grace(scene)} s; write exec before vllm"
    )


def grace_too_short(scene: Scene) -> str:
    """Judge the grace period against the user's own hook and vLLM's own drain."""
    grace = _grace(scene)
    hook = 0 if Feature.PRE_STOP in scene.injected else hook_seconds(scene)
    needed = hook + (scene.number("shutdown-timeout", 0) or 0)
    if grace == 0:
        return "terminationGracePeriodSeconds is 0: the server is killed with every request in it"
    if not needed or grace > needed:
        return ""
    return (
        f"the grace period of {grace} s is over before preStop ({hook} s) and --shutdown-timeout "
        f"({needed - hook} s) are: more than {needed} s"
    )


def no_drain(scene: Scene) -> str:
    """Judge a server that nothing lets finish its requests."""
    has_hook = bool(pods.mapping(scene.container.get("lifecycle")).get("preStop"))
    if has_hook or scene.number("shutdown-timeout", 0) != 0:
        return ""
    why = (
        f"; no drain of tunegate's, as {scene.server.why_no_http}" if not scene.server.http else ""
    )
    return f"nothing lets running requests finish: vLLM aborts all of them at SIGTERM{why}"


def _grace(scene: Scene) -> int:
    return whole(scene.spec.get("terminationGracePeriodSeconds"), DEFAULT_GRACE_SECONDS)


def hook_seconds(scene: Scene) -> int:
    """Return how long the user's preStop sleeps at least, as far as it is plain to see."""
    hook = pods.mapping(pods.mapping(scene.container.get("lifecycle")).get("preStop"))
    plain = pods.number(pods.mapping(hook.get("sleep")).get("seconds"))
    if plain is not None:
        return plain
    found = _SLEEP.fullmatch(" ".join(_hook_words(scene)[-2:]))
    return int(found[1]) if found else 0


def _hook_words(scene: Scene) -> list[str]:
    hook = pods.mapping(pods.mapping(scene.container.get("lifecycle")).get("preStop"))
    is_ours = Feature.PRE_STOP in scene.injected
    words = [] if is_ours else pods.texts(pods.mapping(hook.get("exec")).get("command"))
    return [word[:MAX_HOOK] for word in words[:MAX_WORDS]]


def hook_never_ends(scene: Scene) -> str:
    """Judge a hook whose grep also finds the series that newer servers have."""
    if not any(map(_is_prefix, _GREPPED.finditer(" ".join(_hook_words(scene))))):
        return ""
    version = _VERSION.search(scene.image.rpartition("/")[2])
    if version and (int(version[1]), int(version[2])) < BY_REASON:
        return ""
    return (
        "the preStop's grep for num_requests_waiting also finds num_requests_waiting_by_reason "
        "(vLLM 0.20 and newer): it never sees 0 and never ends"
    )


def _is_prefix(found: re.Match[str]) -> bool:
    is_whole_word = re.search(r"-\w*w", found["flags"])
    return not is_whole_word and bool(
        _OPEN_END.search(found["single"] or found["double"] or found["bare"] or "")
    )


def hook_trusts_failure(scene: Scene) -> str:
    """Judge a hook that takes a failed question for an answer."""
    hook = " ".join(_hook_words(scene))
    is_defaulted = "curl" in hook and _DEFAULTED.search(hook)
    if not is_defaulted and not _TRUSTED.search(hook):
        return ""
    return "the preStop takes a failed or slow curl for zero requests: it ends while they run"


def drain_is_blind(scene: Scene) -> str:
    """Judge a server without the gauges that every drain reads."""
    flags = scene.arguments.flags
    if "disable-log-stats" not in flags or flags["disable-log-stats"].lower() == "false":
        return ""
    return "--disable-log-stats removes the vllm: metrics: a drain cannot see running requests"


_HOOK_RIGHT: Final = """\
terminationGracePeriodSeconds: 150
# no lifecycle.preStop: tunegate's drain is injected
"""

ROWS: Final = (
    Row(
        "GraceTooShort",
        Severity.LOSES_REQUESTS,
        "terminationGracePeriodSeconds is 0, or not more than your preStop's sleep plus "
        "`--shutdown-timeout`.",
        "The grace period runs from the beginning of preStop; when it is over, SIGKILL ends the "
        "requests that both were to protect.",
        "Grace period = preStop + --shutdown-timeout + 15 s for the engine's teardown.",
        "terminationGracePeriodSeconds: 75 # preStop 15 + --shutdown-timeout 45 + 15\n",
        grace_too_short,
        is_of_pod=True,
    ),
    Row(
        "NoDrain",
        Severity.LOSES_REQUESTS,
        "Neither a preStop hook nor `--shutdown-timeout`, and tunegate's drain is switched off or "
        "cannot reach the server.",
        "vLLM's default at SIGTERM is to abort: 6 of 6 running streams died within 20 ms.",
        "Let tunegate inject its drain.",
        _HOOK_RIGHT,
        no_drain,
    ),
    Row(
        "DrainHookNeverEnds",
        Severity.LOSES_REQUESTS,
        "A preStop hook that looks for `num_requests_waiting` without the end of the name.",
        "Since 0.20 `num_requests_waiting_by_reason` matches, too: the sum is never read as 0, and "
        "every deletion takes the whole grace period and then kills.",
        "Remove the hook and let tunegate inject its drain, or match `num_requests_waiting{`.",
        _HOOK_RIGHT,
        hook_never_ends,
    ),
    Row(
        "DrainHookTrustsFailure",
        Severity.LOSES_REQUESTS,
        "A preStop hook with `curl ... || echo 0`, `${WAITING:-0}` or the like.",
        "A server under load answers late: the hook takes that for drained, and SIGTERM aborts "
        "what was running.",
        "Remove the hook and let tunegate inject its drain, which tells refused from slow.",
        _HOOK_RIGHT,
        hook_trusts_failure,
    ),
    Row(
        "ShellKeepsSigterm",
        Severity.LOSES_REQUESTS,
        "`sh -c 'vllm serve ...'` without exec, and no drain of tunegate's.",
        "The shell is PID 1, for which the kernel drops SIGTERM: vLLM never hears it, and each "
        "deletion holds the GPU for the whole grace period.",
        "Write exec, or call vllm without a shell.",
        "command: [sh, -c, 'exec vllm serve /models/llama']\n",
        shell_hides_signal,
    ),
    Row(
        "DrainIsBlind",
        Severity.LOSES_REQUESTS,
        "`--disable-log-stats`.",
        "It takes every `vllm:` series away, so no drain can tell a busy server from an idle one; "
        "tunegate's then waits a fixed time.",
        "Leave the flag out.",
        "args: [--port=8000]\n",
        drain_is_blind,
    ),
)
