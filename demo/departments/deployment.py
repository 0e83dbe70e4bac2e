"""Deployment. What was approved goes out by way of a canary, which fails; once there is an incident,
every region goes back to the version before."""

REGIONS = ("canary", "eu", "us", "asia", "africa", "schema")


def agents(make, work):
    manager = make("deploy-manager", ["deployment"])

    @manager.on("code.review.completed", filter={"data.recommendation": "APPROVE"})
    async def release(event, ctx):
        await work()
        review = event.data
        await ctx.emit("deployment.triggered", {
            "deployment_id": "deploy-" + review["commit"], "repository": review["repository"],
            "service": review["service"], "commit": review["commit"], "version": "v2.1.4",
            "environment": "production", "trigger_reason": "code_review_approved"})

    def region(name):
        agent = make(f"deploy-{name}", ["deployment", "rollback", name])

        @agent.on("incident.created")
        async def roll_back(event, ctx):
            await work()
            await ctx.emit("deployment.rolled_back", {
                "service": event.data["service"], "environment": name, "version": "v2.1.4",
                "to_version": "v2.1.3", "incident_id": event.data["incident_id"]})
        return agent

    canary = [region(name) for name in REGIONS][0]

    @canary.on("deployment.triggered")
    async def deploy(event, ctx):
        await ctx.emit("deployment.started", {**event.data, "environment": "canary"})
        await work()
        facts = {key: event.data[key] for key in ("deployment_id", "service", "version", "commit")}
        await ctx.emit("deployment.failed", {
            **facts, "environment": "canary", "error": "health check failed 3 times",
            "rollback_required": True})
