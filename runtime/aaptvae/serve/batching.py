"""Requests that are read in the same turn of the loop, computed together.

No request waits for others to arrive: at most until the end of the turn, and only while requests come together. Those that
have arrived share a call of the model, and their answers are sent one after the other: the code of each step is then in the
caches of the CPU, and a client process with several connections is woken once.
"""

import asyncio
import contextlib
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .answers import Answer
from .models import Model, Wanted
from .tensors import Inference, write_answer

SMALL_WORK = 1 << 23  # multiplications of a call, about half a millisecond: a request with more is computed in a thread
_TURN_WORK = 4 * SMALL_WORK  # of a turn, after which the loop looks at the sockets
_SHARING = 4  # turns with one request or none, after which requests are answered at once again


class ModelRequest(NamedTuple):
    """A request that follows the protocol and keeps the limits, and what it asks for."""

    model: Model
    asked: Inference
    rows: int
    wanted: Wanted

    @property
    def work(self) -> int:
        """Multiplications."""
        return self.rows * self.model.cost

    def answer(self) -> Answer:
        """Compute this request alone; raises `AaptvaeError`."""
        arrays = self.model.compute(self.asked.inputs, self.wanted.names, self.asked.options)
        return write_answer(self.model.label, self.asked, zip(self.wanted.ports, arrays, strict=True), self.rows)

    def kind(self) -> Hashable:
        """Requests of one kind can share a call of the model; None: only alone.

        An answer has the same bits either way: no result of a row depends on other rows (tested).
        """
        inputs, dtypes = self.asked.inputs, []
        for port in self.model.inputs:
            array = inputs.get(port.name)
            if array is None or port.shape[0] != -1 or array.shape != (self.rows, *port.shape[1:]):
                return None
            dtypes.append(array.dtype)
        return None if self.asked.options else (self.model, self.wanted.names, *dtypes)


_Waiting = tuple[ModelRequest, "asyncio.Future[Answer]"]


class Batcher:
    """The requests that wait for the end of a turn of the loop, by kind."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, list[_Waiting]] = {}  # the kind that waits longest is the first
        self._came = 0  # requests in this turn
        self._sharing = 0  # turns in which requests still wait for each other
        self._due = False  # `_end_turn` will be called

    def answer(self, request: ModelRequest) -> "Answer | asyncio.Future[Answer]":
        """The answer at once, if lately no requests came together, or if this one can share no call; else its future."""
        self._came += 1
        self._plan_end()
        kind = request.kind() if self._sharing else None
        if kind is None:
            return request.answer()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._kinds.setdefault(kind, []).append((request, future))
        return future

    def _plan_end(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._end_turn)  # after the sockets that are readable now

    def _end_turn(self) -> None:
        """Answer requests, call by call; if there are too many, the others after the next look at the sockets."""
        self._sharing = _SHARING if self._came > 1 else max(0, self._sharing - 1)
        self._came, self._due, work = 0, False, 0
        while self._kinds and work < _TURN_WORK:
            waiting = self._next()
            work += sum([request.work for request, _ in waiting])
            _settle([one for one in waiting if not one[1].done()])  # done: its client has left
        if self._kinds:
            self._plan_end()

    def _next(self) -> Sequence[_Waiting]:
        """Take the requests of one call from the kind that waits longest, which then is the last."""
        kind = next(iter(self._kinds))
        waiting = self._kinds.pop(kind)
        count, left = 1, SMALL_WORK - waiting[0][0].work
        while count < len(waiting) and (left := left - waiting[count][0].work) >= 0:
            count += 1
        if count < len(waiting):
            self._kinds[kind] = waiting[count:]
        return waiting[:count]


def _settle(waiting: Sequence[_Waiting]) -> None:
    for (_, future), outcome in zip(waiting, _outcomes([request for request, _ in waiting]), strict=True):
        if isinstance(outcome, Answer):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


def _outcomes(requests: Sequence[ModelRequest]) -> Sequence[Answer | Exception]:
    """The answer or the error of each of the requests, which are of one kind."""
    if len(requests) > 1:
        with contextlib.suppress(Exception):  # of at least one of them: alone, each gets its own
            return list(_together(requests))
    return [_outcome(request) for request in requests]


def _outcome(request: ModelRequest) -> Answer | Exception:
    try:
        return request.answer()
    except Exception as error:
        return error


def _together(requests: Sequence[ModelRequest]) -> Iterator[Answer]:
    """The answers of requests of one kind; raises `AaptvaeError` if one of them cannot be computed."""
    model, wanted = requests[0].model, requests[0].wanted
    inputs = {port.name: np.concatenate([request.asked.inputs[port.name] for request in requests]) for port in model.inputs}
    arrays = model.compute(inputs, wanted.names, {})
    start = 0
    for request in requests:
        stop = start + request.rows
        parts = [array[start:stop] for array in arrays]
        answer = write_answer(model.label, request.asked, zip(wanted.ports, parts, strict=True), request.rows)
        answer.executions = int(request is requests[0])
        yield answer
        start = stop
