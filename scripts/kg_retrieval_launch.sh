#!/usr/bin/env bash
# Starts the KG retrieval server from any folder; every argument is handed on, for example
#   scripts/kg_retrieval_launch.sh --base_data_path data_kg --port 8001
# Without arguments: the checkout's data_kg at port 8001. Paths are read from the folder you are in.
# It is ready once GET /health answers.
set -euo pipefail

script="$(readlink -f "${BASH_SOURCE[0]}")"
checkout="$(dirname "$(dirname "$script")")"

python="$checkout/.venv/bin/python"
if [ ! -x "$python" ]; then
    python="$(command -v python3 || true)"
fi
if [ -z "$python" ]; then
    echo "error: no Python found; run 'make setup' in $checkout, or put python3 on the PATH" >&2
    exit 2
fi

if [ "$#" -eq 0 ]; then
    set -- --base_data_path "$checkout/data_kg" --port 8001
fi
# exec: a signal sent to this process must reach the server itself.
exec "$python" "$checkout/kg_r1/search/kg_retrieval_server.py" "$@"
