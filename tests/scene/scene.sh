#!/bin/sh
# scene.sh SCENE.py: runs one end-to-end scene; without python3 it is skipped, visibly.
command -v python3 >/dev/null 2>&1 || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$1"
