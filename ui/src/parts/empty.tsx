/** Where there is nothing to show: why, and what to do next. */
import type { ComponentChildren } from "preact";

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
    return (
        <section class="empty">
            <h1>{title}</h1>
            {children}
        </section>
    );
}

export function Failure({ error, onRetry }: { error: Error; onRetry?: () => void }) {
    return (
        <section class="empty" role="alert">
            <h1>That did not work</h1>
            <p>{error.message}</p>
            {onRetry && (
                <button type="button" onClick={onRetry}>
                    Try again
                </button>
            )}
        </section>
    );
}
