"""``bursar completion``: the shell's half of completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bursar.cli.lazy import command
from bursar.cli.session import Session


@command(
    "completion",
    examples=(
        "bursar completion bash > ~/.local/share/bash-completion/completions/bursar",
        "bursar completion zsh > ~/.zfunc/_bursar",
        "bursar completion fish > ~/.config/fish/completions/bursar.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete bursar's commands and options."""
    kind = get_completion_class(shell)
    assert kind is not None
    maker = kind(ctx.find_root().command, {}, "bursar", "_BURSAR_COMPLETE")
    script = maker.source_template % maker.source_vars()  # source() would run the shell to ask for its version
    ctx.ensure_object(Session).output.answer({"shell": shell, "script": script}, lambda: click.echo(script))
