"""The client, on the bus in memory and on a server."""
from __future__ import annotations

import asyncio
import unittest
from typing import Any, AsyncIterator, List, Tuple

from spoor import (Agent, Appended, AsyncClient, Client, Conflict, Event, NewEvent, NotFound,
                   SpoorError, Unavailable, Unsupported)
from spoor.testing import TestBus, event

from .support import Case, OnBus, Server


class Publishing(OnBus, Case):
    async def test_where_an_event_is(self) -> None:
        async with self.bus() as bus:
            first = await bus.publish("order.placed", {"amount": 80}, stream="order-1", id="o-1")
            self.assertEqual((first.id, first.position, first.stream, first.version,
                              first.duplicate), ("o-1", 1, "order-1", 1, False))
            self.assertRegex(first.entryid, r"^\d+-\d+$")
            again = await bus.publish("order.placed", {"amount": 80}, stream="order-1", id="o-1")
            self.assertEqual((again.position, again.entryid, again.duplicate),
                             (1, first.entryid, True))
            self.assertEqual(await bus.position(), 1)

    async def test_what_was_given_is_read(self) -> None:
        async with self.bus() as bus:
            await bus.publish("x.y", {"a": [1, 2.5, None, "ü"]}, stream="s", id="e",
                              time="2026-11-20T05:49:12Z", correlationid="run",
                              causationid="none-such", schemaversion="2", metadata={"m": 1},
                              colour="red", size=3, tags=["a", {"b": True}], nothing=None)
            found = await bus.client.get("e")
            self.assertEqual(found.data, {"a": [1, 2.5, None, "ü"]})
            self.assertEqual((found.type, found.source, found.stream, found.time,
                              found.correlationid, found.causationid, found.schemaversion,
                              found.metadata), ("x.y", "test", "s", "2026-11-20T05:49:12Z", "run",
                                                "none-such", "2", {"m": 1}))
            self.assertEqual(found.extensions, {"colour": "red", "size": 3,
                                                "tags": ["a", {"b": True}]})
            self.assertEqual((found.position, found.version), (1, 1))
            self.assertRegex(found.recordedtime, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    async def test_payloads_of_every_kind(self) -> None:
        payloads: List[Tuple[Any, Any, Any]] = [
            (None, None, None), ("text", None, None), (0, None, None), ([], None, None),
            ("plain", "text/plain", "text/plain"), (b"\xff\x00", None, "application/octet-stream"),
            (b"ok", None, "text/plain"), (b'{"a":1}', None, None), (b"\x89P", "image/png",
                                                                   "image/png"),
            (b"as text", "image/x", "image/x"), (b"[1]", "application/x+json",
                                                 "application/x+json")]
        wanted = [None, "text", 0, [], "plain", b"\xff\x00", "ok", {"a": 1}, b"\x89P",
                  "as text", [1]]
        async with self.bus() as bus:
            for data, kind, _ in payloads:
                await bus.publish("x", data, datacontenttype=kind)
            found = await bus.client.query("x")
            self.assertEqual([each.data for each in found], wanted)
            self.assertEqual([each.datacontenttype for each in found],
                             [kind for _, _, kind in payloads])

    async def test_an_expected_version(self) -> None:
        async with self.bus() as bus:
            await bus.publish("x", stream="s", expected_version="none")
            await bus.publish("x", stream="s", expected_version=1)
            for wrong in (1, "none", 7):
                with self.assertRaises(Conflict) as caught:
                    await bus.publish("x", stream="s", expected_version=wrong)
                self.assertEqual(caught.exception.actual, 2)
            self.assertEqual(await bus.position(), 2)

    async def test_a_batch_is_appended_whole_or_not_at_all(self) -> None:
        async with self.bus() as bus:
            batch = [event("x", 1, stream="s", expected_version="none"),
                     event("x", 2, stream="t"),
                     event("x", 3, stream="s", expected_version=1, size=4)]
            found = await bus.client.publish_batch(batch)
            self.assertEqual([(each.stream, each.version, each.duplicate) for each in found],
                             [("s", 1, False), ("t", 1, False), ("s", 2, False)])
            again = await bus.client.publish_batch(batch)
            self.assertEqual([(each.position, each.duplicate) for each in again],
                             [(1, True), (2, True), (3, True)])
            with self.assertRaises(Conflict) as caught:
                await bus.client.publish_batch([event("x", stream="u"),
                                                event("x", stream="s", expected_version=1)])
            self.assertEqual(caught.exception.actual, 2)
            with self.assertRaisesRegex(ValueError, "cannot hold"):
                await bus.client.publish_batch([event("x", stream="u"),
                                                event("x", stream="u", expected_version="none")])
            with self.assertRaisesRegex(ValueError, "wildcard"):
                await bus.client.publish_batch([event("x", stream="u"), event("x.*", stream="u")])
            self.assertEqual(await bus.client.publish_batch([]), [])
            self.assertEqual(await bus.position(), 3)

    async def test_what_is_no_event_is_refused_here(self) -> None:
        async with self.bus() as bus:
            for problem, given in (
                    ("type", {"type": "a b"}), ("wildcard", {"type": "a.#"}),
                    ("type", {"type": ""}),
                    ("time", {"type": "a", "time": "yesterday"}),
                    ("only the store", {"type": "a", "stream": "$all"}),
                    ("data: not JSON", {"type": "a", "data": {1, 2}}),
                    ("data: not JSON", {"type": "a", "data": float("nan")}),
                    ("surrogates", {"type": "a", "data": "\ud800"}),
                    ("expected_version", {"type": "a", "expected_version": -1})):
                with self.assertRaisesRegex(ValueError, problem):
                    await bus.publish(**given)
            sent = await asyncio.gather(bus.publish("x", "\ud800"), bus.publish("y"),
                                        return_exceptions=True)
            self.assertEqual([type(each) for each in sent], [UnicodeEncodeError, Appended])
            with self.assertRaisesRegex(SpoorError, "LIMIT"):
                await bus.publish("a", "x" * (1 << 20))
            with self.assertRaisesRegex(ValueError, "source"):
                await AsyncClient(session=bus.client.session).publish("a")
            self.assertEqual(await bus.position(), 1)


class Reading(OnBus, Case):
    async def test_conditions(self) -> None:
        async with self.bus() as bus:
            for number in range(10):
                await bus.publish(f"{'a' if number % 2 else 'b'}.x", {"n": number},
                                  source=f"s{number % 3}", stream=f"t{number % 4}",
                                  correlationid=f"r{number % 5}")

            async def numbers(*args: Any, **conditions: Any) -> List[int]:
                return [each.data["n"] for each in await bus.client.query(*args, **conditions)]

            self.assertEqual(await numbers(), list(range(10)))
            self.assertEqual(await numbers("a.*"), [1, 3, 5, 7, 9])
            self.assertEqual(await numbers(["a.x", "b.#"], limit=3), [0, 1, 2])
            self.assertEqual(await numbers(source="s0", reverse=True), [9, 6, 3, 0])
            self.assertEqual(await numbers(stream="t1"), [1, 5, 9])
            self.assertEqual(await numbers(correlation="r2"), [2, 7])
            self.assertEqual(await numbers(filter={"data.n": {"$gte": 7}}), [7, 8, 9])
            self.assertEqual(await numbers(from_=4, until=6), [3, 4, 5])
            self.assertEqual(await numbers(from_="-1h", until="now", limit=1), [0])
            entry = (await bus.client.query())[4].entryid
            self.assertEqual(await numbers(from_=entry), [4, 5, 6, 7, 8, 9])
            self.assertEqual(await numbers(until=entry), [0, 1, 2, 3, 4])
            self.assertEqual(await numbers(from_=entry, until=entry), [4])
            recorded = (await bus.client.query())[0].recordedtime
            self.assertEqual((await numbers(from_=recorded))[0], 0)
            self.assertEqual(await numbers(from_="now"), [])
            self.assertEqual(await numbers(until="2020-01-01"), [])
            with self.assertRaisesRegex(SpoorError, "expected a position"):
                await numbers(from_="soon")
            with self.assertRaisesRegex(SpoorError, "filter"):
                await numbers(filter={"data.n": {"$near": 1}})

    async def test_more_than_a_page(self) -> None:
        async with self.bus() as bus:
            for first in range(0, 2500, 500):
                await bus.client.publish_batch([event("x", number)
                                                for number in range(first, first + 500)])
            self.assertEqual([each.data for each in await bus.client.query()], list(range(2500)))
            self.assertEqual([each.data for each in await bus.client.query(reverse=True)],
                             list(reversed(range(2500))))
            self.assertEqual(len(await bus.client.query(limit=1700)), 1700)
            count = 0
            async for _ in bus.client.events("x", until=2001):
                count += 1
            self.assertEqual(count, 2001)

    async def test_by_id_causes_and_effects(self) -> None:
        async with self.bus() as bus:
            await bus.publish("root", id="r")
            await bus.publish("mid", id="m", causationid="r")
            await bus.publish("leaf", id="l", causationid="m")
            await bus.publish("other", id="o", causationid="r")
            await bus.publish("twin", id="r", source="else")
            self.assertEqual([each.id for each in await bus.client.why("l")], ["l", "m", "r"])
            self.assertEqual([(depth, each.id) for depth, each in await bus.client.effects("r")],
                             [(0, "r"), (1, "m"), (2, "l"), (1, "o")])
            self.assertEqual((await bus.client.get("l")).correlationid, "r")
            self.assertEqual(len(await bus.client.find("r")), 2)
            self.assertEqual((await bus.client.get("r", "else")).type, "twin")
            self.assertEqual(await bus.client.find("none"), [])
            with self.assertRaisesRegex(NotFound, "'none'"):
                await bus.client.get("none")
            with self.assertRaises(NotFound):
                await bus.client.why("none")

    async def test_history_then_live(self) -> None:
        async with self.bus() as bus:
            for number in range(3):
                await bus.publish("x", number)
            await bus.publish("y", 0)
            got: List[Any] = []

            async def follow(events: AsyncIterator[Event]) -> None:
                async for each in events:
                    got.append(each.data)

            following = asyncio.ensure_future(follow(bus.client.subscribe(
                "x", from_=2, filter={"data": {"$ne": 4}}, limit=4)))
            await bus.until(lambda: got == [1, 2])
            for number in range(3, 7):
                await bus.publish("x", number)
            await asyncio.wait_for(following, 60)
            self.assertEqual(got, [1, 2, 3, 5])


class GroupHelpers(OnBus, Case):
    async def test_counts(self) -> None:
        async with self.bus() as bus:
            await bus.client.ensure_group("g", "$type:x")
            await bus.publish("x")
            await bus.publish("y")
            found = await bus.client.group("g", "$type:x")
            self.assertEqual((found.lag, found.pending, found.dead), (1, 0, 0))
            with self.assertRaises(NotFound):
                await bus.client.group("none", "$type:x")


class PublishingOnServer(Publishing):
    real = True


class ReadingOnServer(Reading):
    real = True


class GroupHelpersOnServer(GroupHelpers):
    real = True


class ReadModels(Case):
    async def test_rows_of_what_was_just_appended(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        async with AsyncClient(server.url, source="anna") as client:
            await client.publish("agent.started", correlationid="run-1")
            last = await client.publish("agent.tokens_generated", {"count": 7},
                                        correlationid="run-1")
            found = await client.sql("SELECT agent_id, total_tokens FROM agent_stats"
                                     " WHERE agent_id = :id", {"id": "anna"}, seen=last)
            self.assertEqual((found.columns, found.rows),
                             (("agent_id", "total_tokens"), [("anna", 7)]))
            self.assertGreaterEqual(found.position or 0, last.position)
            self.assertEqual(list(found), [{"agent_id": "anna", "total_tokens": 7}])
            values = [1, 2.5, "ü", None, True, b"\x00\xff"]
            found = await client.sql("SELECT ?, ?, ?, ?, ?, ?", values, timeout="20s", max_rows=1)
            self.assertEqual(found.rows, [tuple(values)])
            self.assertIsNone(found.position)

    async def test_what_is_wrong_is_told(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        async with AsyncClient(server.url, source="anna") as client:
            with self.assertRaisesRegex(SpoorError, "line 1, column 1: near"):
                await client.sql("SELEC 1")
            with self.assertRaisesRegex(NotFound, "there is no table .absent."):
                await client.sql("SELECT * FROM absent")
            with self.assertRaisesRegex(SpoorError, "may only read"):
                await client.sql("CREATE TABLE t (x)")
            with self.assertRaisesRegex(SpoorError, ":id has no value"):
                await client.sql("SELECT :id")

    async def test_the_bus_of_tests_has_none(self) -> None:
        async with TestBus() as bus:
            with self.assertRaises(Unsupported):
                await bus.client.sql("SELECT 1")

    def test_plain_code(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        with Client(server.url, source="bert") as client:
            last = client.publish("agent.started", correlationid="run-1")
            found = client.sql("SELECT total_runs FROM agent_stats", seen=[last])
            self.assertEqual(found.rows, [(1,)])


class Plain(unittest.TestCase):
    """The client for programs without an event loop."""

    def test_the_same_methods(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        with Client(server.url, source="plain") as client:
            first = client.publish("x", 1, id="one")
            self.assertEqual(first.position, 1)
            client.publish_batch([NewEvent("x", 2, causationid="one"), NewEvent("y", 3)])
            self.assertEqual([each.data for each in client.query("x")], [1, 2])
            self.assertEqual([each.data for each in client.events(limit=2)], [1, 2])
            self.assertEqual([each.data for each in client.subscribe(from_=1, limit=3)], [1, 2, 3])
            self.assertEqual(client.get("one").type, "x")
            self.assertEqual(len(client.effects("one")), 2)
            self.assertEqual([each.id for each in client.why("one")], ["one"])
            client.ensure_group("g", "$type:x", start="0")
            self.assertEqual(client.group("g", "$type:x").lag, 2)
            self.assertEqual(client.dead_letters("$type:x", "g"), [])
            for each in client.subscribe("x", from_=1):
                self.assertEqual(each.data, 1)
                break
            with self.assertRaises(Conflict):
                client.publish("x", stream="plain", expected_version="none")


class Addresses(Case):
    async def test_urls_that_will_not_do(self) -> None:
        for wrong in ("localhost", "ftp://localhost", "127.0.0.1:7379"):
            with self.assertRaisesRegex(ValueError, "expected a URL"):
                AsyncClient(wrong)

    async def test_an_http_url_is_asked_for_the_other_port(self) -> None:
        server = Server()
        self.addCleanup(server.remove)
        async with AsyncClient(server.http_url, source="me") as client:
            self.assertEqual((await client.publish("x")).position, 1)
        async with AsyncClient(server.url.replace("redis", "http"), patience_s=0.2) as client:
            with self.assertRaises(SpoorError):  # the port is that of the other protocol
                await client.query()

    async def test_nobody_there(self) -> None:
        server = Server()
        server.remove()
        async with AsyncClient(server.url, patience_s=0.2) as client:
            with self.assertRaisesRegex(Unavailable, f"no server at 127.0.0.1:{server.port}"):
                await client.query()

    async def test_a_password(self) -> None:
        server = Server("--password", "secret")
        self.addCleanup(server.remove)
        async with AsyncClient(server.url, source="me") as client:
            with self.assertRaisesRegex(SpoorError, "(?i)auth"):
                await client.publish("x")
        async with AsyncClient(f"redis://:secret@127.0.0.1:{server.port}", source="me") as client:
            self.assertEqual((await client.publish("x")).position, 1)

    async def test_a_server_that_is_no_spoor(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    line = await reader.readline()
                    if not line:
                        break
                    words = []
                    for _ in range(int(line[1:])):
                        size = int((await reader.readline())[1:])
                        words.append((await reader.readexactly(size + 2))[:-2].upper())
                    known = words[0] in (b"CLIENT", b"HELLO")
                    writer.write(b"+OK\r\n" if known else
                                 b"-ERR unknown command '%s'\r\n" % words[0])
                    await writer.drain()
            except asyncio.CancelledError:
                pass  # the test is over
            finally:
                writer.close()

        other = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        async with AsyncClient(f"redis://127.0.0.1:{port}", source="me") as client:
            with self.assertRaisesRegex(Unsupported, "no SPOOR.APPEND: it is older"):
                await client.publish("x")
        agent = Agent("a", url=f"redis://127.0.0.1:{port}")
        agent.on("x", name="h")(lambda event, ctx: None)
        with self.assertRaisesRegex(Unsupported, "SPOOR.GROUP"):
            await agent.start()
        # One without handlers has no groups, and is only not seen.
        agent = Agent("b", url=f"redis://127.0.0.1:{port}")
        await agent.start()
        self.assertIn("the fleet does not see it", self.logs.text())
        await agent.stop()
        other.close()
