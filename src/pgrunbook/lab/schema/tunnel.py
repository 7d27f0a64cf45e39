"""A private socket on this machine that leads to a server over TLS, for client programs that were built without it.

The wheel's pg_dump has no TLS.  Each connection to our socket is carried to the server in an encrypted one, whose
certificate is checked as the connection's sslmode asks.  Only this user reaches the socket: its folder has mode 0700.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pgrunbook.errors import Unsupported

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # the protocol's SSLRequest; the server answers S or N
AUTHENTICATION, NEGOTIATE_PROTOCOL = b"R", b"v"  # message types
OFFERS_SASL = (10).to_bytes(4, "big")  # AuthenticationSASL, followed by a list of mechanisms
T = TypeVar("T")
CONNECT_LIMIT_S = 10.0
END_LIMIT_S = 2.0
CHUNK_BYTES = 65_536
SOCKET_PATH_MAX_BYTES = 107
_OWN_ROOT = Path("~/.postgresql/root.crt")  # libpq's default: where it lies, `require` checks like `verify-ca`
_OWN_CERTIFICATE = Path("~/.postgresql/postgresql.crt")
_OWN_KEY = Path("~/.postgresql/postgresql.key")


class Tunnel:
    """Use as a context manager; `folder` and `port` are what libpq takes as host and port.

    `trouble` says what went wrong on the way to the server, where the client program only sees a closed connection.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.port = int(parameters["port"])
        self.trouble = ""
        self.folder = ""
        self._host = parameters["host"]
        self._address = parameters.get("hostaddr") or self._host
        self._context = _context(parameters)
        self._carrying: set[asyncio.Task[Any]] = set()
        self._parts: set[asyncio.Task[Any]] = set()
        self._closing = contextlib.ExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._closing.callback(self._stop)
        try:
            self.folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="pgrb-tls-", dir=_base()))
            path = str(Path(self.folder) / f".s.PGSQL.{self.port}")
            serving = asyncio.start_unix_server(self._carry, path)
            self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(CONNECT_LIMIT_S)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CONNECT_LIMIT_S)
        self._closing.close()

    async def _end(self) -> None:
        """Close the socket and all that goes through it: the parts are cancelled, what carries them ends by itself."""
        self._server.close()
        for part in self._parts:
            part.cancel()
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=END_LIMIT_S)
        await asyncio.sleep(0)  # the aborted transports say good-bye in the loop's next turns
        await asyncio.sleep(0)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _carry(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - a coroutine runs in a task
        self._carrying.add(me)
        try:
            there, forth = await self._part(asyncio.wait_for(self._connect(), CONNECT_LIMIT_S))
        except (OSError, TimeoutError, EOFError, asyncio.CancelledError) as exc:
            self.trouble = f"no TLS connection to {self._host}:{self.port}: {str(exc) or type(exc).__name__}"
        else:
            ways = [self._part(_pump(here, forth)), self._part(_answer(there, back))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            forth.transport.abort()
        back.close()
        with contextlib.suppress(OSError):
            await back.wait_closed()

    def _part(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something that the end of the tunnel cuts short."""
        task = asyncio.ensure_future(work)
        self._parts.add(task)
        return task

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._address, self.port, type=socket.SOCK_STREAM)
        last: OSError = ConnectionError("the name has no address")
        for family, kind, protocol, _, address in found:
            plain = socket.socket(family, kind, protocol)
            plain.setblocking(False)
            try:
                await loop.sock_connect(plain, address)
                await _ask_for_tls(plain)
                return await asyncio.open_connection(sock=plain, ssl=self._context, server_hostname=self._host)
            except OSError as exc:
                plain.close()
                last = exc
            except BaseException:
                plain.close()
                raise
        raise last


async def _ask_for_tls(plain: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(plain, SSL_REQUEST)
    if await loop.sock_recv(plain, 1) != b"S":
        raise ConnectionError("the server does not offer TLS")


async def _answer(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """What the server sends; its first offer of ways to log in without those that are bound to the TLS connection.

    The client program sees none, and would take an offer of channel binding for an attack.
    """
    kind = NEGOTIATE_PROTOCOL
    while kind == NEGOTIATE_PROTOCOL:
        try:
            head = await source.readexactly(5)
            body = await source.readexactly(int.from_bytes(head[1:], "big") - 4)
        except asyncio.IncompleteReadError:
            return
        kind = head[:1]
        if kind == AUTHENTICATION and body[:4] == OFFERS_SASL:
            body = b"".join(word + b"\0" for word in body[4:].split(b"\0") if not word.endswith(b"-PLUS"))
            body = OFFERS_SASL + body.rstrip(b"\0") + b"\0\0"
        sink.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
    await _pump(source, sink)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()


def _context(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Check the certificate as libpq would for these parameters."""
    if parameters.get("channel_binding") == "require":
        raise Unsupported(
            "channel_binding=require needs a pg_dump with TLS, and none here is new enough",
            hint="apt-get install postgresql-client   # from Debian or apt.postgresql.org",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mode = parameters.get("sslmode", "prefer")
    root = parameters.get("sslrootcert", "")
    own_root = _OWN_ROOT.expanduser()
    if not root and own_root.is_file():
        root = str(own_root)
    is_checked = mode in {"verify-ca", "verify-full"} or bool(root)
    context.check_hostname = mode == "verify-full" or root == "system"
    if not is_checked:
        context.verify_mode = ssl.CERT_NONE
    try:
        if root == "system":
            context.load_default_certs()
        elif root:
            context.load_verify_locations(root)
        if parameters.get("sslcrl"):
            context.load_verify_locations(parameters["sslcrl"])
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        _load_own(context, parameters)
    except (OSError, ssl.SSLError) as exc:
        raise Unsupported(
            f"a certificate or key of the connection cannot be used: {exc}",
            hint="A pg_dump with TLS may take it: install postgresql-client.",
        ) from exc
    return context


def _load_own(context: ssl.SSLContext, parameters: Mapping[str, str]) -> None:
    certificate = Path(parameters.get("sslcert") or _OWN_CERTIFICATE.expanduser())
    key = Path(parameters.get("sslkey") or _OWN_KEY.expanduser())
    if certificate.is_file() and key.is_file():
        context.load_cert_chain(certificate, key, password=_no_password)


def _no_password() -> str:
    """Never ask on the terminal."""
    raise ssl.SSLError("its key is protected by a password")


def _base() -> str | None:
    """A folder short enough for a socket's path; None for the usual one."""
    longest = Path(tempfile.gettempdir()) / "pgrb-tls-12345678" / ".s.PGSQL.65535"
    return None if len(os.fsencode(longest)) <= SOCKET_PATH_MAX_BYTES else "/tmp"  # noqa: S108 - a private folder in it
