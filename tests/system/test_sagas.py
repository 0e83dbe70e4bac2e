#!/usr/bin/env python3
"""Sagas as users meet them: the stories of the articles, told by workers in Python, and what people do.

usage: test_sagas.py
"""
import json
import pathlib
import sys

from harness import SOURCE, lines, run, spoor
from saga_help import EXAMPLES, Stage, check_order, compensated_in_order

SALES = (("sales.qualify_lead", "calendar.book", "crm.create_opportunity"),
         ("sales.unqualify_lead", "calendar.cancel", "crm.delete_opportunity"))
ORDERS = (("payments.charge_card", "inventory.reserve", "shipping.schedule", "mail.send_confirmation"),
          ("payments.refund_card", "inventory.release", "shipping.cancel"))
ORDER = {"order_id": "o-1", "amount": 89.9, "currency": "EUR", "items": ["mug"]}


def define(stage, name, **changes):
    """Defines one of the examples, with words of it changed."""
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in changes.values():
        assert old in text, old
        text = text.replace(old, new)
    path = stage.place / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    stage.cli("saga", "define", path)


def statuses(shown):
    return {step["name"]: step["status"] for step in shown["steps"] if step["kind"] in ("action", "approval")}


def undone(shown):
    return {step["name"]: step["compensation"]["status"] for step in shown["steps"]
            if step.get("compensation") and step["compensation"]["status"] != "armed"}


def check_vocabulary(events):
    """What the engine recorded is as the vocabulary has it."""
    clients = SOURCE / "build" / "clients"
    sys.path[:0] = map(str, clients.glob("lib/python3*/site-packages"))
    from jsonschema import Draft202012Validator  # pylint: disable=import-outside-toplevel
    known = {row["type"]: row for row in lines(spoor("schema", "ls", "--json").stdout)}
    schemas = {}
    for event in events:
        type_ = event["type"]
        if not event["stream"].startswith(("saga:", "$")) or event.get("idempotencykey"):
            continue
        assert type_ in known, f"{type_} is not in the vocabulary"
        if type_ not in schemas:
            schemas[type_] = Draft202012Validator(json.loads(spoor("schema", "show", type_).stdout)["schema"])
        wrong = list(schemas[type_].iter_errors(event.get("data")))
        assert not wrong, f"{type_}: {wrong[0].message} in {event}"


def a_demo_is_booked(folder):
    """A lead begins it, a person says yes, two agents act at once."""
    with Stage(folder) as stage:
        define(stage, "book-demo")
        stage.at_work(stage.worker("sales", *SALES))
        stage.cli("publish", "lead.received", '{"lead_id": "lead-7"}', "--source", "web",
                  "--correlation", "run-7")
        waiting = stage.wait("an approval", lambda: [row for row in lines(
            stage.cli("saga", "ls", "--json").stdout) if row["waiting_for"] == "approval"])
        sagaid = waiting[0]["sagaid"]
        asked = stage.words(sagaid)
        assert "It waits for a person to answer “Book the demo?”, until " in asked, asked
        command = next(line for line in asked.splitlines() if " saga approve " in line).strip()
        assert command == f"spoor saga approve {sagaid}/confirm --by YOU --reason '…'", asked
        words = command.replace("YOU", "ann").replace("'…'", "fine").split()[1:]  # as it is printed
        stage.cli(*words)
        shown = stage.until(sagaid, "completed")
        assert statuses(shown) == {"qualify_lead": "completed", "confirm": "completed",
                                   "book/slot": "completed", "book/crm": "completed"}, shown
        told = stage.words(sagaid)
        assert told.startswith("Book demo") and " is done: qualify lead, " in told, told
        assert "ann answered “approve” to “Book the demo?” after " in told and "(fine)" in told, told
        # The whole record: what led to it, commands, answers, and what the engine made of them.
        record = stage.events("--correlation", "run-7", "--limit", "1000")
        types = [event["type"] for event in record]
        assert types[0] == "lead.received" and types[-1] == "saga.completed", types
        for action in SALES[0]:
            assert types.count(action) == types.count(f"{action}.completed") == 1, types
        assert not set(types) & set(SALES[1]), "something was undone"
        assert {"action.proposed", "action.approved", "saga.approval.granted"} <= set(types), types
        check_vocabulary(record)
        assert check_order(stage.of_saga(sagaid)) == "completed"
        assert {key: row[:3] for key, row in stage.sink().items()} == {
            f"{sagaid}/{step}": (action, 1, 0) for step, action in zip(
                ("qualify_lead", "book/slot", "book/crm"), SALES[0])}
        # A second decision is told the first.
        late = stage.cli("saga", "reject", f"{sagaid}/confirm", "--by", "bob", code=None)
        assert late.returncode in (3, 4), late


