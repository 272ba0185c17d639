#!/bin/sh
# symbols.sh PLUGIN.so [provider [STRIPPED_BYTES_MAX]]: exactly one exported symbol, and nothing that
# a plugin, or a provider, must not link.
set -u
exported=$(nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | sort -u)
if [ "$exported" != "rai_plugin_entry_v1" ]; then
  echo "$1 exports: $exported"; exit 1
fi
if readelf -d "$1" | grep -E 'NEEDED.*(spdlog|libfmt)|RUNPATH|RPATH|TEXTREL'; then
  echo "$1 must not need these"; exit 1
fi
if [ "${2:-}" = provider ]; then
  # What goes over the network is the transport's affair.
  if readelf -d "$1" | grep -E 'NEEDED.*(ssl|crypto|libz|boost_(system|thread|context|coroutine))'; then
    echo "$1 must not need these"; exit 1
  fi
  if nm -DC "$1" | grep -E ' U (socket|connect|send|recv|SSL_.*)$'; then
    echo "$1 must not use these"; exit 1
  fi
  if [ -n "${3:-}" ]; then
    stripped=$(mktemp)
    strip -o "$stripped" "$1"
    bytes=$(stat -c %s "$stripped")
    rm -f "$stripped"
    if [ "$bytes" -gt "$3" ]; then
      echo "$1 has $bytes bytes without symbols, $3 are allowed"; exit 1
    fi
  fi
fi
# A unique symbol keeps the file mapped for ever and is shared between two generations of it.
if readelf -sW "$1" | grep -E ' UNIQUE '; then
  echo "$1 has unique symbols: compile it with -fno-gnu-unique"; exit 1
fi
if ! readelf -d "$1" | grep -qE 'FLAGS.*(BIND_NOW|NOW)'; then
  echo "$1 is not linked with -z now"; exit 1
fi
if ! readelf -lW "$1" | grep -qE 'GNU_STACK.* RW '; then
  echo "$1 wants an executable stack"; exit 1
fi
# What Debian 12 has.
newest() {
  readelf -VW "$1" | grep -oE "\b$2_[0-9.]+" | sort -uV | tail -n 1 | sed "s/$2_//"
}
for limit in GLIBC:2.36 GLIBCXX:3.4.30 CXXABI:1.3.13; do
  library=${limit%%:*} most=${limit#*:}
  found=$(newest "$1" "$library")
  if [ -n "$found" ] && [ "$(printf '%s\n' "$found" "$most" | sort -V | tail -n 1)" != "$most" ]; then
    echo "$1 needs $library $found, Debian 12 has $most"; exit 1
  fi
done
