"""The PIN of a Trezor One: typed as positions in a matrix whose digits only the device shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError, UserCancelledError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.signing.protocols import Prompt

LONGEST = 50
_WHAT = {
    1: "PIN",
    2: "New PIN",
    3: "New PIN again (the digits have moved)",
    4: "New wipe code",
    5: "New wipe code again (the digits have moved)",
}
LAYOUT = """\
Look at the trezor: it shows nine digits in a square. Type where your digits are, not the digits themselves:
  7 8 9
  4 5 6
  1 2 3"""


def matrix_positions(prompt: Prompt, request: Any) -> str:
    """Ask for the positions, 1 to 9 as on a numeric keypad; nothing typed is a refusal."""
    what = _WHAT.get(int(request.type or 1), "PIN")
    with prompt.ask(SecretRequest("pin", f"{what} of the trezor. {LAYOUT}")) as answer:
        positions = answer.expose()
        if not positions:
            raise UserCancelledError("no PIN was typed")
        if len(positions) > LONGEST or positions.strip(b"123456789"):
            raise InvalidInputError(
                f"the PIN is typed as positions: 1 to {LONGEST} of the digits 1 to 9, as the trezor's square lies "
                "on a numeric keypad",
                code="signer.pin",
            )
        return positions.decode()
