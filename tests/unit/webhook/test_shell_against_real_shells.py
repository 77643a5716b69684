"""The reader of scripts against bash and dash themselves: same words, same process."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.shell import Run, Scope, UnreadableError, read
from webhook.shell.expand import expand
from webhook.shell.words import tokens

VARIABLES = {"MODEL": "/models/llama", "PORT": "8123", "EMPTY": "", "TWO": "--a 1", "X_1": "a*b"}
FAKE = """#!/bin/sh
{ echo "$$"; for word; do printf '%s\\000' "$word"; done; } > "$OUT.part"
mv "$OUT.part" "$OUT"
"""
SHELLS = [name for name in ("bash", "dash") if shutil.which(name)]
BOTH = pytest.mark.parametrize("shell", SHELLS)


@dataclass
class Bench:
    """A folder with a program `vllm` that writes down its process and its words."""

    folder: Path

    def run(self, shell: str, script: str, *positional: str) -> tuple[bool, tuple[str, ...]]:
        """Run a script; return whether the program took the shell's place, and its words."""
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = {**VARIABLES, "PATH": path, "OUT": str(out)}
        with subprocess.Popen(
            [shell, "-c", script, *positional],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            process.wait(30)
        pid, _, words = out.read_text().partition("\n")
        return int(pid) == process.pid, ("vllm", *words.split("\0")[:-1])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make the folder."""
    (tmp_path / "vllm").write_text(FAKE)
    (tmp_path / "vllm").chmod(0o755)
    return Bench(tmp_path)


def what_is_read(shell: str, script: str, *positional: str) -> Run:
    """Return the first `vllm` that the reader finds."""
    scope = Scope(dict(VARIABLES), positional=list(positional[1:]))
    return next(run for run in read(script, shell, scope) if run.words[0] == "vllm")


SCRIPTS = (
    "vllm serve m",
    "true; vllm serve m",
    "true && vllm serve m",
    "false || vllm serve m",
    "true\nvllm serve m\n",
    "vllm serve m\n\n",
    "vllm serve m; ",
    "vllm serve m\n# the end\n",
    "vllm serve m 2>&1",
    "vllm serve m > log",
    "vllm serve m | cat",
    "cat /dev/null | vllm serve m",
    "A=b C='d e' vllm serve m",
    "exec vllm serve m",
    "exec vllm serve m | cat",
    "(exec vllm serve m)",
    "(vllm serve m)",
    "{ vllm serve m; }",
    "! vllm serve m",
    "vllm serve m; true",
    "vllm serve m &\nwait",
    "eval 'vllm serve m'",
    "eval 'exec vllm serve m'",
    'eval "exec vllm serve "/models/a" "b" \\\n --port 1 \\--x $@"',
    "if true; then vllm serve m; fi",
    "if [ $PORT = 8123 ]; then exec vllm serve m; else exec vllm serve n; fi",
    'if [ -z "$EMPTY" ] && [ -n x ]; then exec vllm serve m; else exec vllm serve n; fi',
    "if [ $PORT -lt 9 ]; then exec vllm a; elif [ $PORT -ge 9 ]; then exec vllm b; fi",
    "[ x = y ] && exec vllm serve a; exec vllm serve b",
    "[ x != y ] || exec vllm serve a; exec vllm serve b",
    "serve() { vllm serve m; }\nserve",
    "serve() {\n  vllm serve m\n}\nserve\n",
    "for i in 1 2; do :; done; exec vllm serve m",
    "while true; do vllm serve m; break; done",
    "case $PORT in 1|2) vllm serve a ;; *) vllm serve m ;; esac",
    "trap : USR1; vllm serve m & wait",
    "set -e; cd /; exec vllm serve m",
    "set -- a 'b c'; exec vllm serve \"$@\" $1",
    'shift; exec vllm serve "$@"',
    'exec vllm serve $MODEL --port ${PORT:-1} "$EMPTY" $EMPTY ${NONE:-d e} "${NONE:-d e}"',
    "exec vllm serve ${PORT:+--port $PORT} ${EMPTY:+--no} ${EMPTY+yes} ${NONE-n} ${EMPTY-n}",
    'exec vllm $TWO "$TWO" x$TWO y \'$TWO\' \\$TWO "\\$TWO" a\\\nb "a\\\nb"',
    "exec vllm $((PORT + 1)) $((2 * 3)) $(( PORT * PORT )) end",
    'P=$PORT; Q="$P-$P"; export R=$Q; exec vllm $P $Q ${R}',
    "exec vllm 'a b' \"c 'd'\" e\"f\"'g' \"\" '' h#i # comment",
    "cat > c.yaml <<'EOF'\nport: 1\nEOF\nexec vllm serve --config c.yaml",
    "cat <<EOF > c.yaml\nvllm serve $PORT 'x\nEOF\nexec vllm serve --config c.yaml",
    "cat <<-EOF\n\tvllm serve no\n\tEOF\nexec vllm serve m",
    "exec vllm a;b && c",
    'exec vllm "$*" $* $# "x$@y"',
    "PAD=' a b '; exec vllm x$PAD y\"$PAD\"z",
    'unset PORT; exec vllm ${PORT-none} "$PORT"',
    "export MODEL PORT=9; readonly R=1; exec vllm $MODEL $PORT $R",
    "false || exec vllm a",
    "[ x -gt 1 ] 2>&1; exec vllm a",
    "if ! [ $PORT = 1 ]; then exec vllm a; fi; exec vllm b",
    "if [ ! $PORT = 1 ]; then exec vllm a; fi; exec vllm b",
    'if test -n "$EMPTY"; then exec vllm a; fi; exec vllm b',
    "until true; do :; done; exec vllm a",
    "command exec vllm a",
    "{ true; }; ( true ); exec vllm a",
    "if false; then exec vllm a; else if true; then exec vllm b; fi; fi",
    "case a in a|b) case $PORT in 1) exec vllm a;; *) exec vllm b;; esac ;; esac",
    "case x in (x) exec vllm a ;; esac",
    "A=1 && B=2 && exec vllm $A$B",
    "exec vllm ${MODEL}x ${MODEL:-a}${PORT}",
    "exec >log 2>&1; exec vllm a",
    "exec vllm a >log 2>&1 </dev/null",
    "umask 022; ulimit -n 64; exec vllm a",
)
BASH_ONLY = (
    "ARGS=(m --port 1)\nARGS+=(--x 'a b')\nexec vllm serve \"${ARGS[@]}\"",
    "if [[ $PORT == 8123 ]]; then exec vllm a; else exec vllm b; fi",
    "for ((i=1; i<=2; i++)); do :; done; exec vllm serve m",
    "function serve {\n vllm serve m\n}\nserve",
    "vllm serve m &> log",
    "exec -a name vllm m",
    "time vllm serve m",
    "if (( PORT > 1 )); then :; fi; exec vllm m",
    "if [[ -n $PORT && $PORT != 1 ]]; then :; fi; exec vllm m",
    'declare -a L=(a b); L+=(c); exec vllm ${L[@]} "${L[*]}"',
    "function f() { :; }; exec vllm m",
    "if [[ $PORT != 8* ]]; then :; fi; exec vllm m",
    "cat <<<'vllm no'; exec vllm m",
    "ARGS='--x y'; ARGS+=' --z'; exec vllm $ARGS",
)


@BOTH
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_same_words_in_the_same_process(shell: str, script: str, bench: Bench) -> None:
    """A trap that passes SIGTERM on is the only case in which the process is another one."""
    positional = ("name", "one", "two words")
    run = what_is_read(shell, script, *positional)
    took_over, words = bench.run(shell, script, *positional)
    assert (run.shell == "", run.words) == (took_over, words)


@pytest.mark.parametrize("script", BASH_ONLY)
def test_what_only_bash_knows(script: str, bench: Bench) -> None:
    """Arrays, [[ ]], arithmetic loops."""
    run = what_is_read("bash", script)
    took_over, words = bench.run("bash", script)
    assert (run.shell == "", run.words) == (took_over, words)


MAX_EXAMPLES = 100
PIECES = st.sampled_from(
    (
        *("a", "--port", "=", " ", "  ", "$PORT", "${PORT}", "$TWO", '"', '"', "'", "\\", "x/y"),
        *("${EMPTY:-d}", "${NONE}", "${TWO:+z}", "\n", "#", "${PORT:-1}", "-", "$", "${EMPTY}"),
    )
)


@settings(max_examples=MAX_EXAMPLES, deadline=None)
@given(words=st.lists(PIECES, max_size=14).map("".join))
def test_words_are_expanded_as_the_shells_do(words: str) -> None:
    """What both shells take alike (bash keeps `$A$` whole), and the reader knows, is the same."""
    script = f"printf '%s\\0' begin {words}"
    answers = [
        subprocess.run(
            [shell, "-c", script], env=VARIABLES, capture_output=True, check=False, timeout=30
        )
        for shell in SHELLS
    ]
    if any(answer.returncode or answer.stderr for answer in answers):
        return
    said = list(expanded(script))[2:]
    if len({answer.stdout for answer in answers}) > 1 or any("$(...)" in word for word in said):
        return
    assert said == answers[0].stdout.decode().split("\0")[:-1]


def expanded(script: str) -> Iterator[str]:
    """Yield the words of the script's first command."""
    scope = Scope(dict(VARIABLES))
    for token in tokens(script):
        if token.text == "\n":
            return
        yield from expand(token.text, scope)


@pytest.mark.parametrize(
    "script", ['vllm "a', "vllm 'a", "vllm $(a", "vllm ${a", "vllm `a", "a " * 5000, "(" * 200]
)
def test_what_cannot_be_read_is_refused(script: str) -> None:
    """A guess would be worse than none."""
    with pytest.raises(UnreadableError):
        read(script, "bash", Scope())


def test_values_that_double_end_early() -> None:
    """A script of a kilobyte could otherwise fill the memory."""
    with pytest.raises(UnreadableError):
        read("A=xxxxxxxxxx;" + "A=$A$A$A$A;" * 40, "bash", Scope())


def test_a_trap_passes_sigterm_on_only_to_what_runs_in_the_background() -> None:
    """A shell runs a trap when its foreground child has ended."""
    behind = read("trap 'kill $P' TERM; vllm serve m & P=$!; wait", "sh", Scope())
    before = read("trap 'kill $P' TERM; vllm serve m; true", "sh", Scope())
    assert [run.shell for run in behind if run.words[0] == "vllm"] == [""]
    assert [run.shell for run in before if run.words[0] == "vllm"] == ["sh"]


@pytest.mark.parametrize(
    "word",
    ["$(date)", "`date`", "$!", "$$", "$?", "${PORT%3}", "${PORT/8/9}", "${#PORT}", "$((X % 2))"],
)
def test_what_only_the_shell_can_tell_keeps_its_sign(word: str) -> None:
    """Whoever reads a `$` knows that he does not know."""
    assert "$" in read(f"vllm --port {word}", "sh", Scope({"PORT": "8123"}))[0].words[-1]


@pytest.mark.parametrize("script", ["read X; vllm $X", "for X in a b; do :; done; vllm $X"])
def test_a_variable_that_is_read_is_not_known(script: str) -> None:
    """What it held before does not count."""
    assert read(script, "sh", Scope({"X": "1"}))[-1].words == ("vllm", "$X")


def test_names_that_may_come_from_elsewhere_are_not_known() -> None:
    """EnvFrom may bring any name, and LeaderWorkerSet its own; others are unset."""
    script = "vllm $A ${A:-b} $LWS_LEADER_ADDRESS ${LWS_WORKER_INDEX:-0} end"
    plain, hidden = (read(script, "sh", Scope(hidden=hidden))[0].words for hidden in (False, True))
    assert plain == ("vllm", "b", "$LWS_LEADER_ADDRESS", "0", "end")
    assert hidden[1:3] == ("$A", "${A}")


def test_what_follows_an_exit_never_runs() -> None:
    """Nor what follows an exec."""
    assert [run.words for run in read("vllm a; exit 1; vllm b", "sh", Scope())] == [("vllm", "a")]
    assert [run.words for run in read("exec vllm a; vllm b", "sh", Scope())] == [("vllm", "a")]


def test_what_depends_on_the_unseen_is_not_sure() -> None:
    """Both branches of such a condition may run."""
    runs = read("if grep -q x /etc/f; then vllm a; else vllm b; fi; vllm c", "sh", Scope())
    assert [(run.words[1], run.sure) for run in runs if run.words[0] == "vllm"] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_variables_that_may_have_changed_are_not_known() -> None:
    """Flags that may be given count as given, unless they decide where the server listens."""
    script = (
        "A=1; B=''; C=''\n"
        "if grep -q x /etc/f; then A=2; B='--max-model-len 9'; C='--port 9'; fi\n"
        "exec vllm $A $B $C"
    )
    run = read(script, "sh", Scope())[-1]
    assert run.words == ("vllm", "$A", "--max-model-len", "9", "$C")
