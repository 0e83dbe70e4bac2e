"""The fleet of 47 agents: a deployment fails, and they react to each other, with no coordinator.

`./dev demo` runs it; docs/demo.md tells what is seen.
"""
import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import pathlib
import pty
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time

import spoor
import story
from rollback import Rollback
from rounds import Caller, Kill, Player, find, took_ms
from stage import ROOT, Stage, Trouble, sync_us

WARM_UP = 3  # rounds that are not counted: programs that have just started are slow


def parse():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=20, help="rounds that are counted (20)")
    parser.add_argument("--compare", type=int, default=3, metavar="N",
                        help="rounds as HTTP calls and by polling; 0: none (3)")
    parser.add_argument("--work", type=float, default=50.0, metavar="MS",
                        help="what an agent's own work takes in the second comparison (50)")
    parser.add_argument("--poll", type=float, default=0.3, metavar="S",
                        help="seconds between polls, told as if they were 30 (0.3)")
    parser.add_argument("--kill", choices=[*story.DEPARTMENTS, "none"], default="notification",
                        help="whose process is killed (notification)")
    parser.add_argument("--kills", type=int, default=3, metavar="N",
                        help="how many more are killed, at any moment (3)")
    parser.add_argument("--story", choices=("fleet", "rollback", "both"), default="both",
                        help="the fleet's, the rollback's, or one after the other (both)")
    parser.add_argument("--auto", action="store_true",
                        help="the demo itself approves the rollback, as it does where nobody watches")
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    return parser.parse_args()


