"""The command `tunegate explain`: what the webhook makes of manifests, without any cluster."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from cli.errors import InputError
from cli.nodes import say, takes_colours

if TYPE_CHECKING:
    from cli.judged import Judgement
    from cli.manifests import Document
    from webhook.policy import Namespace, Policy

WIDTH: Final = 80
SUFFIXES: Final = (".yaml", ".yml", ".json")
STDIN: Final = "-"
_STDIN_NAME: Final = "(stdin)"

SUMMARY = "what the webhook makes of a manifest, why, and what is wrong with it"
DESCRIPTION = """\
Reads manifests and says of every pod in them whether it serves vLLM, what the
webhook would inject and why, what else is wrong, and how the pod would look.
It runs the webhook's own engine and asks no cluster."""

EPILOG = """\
Any kind that holds a pod or a pod template is read: Deployment, StatefulSet,
Job, LeaderWorkerSet, InferenceService, RayCluster, List and whatever else has
one. A Namespace in the same files counts with its labels and annotations.

outcomes:
  injected        it will be added
  user-owned      you have set it; yours stays
  not-applicable  it would be of no use here
  disabled        switched off by policy, namespace or annotation
  failed-safe     in doubt: the pod stays as it is

examples:
  tunegate explain -f deployment.yaml
  # what Helm or kustomize make
  helm template my-release ./chart | tunegate explain -f -
  kubectl kustomize overlays/prod | tunegate explain -f -
  # with the administrator's policy, in a namespace that switches one thing off
  tunegate explain -f . --policy policy.yaml \\
    --namespace-annotation tunegate.io/disable=preStop
  # for scripts: every warning
  tunegate explain -f deployment.yaml -o json | jq -r '.[].warnings[]'

exit codes:
  0 explained
  2 bad input: all of it is named with file, line and column, nothing is printed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="a manifest, a folder of manifests, or - for standard input; may be repeated",
    )
    add("-R", "--recursive", action="store_true", help="also the folders inside a folder")
    add("-o", "--output", choices=("text", "json", "yaml"), default="text", help="how to print")
    add("--policy", metavar="FILE", help="the webhook's policy (default: the defaults)")
    for what in ("label", "annotation"):
        add(
            f"--namespace-{what}",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=f"judge as if the pods' namespace had this {what}; may be repeated",
        )


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; raises CliError."""
    from cli.judged import judge  # noqa: PLC0415 - the webhook's engine, which --help can spare

    errors: list[str] = []
    policy = policy_of(options.policy, errors)
    namespace = _namespace(options, errors)
    found = list(documents(options, errors))
    if errors:
        raise InputError(told(errors))
    foreign = [one for one in found if not one.is_kubernetes]
    kept = [one for one in found if one.is_kubernetes]
    if not kept:
        raise InputError(told([*map(_foreign, foreign), "no Kubernetes object to explain"]))
    judgement = judge(kept, policy, namespace)
    for line in (*map(_foreign, foreign), *judgement.notes):
        sys.stderr.write(f"note: {_plain(line)}\n")
    _print(judgement, options.output)
    return 0


def told(errors: list[str]) -> str:
    """Return all that is wrong as one text."""
    return (
        "\n  ".join(map(_plain, errors))
        if len(errors) == 1
        else "\n  ".join(("bad input:", *map(_plain, errors)))
    )


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _foreign(document: "Document") -> str:
    return f"{document.source}:{document.line}: not a Kubernetes object: no apiVersion and kind"


def policy_of(path: str | None, errors: list[str]) -> "Policy":
    """Return the policy of a file, the defaults without one; what is wrong goes to the errors."""
    from common.parse import ConfigError  # noqa: PLC0415 - as above
    from webhook.policy import Policy  # noqa: PLC0415
    from webhook.settings import decode  # noqa: PLC0415

    if path is None:
        return Policy()
    try:
        return decode(Path(path).read_text(), path)
    except ConfigError as error:
        errors += str(error).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"{path}: {getattr(error, 'strerror', None) or 'is not text in UTF-8'}")
    return Policy()


def _namespace(options: argparse.Namespace, errors: list[str]) -> "Namespace":
    from webhook.policy import Namespace  # noqa: PLC0415 - as above

    labels = _pairs("--namespace-label", options.namespace_label, errors)
    annotations = _pairs("--namespace-annotation", options.namespace_annotation, errors)
    return Namespace("", labels, annotations)


def _pairs(option: str, given: list[str], errors: list[str]) -> dict[str, str]:
    errors += [f"{option} {one}: must be KEY=VALUE" for one in given if one.find("=") < 1]
    return dict(one.split("=", 1) for one in given if "=" in one)


def documents(options: argparse.Namespace, errors: list[str]) -> Iterator["Document"]:
    """Yield what stands in the files of the options; what cannot be read goes to the errors."""
    from cli.manifests import Problem, read  # noqa: PLC0415 - as above

    seen: set[Path] = set()
    for path in options.filename:
        for source, raw in _files(path, seen, errors, is_recursive=options.recursive):
            for found in read(source, raw):
                if isinstance(found, Problem):
                    errors.append(str(found))
                else:
                    yield found


def _files(
    path: str, seen: set[Path], errors: list[str], *, is_recursive: bool
) -> Iterator[tuple[str, bytes]]:
    """Yield each file's name and bytes, once; what cannot be read goes to the errors."""
    if path == STDIN:
        if Path(STDIN) not in seen:
            yield from _read(_STDIN_NAME, sys.stdin.buffer, errors)
        seen.add(Path(STDIN))
        return
    try:
        for file in _manifests(Path(path), is_recursive=is_recursive):
            if (real := file.resolve()) not in seen:
                seen.add(real)
                with file.open("rb") as opened:
                    yield from _read(str(file), opened, errors)
    except OSError as error:
        errors.append(f"{error.filename or path}: {error.strerror}")


def _read(name: str, opened: BinaryIO, errors: list[str]) -> Iterator[tuple[str, bytes]]:
    from cli.manifests import MAX_BYTES  # noqa: PLC0415 - as above

    raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        errors.append(f"{name}: larger than {MAX_BYTES >> 20} MiB: is this a manifest?")
    else:
        yield name, raw


def _manifests(path: Path, *, is_recursive: bool) -> list[Path]:
    """Return a file itself, or the manifests in a folder; raises OSError if there are none."""
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if is_recursive else path.iterdir()
    kept = [one for one in sorted(found) if one.suffix in SUFFIXES and one.is_file()]
    if not kept:
        raise OSError(0, f"has no file that ends in {', '.join(SUFFIXES)}", str(path))
    return kept


def _print(judgement: "Judgement", output: str) -> None:
    from cli import judged_text  # noqa: PLC0415 - as above
    from cli.judged import pod_object  # noqa: PLC0415

    shown = [pod_object(one) for one in judgement.pods]
    if output == "json":
        say(f"{json.dumps(shown, indent=2, ensure_ascii=False)}\n")
    elif output == "yaml":
        say(judged_text.yaml_text(shown))
    else:
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size((WIDTH, 24))[0] if is_terminal else WIDTH
        lines = judged_text.text(judgement, width, is_cut=is_terminal, is_coloured=takes_colours())
        say("".join(f"{line}\n" for line in lines))
