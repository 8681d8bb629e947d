#!/usr/bin/env bash
# Installs a browser and SLURM, which some tests start and pip does not offer. It does so on Debian and Ubuntu, as root, with apt.
# Elsewhere it prints what is missing, and pytest skips the tests that need it.
set -u
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v slurmctld >/dev/null || missing+=(slurm-wlm)
command -v munged >/dev/null || missing+=(munge)
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "tests that need ${missing[*]} will be skipped; install them to have them run" >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1; }
install || { apt-get update -qq >/dev/null 2>&1; install; } ||
	echo "could not install ${missing[*]}: the tests that need them will be skipped" >&2
