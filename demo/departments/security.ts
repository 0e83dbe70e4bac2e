/** Security. After a failed deployment every scanner looks whether somebody has a hand in it. */
import type { Department, Member } from "../department.ts";

const SUBJECTS = [
    "logins",
    "secrets",
    "dependencies",
    "permissions",
    "exfiltration",
    "images",
    "audit",
];

export const department: Department = (work) => [
    ...SUBJECTS.map((subject): Member => ({
        name: `scan-${subject}`,
        capabilities: ["security_scan", subject],
        on: {
            "deployment.failed": async (event, context) => {
                await work();
                await context.emit("security.scan.completed", {
                    service: event.data.service,
                    scan: subject,
                    findings: [],
                });
            },
        },
    })),
    {
        name: "scan-traffic",
        capabilities: ["security_scan", "traffic"],
        on: {
            "deployment.failed": async (event, context) => {
                await work();
                await context.emit("anomaly.detected", {
                    service: event.data.service,
                    metric: "requests without a session",
                    value: 9400,
                    expected: 12,
                    severity: "medium",
                    deployment_id: event.data.deployment_id,
                });
            },
        },
    },
];