def what_was_done_is_undone_in_reverse(folder):
    """The carrier refuses: the goods are released, then the card is refunded."""
    with Stage(folder) as stage:
        define(stage, "order-fulfilment")
        stage.at_work(stage.worker("shop", *ORDERS, fail=[
            {"action": "shipping.schedule", "error": "no carrier goes there"}]))
        sagaid = stage.start_saga("order-fulfilment", ORDER, "--key", "o-1")
        shown = stage.until(sagaid, "compensated")
        assert undone(shown) == {"charge_card": "compensated", "reserve_inventory": "compensated"}, shown
        assert compensated_in_order(stage.of_saga(sagaid)) == ["reserve_inventory", "charge_card"]
        assert check_order(stage.of_saga(sagaid)) == "compensated"
        first = stage.words(sagaid).splitlines()[0]
        assert first == ("Order fulfilment o-1 could not schedule shipping (no carrier goes there), so it had to "
                         "release inventory and then refund card."), first
        assert {key.partition("/")[2]: row[1:3] for key, row in stage.sink().items()} == {
            "charge_card": (1, 1), "reserve_inventory": (1, 1)}
        # The same key again is the same saga.
        assert stage.start_saga("order-fulfilment", ORDER, "--key", "o-1") == sagaid
        rows = stage.json("query", "SELECT status, failed_step, error, steps_compensated FROM sagas")
        assert rows == {"status": "compensated", "failed_step": "schedule_shipping",
                        "error": "no carrier goes there", "steps_compensated": 2}, rows


STUCK = {"action": "payments.refund_card", "error": "the bank is closed"}


def people_end_what_cannot_be_undone(folder):
    """The refund fails for good: a person tries again, leaves it, or says that it is done."""
    with Stage(folder) as stage:
        open_again = folder / "open"
        define(stage, "order-fulfilment")
        stage.at_work(stage.worker("shop", *ORDERS, fail=[
            {"action": "shipping.schedule", "error": "no carrier"}, {**STUCK, "until": str(open_again)}]))
        sagas = {verb: stage.start_saga("order-fulfilment", {**ORDER, "order_id": verb}, "--key", verb)
                 for verb in ("skip", "done", "retry")}
        for sagaid in sagas.values():
            stage.until(sagaid, "needs_attention")
        asked = stage.words(sagas["done"])
        assert asked.startswith("Order fulfilment done needs a person: it could not refund card"), asked
        assert "(the bank is closed)" in asked.splitlines()[0], asked
        rows = lines(stage.cli("query", "SELECT saga_key, waiting_for FROM sagas "
                               "WHERE status = 'needs_attention' ORDER BY saga_key", "--json").stdout)
        assert rows == [{"saga_key": key, "waiting_for": "operator"} for key in ("done", "retry", "skip")], rows
        for verb in ("skip", "done"):
            printed = next(line.strip() for line in stage.words(sagas[verb]).splitlines()
                           if f" saga {verb} " in line)
            stage.cli(*printed.replace("YOU", "ann").replace("'…'", f"because-{verb}").split()[1:])
        open_again.touch()
        stage.cli("saga", "retry", sagas["retry"], "--by", "bob", "--reason", "open again")
        shown = {verb: stage.until(sagaid, "compensated") for verb, sagaid in sagas.items()}
        assert {verb: undone(saga)["charge_card"] for verb, saga in shown.items()} == {
            "skip": "skipped", "done": "marked_done", "retry": "compensated"}, shown
        for verb, who in (("skip", "ann"), ("done", "ann"), ("retry", "bob")):
            resolved = [event["data"] for event in stage.of_saga(sagas[verb])
                        if event["type"] == "saga.attention.resolved"]
            assert [(each["by"], each["step"]) for each in resolved] == [(who, "charge_card")], resolved
            assert who in stage.words(sagas[verb])
        assert "ann did by hand: refund card (because-done)." in stage.words(sagas["done"])
        assert "ann decided not to refund card (because-skip)." in stage.words(sagas["skip"])
        sink = stage.sink()
        assert [sink[f"{sagas[verb]}/charge_card"][1:3] for verb in ("skip", "done", "retry")] == [
            (1, 0), (1, 0), (1, 1)]
        again = stage.cli("saga", "skip", sagas["skip"], "--by", "ann", "--reason", "again", code=None)
        assert again.returncode in (3, 4) and again.stderr, again


