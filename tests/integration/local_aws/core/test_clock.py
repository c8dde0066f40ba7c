"""The clock skips what nobody needs to live through, and nothing else."""

import threading
import time
from collections.abc import Iterator

import pytest

from scripts.local_aws.core.clock import Clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock(real_time=False)
    yield clock
    clock.close()


def test_sleeping_for_a_day_takes_no_time(clock: Clock) -> None:
    virtual, real = clock.time(), time.monotonic()
    assert clock.sleep(86_400) is False
    assert time.monotonic() - real < 1
    assert 86_400 <= clock.time() - virtual < 86_410
    assert 86_300 < clock.skipped_seconds <= 86_401


def test_time_does_not_jump_while_something_is_in_flight(clock: Clock) -> None:
    woke = threading.Event()
    with clock.busy():

        def sleep() -> None:
            clock.sleep(60)
            woke.set()

        thread = threading.Thread(target=sleep)
        thread.start()
        assert not woke.wait(0.2)
        assert clock.skipped_seconds == 0
    assert woke.wait(2)
    thread.join()


def test_a_busy_thread_that_sleeps_lets_the_clock_jump_and_is_busy_again_when_it_wakes(clock: Clock) -> None:
    with clock.busy():
        assert clock.sleep(60) is False
        skipped = clock.skipped_seconds
        other = threading.Thread(target=clock.sleep, args=(60,))
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert clock.skipped_seconds == skipped
    other.join(2)
    assert not other.is_alive()


def test_sleepers_wake_in_the_order_of_their_deadlines(clock: Clock) -> None:
    order: list[int] = []

    def sleep(seconds: int) -> None:
        clock.sleep(seconds)
        order.append(seconds)

    with clock.busy():
        threads = [clock.start_thread(sleep, seconds, name=f"sleep {seconds}") for seconds in (300, 100, 200)]
        with clock.idle():
            for thread in threads:
                thread.join(5)
    assert order == [100, 200, 300]


def test_a_timer_waits_until_somebody_wants_time_to_pass(clock: Clock) -> None:
    called: list[float] = []
    start = clock.time()
    clock.call_at(start + 100, lambda: called.append(clock.time()))
    time.sleep(0.1)
    assert not called
    clock.sleep(50)
    assert not called
    clock.sleep(100)
    assert 100 <= called[0] - start < 110


def test_timers_run_before_the_sleeper_whose_time_is_later(clock: Clock) -> None:
    order: list[str] = []
    clock.call_at(clock.time() + 200, lambda: order.append("second"))
    clock.call_at(clock.time() + 100, lambda: order.append("first"))
    clock.call_at(clock.time() + 150, lambda: order.append("never")).cancel()
    clock.sleep(300)
    assert order == ["first", "second"]


def test_work_that_a_timer_starts_holds_the_clock(clock: Clock) -> None:
    finished = threading.Event()

    def work() -> None:
        time.sleep(0.1)
        finished.set()

    clock.call_at(clock.time() + 10, lambda: clock.start_thread(work, name="work"))
    clock.sleep(1000)
    assert finished.is_set()


def test_a_failing_timer_does_not_stop_the_clock(clock: Clock) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    clock.call_at(clock.time() + 1, fail)
    assert clock.sleep(10) is False


def test_an_event_ends_a_sleep_early(clock: Clock) -> None:
    wake = threading.Event()
    with clock.busy():
        threading.Timer(0.05, wake.set).start()
        holder = clock.start_thread(wake.wait, 5, name="holder")
        assert clock.sleep(3600, wake) is True
        assert clock.skipped_seconds == 0
        holder.join()
    assert clock.sleep(3600, wake) is True


def test_closing_wakes_every_sleeper(clock: Clock) -> None:
    answers: list[bool] = []
    with clock.busy():
        thread = threading.Thread(target=lambda: answers.append(clock.sleep(3600)))
        thread.start()
        thread.join(0.05)
        clock.close()
        thread.join(2)
    assert answers == [True]
    assert clock.sleep(3600) is True


def test_real_time_skips_nothing() -> None:
    clock = Clock(real_time=True)
    called = threading.Event()
    start = time.monotonic()
    clock.call_at(clock.time() + 0.1, called.set)
    clock.sleep(0.2)
    assert time.monotonic() - start >= 0.2
    assert called.is_set()
    assert clock.skipped_seconds == 0
    clock.close()
