/** The frame around every view: navigation, how the connection stands, palette, token. */
import { useEffect, useState } from "preact/hooks";

import { setToken, tokenWanted } from "../api/base.js";
import { linkState, type LinkState } from "../api/live.js";
import { Empty } from "../parts/empty.js";
import { Palette } from "./palette.js";
import { hrefOf, route } from "./route.js";
import { theme, toggleTheme } from "./theme.js";
import { VIEWS, viewNamed } from "./views.js";

const LINK_TEXT: Record<LinkState, string> = {
    none: "",
    connecting: "connecting",
    open: "live",
    lost: "server not reached, trying again",
    refused: "refused",
};

function LinkStateMark() {
    const state = linkState.value;
    return (
        <span class={`link link-${state}`} role="status">
            {LINK_TEXT[state]}
        </span>
    );
}

function TokenForm() {
    const [text, setText] = useState("");
    return (
        <form
            class="token"
            onSubmit={event => {
                event.preventDefault();
                setToken(text);
                location.reload();
            }}
        >
            <h1>This server asks for a password</h1>
            <label>
                Password
                <input
                    type="password"
                    autoComplete="current-password"
                    value={text}
                    onInput={event => setText(event.currentTarget.value)}
                />
            </label>
            <button type="submit">Enter</button>
        </form>
    );
}

function Body() {
    const { view: name } = route.value;
    const view = viewNamed(name);
    if (view === undefined) {
        return (
            <Empty title={`There is no view “${name}”`}>
                <a href={hrefOf("live")}>Go to the live tail</a>
            </Empty>
        );
    }
    return <view.show />;
}

export function Shell() {
    const [palette, setPalette] = useState(false);
    useEffect(() => {
        const onKey = (event: KeyboardEvent) => {
            if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
                event.preventDefault();
                setPalette(true);
            }
        };
        addEventListener("keydown", onKey);
        return () => removeEventListener("keydown", onKey);
    }, []);
    if (tokenWanted.value) {
        return (
            <main>
                <TokenForm />
            </main>
        );
    }
    return (
        <>
            <a class="skip" href="#content" onClick={focusContent}>
                Skip to content
            </a>
            <header class="top">
                <span class="brand">spoor</span>
                <nav aria-label="Views">
                    {VIEWS.map(view => (
                        <a
                            key={view.name}
                            href={hrefOf(view.name)}
                            {...(route.value.view === view.name ? { "aria-current": "page" as const } : {})}
                        >
                            {view.label}
                        </a>
                    ))}
                </nav>
                <LinkStateMark />
                <button type="button" onClick={() => setPalette(true)} aria-keyshortcuts="Control+K">
                    Go to… <kbd>Ctrl K</kbd>
                </button>
                <button type="button" onClick={toggleTheme}>
                    {theme.value === "dark" ? "Light" : "Dark"}
                </button>
            </header>
            <main id="content" tabIndex={0}>
                <Body />
            </main>
            {palette && <Palette onClose={() => setPalette(false)} />}
        </>
    );
}

/** A link to `#content` would change the view: the address is ours. */
function focusContent(event: Event): void {
    event.preventDefault();
    document.getElementById("content")?.focus();
}
