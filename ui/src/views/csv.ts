/** An answer as CSV (RFC 4180). Pure. */
import type { QueryAnswer } from "../api/types.js";

function cell(value: unknown): string {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvOf(answer: QueryAnswer): string {
    return [answer.columns, ...answer.rows].map(row => row.map(cell).join(",") + "\r\n").join("");
}
