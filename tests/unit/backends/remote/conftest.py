"""A web3signer and a clef of our own, with the JSON of the real ones, that answer wrongly when told to."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bursar.backends.remote import RemoteBackend, RemoteSigner
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key, uncompressed
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature, personal_digest
from bursar.ethereum.transaction import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret
    from bursar.signing.protocols import DeviceEvent, SecretRequest

KEY = b"\x23" * 32
HOLDER = Address.from_public_key(public_key(KEY))
CHAIN = 31337


class Refused(Exception):
    """A JSON-RPC error to answer with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def transaction_of(fields: dict[str, Any], chain_id: int) -> UnsignedTransaction:
    """As both servers make a transaction of the fields they know, whatever else is in them."""

    def number(name: str) -> int | None:
        return int(fields[name], 16) if name in fields else None

    def wei(name: str) -> Wei | None:
        found = number(name)
        return None if found is None else Wei(found)

    kind = LEGACY
    if "maxFeePerBlobGas" in fields:
        kind = BLOB
    elif "maxFeePerGas" in fields:
        kind = FEE_MARKET
    elif "accessList" in fields:
        kind = ACCESS_LIST
    entries = fields.get("accessList", ())
    return UnsignedTransaction(
        type=kind,
        chain_id=chain_id,
        nonce=number("nonce") or 0,
        to=Address.from_text(fields["to"]) if "to" in fields else None,
        value=wei("value") or Wei(0),
        data=bytes.fromhex(fields.get("input", fields.get("data", "0x"))[2:]),
        gas_limit=number("gas") or 0,
        gas_price=wei("gasPrice"),
        max_fee_per_gas=wei("maxFeePerGas"),
        max_priority_fee_per_gas=wei("maxPriorityFeePerGas"),
        access_list=tuple(
            AccessListEntry(
                Address.from_text(one["address"]), tuple(bytes.fromhex(key[2:]) for key in one["storageKeys"])
            )
            for one in entries
        ),
        max_fee_per_blob_gas=wei("maxFeePerBlobGas"),
        blob_versioned_hashes=tuple(bytes.fromhex(one[2:]) for one in fields.get("blobVersionedHashes", ())),
    )


class FakeSigner:
    """What the two have in common; ``bend`` changes a transaction before it is signed, ``reply`` the whole answer."""

    def __init__(self) -> None:
        self.key = KEY
        self.chain_id = CHAIN
        self.asked: list[tuple[str, Any]] = []
        self.bend: Callable[[UnsignedTransaction], UnsignedTransaction] = lambda tx: tx
        self.reply: Callable[[bytes], bytes] = lambda body: body
        self.result: Callable[[str, Any], Any] = lambda method, result: result
        self.status = 200

    def signature(self, digest: bytes) -> str:
        return encode_signature(ecdsa_sign_recoverable(self.key, digest))

    def signed(self, fields: dict[str, Any], chain_id: int) -> tuple[str, str]:
        if Address.from_text(fields["from"]) != HOLDER:
            raise Refused(-32000, "No unlocked account matches the Sender")
        tx = self.bend(transaction_of(fields, chain_id))
        signed = tx.sign_with(ecdsa_sign_recoverable(self.key, tx.digest()))
        return "0x" + signed.serialize().hex(), signed.hash

    def handle(self, method: str, params: Any) -> Any:
        raise NotImplementedError

    def answer(self, raw: bytes) -> bytes:
        request = json.loads(raw)
        self.asked.append((request["method"], request["params"]))
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            reply["result"] = self.result(request["method"], self.handle(request["method"], request["params"]))
        except Refused as error:
            reply["error"] = {"code": error.code, "message": str(error)}
        return self.reply(json.dumps(reply).encode() + b"\n")

    def get(self, path: str) -> bytes | None:
        return None


class FakeWeb3Signer(FakeSigner):
    """Its eth1 mode: one chain, no access lists, eth_sign with the prefix of EIP-191."""

    def get(self, path: str) -> bytes | None:
        if path == "/upcheck":
            return b"OK"
        if path == "/api/v1/eth1/publicKeys":
            return self.reply(json.dumps(["0x" + uncompressed(public_key(self.key))[1:].hex()]).encode())
        return None

    def handle(self, method: str, params: Any) -> Any:
        if method == "eth_signTransaction":
            fields = {name: value for name, value in params[0].items() if name not in ("accessList", "chainId")}
            return self.signed(fields, self.chain_id)[0]
        if method == "eth_sign":
            return self.signature(personal_digest(bytes.fromhex(params[1][2:])))
        if method == "eth_signTypedData":
            return self.signature(TypedData.from_json(params[1]).digest())
        raise Refused(-32601, "Method not found")


