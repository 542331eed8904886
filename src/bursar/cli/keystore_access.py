"""Opening keystores for what takes secrets out of them, where the settings allow that at all."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from bursar.cli import compose
from bursar.errors import PolicyDeniedError, WrongPasswordError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from bursar.backends.software.keystore import Unlocked
    from bursar.cli.prompts import SecretSource, Unlock
    from bursar.cli.session import Session
    from bursar.crypto.secret import Secret

_T = TypeVar("_T")
_ATTEMPTS = 3


def require_export(session: Session) -> None:
    """Raise where no secret may leave a keystore (``[custody]`` in the settings)."""
    if not compose.settings(session).allow_export:
        reason = "these are the keys of others, and no secret leaves a keystore here"
        raise PolicyDeniedError(
            f"{reason}: whoever may edit config.toml can allow it in its table [custody]",
            rule="custody",
            reason=reason,
        )


@contextmanager
def opened(session: Session, name: str, unlock: Unlock) -> Generator[Unlocked, None, None]:
    """The keystore with a seed, where secrets may leave it; wiped at the end."""
    from bursar.backends.software import keystore

    require_export(session)
    path = session.home.keystore(name)
    keystore.read_header(path)  # a missing file must not cost the human a password
    source = unlock.source(session, entry=str(path))
    found = with_password(source, f"Password of the keystore {name}", lambda password: keystore.unlock(path, password))
    try:
        yield found
    finally:
        found.wipe()


def with_password(source: SecretSource, question: str, use: Callable[[Secret], _T]) -> _T:
    """What ``use`` gives for the password; a wrong one that was typed may be typed again."""
    request = SecretRequest("password", question)
    for _attempt in range(_ATTEMPTS - 1):
        try:
            with source.ask(request) as password:
                return use(password)
        except WrongPasswordError as error:
            if not source.interactive:
                raise
            source.human.tell(f"{error.message}; once more.")
    with source.ask(request) as password:
        return use(password)
