#!/bin/sh
# The dashboard's types and unit tests (ui/test).
modules=$SPOOR_SOURCE/build/ui/node_modules
if [ ! -d "$modules/esbuild" ]; then
    echo '1..0 # SKIP build/ui/node_modules is not there; ./dev test installs it'
    exit 0
fi
exec "$SPOOR_SOURCE/build/ui/bin/node" "$SPOOR_SOURCE/ui/build.mjs" --test --modules "$modules"
