"""The pool of search threads: what waits is bounded, handed over together, and judged alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Served, run

from sparsearch.serve import Limits
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.searching import SearchPool


@pytest.fixture
def pool() -> Iterator[SearchPool]:
    pool = SearchPool(1, waiting=50, seconds=60)
    yield pool
    pool.close()


class Held:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._end = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self._end.wait(60)
        return "held"

    def let_go(self) -> None:
        self._end.set()


async def keep_busy(pool: SearchPool) -> tuple[Held, asyncio.Future]:
    """Occupy the only thread; return what holds it, and its answer to come."""
    held = Held()
    first = asyncio.ensure_future(pool.run(held))
    await asyncio.to_thread(held.begun.wait, 60)
    return held, first


async def behind(pool: SearchPool, waiting: Sequence) -> list[object]:
    """Let coroutines wait while the only thread is busy; return what became of them."""
    held, first = await keep_busy(pool)
    others = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.sleep(0)  # so that all of them wait
    held.let_go()
    assert await first == "held"
    return await asyncio.gather(*others, return_exceptions=True)


def test_what_waits_is_given_to_one_call_a_group(pool: SearchPool) -> None:
    calls: list[list[int]] = []

    def double(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return [2 * item for item in items]

    work = [pool.run_together(item % 2, item, double) for item in range(10)]
    assert run(behind(pool, work)) == [2 * item for item in range(10)]
    assert calls == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert pool.pending == 0


def test_groups_take_turns(pool: SearchPool) -> None:
    calls: list[str] = []

    def note(items: Sequence[str]) -> Sequence[str]:
        calls.append(f"{items[0]} {len(items)}")
        return items

    work = [pool.run_together(name, name, note) for name in "a" * 40 + "b"]
    run(behind(pool, work))
    assert calls == ["a 32", "b 1", "a 8"]


def test_only_the_item_at_fault_fails(pool: SearchPool) -> None:
    def invert(items: Sequence[float]) -> list[float]:
        return [1 / item for item in items]

    work = [pool.run_together("all", item, invert) for item in (1.0, 2.0, 0.0, 4.0)]
    first, second, third, fourth = run(behind(pool, work))
    assert (first, second, fourth) == (1.0, 0.5, 0.25)
    assert isinstance(third, ZeroDivisionError)


def test_answers_made_one_by_one_are_given_at_once(pool: SearchPool) -> None:
    given = threading.Event()

    def work(items: Sequence[str]) -> Sequence[str]:
        if len(items) > 1:
            raise ValueError("too much together")
        assert items != ["second"] or given.wait(60)
        return items

    async def ask(item: str) -> str:
        answer = await pool.run_together("all", item, work)
        given.set()
        return answer

    assert run(behind(pool, [ask("first"), ask("second")])) == ["first", "second"]


def test_too_much_waiting_is_refused(pool: SearchPool) -> None:
    results = run(behind(pool, [pool.run(lambda: "done") for _ in range(60)]))
    assert results[:50] == ["done"] * 50
    for refused in results[50:]:
        assert isinstance(refused, ServiceError)
        assert refused.code == "search_queue_full"
    assert pool.pending == 0


def test_metrics_are_told_while_too_many_searches_wait(papers: Path) -> None:
    held = Held()
    with Served(papers, threads=1, limits=Limits(searches_waiting=1)) as served:
        config: Any = served.server.config.loaded_app
        while not hasattr(config, "_routes"):  # what uvicorn puts around it
            config = config.app
        pool: SearchPool = config._routes.state.service.pool
        busy = threading.Thread(target=run, args=(pool.run(held),))
        busy.start()
        assert held.begun.wait(60)
        answer = httpx.get(f"{served.url}/metrics", timeout=60)
        assert "sparsearch_searches_pending 1.0" in answer.text
        held.let_go()
        busy.join()


def test_who_leaves_is_forgotten(pool: SearchPool) -> None:
    async def leave() -> str:
        held, waiting = await keep_busy(pool)
        waiting.cancel()
        held.let_go()
        return await pool.run(lambda: "next")

    assert run(leave()) == "next"
    assert pool.pending == 0


def test_who_leaves_while_waiting_makes_room() -> None:
    """At once: not when a thread comes to what nobody waits for."""
    pool = SearchPool(1, waiting=2, seconds=60)

    async def leave() -> None:
        held, first = await keep_busy(pool)
        work = [pool.run_together("group", i, lambda items: items) for i in range(2)]
        leaving, staying = (asyncio.ensure_future(one) for one in work)
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert pool.pending == 2
        late = asyncio.ensure_future(pool.run(lambda: "late"))
        await asyncio.sleep(0)
        held.let_go()
        assert await asyncio.gather(first, staying, late) == ["held", 1, "late"]
        assert pool.pending == 0

    run(leave())
    pool.close()


def test_searches_at_the_same_moment_get_their_own_answers(papers: Path) -> None:
    """Of one server with one thread, many at once: text, weights, several k, and bad ones."""
    bodies = [
        {"query": query, "k": k, "fields": fields}
        for query in ("sparse", "dense vectors", "soup", {"soup": 1.0}, {"a": 1e300})
        for k in (1, 3)
        for fields in ([], ["title"], None)
    ]
    with Served(papers, threads=1) as served:
        url = f"{served.url}/v1/collections/papers/search"

        def ask(body: dict) -> tuple[int, object]:
            answer = httpx.post(url, json=body, timeout=60)
            return answer.status_code, answer.json().get("hits")

        alone = [ask(body) for body in bodies]
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(ask, bodies * 4)) == alone * 4
    assert {status for status, _ in alone} == {200, 422}


def test_who_waits_is_told_in_time() -> None:
    """Not only when what runs has ended."""
    pool = SearchPool(1, waiting=50, seconds=0.05)

    async def wait() -> None:
        held, first = await keep_busy(pool)
        others = [pool.run_together("group", i, lambda items: items) for i in range(3)]
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        assert [error.code for error in outcomes] == ["search_timeout"] * 3
        assert not first.done()
        assert pool.pending == 1
        held.let_go()
        assert await first == "held"
        assert await pool.run(lambda: "later") == "later"

    run(wait())
    pool.close()
