"""Where a server is, and connections to it.

Commands go over the Redis protocol. An http:// URL, as the command line has it, is asked once where
that is spoken."""
from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any, Optional
from urllib.parse import urlsplit

import redis.asyncio.retry
import redis.backoff
from redis.asyncio.connection import ConnectionPool

from .errors import SpoorError
from .wire import Wire

DEFAULT_URL = "redis://127.0.0.1:7379"
PORT = 7379
CONNECT_TIMEOUT_S = 5


class Endpoint:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix", "http", "https"):
            raise ValueError(f"{url!r}: expected a URL such as {DEFAULT_URL}")
        self._url = url
        self._name = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
        self._pool: Optional[ConnectionPool] = None

    def __str__(self) -> str:
        return self._name

    async def open(self) -> Wire:
        """A new connection, greeted. Errors are redis-py's, OSError or SpoorError."""
        if self._pool is None:
            self._pool = make_pool(await self._redis_url())
        make: Any = self._pool.make_connection  # it has no types
        connection = make()
        await connection.connect()
        return Wire(connection)

    async def _redis_url(self) -> str:
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https"):
            return self._url
        loop = asyncio.get_running_loop()
        host, port = await loop.run_in_executor(None, ask, self._url)
        same = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        login = parts.netloc.rpartition("@")[0]
        return f"redis://{login + '@' if login else ''}{host or same}:{port}"


def ask(url: str) -> "tuple[str, int]":
    """Host (empty: the same) and port of the Redis protocol, as the server itself says it."""
    parts = urlsplit(url)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/v1"
    request = urllib.request.Request(plain)
    if parts.password:
        request.add_header("Authorization", f"Bearer {parts.password}")
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S) as answer:
            found = json.load(answer)["resp"]
    except urllib.error.HTTPError as problem:
        raise SpoorError(f"{plain}: {problem}") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise SpoorError(f"{plain} does not say where the Redis protocol is spoken; "
                         f"give that URL, such as {DEFAULT_URL}") from problem
    host, _, port = str(found).rpartition(":")
    if host in ("0.0.0.0", "[::]", "::", "*", "127.0.0.1", "localhost"):
        host = ""  # how it is reached, it cannot know
    return host, int(port)


def make_pool(url: str) -> ConnectionPool:
    """What connections are made by. It is asked to make them only: what is lost is noticed here."""
    never = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    pool: ConnectionPool = ConnectionPool.from_url(
        url, protocol=2, decode_responses=False, retry=never, socket_timeout=None,
        socket_connect_timeout=CONNECT_TIMEOUT_S, health_check_interval=0)
    if urlsplit(url).scheme != "unix":
        pool.connection_kwargs.setdefault("host", "localhost")
        pool.connection_kwargs.setdefault("port", PORT)
    return pool
