/** Notification. Whoever must know of an incident is told, each by its own way. */
import { appendFile } from "node:fs/promises";
import type { Department, Member } from "../department.ts";

const CHANNELS = {
    sms: "sam",
    support: "support desk",
    management: "the board",
    ticket: "queue 7",
};

/** Rings the pager of whoever is on call; here it writes a line, so that rings can be counted. */
async function ring(incident: string): Promise<{ rang: string }> {
    const file = process.env["DEMO_PAGER"];
    if (file !== undefined) {
        await appendFile(file, `${incident}\n`);
    }
    return { rang: incident };
}

export const department: Department = (work) => [
    ...Object.entries(CHANNELS).map(([channel, to]): Member => ({
        name: `notify-${channel}`,
        capabilities: ["notification", channel],
        on: {
            "incident.created": async (event, context) => {
                await work();
                await context.emit("notification.sent", {
                    channel,
                    to,
                    incident_id: event.data.incident_id,
                });
            },
        },
    })),
    {
        name: "notify-status-page",
        capabilities: ["notification", "status-page"],
        on: {
            "incident.created": async (event, context) => {
                await work();
                await context.emit("notification.sent", {
                    channel: "status-page",
                    to: "everybody",
                    incident_id: event.data.incident_id,
                });
            },
            "incident.resolved": async (event, context) => {
                await work();
                await context.emit("notification.sent", {
                    channel: "status-page",
                    to: "everybody",
                    message: `${event.data.service} works again`,
                });
            },
        },
    },
    // Rings and then tells: a step is not done again, whatever happens between the two.
    {
        name: "notify-pager",
        capabilities: ["notification", "pager"],
        on: {
            "incident.created": async (event, context) => {
                const incident = event.data.incident_id;
                await context.step("ring", () => ring(incident));
                await work();
                await context.emit("notification.sent", {
                    channel: "pager",
                    to: "on-call",
                    incident_id: incident,
                });
            },
        },
    },
    // Tells and then works on: what was told is not told again.
    ...["chat", "mail"].map((channel): Member => ({
        name: `notify-${channel}`,
        capabilities: ["notification", channel],
        on: {
            "incident.created": async (event, context) => {
                await context.emit("notification.sent", {
                    channel,
                    to: "engineering",
                    incident_id: event.data.incident_id,
                });
                await work();
            },
        },
    })),
];
