"""What needs no bus."""
from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import re
import unittest
import uuid
from datetime import timedelta
from typing import Any, Callable, Dict, List

import redis.exceptions

from spoor import Agent, Event, JsonFormatter, NewEvent, Policy, Retry
from spoor import logs
from spoor.backoff import Backoff
from spoor.durations import to_ms, to_text
from spoor.handler import is_async
from spoor.ids import (NAMESPACE, answer_id, ask_id, emit_id, failure_id, new_id, start_id,
                       step_id)
from spoor.patterns import check_pattern, matches
from spoor.policy import same_policy
from spoor.testing.filters import compile_filter, to_python_regex
from spoor.wire import Replies, pack
from spoor.worker import describe

from .support import ROOT

LINE = ('{"id":"e-1","type":"task.done","source":"worker","stream":"task-1","correlationid":"run",'
        '"causationid":"c","metadata":{"m":1},"colour":"red","$id":"row 17","data":{"n":[1,2]},'
        '"position":7,"version":2,"recordedtime":"2026-11-20T05:49:12.000001Z",'
        '"entryid":"1795153752000-0"}')


class Ids(unittest.TestCase):
    def test_they_are_those_of_every_sdk(self) -> None:
        with open(ROOT / "sdk" / "ids.json", encoding="utf-8") as file:
            wanted = json.load(file)
        self.assertEqual(str(NAMESPACE), wanted["namespace"])
        for each in wanted["emit"]:
            self.assertEqual(emit_id(each["source"], each["id"], each["agent"], each["handler"],
                                     each["step"], each["ordinal"]), each["uuid"])
        for each in wanted["step"]:
            self.assertEqual(step_id(each["source"], each["id"], each["agent"], each["handler"],
                                     each["name"]), each["uuid"])
        makers: Dict[str, Callable[..., str]] = {"start": start_id, "failure": failure_id,
                                                 "ask": ask_id, "answer": answer_id}
        for kind, make in makers.items():
            self.assertTrue(wanted[kind])
            for each in wanted[kind]:
                found = make(*(value for name, value in each.items() if name != "uuid"))
                self.assertEqual(found, each["uuid"])
        self.assertGreaterEqual(len(wanted["emit"]) + len(wanted["step"]), 8)

    def test_new_ones_are_uuids_of_version_7_by_time(self) -> None:
        ids = [new_id() for _ in range(1000)]
        self.assertEqual(len(set(ids)), 1000)
        self.assertEqual({uuid.UUID(each).version for each in ids}, {7})
        self.assertEqual([each[:13] for each in ids], sorted(each[:13] for each in ids))


class Durations(unittest.TestCase):
    def test_what_is_read(self) -> None:
        for given, ms in (("30s", 30_000), ("1h30m", 5_400_000), ("500ms", 500), ("1.5s", 1500),
                          (2, 2000), (0.25, 250), ("7", 7000), (timedelta(minutes=2), 120_000),
                          ("2d", 172_800_000)):
            self.assertEqual(to_ms(given), ms)
        for wrong in ("soon", "", "10 s", "s", "-5s", -1, None, True, "1s2"):
            with self.assertRaises(ValueError, msg=repr(wrong)):
                to_ms(wrong)  # type: ignore[arg-type]

    def test_what_is_written_is_read_by_the_server(self) -> None:
        for ms, text in ((1500, "1500ms"), (30_000, "30s"), (60_000, "1m"), (7_200_000, "2h"),
                         (0, "0ms")):
            self.assertEqual(to_text(ms), text)
            self.assertEqual(to_ms(text), ms)

    def test_backoff_grows_to_its_limit(self) -> None:
        backoff = Backoff(0.1, 1.0)
        waits = [backoff.next_s() for _ in range(10)]
        for at, wait in enumerate(waits):
            self.assertLessEqual(wait, min(1.0, 0.1 * 2 ** at))
            self.assertGreaterEqual(wait, min(1.0, 0.1 * 2 ** at) / 2)
        backoff.reset()
        self.assertLessEqual(backoff.next_s(), 0.1)


