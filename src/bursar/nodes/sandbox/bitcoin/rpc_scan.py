"""JSON-RPC by script: scanning coins and blocks, descriptors, addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor import add_checksum, checksum
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import witness_program
from bursar.errors import InvalidInputError
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.descriptors import DEFAULT_RANGE, MAX_RANGE, Descriptor
from bursar.nodes.sandbox.bitcoin.opcodes import output_type
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.shapes import descriptor as inferred

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain


def _parse(value: Any) -> Descriptor:
    try:
        return Descriptor.parse(params.text(value))
    except InvalidInputError as error:
        raise RpcError(params.ADDRESS_OR_KEY, error.message) from error


def _range(value: Any) -> tuple[int, int]:
    if params.kind(value) == "number":
        begin, end = 0, params.whole(value)
    else:
        bounds = params.array(value)
        if len(bounds) != 2:
            raise RpcError(params.PARAMETER, "Range must have exactly two elements")
        begin, end = params.whole(bounds[0]), params.whole(bounds[1])
    if begin > end:
        raise RpcError(params.PARAMETER, "Range specified as [begin,end] must not have begin after end")
    if begin < 0:
        raise RpcError(params.PARAMETER, "Range should be greater or equal than 0")
    if end - begin >= MAX_RANGE:
        raise RpcError(params.PARAMETER, "Range is too large")
    return begin, end


def _scripts(scanobjects: Any) -> dict[bytes, str | None]:
    found: dict[bytes, str | None] = {}
    for item in params.array(scanobjects):
        bounds = DEFAULT_RANGE
        text = item
        if params.kind(item) == "object":
            text = item.get("desc")
            if text is None:
                raise RpcError(params.PARAMETER, "Descriptor needs to be provided in scan object")
            if item.get("range") is not None:
                bounds = _range(item["range"])
        elif params.kind(item) != "string":
            raise RpcError(params.PARAMETER, "Scan object needs to be either a string or an object")
        try:
            found.update(_parse(text).scripts(*bounds))
        except InvalidInputError as error:
            raise RpcError(params.ADDRESS_OR_KEY, error.message) from error
    return found


def _action(action: Any) -> str:
    given = params.text(action)
    if given not in ("start", "status", "abort"):
        raise RpcError(params.PARAMETER, f"Invalid action '{given[:40]}'")
    return given


def scantxoutset(chain: RegtestChain, action: Any, scanobjects: Any = None) -> Any:
    """The unspent outputs of some descriptors; the index answers at once, so there is never a scan to abort."""
    given = _action(action)
    if given != "start":
        return None if given == "status" else False
    if scanobjects is None:
        raise RpcError(params.MISC, "scanobjects argument is required for the start action")
    index = chain.index
    unspents: list[dict[str, Any]] = []
    total = 0
    for script, described in _scripts(scanobjects).items():
        for outpoint in index.by_script.get(script, ()):
            coin = index.coins[outpoint]
            total += coin.value
            unspents.append(
                {
                    "txid": str(outpoint.txid),
                    "vout": outpoint.vout,
                    "scriptPubKey": script.hex(),
                    "desc": described or inferred(script),
                    "amount": Btc(coin.value),
                    "coinbase": coin.coinbase,
                    "height": coin.height,
                    "blockhash": index.chain[coin.height].block.hash[::-1].hex(),
                    "confirmations": chain.height - coin.height + 1,
                }
            )
    return {
        "success": True,
        "txouts": len(index.coins),
        "height": chain.height,
        "bestblock": chain.tip_hash,
        "unspents": unspents,
        "total_amount": Btc(total),
    }


def scanblocks(
    chain: RegtestChain,
    action: Any,
    scanobjects: Any = None,
    start_height: Any = 0,
    stop_height: Any = None,
    filtertype: Any = "basic",
    options: Any = None,  # noqa: ARG001
) -> Any:
    """The blocks that pay to some descriptors or spend from them; exact, unlike block filters."""
    given = _action(action)
    if given != "start":
        return None if given == "status" else False
    if params.text(filtertype) != "basic":
        raise RpcError(params.ADDRESS_OR_KEY, "Unknown filtertype")
    if not chain.indexed:
        raise RpcError(params.MISC, "Index is not enabled for filtertype basic")
    start = params.whole(start_height)
    stop = chain.height if stop_height is None else params.whole(stop_height)
    if not 0 <= start <= chain.height:
        raise RpcError(params.MISC, "Invalid start_height")
    if not start <= stop <= chain.height:
        raise RpcError(params.MISC, "Invalid stop_height")
    heights = {height for script in _scripts(scanobjects) for height in chain.index.heights(script)}
    relevant = [height for height in sorted(heights) if start <= height <= stop]
    return {
        "from_height": start,
        "to_height": stop,
        "relevant_blocks": [chain.index.chain[height].block.hash[::-1].hex() for height in relevant],
        "completed": True,
    }


def getdescriptorinfo(chain: RegtestChain, descriptor: Any) -> Any:  # noqa: ARG001
    """A descriptor's checksum and kind."""
    parsed = _parse(descriptor)
    return {
        "descriptor": add_checksum(parsed.text),
        "checksum": checksum(parsed.text),
        "isrange": parsed.ranged,
        "issolvable": parsed.solvable,
        "hasprivatekeys": False,
    }


def deriveaddresses(chain: RegtestChain, descriptor: Any, range: Any = None) -> Any:  # noqa: A002, ARG001
    """The addresses of a descriptor."""
    if "#" not in params.text(descriptor):
        raise RpcError(params.ADDRESS_OR_KEY, "Missing checksum")
    parsed = _parse(descriptor)
    if parsed.ranged != (range is not None):
        rule = "must be specified for a ranged" if parsed.ranged else "should not be specified for an un-ranged"
        raise RpcError(params.PARAMETER, f"Range {rule} descriptor")
    try:
        scripts = parsed.scripts(*(_range(range) if range is not None else (0, 0)))
        return [Address.from_script(script, Network.REGTEST).text for script, _ in scripts]
    except InvalidInputError as error:
        raise RpcError(params.ADDRESS_OR_KEY, "Descriptor does not have a corresponding address") from error


def validateaddress(chain: RegtestChain, address: Any) -> Any:  # noqa: ARG001
    """Whether a text is an address of this chain, and of what kind."""
    try:
        parsed = Address.from_text(params.text(address), Network.REGTEST)
    except InvalidInputError as error:
        return {"isvalid": False, "error_locations": [], "error": error.message}
    shape: dict[str, Any] = {"isvalid": True, "address": parsed.text, "scriptPubKey": parsed.script.hex()}
    program = witness_program(parsed.script)
    kind = output_type(parsed.script)
    if kind != "witness_unknown":
        shape["isscript"] = kind not in ("pubkeyhash", "witness_v0_keyhash")
    shape["iswitness"] = program is not None
    if program is not None and kind != "anchor":
        shape |= {"witness_version": program[0], "witness_program": program[1].hex()}
    return shape


METHODS: Final = (scantxoutset, scanblocks, getdescriptorinfo, deriveaddresses, validateaddress)
