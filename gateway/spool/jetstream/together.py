"""Buckets and talk between pods on the broker (io): implements :mod:`gateway.together`.

Law: a bucket is a stream as ``nats kv`` knows it, so that people can look into it; it is made by whoever writes first and never changed. Talk is core NATS: bounded,
dropped where it cannot be sent, and without the speaker's own words.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gateway.spool.jetstream.names import Names
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Refused, Wire
from gateway.telemetry import tasks
from gateway.together import BucketAway, Entry

_IN_USE, _NO_STREAM = 10058, 10059
_WRONG_LAST = frozenset({10071, 10164})
_TIMEOUT_S = 2.0
_MOST = 10_000
_WAITING = 500
"""Words that wait to be sent; the oldest give way."""


class KeyValue:
    """One bucket."""

    def __init__(self, wire: Wire, name: str, history: int, replicas: int) -> None:
        self._wire = wire
        self._name = name
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."
        self._history = history
        self._replicas = replicas

    async def entries(self, prefix: str) -> list[Entry]:
        """See :meth:`gateway.together.Bucket.entries`."""
        try:
            found = await self._wire.scan(self._stream, f"{self._prefix}{prefix}.>", 0, _MOST)
        except BrokerAway as away:
            if await self._exists():
                raise BucketAway(str(away)) from None
            return []
        return [entry for each in found if (entry := self._entry(each)) is not None]

    async def keys(self, prefix: str) -> list[str]:
        """See :meth:`gateway.together.Bucket.keys`."""
        state = await self._info({"subjects_filter": f"{self._prefix}{prefix}.>"})
        return sorted(subject.removeprefix(self._prefix) for subject in state.get("subjects") or {})

    async def entry(self, key: str) -> Entry | None:
        """See :meth:`gateway.together.Bucket.entry`."""
        return await self._read({"last_by_subj": self._prefix + key})

    async def put(self, key: str, value: bytes, after: int | None = None, ttl_s: float = 0.0) -> int | None:
        """See :meth:`gateway.together.Bucket.put`."""
        headers = {}
        if after is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(after)
        if ttl_s:
            headers["Nats-TTL"] = f"{max(1, round(ttl_s))}s"
        message = Message(self._prefix + key, value, headers or None)
        try:
            try:
                (answer,) = await self._wire.ask([message], _TIMEOUT_S)
            except BrokerAway:
                if await self._exists():
                    raise
                await self._create()
                (answer,) = await self._wire.ask([message], _TIMEOUT_S)
            return int(answer.json()["seq"])
        except BrokerAway as away:
            raise BucketAway(str(away)) from None
        except Refused as refused:
            if refused.code in _WRONG_LAST:
                return None
            raise BucketAway(f"bucket {self._name}: {refused}") from None

    async def remove(self, key: str) -> None:
        """See :meth:`gateway.together.Bucket.remove`."""
        try:
            await self._wire.api(f"STREAM.PURGE.{self._stream}", {"filter": self._prefix + key}, _TIMEOUT_S)
        except BrokerAway as away:
            raise BucketAway(str(away)) from None
        except Refused as refused:
            if refused.code != _NO_STREAM:
                raise BucketAway(f"bucket {self._name}: {refused}") from None

    async def bounds(self) -> tuple[int, int]:
        """See :meth:`gateway.together.Bucket.bounds`. The stream's leader answers, so what has been written is seen."""
        state = await self._info({})
        return (int(state["first_seq"]), int(state["last_seq"])) if state.get("messages") else (0, 0)

    async def at(self, revision: int) -> Entry | None:
        """See :meth:`gateway.together.Bucket.at`."""
        return await self._read({"seq": revision})

    async def _read(self, request: dict[str, Any]) -> Entry | None:
        try:
            (found,) = await self._wire.read(self._stream, [request], _TIMEOUT_S)
        except BrokerAway as away:
            if await self._exists():
                raise BucketAway(str(away)) from None
            return None
        return self._entry(found) if found is not None else None

    async def _info(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            state: dict[str, Any] = (await self._wire.api(f"STREAM.INFO.{self._stream}", body, _TIMEOUT_S))["state"]
        except BrokerAway as away:
            raise BucketAway(str(away)) from None
        except Refused as refused:
            if refused.code == _NO_STREAM:
                return {}
            raise BucketAway(f"bucket {self._name}: {refused}") from None
        return state

    async def _exists(self) -> bool:
        """Whether somebody has written to it. A stream that is missing and a broker that is away are silent alike."""
        return bool(await self._info({}))

    async def _create(self) -> None:
        stream = {
            "name": self._stream, "subjects": [f"{self._prefix}>"], "retention": "limits", "storage": "file", "discard": "new", "max_msgs_per_subject": self._history,
            "num_replicas": self._replicas, "allow_direct": True, "allow_msg_ttl": True, "allow_rollup_hdrs": True, "deny_delete": True,
        }  # fmt: skip
        try:
            await self._wire.api(f"STREAM.CREATE.{self._stream}", stream, _TIMEOUT_S)
        except Refused as refused:
            if refused.code != _IN_USE:
                raise

    def _entry(self, answer: Answer) -> Entry | None:
        headers = answer.headers
        if headers.get("KV-Operation") in {"DEL", "PURGE"} or "Nats-Marker-Reason" in headers:
            return None
        return Entry(headers["Nats-Subject"].removeprefix(self._prefix), answer.data, int(headers["Nats-Sequence"]))


class Talk:
    """One process's place among the others."""

    def __init__(self, wire: Wire, names: Names, replicas: int) -> None:
        self.pod = secrets.token_hex(6)
        self._wire = wire
        self._names = names
        self._replicas = replicas
        self._waiting: deque[Message] = deque(maxlen=_WAITING)
        self._sending: asyncio.Task[None] | None = None

    def bucket(self, name: str, history: int = 1) -> KeyValue:
        """See :meth:`gateway.together.Together.bucket`."""
        return KeyValue(self._wire, f"{self._names.queue}-{name}", history, self._replicas)

    def say(self, topic: str, words: bytes) -> None:
        """See :meth:`gateway.together.Together.say`."""
        if not self._wire.connected:
            return
        self._waiting.append(Message(self._names.topic(topic), words, {"Ttgw-Pod": self.pod}))
        if self._sending is None or self._sending.done():
            self._sending = tasks.spawn(self._send(), "tell other pods")

    async def _send(self) -> None:
        with suppress(BrokerAway):
            while self._waiting:
                await self._wire.send(self._waiting.popleft())
        self._waiting.clear()

    def hear(self, topic: str, told: Callable[[bytes], None]) -> None:
        """See :meth:`gateway.together.Together.hear`."""

        def arrived(words: bytes, headers: dict[str, str]) -> None:
            if headers.get("Ttgw-Pod") != self.pod:
                told(words)

        tasks.spawn(self._wire.listen(self._names.topic(topic), arrived), "listen to other pods")

    async def close(self) -> None:
        """Say no more."""
        await tasks.cancel(self._sending)
