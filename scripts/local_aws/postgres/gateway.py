"""The endpoints of clusters and instances: addresses that lead to a server, or to nothing.

A server never moves, and keeps its sessions when its cluster is renamed. So nobody connects to it directly: an endpoint
is a listener that connects to the server from the address of the member whose session it is. Nothing listens at an
endpoint that does not exist: where a name does not resolve on AWS, a connection is refused here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

_DROPPED_SECONDS = 127.0
"""As long as Linux repeats a request to connect that nobody answers (tcp(7), tcp_syn_retries)."""
_REPEAT_SECONDS = 0.5


class Place(NamedTuple):
    """The address and port at which a server listens."""

    address: str
    port: int


class Connection(NamedTuple):
    """A client's connection to an endpoint, by both ends: of its own end alone the client may have several.

    Linux gives one local port to connections with different destinations (ip(7), ip_local_port_range).
    """

    client: Place
    endpoint: Place


class Route(NamedTuple):
    """A server, and the member of its cluster whose session a new connection will be."""

    server: Place
    member: Place


Admission = Callable[[Connection], Route | None]
"""Where a client's connection leads. None as long as the firewall lets it not in."""


class Gateway:
    """All endpoints of one run, served by one thread. Its methods may be called from any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._listeners: dict[Place, asyncio.Server] = {}
        self.sessions: dict[_Client, Place] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._thread.start()

    def listen(self, place: Place, admit: Admission) -> None:
        """Add an endpoint. Nothing changes for one that is there already."""
        self._run(self._listen(place, admit))

    def leave(self, place: Place) -> None:
        """Remove an endpoint. The sessions that began there continue."""
        self._run(self._leave(place))

    def cut(self, member: Place) -> None:
        """End the connections to a member."""
        self._run(self._cut(member))

    def close(self) -> None:
        """End all sessions and stop listening."""
        if not self._loop.is_closed():
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self, place: Place, admit: Admission) -> None:
        if place not in self._listeners:
            self._listeners[place] = await self._loop.create_server(lambda: _Client(self, admit), *place)

    async def _leave(self, place: Place) -> None:
        if listener := self._listeners.pop(place, None):
            listener.close()

    async def _cut(self, member: Place) -> None:
        for client in [client for client, of in self.sessions.items() if of == member]:
            client.transport.abort()

    async def _close(self) -> None:
        for place in list(self._listeners):
            await self._leave(place)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for client in list(self.sessions):
            client.transport.abort()


class _End(asyncio.Protocol):
    """One end of a session: what arrives at it leaves at the other."""

    transport: asyncio.Transport

    def __init__(self, other: asyncio.Transport | None = None) -> None:
        self.other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's transport is one

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.write(data)

    def pause_writing(self) -> None:
        if self.other:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other:
            self.other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other:
            self.other.close()


class _Client(_End):
    """The end where a client has connected. What it says before the server is reached is kept."""

    def __init__(self, gateway: Gateway, admit: Admission) -> None:
        super().__init__()
        self._gateway = gateway
        self._admit = admit
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other:
            super().data_received(data)
        else:
            self._early.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._gateway.sessions.pop(self, None)
        if self._connecting:
            self._connecting.cancel()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(_DROPPED_SECONDS):
                route = await self._admitted()
            source = (route.member.address, 0)
            loop = asyncio.get_running_loop()
            server, _ = await loop.create_connection(lambda: _End(self.transport), *route.server, local_addr=source)
        except OSError:  # of which a timeout is one
            self.transport.abort()
            return
        if self.transport.is_closing():
            server.close()
            return
        self.other = server
        self._gateway.sessions[self] = route.member
        server.writelines(self._early)

    async def _admitted(self) -> Route:
        ends = [Place(*self.transport.get_extra_info(each)[:2]) for each in ("peername", "sockname")]
        while (route := self._admit(Connection(*ends))) is None:
            await asyncio.sleep(_REPEAT_SECONDS)
        return route
