"""
What ``common.record`` is at run time: the meaning of dataclasses, made without compiling code.

Refused, because nothing here needs it: inheritance, ``InitVar``, ``ClassVar``, ``order``, records
without slots. Source: https://docs.python.org/3/library/dataclasses.html for the meaning.
"""

from collections.abc import Callable
from typing import Any

_MISSING = object()


class Field:
    """What ``field`` was told about one field."""

    __slots__ = ("default", "default_factory", "is_init", "is_repr")

    def __init__(
        self,
        default: object,
        default_factory: Callable[[], object] | None,
        flags: tuple[bool, bool],
    ) -> None:
        """Keep it; ``flags`` are (init, repr)."""
        self.default = default
        self.default_factory = default_factory
        self.is_init, self.is_repr = flags


def field(
    *,
    default: object = _MISSING,
    default_factory: Callable[[], object] | None = None,
    init: bool = True,
    repr: bool = True,  # noqa: A002 - the standard library's name
) -> Any:  # noqa: ANN401 - stands where a value of the field's type stands
    """Describe one field, as ``dataclasses.field`` does."""
    return Field(default, default_factory, (init, repr))


class _Twin:
    """Makes what ``dataclasses`` and ``inspect`` ask of a class, when they ask: from a twin."""

    def __init__(self, make: Callable[[type], object]) -> None:
        self._make = make

    def __get__(self, _instance: object, owner: type["Record"]) -> object:
        return self._make(_standard(owner))


def _standard(owner: type["Record"]) -> type:
    """Return a standard dataclass with the same fields."""
    import dataclasses  # noqa: PLC0415 - what this module is there to avoid

    specification: list[Any] = []
    for name, one in owner.record_fields.items():
        keywords: dict[str, Any] = {"init": one.is_init, "repr": one.is_repr}
        if one.default is not _MISSING:
            keywords["default"] = one.default
        if one.default_factory is not None:
            keywords["default_factory"] = one.default_factory
        specification.append((name, owner.__annotations__[name], dataclasses.field(**keywords)))
    return dataclasses.make_dataclass(owner.__name__, specification)


def _signature(twin: type) -> object:
    import inspect  # noqa: PLC0415 - what this module is there to avoid

    return inspect.signature(twin)


class Record:
    """The methods that all records share, driven by ``record_fields``."""

    __slots__ = ()
    record_fields: dict[str, Field] = {}  # noqa: RUF012 - each class has its own
    __dataclass_fields__ = _Twin(lambda twin: twin.__dataclass_fields__)  # type: ignore[attr-defined]
    __signature__ = _Twin(_signature)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *values: object, **named: object) -> None:
        """Set every field from its argument or its default."""
        position = 0
        for name, one in self.record_fields.items():
            if one.is_init and position < len(values):
                value = values[position]
                position += 1
            elif one.is_init and name in named:
                value = named.pop(name)
            elif one.default_factory is not None:
                value = one.default_factory()
            else:
                value = one.default
            if value is not _MISSING:
                object.__setattr__(self, name, value)
            elif one.is_init:
                raise TypeError(f"{type(self).__name__}() misses argument {name!r}")
        if named or position < len(values):
            extra = ", ".join(named) or f"{len(values)} positional"
            raise TypeError(f"{type(self).__name__}() got unexpected arguments: {extra}")
        post_init = getattr(self, "__post_init__", None)
        if post_init:
            post_init()

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.record_fields])

    def __eq__(self, other: object) -> bool:
        """Compare field by field with a record of the very same class."""
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __repr__(self) -> str:
        """Return the class and its fields."""
        shown = [name for name, one in self.record_fields.items() if one.is_repr]
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({inner})"

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle by calling the class again."""
        fields = self.record_fields
        values = {name: getattr(self, name) for name, one in fields.items() if one.is_init}
        return _rebuild, (type(self), values)


class FrozenRecord(Record):
    """A record whose fields do not change once set."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        """Hash all fields."""
        return hash(self._values())

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse."""
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        """Refuse."""
        raise AttributeError(f"cannot delete field {name!r}")


def dataclass(*, frozen: bool = False, slots: bool = False) -> Callable[[type], type]:
    """Make a class a record, as ``dataclasses.dataclass`` does; ``slots`` must be true."""

    def build(cls: type) -> type:
        if not slots or cls.__bases__ != (object,):
            raise TypeError(f"{cls.__name__}: a record has slots and no bases")
        namespace = {
            name: value
            for name, value in cls.__dict__.items()
            if name not in ("__dict__", "__weakref__")
        }
        fields = {}
        for name in cls.__annotations__:
            value = namespace.pop(name, _MISSING)
            is_described = isinstance(value, Field)
            fields[name] = value if is_described else Field(value, None, (True, True))
        namespace["__slots__"] = tuple(fields)
        namespace["__match_args__"] = tuple(n for n, one in fields.items() if one.is_init)
        namespace["record_fields"] = fields
        return type(cls.__name__, (FrozenRecord if frozen else Record,), namespace)

    return build


def _rebuild(kind: type, values: dict[str, object]) -> object:
    return kind(**values)


def replace(record: Any, /, **changes: object) -> Any:  # noqa: ANN401 - any record in, the same out
    """Return a copy with these fields changed."""
    fields = record.record_fields
    values = {name: getattr(record, name) for name, one in fields.items() if one.is_init}
    return type(record)(**(values | changes))
