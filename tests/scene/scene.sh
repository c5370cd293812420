#!/bin/sh
# scene.sh SCENE.py: runs one end-to-end scene; without python3 it is skipped, visibly. The system's own python3 comes first:
# packages (python3-grpcio) are installed for that one.
python=/usr/bin/python3
[ -x $python ] || python=$(command -v python3) || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec "$python" -B "$1"
