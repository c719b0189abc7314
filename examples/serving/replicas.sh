#!/usr/bin/env bash
# Several replicas of the KG server on this machine, each at a port of its own, until Ctrl-C:
#   examples/serving/replicas.sh data_kg 8001 8002
# Put a load balancer in front (docs/serving.md). A replica that dies is started again.
set -euo pipefail

if (($# < 2)); then
    echo "usage: $0 DATA_FOLDER PORT [PORT ...]" >&2
    exit 2
fi
data=$1
shift
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || python=python3
server=$root/kg_r1/search/kg_retrieval_server.py

# Ends with the script: the loop below runs in a shell of its own, which passes the signal on.
keep_running() {
    local child=0 status
    trap 'kill "$child" 2>/dev/null; wait "$child" 2>/dev/null; exit 0' TERM INT
    while true; do
        "$python" "$server" --base_data_path "$data" --port "$1" &
        child=$!
        status=0
        wait "$child" || status=$?
        # 2 is a mistake at the command line, such as a port in use: trying again cannot mend it.
        ((status != 2)) || exit 2
        echo "replica at port $1 ended with status $status; starting it again" >&2
        sleep 1
    done
}

loops=()
trap '((${#loops[@]} == 0)) || kill "${loops[@]}" 2>/dev/null; wait; exit 0' TERM INT
for port in "$@"; do
    keep_running "$port" &
    loops+=($!)
done
# One that cannot start ends them all.
status=0
wait -n || status=$?
kill "${loops[@]}" 2>/dev/null || true
wait || true
exit "$status"
