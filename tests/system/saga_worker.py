"""A worker of sagas for the tests, in a process of its own: saga_worker.py RULES.json

Does whatever its rules name as actions, at a sink: an SQLite file with a row for each idempotency key.
What was done once under a key is not done again; what was undone, or was to be undone before it was done, is
never done. Rules say what comes of an action otherwise:

    {"url": …, "sink": FILE, "agent": NAME, "work_s": S, "actions": [TYPE …], "undo": [TYPE …],
     "fail": [{"action": TYPE, "has": TEXT in the data, "error": TEXT, "retryable": false, "until": FILE}]}

A failure with `until` holds until that file is there. One line of JSON on stdout says that it works.
"""
import asyncio
import json
import pathlib
import sqlite3
import sys

import spoor

SINK = """
CREATE TABLE IF NOT EXISTS effects (
    key TEXT PRIMARY KEY, action TEXT NOT NULL, done INT NOT NULL, undone INT NOT NULL,
    done_calls INT NOT NULL DEFAULT 0, undone_calls INT NOT NULL DEFAULT 0, number INTEGER);
"""


class Sink:
    """Effects by idempotency key; each change is one transaction."""

    def __init__(self, path):
        self.base = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute(SINK)

    def change(self, sql, *values):
        self.base.execute("BEGIN IMMEDIATE")
        self.base.execute(sql, values)
        self.base.execute("COMMIT")

    def do(self, key, action):
        self.change("INSERT INTO effects (key, action, done, undone, done_calls, number) VALUES (?, ?, 1, 0, 1, "
                    "(SELECT COALESCE(MAX(number), 0) + 1 FROM effects)) ON CONFLICT (key) DO UPDATE SET "
                    "done = CASE WHEN undone = 1 THEN done ELSE 1 END, done_calls = done_calls + 1", key, action)

    def undo(self, key, action):
        self.change("INSERT INTO effects (key, action, done, undone, undone_calls, number) VALUES (?, ?, 0, 1, 1, "
                    "(SELECT COALESCE(MAX(number), 0) + 1 FROM effects)) ON CONFLICT (key) DO UPDATE SET "
                    "undone = 1, undone_calls = undone_calls + 1", key, action)


def refusal(rules, command):
    """The rule by which a command fails; None: it does not."""
    for rule in rules.get("fail", ()):
        over = "until" in rule and pathlib.Path(rule["until"]).exists()
        if rule["action"] == command.type and rule.get("has", "") in json.dumps(command.data) and not over:
            return rule
    return None


def worker(rules, sink, effect):
    async def work(command, context):
        await asyncio.sleep(rules.get("work_s", 0))
        rule = refusal(rules, command)
        if rule is not None:
            problem = Exception if rule.get("retryable") else spoor.NonRetryable
            raise problem(rule["error"])
        key = context.idempotency_key
        effect(key.removesuffix("~"), command.type)
        return {"key": key}
    return work


async def main():
    rules = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    sink = Sink(rules["sink"])
    agent = spoor.Agent(rules["agent"], url=rules["url"], concurrency=rules.get("concurrency", 16))
    for action in rules["actions"]:
        agent.step(action, ack_wait="5s")(worker(rules, sink, sink.do))
    for action in rules["undo"]:
        agent.compensate(action, ack_wait="5s")(worker(rules, sink, sink.undo))
    await agent.start()
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await agent.stop()


asyncio.run(main())
