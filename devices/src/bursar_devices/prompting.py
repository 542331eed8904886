"""The human at the computer, as the signer backends see it: typed answers, and everything it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bursar.crypto.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.signing.protocols import DeviceEvent, SecretRequest


@dataclass
class BenchPrompt:
    """Fulfils ``bursar.signing.protocols.Prompt``: ``answers`` by kind ("pin", "passphrase"), one or a list in turn."""

    answers: dict[str, str | list[str] | Callable[[SecretRequest], str]] = field(default_factory=dict)
    asked: list[SecretRequest] = field(default_factory=list)
    heard: list[DeviceEvent] = field(default_factory=list)

    def ask(self, request: SecretRequest) -> Secret:
        """The answer for this kind; nothing is typed where none was given."""
        self.asked.append(request)
        answer = self.answers.get(request.kind, "")
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else ""
        return Secret.from_text(answer if isinstance(answer, str) else answer(request))

    def notify(self, event: DeviceEvent) -> None:
        """Keep what was said."""
        self.heard.append(event)
