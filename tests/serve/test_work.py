"""What is computed when several ask: one thing at a time, the newest of a page's strokes, and nothing for nobody."""

import asyncio
import concurrent.futures

import pytest

from refcnn.serve import work as working
from refcnn.serve.work import SUPERSEDED, Busy, Work


class Done(BaseException):
    """Nothing is left to compute."""


def in_a_loop(coroutine):
    """Run a coroutine in a thread of its own: in this one the browser's driver may have a loop."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def compute_all(work):
    def stop_if_asked():
        if not work._jobs:
            raise Done

    with pytest.raises(Done):
        work.run(stop_if_asked)


def run(asks):
    """Return what each request gets, and in which order they were computed."""
    order = []

    async def all_of_them():
        work = Work()
        waiting = []
        for name, options in asks:
            waiting.append(asyncio.create_task(work.result(lambda name=name: order.append(name) or name, **options)))
            await asyncio.sleep(0)
        compute_all(work)
        return await asyncio.gather(*waiting)

    return in_a_loop(all_of_them()), order


def test_the_newest_of_a_key_in_the_place_of_the_oldest():
    found, order = run([(1, {"key": "a"}), (2, {}), (3, {"key": "b"}), (4, {"key": "a"}), (5, {"key": "a"}), (6, {})])
    assert found == [SUPERSEDED, 2, 3, SUPERSEDED, 5, 6]
    assert order == [5, 2, 3, 6]


def test_the_urgent_go_first():
    found, order = run([(1, {}), (2, {"is_urgent": True}), (3, {}), (4, {"is_urgent": True})])
    assert found == [1, 2, 3, 4] and order == [2, 4, 1, 3]


def test_what_is_being_computed_is_not_superseded():
    async def asked_meanwhile():
        work, later = Work(), []

        def compute():
            later.append(work._submit(lambda: "second", "a", False))
            return "first"

        first = asyncio.create_task(work.result(compute, key="a"))
        await asyncio.sleep(0)
        compute_all(work)
        return await first, later[0].future.result()

    assert in_a_loop(asked_meanwhile()) == ("first", "second")


def test_nothing_is_computed_for_those_who_are_gone():
    computed = []

    async def cancelled():
        work = Work()
        tasks = [asyncio.create_task(work.result(lambda: computed.append(1))) for _ in range(3)]
        await asyncio.sleep(0)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.sleep(0)
        compute_all(work)
        await tasks[2]

    in_a_loop(cancelled())
    assert computed == [1]


def test_errors_go_to_those_who_asked():
    def fail():
        raise KeyError("x")

    async def asked():
        work = Work()
        task = asyncio.create_task(work.result(fail))
        await asyncio.sleep(0)
        compute_all(work)
        with pytest.raises(KeyError):
            await task

    in_a_loop(asked())


def test_no_more_wait_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(working, "MOST_WAITING", 2)
    work = Work()
    jobs = [work._submit(lambda: None, None, False) for _ in range(2)]
    with pytest.raises(Busy):
        work._submit(lambda: None, None, False)
    jobs[0].future.cancel()
    work._submit(lambda: None, None, False)


def pieces(order, count, between=lambda: None):
    """Compute in pieces, and call a function after the first."""
    for number in range(count):
        order.append(number)
        if number == 0:
            between()
        yield
    return "whole"


def test_what_is_urgent_is_computed_between_pieces():
    order = []

    async def asked():
        work = Work()

        def ask():
            work._submit(lambda: order.append("urgent"), None, True)
            work._submit(lambda: order.append("other"), None, False)

        task = asyncio.create_task(work.result(lambda: pieces(order, 3, ask), key="a"))
        await asyncio.sleep(0)
        compute_all(work)
        return await task

    assert in_a_loop(asked()) == "whole"
    assert order == [0, "urgent", 1, 2, "other"]


def test_pieces_end_where_a_newer_one_waits():
    order = []

    async def asked():
        work, later = Work(), []

        def ask():
            later.append(work._submit(lambda: "newer", "a", False))

        task = asyncio.create_task(work.result(lambda: pieces(order, 3, ask), key="a"))
        await asyncio.sleep(0)
        compute_all(work)
        return await task, later[0].future.result()

    assert in_a_loop(asked()) == (SUPERSEDED, "newer")
    assert order == [0]


def test_pieces_end_where_nobody_waits_for_them():
    order = []

    async def asked():
        work = Work()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(work.result(lambda: pieces(order, 3, leave)))

        def leave():
            left = concurrent.futures.Future()
            loop.call_soon_threadsafe(lambda: (task.cancel(), loop.call_soon(left.set_result, None)))
            left.result(30)

        await asyncio.sleep(0)
        await asyncio.to_thread(compute_all, work)

    in_a_loop(asked())
    assert order == [0]