class Events(unittest.TestCase):
    def test_a_line_is_decoded_when_it_is_looked_at(self) -> None:
        event = Event.from_json(LINE)
        self.assertEqual(set(vars(event)), {"_line"})
        self.assertEqual(event.data, {"n": [1, 2]})
        self.assertNotIn("_line", vars(event))
        self.assertEqual((event.id, event.position, event.metadata, event.time, event.hash),
                         ("e-1", 7, {"m": 1}, None, None))
        self.assertEqual(event.extensions, {"colour": "red", "id": "row 17"})
        self.assertEqual((event.get("colour"), event.get("type"), event.get("none", 1)),
                         ("red", "task.done", 1))

    def test_it_is_a_value(self) -> None:
        event = Event.from_json(LINE)
        self.assertEqual(event, Event.from_json(LINE.encode()))
        self.assertEqual(event, Event.from_dict(json.loads(LINE)))
        self.assertEqual(copy.copy(Event.from_json(LINE)), event)
        self.assertEqual(pickle.loads(pickle.dumps(Event.from_json(LINE))), event)
        self.assertIn("task.done", repr(Event.from_json(LINE)))
        self.assertEqual(json.loads(event.to_json()), json.loads(LINE))
        with self.assertRaises(AttributeError):
            event.type = "other"  # type: ignore[misc]
        with self.assertRaisesRegex(AttributeError, "no 'colour'"):
            event.colour  # pylint: disable=pointless-statement
        plain = Event("i", "t", "s")
        self.assertEqual((plain.data, plain.extensions, plain.position), (None, {}, 0))

    def test_bytes(self) -> None:
        event = Event.from_json('{"id":"i","type":"t","source":"s","data_base64":"/wA="}')
        self.assertEqual(event.data, b"\xff\x00")
        self.assertEqual(json.loads(event.to_json())["data_base64"], "/wA=")
        self.assertEqual((event.stream, event.correlationid), ("s", "i"))

    def test_a_new_event_comes_back_from_its_json(self) -> None:
        new = NewEvent.from_dict(json.loads(LINE))
        self.assertEqual((new.id, new.extensions, new.place),
                         ("e-1", {"colour": "red", "id": "row 17"}, "task-1"))
        self.assertFalse(new.is_plain)
        self.assertNotEqual(NewEvent("t").id, NewEvent("t").id)
        with self.assertRaisesRegex(ValueError, "control character"):
            NewEvent("t", source="s", extensions={"a\n": "x"}).check()


class Policies(unittest.TestCase):
    def test_options(self) -> None:
        policy = Policy(filter={"data.n": {"$gt": 1}}, order_by="stream", ack_wait="90s",
                        retry=Retry(max_attempts=3, first="100ms", max=5, factor=1.5, jitter=0))
        self.assertEqual(policy.options(), {
            "filter": '{"data.n":{"$gt":1}}', "ack-wait": "90s", "max-deliveries": "3",
            "backoff": "100ms..5s x1.5 jitter 0", "order-by": "stream", "max-in-flight": "0"})

    def test_a_policy_is_the_same_however_it_is_written(self) -> None:
        kept = {"type": "", "filter": "", "ack-wait": "30s", "max-deliveries": "5",
                "backoff": "1s..1m x2 jitter 0.2", "order-by": "none", "max-in-flight": "0"}
        self.assertTrue(same_policy(Policy().options(), kept))
        self.assertTrue(same_policy(Policy(retry=Retry(max="60s")).options(), kept))
        for other in (Policy(ack_wait="31s"), Policy(order_by="stream"), Policy(filter={"id": "x"}),
                      Policy(retry=Retry(max="61s")), Policy(retry=Retry(max_attempts=4)),
                      Policy(retry=Retry(factor=3))):
            self.assertFalse(same_policy(other.options(), kept))
        self.assertFalse(same_policy(Policy().options(), {}))

    def test_what_is_no_policy(self) -> None:
        wrong: "list[tuple[type[Any], Dict[str, Any]]]" = [
            (Policy, {"order_by": "chance"}), (Policy, {"ack_wait": 0}), (Policy, {"filter": 3}),
            (Retry, {"max_attempts": 0}), (Retry, {"factor": 0.5}), (Retry, {"jitter": 2}),
            (Retry, {"first": "2m"})]
        for kind, options in wrong:
            with self.assertRaises(ValueError, msg=repr(options)):
                made = kind(**options)
                made.options()

    def test_what_is_no_agent(self) -> None:
        agent = Agent("a")

        @agent.on("x")
        async def work(event: Event, ctx: Any) -> None:
            pass

        with self.assertRaisesRegex(ValueError, "already"):
            agent.on("y")(work)
        with self.assertRaisesRegex(ValueError, "needs a name="):
            agent.on("y")(lambda event, ctx: None)
        for pattern in ("", "a b", "a..b", ">.a", "x" * 256):
            with self.assertRaises(ValueError, msg=repr(pattern)):
                agent.on(pattern)
        with self.assertRaises(ValueError):
            Agent("")
        with self.assertRaises(ValueError):
            Agent("a", concurrency=0)
        with self.assertRaisesRegex(KeyError, "no handler 'none'"):
            agent.handler("none")
        with self.assertRaisesRegex(RuntimeError, "TestBus"):
            agent.handler("work").calls  # pylint: disable=expression-not-assigned

    def test_which_functions_wait(self) -> None:
        async def one() -> None:
            pass

        class Two:
            async def __call__(self) -> None:
                pass

        self.assertTrue(is_async(one))
        self.assertTrue(is_async(Two()))
        self.assertFalse(is_async(lambda: None))


