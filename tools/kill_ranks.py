"""Kill ranks of trainings at random moments, and see that nothing is lost but the step under way.

    python tools/kill_ranks.py --kills 200

Each training runs on several ranks under Open MPI's ULFM, and loses one after the other of them: in a step, in the sum
of gradients, in a validation, while a checkpoint or the report is written; the first rank too, which writes. It must
end well all the same, with a whole run folder, and with --reproducible with the bits of one that nothing disturbed.
With --option=--elastic those in reserve are killed too, also as they get ready or join; more --epochs give them time.
"""

import argparse
import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MOMENTS = ("step", "sum", "validation", "checkpoint", "report")
#: Those of one in reserve, which writes nothing before all others are lost.
MOMENTS_IN_RESERVE = ("loading", "joining", "step", "sum", "validation")
_ORDERS = "REFCNN_KILLS"
_LOST = re.compile(r"Warning: (?:ranks? ([0-9, ]+) (?:was|were) lost|process (\d+) cannot take the place of a rank)")
_JOINED = re.compile(r"(\d+) more joined")
#: Seconds after which a training counts as one that waits for ever.
_LIMIT = 300


def main():
    """Kill as often as was asked, and print what became of it."""
    arguments = _arguments()
    rng, outcomes, failures, joined = random.Random(arguments.seed), collections.Counter(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = _train(Path(folder) / "undisturbed", [], arguments)
        if undisturbed.returncode:
            sys.exit(f"The training fails without any kill:\n{undisturbed.stderr}")
        number = 0
        while sum(outcomes.values()) < arguments.kills:
            number += 1
            orders = _orders(rng, arguments)
            path = Path(folder) / f"run{number}"
            begun = time.monotonic()
            try:
                ended = _train(path, orders, arguments)
                found = _faults(path, ended, orders, Path(folder) / "undisturbed", arguments)
                said = ended.stderr
                joined += sum(map(int, _JOINED.findall(ended.stdout)))
            except subprocess.TimeoutExpired as error:
                found, said = ["it did not end"], (error.stderr or b"").decode(errors="replace")
            lost = {int(rank) for ranks in _LOST.findall(said) for rank in "".join(ranks).split(", ")}
            # What was ordered of one that was the only rank left, or of a call that did not come, has not happened.
            orders = [order for order in orders if order["rank"] in lost]
            outcomes.update(order["moment"] for order in orders)
            told = ", ".join(f"rank {order['rank']} in a {order['moment']}" for order in orders) or "nothing"
            print(f"{number}: {told}: {'; '.join(found) or 'well'} ({time.monotonic() - begun:.1f} s)", flush=True)
            if found:
                failures.append((told, found, said))
    print(
        ", ".join(f"{count} in a {moment}" for moment, count in outcomes.items()),
        *([f"{joined} joined"] if _reserves(arguments) else []),
        f"{len(failures)} failed",
        sep="; ",
    )
    for told, found, said in failures:
        print(f"\n{told}: {'; '.join(found)}\n{said}")
    sys.exit(bool(failures))


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--backend", default="reference")
    parser.add_argument(
        "--option", action="append", default=[], help="a further option of refcnn train, such as --reproducible"
    )
    return parser.parse_args()


def _reserves(arguments):
    """Return how many processes are in reserve."""
    given = [option.partition("=")[2] or 1 for option in arguments.option if option.startswith("--elastic")]
    return int(given[-1]) if given else 0


def _orders(rng, arguments):
    """Return who is killed when: at which call of a moment, and how long after its beginning."""
    victims = rng.sample(range(arguments.ranks), rng.randint(1, arguments.ranks - 1))
    calls = {"step": 4 * arguments.epochs, "sum": 4 * arguments.epochs, "validation": arguments.epochs}
    orders = []
    for rank in victims:
        # The first rank alone writes: another does once all before it are lost.
        may_write = all(other in victims for other in range(rank))
        moment = rng.choice(MOMENTS if may_write else MOMENTS[:-2])
        call, delay = rng.randint(1, calls.get(moment, 1)), rng.choice((0, 0.0005, 0.003))
        orders.append({"rank": rank, "moment": moment, "call": call, "delay": delay})
    for rank in range(arguments.ranks, arguments.ranks + _reserves(arguments)):
        moment, delay = rng.choice(MOMENTS_IN_RESERVE), rng.choice((0, 0.0005, 0.003))
        call = 1 if moment in ("loading", "joining") else rng.randint(1, 3)
        orders += [{"rank": rank, "moment": moment, "call": call, "delay": delay}] * rng.randint(0, 1)
    return orders


def _train(path, orders, arguments):
    from refcnn.parallel import starting

    command, _ = starting.launcher(arguments.ranks + _reserves(arguments))
    options = ["--data", "digits", "--model", "chapter", "--epochs", arguments.epochs, "--batch-size", 360, "--seed", 7]
    options += ["--backend", arguments.backend, "--no-proof", "--out", path, *arguments.option]
    return subprocess.run(
        [*command, sys.executable, "-P", __file__, "--as-rank", *map(str, options)],
        env=os.environ | {_ORDERS: json.dumps(orders)},
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )


def _faults(path, ended, orders, undisturbed, arguments):
    """Return what is wrong after a training, as texts."""
    from refcnn.files import is_unfinished
    from refcnn.runs.checkpoint import Checkpoint

    if ended.returncode:
        return [f"exit status {ended.returncode}"]
    found = []
    left = [one.name for one in path.iterdir() if is_unfinished(one.name)]
    found += [f"{', '.join(left)} was left"] if left else []
    missing = {one.name for one in undisturbed.iterdir()} - {one.name for one in path.iterdir()}
    found += [f"{', '.join(sorted(missing))} is missing"] if missing else []
    for name in ("last.npz", "best.npz"):
        checkpoint, other = Checkpoint.load(path / name), Checkpoint.load(undisturbed / name)
        if name == "last.npz" and checkpoint.epoch != arguments.epochs:
            found.append(f"{checkpoint.epoch} epochs of {arguments.epochs}")
        if "--reproducible" in arguments.option:
            same = all((checkpoint.parameters[one] == array).all() for one, array in other.parameters.items())
            found += [] if same else [f"{name} has other bits"]
    kept, whole = ({one.name for one in folder.glob("kernels/*")} for folder in (path, undisturbed))
    found += [] if kept == whole else [f"kernels of {', '.join(sorted(kept ^ whole))} are missing, or too many"]
    rows = len((path / "metrics.csv").read_text().splitlines()) - 1
    return found + ([] if rows == arguments.epochs else [f"{rows} rows of metrics"])


def _as_rank(arguments):
    """Be a rank of a training, and end at the moment that was ordered."""
    from refcnn import cli
    from refcnn.fitting import loop, metrics
    from refcnn.parallel.channel import Channel
    from refcnn.parallel.mpi_ranks import Ranks
    from refcnn.parallel.ranks import started_as
    from refcnn.runs import report, training
    from refcnn.runs.checkpoint import Checkpoint
    from refcnn.runs.session import Training

    places = {
        "step": (loop.Loop, "_computed"),
        # Of one bucket of gradients, beside the backward pass.
        "sum": (Ranks, "sum_terms") if "--reproducible" in arguments else (Channel, "sum"),
        "validation": (metrics, "evaluate"),
        "checkpoint": (Checkpoint, "save"),
        "report": (report, "write"),
        "loading": (training, "stand_in"),
        "joining": (Training, "join"),
    }
    for order in json.loads(os.environ[_ORDERS]):
        if order["rank"] == started_as():
            _kill_in(*places[order["moment"]], order["call"], order["delay"])
    sys.argv[1:] = ["train", *arguments]
    cli.main()


def _kill_in(owner, name, call, delay):
    former, calls = getattr(owner, name), 0

    def end():
        os.kill(os.getpid(), signal.SIGKILL)

    def watched(*arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == call:
            threading.Timer(delay, end).start() if delay else end()
        return former(*arguments, **keywords)

    setattr(owner, name, watched)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-rank"]:
        _as_rank(sys.argv[2:])
    else:
        main()
