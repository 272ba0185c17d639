#!/bin/sh
# symbols.sh PLUGIN.so: exactly one exported symbol, and nothing that a plugin must not link.
set -u
exported=$(nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | sort -u)
if [ "$exported" != "rai_plugin_entry_v1" ]; then
  echo "$1 exports: $exported"; exit 1
fi
if readelf -d "$1" | grep -E 'NEEDED.*(spdlog|libfmt)|RUNPATH|RPATH|TEXTREL'; then
  echo "$1 must not need these"; exit 1
fi
