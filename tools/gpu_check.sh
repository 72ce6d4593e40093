#!/usr/bin/env bash
# Checks and measures refcnn on a GPU (or whatever OpenCL device DEVICE names) in less than 8 minutes: the conformance
# run and the kernels' tests, then tune, bench beside PyTorch, profile. Nothing is installed: PYTHON (python3 as a
# rule) must have refcnn's requirements and pytest; TORCH_PYTHON, if PyTorch lives elsewhere, names its interpreter.
# TIME_LIMIT, in seconds, is shared out among the steps.
# Usage: [DEVICE=opencl:nvidia] [PYTHON=...] [TORCH_PYTHON=...] [TIME_LIMIT=460] tools/gpu_check.sh [OUTPUT_FOLDER]
# Exit status 0 if every step succeeded; a step that its time limit ended is reported, and keeps what it has.
set -uo pipefail
shopt -s nullglob
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:-gpu-check}" && output=$(cd "${1:-gpu-check}" && pwd) || exit 2
python=${PYTHON:-python3}
device=${DEVICE:-opencl:nvidia}
export PYTHONPATH="$checkout${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
total=${TIME_LIMIT:-460}
began=$SECONDS

refcnn() { "$python" -P -m refcnn "$@"; }

# Where the driver is there but no .icd file names it, one is made beside those of the system.
if ! refcnn devices | grep -qi nvidia && ldconfig -p | grep -q libnvidia-opencl.so.1; then
    vendors=$(mktemp -d)
    trap 'rm -rf "$vendors"' EXIT
    cp "${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}"/*.icd "$vendors" 2> /dev/null
    echo libnvidia-opencl.so.1 > "$vendors/nvidia.icd"
    export OCL_ICD_VENDORS=$vendors
fi
refcnn devices | tee "$output/devices.txt"
name=$("$python" -P -c 'import sys; from refcnn import backend; print(backend.find(sys.argv[1]).name)' "$device") || exit 2
command -v nvidia-smi > /dev/null && nvidia-smi > "$output/nvidia-smi.txt"
echo "checking $name; everything is kept in $output"

# Runs a step for so many hundredths of the time at most. SIGTERM lets refcnn keep what it has, in the background too,
# where shells have SIGINT ignored; pytest keeps it at SIGINT.
step() {
    local what=$1 limit=$(($2 * total / 100)) start=$SECONDS status
    shift 2
    timeout --signal="${STOP_SIGNAL:-TERM}" --kill-after=10 "$limit" "$@" > "$output/$what.txt" 2>&1
    status=$?
    case $status in
        0) echo "$what: ok, $((SECONDS - start)) s" ;;
        124 | 130 | 137 | 143) echo "$what: ended by its limit of $limit s" ;;
        *) echo "$what: FAILED with status $status, $((SECONDS - start)) s" ;;
    esac
    return $status
}

failed=0
workers=()
"$python" -P -c 'import xdist' 2> /dev/null && workers=(-n "$(($(nproc) > 8 ? 8 : $(nproc)))")
# The cores are shared with the tests beside it. Without MPI the operations are dealt one by one, each to a process that
# takes the next when it is done, and their reports merged.
processes=$(($(nproc) > 5 ? $(nproc) / 2 : 2))
conform() {
    if "$python" -P -c 'import refcnn.parallel.starting as starting, mpi4py.MPI; starting.launcher(2)' 2> /dev/null; then
        exec "$python" -P -m refcnn conform --device "$name" --report "$output/conform" --processes "$processes"
    fi
    "$python" -P -c 'from refcnn import rooms; print(*rooms.operations(), sep="\n")' |
        xargs -P "$processes" -I{} sh -c '"$0" -P -m refcnn conform --device "$1" --operation "$2" --report "$3/$2" \
            > "$3/$2.txt" 2>&1 || { status=$?; cat "$3/$2.txt"; exit "$status"; }' \
            "$python" "$name" {} "$output/conform"
    local status=$?
    "$python" -P -m refcnn conform --merge --report "$output/conform" "$output/conform"/*/ | tail -n 5
    return "$status"
}
mkdir -p "$output/conform"
export -f conform
export python name output processes
step conform 37 bash -c conform &
conform=$!
cd "$checkout" || exit 2
STOP_SIGNAL=INT REFCNN_TEST_DEVICES="${name#opencl:}" step tests 37 "$python" -m pytest -q "${workers[@]}" -p no:cacheprovider \
    tests/operations tests/test_device.py tests/test_winograd*.py tests/test_direct*.py tests/test_depthwise.py || failed=1
wait "$conform" || failed=1
tail -n 5 "$output/tests.txt"
tail -n 40 "$output/conform.txt"

step tune 20 "$python" -P -m refcnn tune --device "$name" || failed=1
step bench 35 "$python" -P -m refcnn bench --device "$name" --rounds 5 ${TORCH_PYTHON:+--torch-python "$TORCH_PYTHON"} \
    --json "$output/bench.json" || failed=1
step profile 8 "$python" -P -m refcnn bench --device "$name" --profile || failed=1
cat "$output/tune.txt" "$output/bench.txt" "$output/profile.txt"
echo "all in $((SECONDS - began)) s"
exit $failed
