"""Write the reference page of the command line from the commands themselves (``make api``)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bursar.cli.app import root
from bursar.cli.lazy import ExampleCommand, ExampleGroup

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "commands.md"
HEAD = """\
# Commands

Generated from the program by `make api`; a test compares the two. Every command also accepts `--home FOLDER`, `--json`
and `--help`: see [](cli.md).
"""
GLOBAL = {"--home", "--json", "--help"}


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


def sentences(text: str | None) -> str:
    """Help text as Markdown: paragraphs joined, literal blocks (click's ``\\b``) kept."""
    blocks = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(
        "```text\n" + block.removeprefix("\b\n") + "\n```" if block.startswith("\b") else " ".join(block.split())
        for block in blocks
    )


def option_rows(command: click.Command, path: tuple[str, ...]) -> list[str]:
    context = click.Context(command, info_name=" ".join(path))
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if not isinstance(parameter, click.Option) or record is None or GLOBAL.intersection(parameter.opts):
            continue
        rows.append(f"| `{record[0].replace('|', chr(92) + '|')}` | {' '.join(record[1].split())} |")
    return rows


def section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {' '.join(path)}", sentences(command.help), f"```text\n{usage}\n```"]
    rows = option_rows(command, path)
    if rows:
        parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]))
    if isinstance(command, (ExampleCommand, ExampleGroup)) and command.examples:
        parts.append("```text\n" + "\n".join(command.examples) + "\n```")
    return "\n\n".join(parts)


def page() -> str:
    return "\n\n".join([HEAD.rstrip("\n"), *(section(*item) for item in commands(root, ("bursar",)))]) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
