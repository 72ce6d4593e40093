"""Child processes that answer requests: every answer arrives, what is none is told apart, and nothing outlives them."""

import ast
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

import refcnn
from refcnn import answering, processes

ANSWERING = Path(answering.__file__)

#: What the programs of the tests answer, by the request's name.
HANDLER = """
    import importlib.util, os, signal, subprocess, sys, time

    print("printed while libraries are loaded")
    sys.stdout.write("a line without an end")
    sys.stdout.flush()
    specification = importlib.util.spec_from_file_location("answering", sys.argv[1])
    answering = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(answering)
    parent = answering.Parent()
    print("printed before the first request")


    class Handler:
        def echo(self, **arguments):
            os.write(1, b"printed by a compiler\\n")
            return arguments

        def fail(self):
            raise ValueError("no such thing")

        def count(self, end):
            for number in range(end):
                parent.tell({"number": number})
            return {"end": end}

        def read(self):
            return {"read": sys.stdin.read() + subprocess.run(["cat"], capture_output=True, text=True).stdout}

        def sleep(self):
            time.sleep(60)

        def die(self, number):
            print("last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), number)

        def leave(self):
            os._exit(7)

        def leave_a_child(self):
            # It has all that this process has open.
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            parent.tell({"child": child})
            os._exit(3)

        def close(self):
            os.closerange(3, 30)
            time.sleep(60)

        def disturb(self, text):
            for file in range(3, 30):
                try:
                    os.write(file, text.encode())
                except OSError:
                    pass
            time.sleep(60)


    parent.serve(Handler())
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "ENDING", 1)
    (tmp_path / "program.py").write_text(textwrap.dedent(HANDLER), encoding="utf-8")
    child = processes.Child([sys.executable, str(tmp_path / "program.py"), str(ANSWERING)], {"REFCNN_X": "set"})
    yield child
    child.stop()


def test_a_request_is_answered_whatever_is_printed(child):
    text = "several\nlines, and ünïcode"
    assert child.ask("echo", 60, text=text, numbers=[1, None, 0.5]) == {"text": text, "numbers": [1, None, 0.5]}
    assert child.ask("echo", float("inf")) == {} and child.ask("echo") == {}
    child.close()
    child.wait(60)
    child.stop()
    # Also when it has ended, and its files are closed.
    assert "printed by a compiler" in child.log(1000) and "printed before the first request" in child.log(1000)


def test_an_answer_may_have_others_before_it(child):
    assert child.ask("count", 60, end=3) == {"number": 0}
    assert [child.answer(60) for _ in range(3)] == [{"number": 1}, {"number": 2}, {"end": 3}]


def test_an_error_is_an_answer_and_does_not_end_the_process(child):
    assert child.ask("fail", 60) == {"error": "ValueError: no such thing"}
    assert "unknown" in child.ask("unknown", 60)["error"]
    assert child.ask("echo", 60, x=1) == {"x": 1}


def test_what_reads_standard_input_does_not_read_the_requests(child):
    assert child.ask("read", 60) == {"read": ""}
    assert child.ask("echo", 60, x=1) == {"x": 1}


def test_a_child_that_is_silent_has_so_much_time(child):
    assert child.ask("echo", 60) == {}
    with pytest.raises(processes.Silence, match=r"0\.1 s"):
        child.ask("sleep", 0.1)
    with pytest.raises(processes.Silence):
        child.wait(0.1)


@pytest.mark.parametrize(
    ("request_", "arguments", "status", "words"),
    [
        ("die", {"number": signal.SIGABRT}, -signal.SIGABRT, "SIGABRT"),
        ("leave", {}, 7, "exit status 7"),
        ("close", {}, None, "did not end"),
    ],
)
def test_how_a_child_ended_is_told_each_time_that_it_is_asked(child, request_, arguments, status, words):
    for _ in range(2):
        with pytest.raises(processes.Ended, match=words) as caught:
            child.ask(request_, 60, **arguments)
        assert caught.value.status == status
    assert request_ != "die" or child.log(1000).endswith("last words")


def test_an_end_is_told_though_what_it_started_holds_its_answers_open(child):
    start = time.monotonic()
    grandchild = child.ask("leave_a_child", 60)["child"]
    with pytest.raises(processes.Ended, match="exit status 3"):
        child.answer(60)
    assert time.monotonic() - start < 30
    os.kill(grandchild, 0)
    child.stop()
    deadline = time.monotonic() + 30
    while is_alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("text", ["nonsense\n", "[1]\n", "3\n", '{"half": \n'])
def test_what_is_no_answer_is_shown(child, text):
    with pytest.raises(processes.Nonsense) as caught:
        child.ask("disturb", 60, text=text)
    assert text.strip() in caught.value.beginning


def test_a_child_is_in_a_session_of_its_own_and_has_the_variables(tmp_path):
    program = (
        f"import os, runpy; Parent = runpy.run_path({str(ANSWERING)!r})['Parent']; parent = Parent(); "
        "parent.tell({'session': os.getsid(0), 'group': os.getpgid(0), 'x': os.environ['REFCNN_X']})"
    )
    child = processes.Child([sys.executable, "-c", program], {"REFCNN_X": "set"})
    try:
        answer = child.answer(60)
    finally:
        child.stop()
    assert answer["session"] == answer["group"] != os.getsid(0) and answer["x"] == "set"


def test_what_cannot_be_started_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        processes.Child([str(tmp_path / "nothing")])


def test_the_childs_side_needs_nothing_but_an_old_python():
    """Programs for interpreters without refcnn load it by its path, beside what the bench's contestants share."""
    contestants = Path(refcnn.__file__).parent / "bench" / "contestants"
    for path in (ANSWERING, contestants / "contestant.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
                assert not getattr(node, "level", 0) and set(names) <= sys.stdlib_module_names, path


@pytest.mark.parametrize(("status", "text"), [(0, "exit status 0"), (3, "exit status 3"), (-9, "signal 9 (SIGKILL)")])
def test_an_ending_is_told_in_words(status, text):
    assert processes.ending(status) == text


def test_a_signal_without_a_name_is_told_by_its_number():
    assert processes.ending(-200) == "signal 200"


def is_alive(process):
    """Whether a process runs; one that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
