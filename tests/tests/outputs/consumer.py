"""A consumer of a shared output that behaves as the test wants.

consumer.py MODE SOCKET EXAMPLES
"""

import ctypes
import os
import signal
import sys
import time

sys.path.insert(0, sys.argv[3])
import flows  # noqa: E402

# Ends the process if the test does not.
signal.alarm(120)
mode, path = sys.argv[1:3]
receive_ring = flows.Ring.__init__
files = []


def keep(self, *descriptors):
    """Keeps copies of the files of a ring open."""
    files.append([os.dup(descriptor) for descriptor in descriptors])
    receive_ring(self, *descriptors)


def wait_until(is_over):
    """Waits for an event."""
    while not is_over():
        time.sleep(0.0002)


def wait_for_a_turn(ring):
    """Waits until the engine has read the tail of a ring, which it does before it publishes frames.

    The first frames may come from a turn that had begun before.
    """
    for _ in range(2):
        head = ring.head[0]
        wait_until(lambda: ring.head[0] != head)


flows.Ring.__init__ = keep
connection, rings, sessions = flows.attach(path)
print("attached", flush=True)
wait_until(lambda: any(ring.head[0] > 100 for ring in rings))
ring, (umem, descriptors, tail) = next(
    (ring, files) for ring, files in zip(rings, files) if ring.head[0] > 100
)
if mode == "hold":
    # In the middle of a batch: read, and not released.
    ring.tail[0] = 30
    print("holding", flush=True)
    signal.pause()
elif mode == "write":
    import mmap

    for file in (umem, descriptors):
        for attempt in (
            lambda: mmap.mmap(file, 0),
            lambda: os.pwrite(file, b"garbage", 0),
            lambda: os.ftruncate(file, 0),
            lambda: os.posix_fallocate(file, 0, 1 << 30),
        ):
            try:
                attempt()
                print("it could", flush=True)
            except OSError as error:
                print("refused", error.errno, flush=True)
elif mode in ("poke-umem", "poke-ring"):
    memory = ring.umem if mode == "poke-umem" else ring.memory
    address = ctypes.c_void_p()
    length = ctypes.c_ssize_t()
    ctypes.pythonapi.PyObject_GetBuffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
    buffer = (ctypes.c_char * 256)()
    ctypes.pythonapi.PyObject_GetBuffer(memory, buffer, 0)
    start = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_void_p))[0]
    print("poking", flush=True)
    ctypes.memset(start, 0xFF, 4096)
    print("it could", flush=True)
elif mode == "garbage":
    os.pwrite(tail, b"\xfe" * 4096, 0)
    # The engine closes the connection, says that it takes its memory back, and sends no more.
    is_over = connection.recv(16) == b""
    wait_until(lambda: ring.revoked[0])
    head = ring.head[0]
    time.sleep(0.5)
    print("hung up" if is_over and ring.head[0] == head else "it goes on", flush=True)
elif mode == "back":
    ring.tail[0] = 50
    wait_for_a_turn(ring)
    ring.tail[0] = 10
    print("hung up" if connection.recv(16) == b"" else "it goes on", flush=True)
