"""What the fleet does with one bad commit: who reacts to what, and with what. No code follows this list;
it is what comes of the agents' own reactions, written down so that it can be checked."""
import collections

DEPARTMENTS = {  # name: language
    "review": "Python", "deployment": "Python", "monitoring": "Python",
    "security": "TypeScript", "incident": "TypeScript", "notification": "TypeScript",
}
PREFIX = {"review": "review-", "deployment": "deploy-", "monitoring": "monitor-", "security": "scan-",
          "incident": "incident-", "notification": "notify-"}
SERVICES = ("user-service", "cart", "checkout", "search", "mail")

Reaction = collections.namedtuple("Reaction", "type source cause")

COMMIT = Reaction("code.commit.pushed", "forge", None)
REVIEW = Reaction("code.review.completed", "review-lead", COMMIT)
TRIGGERED = Reaction("deployment.triggered", "deploy-manager", REVIEW)
STARTED = Reaction("deployment.started", "deploy-canary", TRIGGERED)
FAILED = Reaction("deployment.failed", "deploy-canary", TRIGGERED)
DEGRADED = Reaction("service.health.degraded", "monitor-errors", FAILED)
ALERT = Reaction("alert.triggered", "incident-alerts", DEGRADED)
INCIDENT = Reaction("incident.created", "incident-commander", ALERT)
RUNG = Reaction("agent.step.completed", "notify-pager", INCIDENT)
ANOMALY = Reaction("anomaly.detected", "scan-traffic", FAILED)
BACK = Reaction("deployment.rolled_back", "deploy-canary", INCIDENT)
RECOVERED = Reaction("service.health.recovered", "monitor-errors", BACK)
RESOLVED = Reaction("incident.resolved", "incident-commander", RECOVERED)


def several(type, prefix, names, cause):
    return [Reaction(type, prefix + name, cause) for name in names.split()]


BEFORE = [COMMIT, REVIEW, TRIGGERED, STARTED, FAILED]
REACTIONS = [
    DEGRADED, ALERT, INCIDENT, ANOMALY, BACK, RECOVERED, RESOLVED,
    Reaction("code.risk.identified", "review-database", FAILED),
    Reaction("correlation.found", "incident-analyst", ANOMALY),
    Reaction("incident.updated", "incident-scribe", INCIDENT),
    Reaction("notification.sent", "notify-status-page", RESOLVED),
    *several("code.review.completed", "review-",
             "tests performance api dependencies style history", FAILED),
    *several("service.health.degraded", "monitor-", "latency traffic saturation logins checkout queue"
             " cache database network disk synthetics", FAILED),
    *several("security.scan.completed", "scan-",
             "logins secrets dependencies permissions exfiltration images audit", FAILED),
    *several("deployment.rolled_back", "deploy-", "eu us asia africa schema", INCIDENT),
    *several("notification.sent", "notify-",
             "sms support management ticket status-page pager chat mail", INCIDENT),
]
EXPECTED = BEFORE + REACTIONS + [RUNG]
AGENTS = sorted({reaction.source for reaction in EXPECTED} - {"forge"})
WHY = [COMMIT, REVIEW, TRIGGERED, FAILED, DEGRADED, ALERT, INCIDENT]


def department_of(agent):
    return next(name for name, prefix in PREFIX.items() if agent.startswith(prefix))


def caused_by(reaction, department):
    """Whether an agent of this department stands between the commit and the reaction."""
    cause = reaction.cause
    return cause is not None and cause is not COMMIT and (
        department_of(cause.source) == department or caused_by(cause, department))


def first_of(department):
    """The handlers of a department that react to the others, not to what it said itself."""
    return {(reaction.source, reaction.cause.type) for reaction in EXPECTED
            if reaction.cause and department_of(reaction.source) == department
            and not caused_by(reaction, department)}


def differences(events):
    """What of the story is missing in these events of one run, and what is there too much."""
    by_id = {event.id: event for event in events}

    def told(event):
        cause = by_id.get(event.causationid)
        return event.type, event.source, cause and (cause.type, cause.source)

    wanted = collections.Counter((reaction.type, reaction.source,
                                  reaction.cause and tuple(reaction.cause[:2]))
                                 for reaction in EXPECTED)
    found = collections.Counter(map(told, events))
    return sorted((wanted - found).elements(), key=str), sorted((found - wanted).elements(), key=str)