class Screen:
    """What people see; nothing of it with --json."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, text=""):
        if not self.quiet:
            print(text, flush=True)

    def title(self, text):
        self.say("\n" + (f"\033[1m{text}\033[0m" if self.colour else text))


def ms(value):
    if value >= 60_000:
        return f"{value / 60_000:.1f} min"
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"


def check(events):
    """Ends the demo where a run is not what it should be."""
    missing, extra = story.differences(events)
    if missing or extra:
        raise Trouble(f"the story is wrong: missing {missing}, too much {extra}")


def on_terminal(command, env):
    """What a command shows on a terminal as wide as ours."""
    columns = min(max(shutil.get_terminal_size((110, 40)).columns, 80), 140)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    more = [] if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ["--no-color"]
    process = subprocess.Popen([*command, *more], stdout=theirs, stdin=subprocess.DEVNULL,
                               env=env)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    process.wait()
    return shown.decode().replace("\r\n", "\n").rstrip("\n")


class Demo:
    def __init__(self, options, stage):
        self.options, self.stage = options, stage
        self.screen = Screen(options.json)
        self.found = {"agents": len(story.AGENTS), "reactions": len(story.REACTIONS)}
        self.pager = stage.folder / "pager"
        self.env = {"DEMO_PAGER": str(self.pager)}

    async def run(self):
        if self.options.story != "rollback":
            await self.run_fleet()
        if self.options.story != "fleet":
            is_auto = self.options.auto or self.options.json or not sys.stdout.isatty()
            self.found["rollback"] = await Rollback(self.stage, self.screen, is_auto,
                                                    on_terminal).run()
        if self.options.json:
            print(json.dumps(self.found))

    async def run_fleet(self):
        options = self.options
        begun = time.monotonic()
        server, url = await self.stage.server("server")
        hosts = await self.stage.hosts("events", url, env=self.env)
        async with spoor.connect(url) as client, Player(client) as player:
            await self.meet(client, time.monotonic() - begun)
            sync = [sync_us(self.stage.folder)]
            runs = [await player.play(number) for number in range(WARM_UP + options.rounds)]
            sync.append(sync_us(self.stage.folder))
            for events in runs:
                check(events)
            self.found["sync_us"] = sync
            self.tell(runs[-1])
            await self.why(find(runs[-1], story.INCIDENT).id, url)
            free_ms = [took_ms(events) for events in runs[WARM_UP:]]
            if options.compare:
                await self.stage.work(hosts, options.work)
                slow = [await player.play(number) for number in range(options.compare)]
                await self.stage.work(hosts, 0.0)
                await self.compare(free_ms, [took_ms(events) for events in slow])
            else:
                self.found["events_ms"] = free_ms
            if options.kill != "none":
                server = await self.kill(Kill(self.stage, player, hosts, url, self.env), server)
            await self.look_for_doubles(client, player)
        for process, _ in hosts.values():
            await self.stage.stop(process)
        await self.stage.stop(server)

    async def meet(self, client, took_s):
        """Who is there."""
        online = await client.agents(status="online")
        names = sorted(agent.id for agent in online)
        if names != story.AGENTS:
            raise Trouble(f"not all are online: {sorted(set(story.AGENTS) ^ set(names))}")
        self.found["online"] = names
        self.screen.title(f"{len(names)} agents online after {took_s:.1f} s, and no coordinator")
        for language in ("Python", "TypeScript"):
            counts = [f"{name} {sum(story.department_of(agent) == name for agent in names)}"
                      for name, of in story.DEPARTMENTS.items() if of == language]
            self.screen.say(f"  in {language}, a process each: {', '.join(counts)}")

    def tell(self, events):
        """A round as it went: when each kind of reaction came."""
        self.found["story"] = [event.to_dict() for event in events]
        begun = find(events, story.FAILED)
        self.screen.title(f"{begun.data['service']}: a commit goes out and fails; who reacts, and when")
        kinds = {}
        for event in events:
            if event.position >= begun.position and event.type != story.RUNG.type:
                kinds.setdefault((event.type, story.department_of(event.source)), []).append(event)
        for (type_, department), of_kind in kinds.items():
            pair = [f"+{took_ms([begun, event]):.1f}" for event in (of_kind[0], of_kind[-1])]
            span = pair[0] if len(of_kind) == 1 else f"{pair[0]} … {pair[1]}"
            who = of_kind[0].source if len(of_kind) == 1 else f"{len(of_kind)} of {department}"
            self.screen.say(f"  {span:>15} ms  {type_:<24} {who}")
        low, high = sorted(self.found["sync_us"])
        self.screen.say(f"  {len(story.REACTIONS)} reactions, each on disk before anybody saw it; one write "
                        f"to this disk takes {low:.0f} to {high:.0f} µs")

    async def why(self, incident, url):
        """From the incident back to the commit, as anybody would ask for it."""
        command = [str(self.stage.program), "why", incident]
        env = {**os.environ, "SPOOR_URL": url}
        done = await asyncio.to_thread(subprocess.run, [*command, "--json"], text=True, env=env,
                                       capture_output=True, check=False)
        chain = [json.loads(line) for line in done.stdout.splitlines()]
        self.found["why"] = chain
        told = [(event["type"], event["source"]) for event in chain]
        if told != [reaction[:2] for reaction in story.WHY]:
            raise Trouble(f"why tells another story: {told} {done.stderr}")
        self.screen.title(f"$ spoor why {incident}")
        if not self.options.json:
            self.screen.say(await asyncio.to_thread(on_terminal, command, env))

    async def compare(self, free_ms, slow_ms):
        """The same agents, called one after another, and polling."""
        options = self.options
        hosts = await self.stage.hosts("http")
        caller = Caller(hosts)
        for number in range(WARM_UP):
            caller.play(number)
        calls_free = [caller.play(number)[0] for number in range(options.compare)]
        await self.stage.work(hosts, options.work)
        calls_slow, answered = caller.play(0)
        if len(answered) != len(story.EXPECTED) - 1:
            raise Trouble(f"over HTTP {len(answered)} events came, not {len(story.EXPECTED) - 1}")
        caller.close()
        for process, _ in hosts.values():
            await self.stage.stop(process)
        polled = await self.poll()
        scale = 30 / options.poll
        self.found.update(events_ms=free_ms, events_working_ms=slow_ms, http_ms=calls_free,
                          http_working_ms=[calls_slow], polled_ms=polled, poll_scale=scale)
        self.screen.title("From the failed deployment to the last reaction")
        work = f"{options.work:.0f} ms of work each"
        self.screen.say(f"  {'':<44}{'no work of their own':>24}{work:>24}")
        rows = (("events, durable", free_ms, slow_ms),
                ("HTTP, one call after another, nothing stored", calls_free, [calls_slow]),
                ("looking every 30 s", [value * scale for value in polled], None))
        for name, free, slow in rows:
            self.screen.say(f"  {name:<44}{self.median(free):>24}{self.median(slow):>24}".rstrip())
        self.screen.say(f"  Medians, in brackets the worst, of {options.rounds}, {options.compare} and "
                        f"{options.compare} rounds; with work {options.compare} and 1.\n"
                        f"  The agents that look did so every {options.poll:g} s: times {scale:.0f}.")

    @staticmethod
    def median(values):
        if not values:
            return ""
        worst = f" ({ms(max(values))})" if len(values) > 1 else ""
        return ms(statistics.median(values)) + worst

    async def poll(self):
        """The same agents, each looking for news at moments of its own; a server of their own."""
        server, url = await self.stage.server("server-polled")
        hosts = await self.stage.hosts("poll", url, self.options.poll)
        async with spoor.connect(url) as client, Player(client) as player:
            runs = [await player.play_polled(number) for number in range(self.options.compare)]
        for process, _ in hosts.values():
            await self.stage.stop(process)
        await self.stage.stop(server)
        return [took_ms(events) for events in runs]

    async def kill(self, kill, server):
        """One process dies in the middle of its reactions; then others, at any moment. Gives the server."""
        department, all_ = self.options.kill, len(story.REACTIONS)
        rung_before = self.rings()
        events, seen = await kill.in_the_middle(department, 0)
        check(events)
        rings = self.rings() - rung_before
        if rings != 1:
            raise Trouble(f"the pager rang {rings} times")
        notices = await kill.client.query(
            ["agent.suspected_failure", "agent.recovered", "delivery.failed"])
        self.found["kill"] = {"department": department, **seen, "rings": rings,
                              "events": [event.to_dict() for event in events],
                              "notices": [event.to_dict() for event in notices]}
        of, agents = seen["in_flight"], len(seen["agents"])
        self.screen.title(f"kill -9: the process of the {agents} {department} agents, in the middle of "
                          f"{of} event{'s' if of > 1 else ''}")
        for when, what in (
                ("given_back_s", "delivery.failed: the consumer left; its work is back in the queues"),
                ("suspected_s", f"agent.suspected_failure: {agents} of {agents}"),
                ("online_s", f"agent.recovered: {agents} of {agents}, in another process"),
                ("whole_s", f"delivered again and done: {all_} of {all_} reactions, none twice; the pager "
                            "rang once")):
            self.screen.say(f"  +{seen[when]:.1f} s  {what}")
        dice = random.Random()
        for number in range(self.options.kills):
            server, events = await kill.at_random(server, number, dice)
            check(events)
        if self.options.kills:
            self.screen.say(f"  {self.options.kills} times more, at any moment, any process or the server: "
                            f"each time {all_} of {all_}, none twice")
        return server

    def rings(self):
        return len(self.pager.read_text(encoding="utf-8").splitlines()) if self.pager.exists() else 0

    async def look_for_doubles(self, client, player):
        """Once more, in the log: what came after a round had been counted would be one too many."""
        for run in list(player.runs):
            if player.runs[run][0].type == story.COMMIT.type:
                log = await client.query(correlation=run)
                check([event for event in log if event.source != "spoor"])
        self.found["runs"] = sum(events[0].type == story.COMMIT.type
                                 for events in player.runs.values())


def built_sdk(program):
    """The TypeScript SDK as its users get it; built where that was not done yet."""
    os.environ.setdefault("SPOOR", str(program))
    os.environ.setdefault("SPOOR_SOURCE", str(ROOT))
    sys.path.append(str(ROOT / "tests" / "system"))
    import sdk_typescript  # pylint: disable=import-outside-toplevel,import-error
    return sdk_typescript.package()


async def main():
    options = parse()
    program = pathlib.Path(os.environ.get("SPOOR", ROOT / "build/spoor")).resolve()
    clients = pathlib.Path(os.environ.get("SPOOR_CLIENTS", ROOT / "build/clients")).resolve()
    sdk = built_sdk(program)
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with Stage(program, clients, sdk) as stage:
        logging.basicConfig(filename=stage.folder / "demo.log")
        await Demo(options, stage).run()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        sys.exit(130)
    except Trouble as trouble:
        sys.exit(f"demo: {trouble}")
