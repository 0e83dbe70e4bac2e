"""The rollback: a deployment failed, a saga proposes to go back, a person decides on the command line, and
three agents undo what the deployment did, in order."""
import asyncio
import os
import shlex
import subprocess

import spoor
from stage import PATIENCE_S, ROOT, Trouble

DEFINITION = ROOT / "examples/sagas/rollback.yaml"
FAILED = {"deployment_id": "deploy-117", "service": "checkout", "version": "2.4.1",
          "previous_version": "2.4.0", "migration": "0042_add_coupons", "flag": "coupons",
          "error": "health check failed on the canary"}
# What the deployment did, and who can undo it: agent, action, what is so before it, and after it.
UNDOES = (("schema-keeper", "database.undo_migration", "migration 0042_add_coupons is applied",
           "migration 0042_add_coupons is taken back"),
          ("deployer", "deploy.undo", "checkout runs 2.4.1", "checkout runs 2.4.0"),
          ("flag-keeper", "flags.disable", "feature flag coupons is on", "feature flag coupons is off"))


class Rollback:
    """One rollback on a server of its own. `on_terminal` gives what a command shows to people."""

    def __init__(self, stage, screen, is_auto, on_terminal):
        self.stage, self.screen, self.is_auto, self.on_terminal = stage, screen, is_auto, on_terminal
        self.done = []  # what was undone, in order

    async def run(self):
        """Gives the saga's events, its story in words, and what the agents did."""
        server, url = await self.stage.server("server-rollback")
        agents = [self.agent(url, *undo) for undo in UNDOES]
        async with spoor.connect(url) as client:
            for agent in agents:
                await agent.start()
            await client.define_saga(DEFINITION.read_text(encoding="utf-8"))
            failed = await client.publish("deployment.failed", FAILED, source="deploy-canary")
            asked = await self.wait(client, "saga.approval.requested")
            self.tell_question(asked)
            await self.decide(asked, url)
            await self.wait(client, "saga.completed", "saga.compensated", "saga.needs_attention")
            saga = asked.stream.partition(":")[2]
            words = await asyncio.to_thread(self.on_terminal, [str(self.stage.program), "saga", "show", saga],
                                            {**os.environ, "SPOOR_URL": url})
            events = await client.query(correlation=failed.id)
        for agent in agents:
            await agent.stop()
        await self.stage.stop(server)
        self.tell_end(saga, words)
        return {"saga": saga, "words": words, "done": [action for action, _ in self.done],
                "events": [event.to_dict() for event in events]}

    def agent(self, url, name, action, _before, after):
        agent = spoor.Agent(name, url=url)

        async def undo(_command, _context):
            self.done.append((action, after))
            return {"now": after}

        agent.step(action)(undo)
        return agent

    @staticmethod
    async def wait(client, *types):
        """The first event of one of these types."""
        async def first():
            async for event in client.subscribe(list(types), from_=1):
                return event
        return await asyncio.wait_for(first(), None if "saga.completed" in types else PATIENCE_S)

    def tell_question(self, asked):
        say = self.screen.say
        self.screen.title("A deployment failed, and a saga proposes to roll it back: a person decides")
        say(f"  {FAILED['service']} {FAILED['version']}: {FAILED['error']}")
        for _, _, before, _ in UNDOES:
            say(f"    {before}")
        say(f"  “{asked.data['prompt']}” is asked; nothing happens until somebody answers, whoever dies until then.")

    async def decide(self, asked, url):
        """Shows what to type, and waits for it; with --auto it is typed by the demo."""
        command = ["saga", "approve", asked.data["proposal"].rpartition(":")[0], "--choice", "rollback",
                   "--by", "ann", "--reason", "customers cannot pay"]
        shown = [str(self.stage.program) if not self.is_auto else "spoor", *command]
        if self.is_auto:
            self.screen.say(f"\n$ {shlex.join(shown)}")
            await self.spoor(command, url)
            return
        self.screen.say("\n  Type this in another terminal, with your name (or end the demo with Ctrl-C):\n\n"
                        f"    {shlex.join([*shown, '--url', url])}\n")

    async def spoor(self, words, url):
        done = await asyncio.to_thread(
            subprocess.run, [str(self.stage.program), *words], text=True, capture_output=True,
            check=False, env={**os.environ, "SPOOR_URL": url})
        if done.returncode != 0:
            raise Trouble(f"spoor {shlex.join(words)}: {done.stderr}")
        return done.stdout

    def tell_end(self, saga, words):
        wanted = [action for _, action, _, _ in UNDOES]
        found = [action for action, _ in self.done]
        if found not in (wanted, []):
            raise Trouble(f"undone in another order: {found}")
        if self.is_auto and not found:
            raise Trouble(f"nothing was undone: {words}")
        self.screen.say()
        for _, after in self.done:
            self.screen.say(f"    {after}")
        self.screen.say(f"\n$ spoor saga show {saga}")
        self.screen.say(words)
