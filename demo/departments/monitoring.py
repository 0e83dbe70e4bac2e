"""Monitoring. Each agent watches one metric and says how it is after a failed deployment; the one that
watches errors also sees when it is over."""

METRICS = {  # name: what it shows, what it should be at most, how grave that is
    "errors": (0.31, 0.01, "critical"),
    "latency": (870, 250, "high"),
    "traffic": (410, 900, "medium"),
    "saturation": (0.93, 0.8, "medium"),
    "logins": (120, 900, "high"),
    "checkout": (31, 80, "high"),
    "queue": (5200, 1000, "medium"),
    "cache": (0.99, 0.9, "medium"),
    "database": (190, 100, "medium"),
    "network": (0.2, 0.7, "low"),
    "disk": (0.4, 0.8, "low"),
    "synthetics": (3, 0, "high"),
}


def agents(make, work):
    def watch(metric, value, threshold, severity):
        agent = make(f"monitor-{metric}", ["monitoring", metric])

        @agent.on("deployment.failed")
        async def measure(event, ctx):
            await work()
            await ctx.emit("service.health.degraded", {
                "service": event.data["service"], "metric": metric, "value": value,
                "threshold": threshold, "severity": severity, "after": event.data["deployment_id"]})
        return agent

    errors = [watch(metric, *facts) for metric, facts in METRICS.items()][0]

    @errors.on("deployment.rolled_back", filter={"data.environment": "canary"})
    async def measure_again(event, ctx):
        await work()
        await ctx.emit("service.health.recovered", {
            "service": event.data["service"], "metric": "errors", "value": 0.001,
            "incident_id": event.data["incident_id"]})
