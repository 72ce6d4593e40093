# Sourced by the tools beside it: makes the virtual environment .venv of this checkout, and puts it first on PATH.
# Arguments: the extras to install, such as: pocl,test

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
environment="$checkout/.venv"
stamp="$environment/.installed"
# Of the processor depends which OpenCL runtime computes; a home may be several machines'.
processor=$(grep -m1 '^model name' /proc/cpuinfo 2>/dev/null || uname -m)
# The checkout's place too: an editable installation does not follow when it is moved.
wanted="$(cat "$checkout/setup.cfg" "$checkout/pyproject.toml" | sha256sum) $1 $processor $checkout"

install_extras() {
    echo "Installing refcnn[$1] into $environment ..." >&2
    "$environment/bin/python" -P -m pip install --quiet --disable-pip-version-check --editable "$checkout[$1]" >&2
}

if ! grep -qxF "$wanted" "$stamp" 2>/dev/null; then
    python=${PYTHON:-python3}
    # Isolated: modules are looked for in the current folder otherwise, whatever lies there.
    if ! "$python" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "refcnn needs Python 3.11 or newer with venv, but '$python' is not that. Install it, or set PYTHON." >&2
        exit 1
    fi
    [ -x "$environment/bin/python" ] || "$python" -I -m venv "$environment"
    install_extras "$1"
    # Intel's runtime is a large download: only where nothing else computes.
    if [ "$(uname -sm)" = "Linux x86_64" ] && [[ ",$1," != *,intel,* ]] &&
        ! "$environment/bin/python" -P -c 'from refcnn.opencl.runtime.finding import best; best()' >/dev/null 2>&1; then
        echo "No OpenCL runtime here computes: trying Intel's for CPUs." >&2
        install_extras "$1,intel" || echo "It could not be installed: refcnn computes without OpenCL." >&2
    fi
    echo "$wanted" >> "$stamp"
fi
PATH="$environment/bin:$PATH"
