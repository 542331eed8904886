"""JSON-RPC answers of the sandbox in the words of go-ethereum, which clients match on."""

from __future__ import annotations

from typing import Any


class RpcError(Exception):
    """A JSON-RPC error object: ``code``, the message, and ``data`` when there is some."""

    def __init__(self, message: str, *, code: int = -32000, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """The error object."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def invalid_params(message: str) -> RpcError:
    """A call whose arguments cannot be read."""
    return RpcError(message, code=-32602)


def method_not_found(method: str) -> RpcError:
    """A method this node does not have."""
    return RpcError(f"the method {method} does not exist/is not available", code=-32601)


def reverted(output: bytes) -> RpcError:
    """A call that the contract refused, with the reason of ``Error(string)`` when there is one."""
    reason = revert_reason(output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return RpcError(message, code=3, data="0x" + output.hex())


def revert_reason(output: bytes) -> str | None:
    """The text in the ABI encoding of ``Error(string)``."""
    if output[:4] != b"\x08\xc3\x79\xa0" or len(output) < 68:
        return None
    size = int.from_bytes(output[36:68], "big")
    return output[68 : 68 + size].decode("utf-8", "replace") if size <= len(output) - 68 else None


def quantity(value: int) -> str:
    """An integer as JSON-RPC writes it."""
    return hex(value)


def data_text(value: bytes) -> str:
    """Bytes as JSON-RPC writes them."""
    return "0x" + value.hex()
