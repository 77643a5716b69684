"""Run the webhook and say on standard output what it opens for writing, makes or removes."""

import os
import sys

CHANGES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "tempfile.mkstemp", "tempfile.mkdtemp"),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Hear of what the interpreter is about to do: PEP 578."""
    if event in CHANGES or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    ):
        print(event, arguments[0], flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # as the image says
    sys.addaudithook(watch)
    from webhook.cli import main

    sys.exit(main(["run"]))
