"""Click groups that import a command only when it is run, and commands that carry examples and the global options."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from bursar.cli.session import Session

_P = ParamSpec("_P")
_R = TypeVar("_R")


def pass_session(function: Callable[Concatenate[Session, _P], _R]) -> Callable[_P, _R]:
    """Hand the session to a command as its first argument."""
    return click.make_pass_decorator(Session, ensure=True)(function)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives; ``help`` stands here so that listing commands imports none of them."""

    section: str
    module: str
    attribute: str
    help: str


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True


def _remember_home(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).home_option = value


def global_options() -> list[click.Option]:
    """``--home`` and ``--json``, accepted before and after the command's name."""
    return [
        click.Option(
            ["--home"],
            metavar="FOLDER",
            expose_value=False,
            callback=_remember_home,
            is_eager=True,
            help="Folder of the wallet (default: $BURSAR_HOME, else ~/.bursar).",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember_json,
            is_eager=True,
            help="Print one JSON document on standard output, errors included.",
        ),
    ]


class ExampleCommand(click.Command):
    """A command whose help ends with examples and that accepts the global options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs["params"] = [*kwargs.get("params", ()), *global_options()]
        super().__init__(*args, **kwargs)
        self.examples: tuple[str, ...] = tuple(examples)

    def get_short_help_str(self, limit: int = 200) -> str:  # noqa: ARG002
        """The first sentence, whole: a list of commands may wrap."""
        return super().get_short_help_str(200)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        write_examples(self.examples, formatter)


class ExampleGroup(click.Group):
    """A group whose commands are ``ExampleCommand`` and whose help ends with examples."""

    command_class: type[click.Command] | None = ExampleCommand
    group_class = type

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs["params"] = [*kwargs.get("params", ()), *global_options()]
        super().__init__(*args, **kwargs)
        self.examples: tuple[str, ...] = tuple(examples)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)  # in the order of work, not of the alphabet

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        write_examples(self.examples, formatter)


class LazyGroup(ExampleGroup):
    """The root: knows its commands by name and imports one when it is asked for."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries: dict[str, Entry] = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """An ``Examples`` section, each line as it would be typed."""
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def command(
    name: str | None = None, *, examples: Sequence[str], **attributes: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """``click.command`` with examples; they are not optional."""
    return click.command(name, cls=ExampleCommand, examples=examples, **attributes)


def group(name: str, *, examples: Sequence[str], **attributes: Any) -> Callable[[Callable[..., Any]], ExampleGroup]:
    """``click.group`` with examples."""
    return click.group(name, cls=ExampleGroup, examples=examples, **attributes)
