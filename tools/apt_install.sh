#!/usr/bin/env bash
# Install Debian packages if we are root and apt-get is there; else exit with 1.
set -euo pipefail

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -qq --no-install-recommends "$@")
# The package list may be missing or old: fetch it only then.
"${install[@]}" </dev/null >/dev/null 2>&1 && exit 0
apt-get update -qq </dev/null >/dev/null 2>&1 || true
"${install[@]}" </dev/null >/dev/null 2>&1
