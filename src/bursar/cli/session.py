"""What one run of the command line carries: the global options, the human, and where answers go."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.cli.home import Home
    from bursar.cli.output import Output
    from bursar.cli.terminal import Human


class Session:
    """Made by ``run`` (or by click, in tests) and handed to every command with ``click.make_pass_decorator``."""

    def __init__(self, *, json: bool = False, human: Human | None = None) -> None:
        self.json = json
        self.home_option: str | None = None
        self.names_of_addresses = False
        self.transfer_lock: int | None = None
        self.reported: set[str] = set()  # unfinished transfers the human was told about
        self._human = human

    @cached_property
    def output(self) -> Output:
        """Where answers go; read only after the options were parsed."""
        from bursar.cli.output import Output

        return Output(json=self.json)

    @cached_property
    def human(self) -> Human:
        """Who answers questions."""
        from bursar.cli.terminal import Terminal

        return self._human or Terminal()

    @cached_property
    def home(self) -> Home:
        """The wallet's folder: ``--home``, else ``$BURSAR_HOME``, else ``~/.bursar``. Not created by looking at it."""
        from bursar.cli.home import locate

        return locate(self.home_option)
