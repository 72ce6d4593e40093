# Sourced by the tools beside it: makes the virtual environment .venv of this checkout, and puts it first on PATH.
# Arguments: the extras to install, such as: pocl,test

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
environment="$checkout/.venv"
stamp="$environment/.installed"
# The checkout's place too: an editable installation does not follow when it is moved.
wanted="$(cat "$checkout/setup.cfg" "$checkout/pyproject.toml" | sha256sum) $1 $checkout"

if ! grep -qxF "$wanted" "$stamp" 2>/dev/null; then
    python=${PYTHON:-python3}
    # Isolated: modules are looked for in the current folder otherwise, whatever lies there.
    if ! "$python" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "refcnn needs Python 3.11 or newer with venv, but '$python' is not that. Install it, or set PYTHON." >&2
        exit 1
    fi
    [ -x "$environment/bin/python" ] || "$python" -I -m venv "$environment"
    echo "Installing refcnn[$1] into $environment ..." >&2
    "$environment/bin/python" -P -m pip install --quiet --disable-pip-version-check --editable "$checkout[$1]" >&2
    echo "$wanted" >> "$stamp"
fi
PATH="$environment/bin:$PATH"