class Filters(unittest.TestCase):
    """The examples of docs/filters.md are the tests of the filters of the bus in memory."""

    def test_the_examples_of_the_documentation(self) -> None:
        text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
        count = 0
        for kind, body in re.findall(r"^```(filter|pattern|regex)\n(.*?)^```", text,
                                     re.MULTILINE | re.DOTALL):
            first, *rest = body.splitlines()
            for line in rest:
                count += 1
                with self.subTest(kind=kind, first=first, line=line):
                    self.assertEqual(self.found(kind, first, line), line[0])
        self.assertGreater(count, 90)

    @staticmethod
    def found(kind: str, first: str, line: str) -> str:
        """+ where the line matches, - where it does not, ! where it is refused."""
        given = line[2:]
        try:
            if kind == "filter":
                if line[0] == "!":
                    compile_filter(json.loads(given))
                event = Event.from_dict({"type": "t", "source": "s", **json.loads(given)})
                fits = compile_filter(json.loads(first))(event)
            elif kind == "pattern":
                fits = matches(check_pattern(first), given)
                if line[0] == "!":
                    check_pattern(given)
            else:
                if line[0] == "!":
                    to_python_regex(given)
                fits = to_python_regex(first).search(given) is not None
            return "+" if fits else "-"
        except ValueError:
            return "!"


class Wires(unittest.IsolatedAsyncioTestCase):
    SENT = (b"+OK\r\n:-7\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n-ERR no\r\n-CONFLICT is at\r\n"
            b"*3\r\n$4\r\na\r\nb\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n-NOAGENT x\r\n:9\r\n")
    READ = ["b'OK'", "-7", "None", "None", "[]", "b''", "error: no", "error: CONFLICT is at",
            "[b'a\\r\\nb', [1, [b'x']], NOAGENT x]", "9"]

    async def test_replies_in_pieces_of_every_size(self) -> None:
        for size in (1, 2, 3, 7, 50, len(self.SENT)):
            stream = asyncio.StreamReader()
            replies = Replies(stream)
            reading = asyncio.ensure_future(self.read(replies))
            for at in range(0, len(self.SENT), size):
                stream.feed_data(self.SENT[at:at + size])
                await asyncio.sleep(0)
            self.assertEqual(await reading, self.READ)
            stream.feed_eof()
            with self.assertRaisesRegex(redis.exceptions.ConnectionError, "closed"):
                await replies.next()

    async def read(self, replies: Replies) -> List[str]:
        return [self.shown(await replies.next()) for _ in self.READ]

    @staticmethod
    def shown(reply: Any) -> str:
        if isinstance(reply, list) and reply:
            return f"[{reply[0]!r}, {reply[1]!r}, {reply[2]}]"
        return f"error: {reply}" if isinstance(reply, Exception) else repr(reply)

    async def test_what_ends_a_connection(self) -> None:
        for sent, kind in ((b"-NOAUTH Authentication required.\r\n",
                            redis.exceptions.AuthenticationError),
                           (b"-LOADING soon\r\n", redis.exceptions.BusyLoadingError),
                           (b"HTTP/1.1 400\r\n", redis.exceptions.ConnectionError)):
            stream = asyncio.StreamReader()
            stream.feed_data(sent)
            with self.assertRaises(kind):
                await Replies(stream).next()

    def test_commands(self) -> None:
        self.assertEqual(pack(["A", b"\xff\r\n", 7, "ü"]),
                         b"*4\r\n$1\r\nA\r\n$3\r\n\xff\r\n\r\n$1\r\n7\r\n$2\r\n\xc3\xbc\r\n")


class Logs(unittest.TestCase):
    def test_a_record_is_one_line_of_json_that_says_what_was_handled(self) -> None:
        token = logs.handling.set({"agent": "a", "event_id": "e", "correlation_id": "run"})
        try:
            try:
                raise RuntimeError("line one\nline two")
            except RuntimeError as problem:
                record = logging.getLogger("x").makeRecord(
                    "x", logging.ERROR, __file__, 1, "it failed: %s", ("why",),
                    (type(problem), problem, problem.__traceback__), extra={"order": 7})
            text = JsonFormatter().format(record)
        finally:
            logs.handling.reset(token)
        self.assertNotIn("\n", text)
        found = json.loads(text)
        self.assertEqual({name: found[name] for name in ("level", "logger", "msg", "agent",
                                                         "event_id", "correlation_id", "order",
                                                         "error")},
                         {"level": "error", "logger": "x", "msg": "it failed: why", "agent": "a",
                          "event_id": "e", "correlation_id": "run", "order": 7,
                          "error": "RuntimeError: line one\nline two"})
        self.assertRegex(found["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn("Traceback", found["traceback"])

    def test_an_error_for_a_dead_letter_is_bounded(self) -> None:
        self.assertEqual(describe(KeyError("x")), "KeyError: 'x'")
        self.assertEqual(len(describe(RuntimeError("y" * 5000))), 1000)
