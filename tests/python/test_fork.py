"""Forked children: what belongs to the parent is refused and left alone, what is new works.

Each test runs a program, because the children must also end as programs do: with status 0 and
without a message. A child that hangs is killed by its alarm.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMON = """
import asyncio, gc, multiprocessing, os, signal, sys, threading, time, traceback
import numpy as np
import ttsrt_rt as rt

engine = rt.Engine.open(sys.argv[1])
request = rt.Request(text_ids=list(range(3, 30)), voice=0, seed=7, max_frames=12, min_frames=12)
long_request = rt.Request(text_ids=[3, 4, 5], voice=0, max_frames=200, min_frames=200)

def make():
    return rt.Executor(engine, device="cpu", num_threads=2)

def in_child(check):
    # The child goes the way of every program that ends: exit handlers, garbage, destructors.
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        check()
        gc.collect()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

def refuses(use):
    begin = time.monotonic()
    try:
        use()
    except rt.ClosedError as error:
        assert str(os.getppid()) in str(error) and "create a new Executor" in str(error), error
        assert time.monotonic() - begin < 5
    else:
        raise AssertionError(use)

async def anext_of(stream):
    return await anext(stream)

async def wait_for(handle):
    return await handle

def refuses_all(executor, handle):
    for name in ("generate", "submit", "stream", "astream"):
        refuses(lambda: getattr(executor, name)(request))
    refuses(lambda: executor.generate([request, request]))
    refuses(lambda: asyncio.run(executor.agenerate(request)))
    refuses(lambda: asyncio.run(executor.agenerate([request])))
    refuses(executor.stats)
    refuses(executor.voices)
    refuses(lambda: executor.add_voice("me", np.zeros((2, engine.info.dim), np.float32)))
    refuses(lambda: executor.remove_voice("me"))
    for use in (handle.result, handle.wait, handle.next, handle.cancel, handle.done):
        refuses(use)
    refuses(lambda: handle.is_done)
    refuses(lambda: list(handle))
    refuses(lambda: handle.add_done_callback(print))
    refuses(lambda: asyncio.run(anext_of(aiter(handle))))
    refuses(lambda: asyncio.run(wait_for(handle)))
    assert handle.id > 0 and executor.info.device == "cpu"

def works(codes):
    # A new executor, and streams on it.
    with make() as own:
        assert own.generate(request).codes.tolist() == codes
        assert asyncio.run(collect(own)) == codes
        assert asyncio.run(own.agenerate(request)).codes.tolist() == codes

async def collect(executor):
    return [row async for event in executor.astream(request) for row in event.codes.tolist()]
"""

PROGRAMS = {
    "a child that only exits": """
executor = make()
executor.generate(request)
in_child(lambda: None)
executor.generate(request)
""",
    "a child that uses everything": """
executor = make()
codes = executor.generate(request).codes.tolist()
assert asyncio.run(collect(executor)) == codes
handle = executor.submit(long_request)
in_child(lambda: refuses_all(executor, handle))
in_child(lambda: works(codes))
assert executor.generate(request).codes.tolist() == codes
assert handle.result().finish_reason == "length"
""",
    "fork inside with": """
