"""The firmware as a machine without I/O: messages and button presses in, messages out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trezorlib import messages, protobuf

from bursar.errors import BursarError
from bursar_devices.device import Human, Lie, Page, Press
from bursar_devices.humans import press_for
from bursar_devices.trezor import codec, debuglink, dispatch
from bursar_devices.trezor.workflow import Exchange, FailError, Flipped, Screen, Step, Workflow

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Failure = messages.FailureType
Send = Callable[[int, bytes], None]

_LEGACY_TEXTS = {
    _Failure.UnexpectedMessage: "Unexpected message",
    _Failure.DataError: "Data error",
    _Failure.ActionCancelled: "Action cancelled by user",
    _Failure.PinCancelled: "PIN cancelled",
    _Failure.PinInvalid: "PIN invalid",
    _Failure.PinMismatch: "PIN mismatch",
    _Failure.WipeCodeMismatch: "Wipe code mismatch",
    _Failure.NotEnoughFunds: "Not enough funds",
    _Failure.NotInitialized: "Device not initialized",
    _Failure.InvalidSession: "Invalid session",
    _Failure.ProcessError: "Process error",
}
_CORE_TEXTS = _LEGACY_TEXTS | {_Failure.ActionCancelled: "Cancelled", _Failure.PinCancelled: "PIN entry cancelled"}


@dataclass(slots=True)
class _Flow:
    """A request under way and what it waits for."""

    workflow: Workflow[protobuf.MessageType]
    request: protobuf.MessageType
    step: Step | None = None
    acked: bool = False
    page: int = 0


class Machine:
    """One powered device. ``send`` takes each outgoing message; every call returns once nothing more can be done."""

    def __init__(self, board: Board, send: Send, send_debug: Send, human: Human | None) -> None:
        self.board = board
        self.human = human
        self.pages: list[Page] = []
        self.human_error: AssertionError | None = None  # what a human raised instead of pressing
        self.typed: deque[str] = deque()  # what the human types next on the device itself
        self._send = send
        self._send_debug = send_debug
        self._flow: _Flow | None = None
        self._stream: _Flow | None = None  # a Trezor One's streamed request while another message is answered
        self._decision: Press | str | Flipped | None = None  # pressed before the host acknowledged
        self._previous: protobuf.MessageType | None = None

    # Host

    def oversized(self) -> None:
        """The host announced a message longer than the device takes."""
        self._fail(_Failure.DataError, "Message too big" if self.board.legacy else "Message too large")

    def debug(self, kind: int, data: bytes) -> None:
        """One message on the debug link."""
        known = codec.message_class(kind)
        if known is None:
            return
        try:
            message = codec.decode(known, data)
        except codec.MalformedError:
            return
        reply = debuglink.answer(self, message)
        if reply is not None:
            reply_kind = reply.MESSAGE_WIRE_TYPE
            assert reply_kind is not None
            self._send_debug(reply_kind, codec.encode(reply))

    def receive(self, kind: int, data: bytes) -> None:
        """One message from the host."""
        flow = self._flow
        if flow is not None and isinstance(flow.step, (Exchange, Screen)) and self._deaf(flow):
            self._receive_tiny(flow, kind, data)
            return
        known = codec.message_class(kind)
        if known is None or not dispatch.known(self.board, known):
            if self.board.legacy:
                self._fail(_Failure.UnexpectedMessage, "Unknown message")
            else:
                self._drop()
                self._fail(_Failure.UnexpectedMessage, "Unexpected message")
            return
        try:
            message = codec.decode(known, data, limits=self.board.legacy)
        except codec.MalformedError as error:
            if not self.board.legacy:
                self._drop()
            text = str(error)
            self._fail(_Failure.DataError, text if self.board.legacy else f"Failed to decode message: {text}")
            return
        self._take(message)

    def _deaf(self, flow: _Flow) -> bool:
        """Whether a Trezor One is in a dialogue in which it ignores all but a few messages."""
        step = flow.step
        return self.board.legacy and (isinstance(step, Screen) or (isinstance(step, Exchange) and step.modal))

    def _receive_tiny(self, flow: _Flow, kind: int, data: bytes) -> None:
        step = flow.step
        known = codec.message_class(kind)
        if known is None or known.__name__ not in dispatch.TINY:
            return
        if len(data) > 64 - 9:
            self._fail(_Failure.DataError, "Message too big")
            return
        try:
            message = codec.decode(known, data, limits=True)
        except codec.MalformedError as error:
            self._fail(_Failure.DataError, str(error))
            return
        if isinstance(message, messages.Initialize):
            self._drop()
            self._take(messages.Initialize())
        elif isinstance(message, messages.Cancel):
            self._resume(None)
        elif isinstance(step, Screen):
            if isinstance(message, messages.ButtonAck):
                self._acknowledge()
        elif isinstance(step, Exchange) and isinstance(message, step.replies):
            self._resume(message)

    def _take(self, message: protobuf.MessageType) -> None:
        flow = self._flow
        if flow is None and self._stream is not None:
            step = self._stream.step
            if isinstance(step, Exchange) and isinstance(message, step.replies):
                self._flow, self._stream = self._stream, None
                self._resume(message)
                return
        if flow is not None:
            step = flow.step
            if isinstance(step, Exchange) and isinstance(message, step.replies):
                self._resume(message)
                return
            if isinstance(step, Screen) and not flow.acked and isinstance(message, messages.ButtonAck):
                self._acknowledge()
                return
            if self.board.legacy and not isinstance(message, dispatch.ABORTING):
                self._stream = flow  # its state waits for its next message
                self._flow = None
            else:
                self._drop()
        if isinstance(message, dispatch.ABORTING):
            self._drop()
        self._begin(message)

    def _begin(self, message: protobuf.MessageType) -> None:
        workflow = dispatch.start(self.board, message)
        self._flow = _Flow(workflow, message)
        self._resume(None)

    # Running

    def _resume(self, answer: object) -> None:
        flow = self._flow
        assert flow is not None
        try:
            step = flow.workflow.send(answer)
        except StopIteration as stop:
            self._finish(stop.value)
        except FailError as error:
            self._finish_failed(error)
        except BursarError as error:
            self._finish_failed(FailError(_Failure.DataError, error.message))
        else:
            self._wait(flow, step)

    def _wait(self, flow: _Flow, step: Step) -> None:
        flow.step, flow.acked, flow.page = step, False, 0
        if isinstance(step, Exchange):
            if step.page is not None:
                self.pages.append(step.page)
            self._write(step.message)
            return
        legacy = self.board.legacy
        self._write(
            messages.ButtonRequest(
                code=step.code,
                pages=None if legacy else len(step.pages),
                name=None if legacy else step.name,
            )
        )

    def _finish(self, reply: protobuf.MessageType) -> None:
        self._flow = None
        self._decision = None
        if Lie.OLD_REPLY in self.board.lies and self._previous is not None and not isinstance(reply, messages.Features):
            reply, self._previous = self._previous, reply
        elif not isinstance(reply, messages.Features):
            self._previous = reply
        self._write(reply)

    def _finish_failed(self, error: FailError) -> None:
        self._flow = None
        self._decision = None
        self._fail(error.code, error.text)
        if error.again is not None:
            self._fail(error.code, error.again)

    def _fail(self, code: messages.FailureType, text: str | None) -> None:
        texts = _LEGACY_TEXTS if self.board.legacy else _CORE_TEXTS
        self._write(messages.Failure(code=code, message=texts.get(code) if text is None else text))

    def _write(self, message: protobuf.MessageType) -> None:
        kind = message.MESSAGE_WIRE_TYPE
        assert kind is not None
        self._send(kind, codec.encode(message))

    def _drop(self) -> None:
        for flow in (self._flow, self._stream):
            if flow is not None:
                flow.workflow.close()
        self._flow = self._stream = None
        self._decision = None

    # Human

    def attend(self, human: Human | None) -> None:
        """From now on ``human`` looks at the screen; a page that waits is shown to them at once."""
        self.human = human
        self._ask_human()

    def screen(self) -> Screen | None:
        """The screen up, whether or not the host has acknowledged it."""
        step = self._flow.step if self._flow is not None else None
        return step if isinstance(step, Screen) else None

    def page(self) -> Page | None:
        flow = self._flow
        if flow is None or not flow.acked or not isinstance(flow.step, Screen):
            return None
        return flow.step.pages[flow.page]

    def glance(self) -> Page | None:
        """What is on the screen, also where the host and no button answers it: the matrix of a PIN or of words."""
        step = None if self._flow is None else self._flow.step
        return step.page if isinstance(step, Exchange) else self.page()

    def _acknowledge(self) -> None:
        flow = self._flow
        assert flow is not None
        flow.acked = True
        self._shown()
        if self._decision is not None and flow is self._flow and flow.acked:
            decision, self._decision = self._decision, None
            self.decide(decision)
            return
        self._ask_human()

    def _shown(self) -> None:
        page = self.page()
        if page is not None:
            self.pages.append(page)

    def _ask_human(self) -> None:
        page = self.page()
        if self.human is None or page is None:
            return
        try:
            press = press_for(self.human, page)
        except AssertionError as error:
            self.human_error = self.human_error or error
            press = Press.REFUSE
        self.press(press)

    def press(self, press: Press) -> None:
        """One press on the page shown."""
        flow = self._flow
        page = self.page()
        if flow is None or page is None or not isinstance(flow.step, Screen):
            return
        if press is Press.REFUSE:
            self._resume(None)
        elif flow.page + 1 < len(flow.step.pages):
            flow.page += 1
            self._shown()
            self._ask_human()
        else:
            self._resume(self._typed(flow.step) if flow.step.entry is not None else True)

    def _typed(self, step: Screen) -> str:
        if self.typed:
            return self.typed.popleft()
        return (self.board.storage.pin or "") if step.entry == "pin" else ""

    def decide(self, decision: Press | str | Flipped) -> None:
        """The debug link's decision on the whole screen; one that comes too early is kept."""
        flow = self._flow
        if flow is None or not isinstance(flow.step, Screen):
            return
        step = flow.step
        if not flow.acked:
            self._decision = decision
        elif isinstance(decision, str) and not isinstance(decision, Press):
            self._resume(decision)
        elif decision is Press.ACCEPT:
            self._resume(self._typed(step) if step.entry is not None else True)
        elif step.flips and self.board.legacy:
            self._resume(Flipped())
        else:
            self._resume(None)