class FakeClef(FakeSigner):
    """Its external API 6: it signs for the chain that is asked for, and gives the transaction as JSON too."""

    def handle(self, method: str, params: Any) -> Any:
        if method == "account_version":
            return "6.1.0"
        if method == "account_list":
            return [str(HOLDER).lower()]
        if method == "account_signTransaction":
            raw, tx_hash = self.signed(params[0], int(params[0]["chainId"], 16))
            return {"raw": raw, "tx": {"hash": tx_hash, "nonce": params[0]["nonce"]}}
        if method == "account_signData" and params[0] == "text/plain":
            return self.signature(personal_digest(bytes.fromhex(params[2][2:])))
        if method == "account_signTypedData":
            return self.signature(TypedData.from_json(json.dumps(params[1])).digest())
        raise Refused(-32601, f"the method {method} does not exist/is not available")


class HttpFace:
    """A fake over HTTP on the loopback interface, with TLS when it has a certificate."""

    def __init__(self, fake: FakeSigner, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(fake.status, fake.answer(body) if fake.status != 302 else b"")

            def do_GET(self) -> None:
                found = fake.get(self.path)
                self._send(404 if found is None else fake.status, found or b"")

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A caller who hangs up is no event."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class SocketFace:
    """A fake over a Unix socket, one JSON value each way."""

    def __init__(self, fake: FakeSigner, path: Path) -> None:
        self._fake = fake
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                data = b""
                while not data.endswith(b"\n"):
                    data += connection.recv(65_536)
                with contextlib.suppress(OSError):  # a caller who hangs up is no event
                    connection.sendall(self._fake.answer(data))

    def close(self) -> None:
        self._listener.close()


class Human:
    """Nobody is asked anything; what they are told is kept."""

    def __init__(self) -> None:
        self.told: list[DeviceEvent] = []

    def ask(self, request: SecretRequest) -> Secret:
        raise AssertionError(request)

    def notify(self, event: DeviceEvent) -> None:
        self.told.append(event)


class Bench:
    """A folder of remote signers and the servers behind them."""

    holder = HOLDER
    chain = CHAIN

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = RemoteBackend(folder)
        self.human = Human()
        self.faces: list[HttpFace | SocketFace] = []

    def write(self, name: str, **fields: Any) -> None:
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in {"address": str(HOLDER), **fields}.items()]
        (self.folder / f"{name}.toml").write_text("".join(lines))

    def make(self, kind: int = FEE_MARKET, **changes: Any) -> UnsignedTransaction:
        return make_transaction(kind, **changes)

    def face(self, fake: FakeSigner, context: ssl.SSLContext | None = None) -> HttpFace:
        made = HttpFace(fake, context)
        self.faces.append(made)
        return made

    def certificate(self, name: str) -> Path:
        return certificate(self.folder, name)

    def refusal(self, code: int, message: str) -> Any:
        """To be a fake's ``result``: refuse everything but what opening asks."""

        def refuse(method: str, result: Any) -> Any:
            if method == "account_version":
                return result
            raise Refused(code, message)

        return refuse

    def serve(self, kind: str, **fields: Any) -> FakeSigner:
        """Stand up a server and write the file of its account; ``socket`` for a clef behind one."""
        fake: FakeSigner = FakeWeb3Signer() if kind == "web3signer" else FakeClef()
        if kind == "socket":
            self.faces.append(SocketFace(fake, self.folder / "clef.ipc"))
            self.write("there", kind="clef", socket="clef.ipc", **fields)
        else:
            self.write("there", kind=kind, url=self.face(fake).url, **fields)
        return fake

    def open(self, name: str = "there") -> RemoteSigner:
        found = next(one for one in self.backend.discover() if one.label == name)
        return self.backend.open(found, self.human)


def make_transaction(kind: int = FEE_MARKET, **changes: Any) -> UnsignedTransaction:
    fields: dict[str, Any] = {
        "type": kind, "chain_id": CHAIN, "nonce": 9, "to": Address(b"\x35" * 20), "value": Wei(10**18),
        "gas_limit": 60_000, "data": b"\x01\x02",
    }  # fmt: skip
    if kind >= FEE_MARKET:
        fields |= {"max_fee_per_gas": Wei(30 * 10**9), "max_priority_fee_per_gas": Wei(10**9)}
    else:
        fields |= {"gas_price": Wei(20 * 10**9)}
    if kind == BLOB:
        fields |= {"max_fee_per_blob_gas": Wei(10**9), "blob_versioned_hashes": (b"\x01" * 32,)}
    return UnsignedTransaction(**{**fields, **changes})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for face in made.faces:
        face.close()


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