with make() as executor:
    codes = executor.generate(request).codes.tolist()
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        refuses(lambda: executor.generate(request))
if child == 0:
    executor.close()
    executor.close(drain=True)
    works(codes)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    "fork while streaming": """
executor = make()
stream = executor.stream(long_request)
next(stream)
handle = executor.submit(long_request)
handle.add_done_callback(lambda handle: None)

async def fork_inside():
    events = executor.astream(long_request)
    await anext(events)
    waits = asyncio.ensure_future(wait_for(executor.submit(long_request)))
    await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        try:
            await anext(events)
        except rt.ClosedError:
            del events
            gc.collect()
            os._exit(0)  # without asyncio's cleanup, whose epoll the parent shares
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    await events.aclose()
    assert (await waits).finish_reason == "length"

asyncio.run(fork_inside())

def leave():
    global stream, handle
    refuses(lambda: next(stream))
    del stream, handle

in_child(leave)
in_child(lambda: globals().pop("executor"))
assert handle.result().finish_reason == "length" and next(stream)
""",
    "fork while other threads stream": """
executor = make()
started = threading.Semaphore(0)

async def follow():
    async for event in executor.astream(long_request):
        started.release()

async def follow_all():
    await asyncio.gather(*(follow() for _ in range(4)))

threads = [threading.Thread(target=lambda: asyncio.run(follow_all())) for _ in range(2)]
for thread in threads:
    thread.start()
started.acquire()
for _ in range(5):
    in_child(lambda: refuses(lambda: asyncio.run(collect(executor))))
for thread in threads:
    thread.join()
""",
    "fork during a storm": """
executor = make()
codes = executor.generate(request).codes.tolist()
is_over = False

def storm():
    while not is_over:
        handle = executor.submit(request)
        executor.stats()
        handle.add_done_callback(lambda handle: None)
        if len(executor.voices()) == 0 or threading.get_ident() % 2:
            handle.result()
        else:
            time.sleep(0.001)

threads = [threading.Thread(target=storm) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(10):
    in_child(lambda: refuses(lambda: executor.generate(request)))
in_child(lambda: works(codes))
is_over = True
for thread in threads:
    thread.join()
assert executor.generate(request).codes.tolist() == codes
""",
    "fork while another thread holds every lock of Python's": """
executor = make()
stream = executor.astream(request)
asyncio.run(anext_of(stream))
is_held, may_go_on = threading.Event(), threading.Event()

def hold():
    with executor._dispatcher._lock:
        is_held.set()
        may_go_on.wait()

thread = threading.Thread(target=hold)
thread.start()
is_held.wait()

def leave():
    global executor, stream
    refuses(lambda: asyncio.run(collect(executor)))
    executor.close()
    del executor, stream

in_child(leave)
may_go_on.set()
thread.join()
""",
    "fork while another thread loads the weights": """
with make() as executor:
    codes = executor.generate(request).codes.tolist()
is_over = False

def load():  # the weights are freed with the last executor, and read again by the next one
    while not is_over:
        with make():
            pass

thread = threading.Thread(target=load)
thread.start()
for _ in range(15):
    in_child(lambda: works(codes))
is_over = True
thread.join()
""",
    "multiprocessing": """
context = multiprocessing.get_context("fork")
executor = make()
codes = executor.generate(request).codes.tolist()

def refused(_):
    signal.alarm(40)
    refuses(lambda: executor.generate(request))
    return os.getpid()

process = context.Process(target=refused, args=(0,))
process.start()
process.join(60)
assert process.exitcode == 0
with context.Pool(2) as pool:
    assert os.getpid() not in pool.map(refused, range(4))

# Servers load first and fork then; each worker makes an executor on the engine that all share.
own = None

def begin():
    global own
    own = make()

def work(seed):
    return own.generate(request, seed=seed).codes.tolist()

with context.Pool(2, initializer=begin) as pool:
    assert pool.map(work, [7, 8, 7]) == [work_of.codes.tolist() for work_of in executor.generate(
        [rt.Request(**{**vars(request), "seed": seed}) for seed in (7, 8, 7)])]
""",
    "a signal handler that forks a build and raises in the child": """
folder = os.path.dirname(sys.argv[1])
checkpoint, target = os.path.join(folder, "checkpoint"), os.path.join(folder, "forked")
children = []

class Left(Exception):
    pass

def fork(number, frame):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(40)
        raise Left
    children.append(child)

signal.signal(signal.SIGALRM, fork)
for attempt in range(8):
    signal.setitimer(signal.ITIMER_REAL, 0.002 * (attempt + 1))
    try:
        while len(children) <= attempt:
            rt.build(checkpoint, target, overwrite=True)
    except Left:
        sys.exit(0)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
assert rt.Engine.open(target).info.family == engine.info.family
""",
    "a signal handler that forks": """
executor = make()
children = []

def fork(number, frame):
    children.append(os.fork())

signal.signal(signal.SIGALRM, fork)
handle = executor.submit(long_request)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    handle.result()
except rt.ClosedError:
    assert children == [0]
    sys.exit(0)
while not children:
    time.sleep(0.01)
if children == [0]:  # the request had ended before the signal came
    sys.exit(0)
assert os.waitpid(children[0], 0)[1] == 0
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_children(engine: Path, program: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c"]
    done = subprocess.run(
        [*command, COMMON + PROGRAMS[program], str(engine)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr
