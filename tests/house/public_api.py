"""Write down what ``import bursar`` offers: every public name, its members and their signatures.

Run it with ``--write`` (``make api``) after a deliberate change; the difference belongs in the changelog.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).with_name("public_api.txt")
MODULES = ("bursar", "bursar.chain.protocols", "bursar.signing.conformance")


def signature(subject: Any) -> str:
    """The signature without default values: their ``repr`` differs between interpreters."""
    try:
        read = inspect.signature(subject)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [
        parameter if parameter.default is parameter.empty else parameter.replace(default=...)
        for parameter in read.parameters.values()
    ]
    return str(read.replace(parameters=parameters)).replace("Ellipsis", "...").replace("'", "")


def members(owner: type) -> list[str]:
    lines = []
    for name in sorted(dir(owner)):
        home = next((base for base in owner.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not home.__module__.startswith("bursar"):
            continue
        value = inspect.getattr_static(owner, name)
        if isinstance(value, (classmethod, staticmethod)):
            lines.append(f"{name}{signature(value.__func__)}  [{type(value).__name__}]")
        elif isinstance(value, property):
            lines.append(f"{name} -> {signature(value.fget).partition(' -> ')[2] or '?'}  [property]")
        elif inspect.isfunction(value):
            lines.append(f"{name}{signature(value)}")
        elif isinstance(value, owner) and issubclass(owner, enum.Enum):
            lines.append(f"{name}  [member]")
        else:
            lines.append(name)
    return lines


def describe(path: str, value: Any) -> list[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        made = "" if "Protocol" in bases or issubclass(value, enum.Enum) else signature(value)
        head = f"{path}{made}  [class{': ' + bases if bases else ''}]"
        return [head, *(f"{path}.{line}" for line in members(value))]
    if inspect.isfunction(value):
        return [f"{path}{signature(value)}"]
    return [f"{path}  [{type(value).__name__}]"]


def api() -> str:
    lines: list[str] = []
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = getattr(module, "__all__", None)
        if names is None:
            names = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module_name]
        for name in sorted(names):
            if not name.startswith("_"):
                lines += describe(f"{module_name}.{name}", getattr(module, name))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        SNAPSHOT.write_text(api())
    else:
        sys.stdout.write(api())
