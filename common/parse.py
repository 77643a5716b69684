"""The configuration's text: read it, parse it as JSON or YAML; a problem names its place."""

import json
from typing import Any


class ConfigError(Exception):
    """The settings cannot be used; ``errors`` holds one sentence for each field at fault."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        """Keep the sentences and join them into one message."""
        super().__init__("\n".join(errors))
        self.errors = errors


def read_text(path: str) -> str:
    """
    Return a configuration file's text.

    Raises:
        ConfigError: It cannot be read, or is no UTF-8.
    """
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs the agent time
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: cannot read the configuration: {error}",)) from error


def parse(content: str, path: str) -> object:
    """
    Parse YAML or JSON text.

    Raises:
        ConfigError: It is neither; the message gives line and column.
    """
    if not content:  # no file: settings come from the environment alone
        return None
    if content.lstrip().startswith("{"):
        try:
            return json.loads(content, object_pairs_hook=lambda pairs: _unique(pairs, path))
        except (ValueError, RecursionError):
            pass  # a YAML flow mapping begins the same way
    import yaml  # noqa: PLC0415 - 13 ms that a JSON file does not pay

    try:
        return yaml.load(content, _loader(yaml))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError((f"{path}: not YAML: {' '.join(str(error).split())}",)) from error
    except RecursionError as error:
        raise ConfigError((f"{path}: not YAML: too deep",)) from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # PyYAML lets out what a value's constructor raised, e.g. for the date 2026-02-30
        message = f"{path}: not YAML: a value is not what it looks like ({error}): quote it"
        raise ConfigError((message,)) from error


def _unique(pairs: list[tuple[str, Any]], path: str) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(tuple(f"{path}: {name}: stands twice" for name in twice))
    return dict(pairs)


def _loader(yaml: Any) -> Any:  # noqa: ANN401 - a module that is imported late
    """Return a safe YAML loader that refuses a key that stands twice, with line and column."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # its base is only known at run time
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
            seen = set()
            for key, _ in node.value:
                name = str(key.value)  # a key may be a list
                if name in seen:
                    message = f"{name} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
                seen.add(name)
            return super().construct_mapping(node, deep=deep)

    return Loader
