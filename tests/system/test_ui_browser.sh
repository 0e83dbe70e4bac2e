#!/bin/sh
# The dashboard's views in Chromium, before a server with real runs (ui/browser).
SPOOR_UI_MODULES=$SPOOR_SOURCE/build/ui/node_modules
SPOOR_CHROMIUM=$(command -v chromium)
export SPOOR_UI_MODULES SPOOR_CHROMIUM
if [ ! -d "$SPOOR_UI_MODULES/playwright-core" ] || [ -z "$SPOOR_CHROMIUM" ]; then
    echo '1..0 # SKIP chromium or build/ui/node_modules is not there; ./dev test installs both'
    exit 0
fi
exec "$SPOOR_SOURCE/build/ui/bin/node" --test --test-reporter=tap --test-concurrency=1 \
    "$SPOOR_SOURCE"/ui/browser/*.test.mjs
