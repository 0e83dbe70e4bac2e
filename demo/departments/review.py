"""Code review. review-lead looks at each commit and lets this one pass; when a deployment fails, the
specialists look again."""

SPECIALISTS = {
    "tests": "the cache has no test",
    "performance": "one query a request is saved",
    "api": "no change of the interface",
    "dependencies": "none is new",
    "style": "nothing to say",
    "history": "the last change of this file was rolled back, too",
}


def agents(make, work):
    lead = make("review-lead", ["code_review"])

    @lead.on("code.commit.pushed")
    async def review(event, ctx):
        await work()
        change = event.data
        await ctx.emit("code.review.completed", {
            "repository": change["repository"], "service": change["service"],
            "commit": change["commit"], "score": 0.82, "issues": [], "recommendation": "APPROVE"})

    def specialist(subject, finding):
        agent = make(f"review-{subject}", ["code_review", subject])

        @agent.on("deployment.failed")
        async def look_again(event, ctx):
            await work()
            await ctx.emit("code.review.completed", {
                "commit": event.data["commit"], "score": 0.7, "issues": [finding],
                "recommendation": "COMMENT"})

    for subject, finding in SPECIALISTS.items():
        specialist(subject, finding)

    database = make("review-database", ["code_review", "database"])

    @database.on("deployment.failed")
    async def find_the_risk(event, ctx):
        await work()
        await ctx.emit("code.risk.identified", {
            "service": event.data["service"], "commit": event.data["commit"], "risk": "high",
            "findings": ["sessions are cached and never expire"]})