def nobody_answers_in_time(folder):
    with Stage(folder) as stage:
        define(stage, "book-demo", timeout=("timeout: 24h", "timeout: 1s"))
        stage.at_work(stage.worker("sales", *SALES))
        sagaid = stage.start_saga("book-demo", {"lead_id": "lead-8"})
        shown = stage.until(sagaid, "compensated")
        assert undone(shown) == {"qualify_lead": "compensated"}, shown
        first = stage.words(sagaid).splitlines()[0]
        assert first == ("Book demo could not go on, because nobody answered “Book the demo?” in time, so it had to "
                         "unqualify lead."), first
        assert not any("/book" in key for key in stage.sink())
        approval = stage.json("query", "SELECT status, decided_by, on_timeout FROM approvals")
        assert approval == {"status": "rejected", "decided_by": None, "on_timeout": 1}, approval


def a_saga_is_cancelled(folder):
    with Stage(folder) as stage:
        define(stage, "book-demo")
        stage.at_work(stage.worker("sales", *SALES))
        sagaid = stage.start_saga("book-demo", {"lead_id": "lead-9"})
        stage.wait("its approval", lambda: stage.show(sagaid)["waiting_for"] == "approval")
        stage.cli("saga", "cancel", sagaid, "--by", "ann", "--reason", "lead withdrew")
        shown = stage.until(sagaid, "cancelled")
        assert undone(shown) == {"qualify_lead": "compensated"}, shown
        first = stage.words(sagaid).splitlines()[0]
        assert first == "Book demo was cancelled by ann (lead withdrew), so it had to unqualify lead.", first


BROKEN = (("steps: [{name: a}]", "a"), ("saga: x\nsteps:\n  - {name: a, actoin: b}\n", "actoin"),
          ("saga: x\nsteps: [{name: a, action: b.c, input: '.a |'}]", "input"), ("{", ":1:2: error"),
          ("saga: x\nsteps: []\n", "steps"))


def nonsense_disturbs_nobody(folder):
    """Broken definitions, workers that nobody has, answers that make no sense or are for others."""
    with Stage(folder) as stage:
        for number, (text, part) in enumerate(BROKEN):
            path = pathlib.Path(folder / f"broken-{number}.yaml")
            path.write_text(text, encoding="utf-8")
            refused = stage.cli("saga", "define", path, code=None)
            assert refused.returncode not in (0, 3) and part in refused.stderr, (text, refused.stderr)
        assert "no-such" in stage.cli("saga", "start", "no-such", code=3).stderr
        define(stage, "order-fulfilment")
        lost = stage.start_saga("order-fulfilment", {**ORDER, "order_id": "lost"})  # nobody works
        assert stage.wait("a command", lambda: stage.show(lost)["waiting_for"] == "worker")
        command = f"{lost}/charge_card:1"
        good = stage.start_saga("order-fulfilment", {**ORDER, "order_id": "good"})
        with stage.connect() as connection:
            def answer(type_, data, cause, *more):
                reply = connection.call("SPOOR.APPEND", "nonsense", "*", type_, data, "source", "mallory",
                                        "causationid", cause, *more)
                assert type(reply).__name__ != "Error", reply

            answer("payments.charge_card.completed", "{}", f"{lost}/no_such_step:1")
            answer("payments.charge_card.completed", "{}", f"{lost}/charge_card:9")
            answer("payments.charge_card.completed", "{}", "0198c0de-0000-7000-8000-00000000dead/charge_card:1")
            answer("shipping.schedule.completed", "{}", command)  # of another action
            assert stage.show(lost)["status"] == "running"
            assert statuses(stage.show(lost)) == {"charge_card": "running"}, stage.show(lost)
            # A failure that says nothing is one all the same, and is tried again.
            answer("payments.charge_card.failed", "\xff\xfe\x00".encode("latin-1"), command,
                   "datacontenttype", "application/octet-stream")
            stage.wait("a second attempt", lambda: stage.show(lost)["steps"][0]["attempts"] == 2)
            answer("payments.charge_card.completed", "{}", command)  # to the first attempt
        reasons = [event["data"]["reason"] for event in stage.of_saga(lost)
                   if event["type"] == "saga.answer.ignored"]
        assert {"unknown_step", "wrong_attempt"} <= set(reasons), reasons
        stage.at_work(stage.worker("shop", *ORDERS))
        for sagaid in (lost, good):
            assert stage.until(sagaid, "completed")["result"]["tracking"] is None
            assert check_order(stage.of_saga(sagaid)) == "completed"
        check_vocabulary(stage.events("--limit", "10000"))


run(a_demo_is_booked, what_was_done_is_undone_in_reverse, people_end_what_cannot_be_undone,
    nobody_answers_in_time, a_saga_is_cancelled, nonsense_disturbs_nobody)
