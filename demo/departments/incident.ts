/** Incident response. Only what is critical raises an alert, and an alert makes an incident. */
import type { Department } from "../department.ts";

export const department: Department = (work) => [
    {
        name: "incident-alerts",
        capabilities: ["alerting"],
        on: {
            "service.health.degraded": {
                filter: { "data.severity": "critical" },
                handler: async (event, context) => {
                    await work();
                    const { service, metric, value, threshold, after } = event.data;
                    await context.emit("alert.triggered", {
                        alert_id: `alert-${metric}-${after}`,
                        service,
                        severity: "critical",
                        value,
                        threshold,
                        message: `${metric} of ${service}: ${value}`,
                        after,
                    });
                },
            },
        },
    },
    {
        name: "incident-commander",
        capabilities: ["incident_response"],
        on: {
            "alert.triggered": {
                filter: { "data.severity": "critical" },
                handler: async (event, context) => {
                    await work();
                    const { service, after } = event.data;
                    const incident = `incident-${after}`;
                    await context.emit(
                        "incident.created",
                        {
                            incident_id: incident,
                            service,
                            severity: "critical",
                            title: `${service} fails after ${after}`,
                            suspects: [after],
                        },
                        { stream: incident },
                    );
                },
            },
            "service.health.recovered": async (event, context) => {
                await work();
                await context.emit(
                    "incident.resolved",
                    {
                        incident_id: event.data.incident_id,
                        service: event.data.service,
                        resolution: "rolled back",
                    },
                    { stream: event.data.incident_id },
                );
            },
        },
    },
    {
        name: "incident-scribe",
        capabilities: ["incident_response"],
        on: {
            "incident.created": async (event, context) => {
                await work();
                await context.emit(
                    "incident.updated",
                    {
                        incident_id: event.data.incident_id,
                        status: "mitigating",
                        message: "everybody is on it",
                    },
                    { stream: event.data.incident_id },
                );
            },
        },
    },
    {
        name: "incident-analyst",
        capabilities: ["analysis"],
        on: {
            "anomaly.detected": async (event, context) => {
                await work();
                await context.emit("correlation.found", {
                    between: [event.data.deployment_id, event.data.metric],
                    coefficient: 0.93,
                });
            },
        },
    },
];
