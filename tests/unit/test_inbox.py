"""What waits to be processed: in order, bounded, and gone after an interrupt."""

import asyncio

import pytest

from bilabial.serve import inbox as limits
from bilabial.serve.inbox import Inbox, Sound
from bilabial.serve.scheduler import Scheduler


def filled(*items: bytes | dict) -> Inbox:
    inbox = Inbox()

    async def put() -> None:
        for item in items:
            await inbox.put(item if isinstance(item, dict) else Sound(item))

    asyncio.run(put())
    return inbox


def taken(inbox: Inbox, least: int = 1, most: int = 100) -> list | dict:
    return asyncio.run(asyncio.wait_for(inbox.take(least, most), 60))


def test_sound_is_taken_together_up_to_a_message():
    inbox = filled(b"ab", b"cd", {"type": "flush"}, b"ef")
    assert taken(inbox) == [Sound(b"ab"), Sound(b"cd")]
    assert taken(inbox) == {"type": "flush"}
    assert taken(inbox) == [Sound(b"ef")]
    assert inbox.num_bytes == 0


def test_a_large_chunk_is_taken_in_parts():
    inbox = filled(b"abcde", b"f")
    assert taken(inbox, 1, 3) == [Sound(b"abc", False)]
    assert taken(inbox, 1, 3) == [Sound(b"de"), Sound(b"f")]


def test_a_little_sound_waits_for_more():
    inbox = filled(b"ab")
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(inbox.take(3, 100), 0.05))
    asyncio.run(inbox.put({"type": "flush"}))
    assert taken(inbox, 3) == [Sound(b"ab")]


def test_an_interrupt_comes_first_and_takes_the_sound_away():
    inbox = filled(b"ab", {"type": "set_emotion"}, b"cd")
    inbox.interrupt({"type": "interrupt"})
    assert inbox.num_bytes == 0
    assert taken(inbox) == {"type": "interrupt", "dropped": [Sound(b"ab"), Sound(b"cd")]}
    assert taken(inbox) == {"type": "set_emotion"}


@pytest.mark.parametrize("limit", ["MAX_PENDING_BYTES", "MAX_PENDING_ITEMS"])
def test_a_full_box_lets_its_producer_wait(limit, monkeypatch):
    monkeypatch.setattr(limits, limit, 3)
    inbox = filled(b"a", b"b", b"c", b"d")

    async def put_and_take() -> None:
        putting = asyncio.create_task(inbox.put(Sound(b"e")))
        await asyncio.sleep(0.05)
        assert not putting.done()
        assert len(await inbox.take(1000, 2)) == 2  # a full box is taken from, whatever is waited for
        await asyncio.wait_for(putting, 60)

    asyncio.run(put_and_take())
    assert inbox.num_bytes == 3


def test_the_earliest_deadline_comes_first():
    async def run() -> list[str]:
        scheduler, order, release = Scheduler(1), [], asyncio.Event()
        loop = asyncio.get_running_loop()

        def block() -> None:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(60)

        first = asyncio.create_task(scheduler.run(0.0, block))
        await asyncio.sleep(0)
        others = [
            asyncio.create_task(scheduler.run(deadline, lambda name=name: order.append(name)))
            for name, deadline in (("ahead", 90.0), ("gone", 2.0), ("late", 1.0), ("in time", 5.0))
        ]
        await asyncio.sleep(0)
        others[1].cancel()
        release.set()
        await asyncio.gather(first, *others, return_exceptions=True)
        assert await scheduler.run(0.0, lambda: "free again") == "free again"
        scheduler.close()
        return order

    assert asyncio.run(run()) == ["late", "in time", "ahead"]


def test_an_error_is_its_callers_alone():
    async def run() -> str:
        scheduler = Scheduler(1)
        with pytest.raises(ZeroDivisionError):
            await scheduler.run(0.0, lambda: 1 / 0)
        return await scheduler.run(0.0, lambda: "fine")

    assert asyncio.run(run()) == "fine"
