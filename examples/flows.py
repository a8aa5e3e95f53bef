#!/usr/bin/env python3
"""Counts the frames of a running vxtap by session and inner flow.

The frames are read in another process and without copying them.

    python3 examples/flows.py /run/vxtap/flows.sock

The configuration has an output with type = "shared" and path = "/run/vxtap/flows.sock". The program
ends with the engine, or on SIGINT or SIGTERM, and then prints the counts. docs/ring-abi.md
describes the memory that is read here, include/vxtap.h has the numbers.

Python stores and loads eight aligned bytes at once. On x86-64 it does so in the order of the
program, because these CPUs keep the order of stores and of loads. Other machines need a program in
C.
"""

import collections
import ipaddress
import mmap
import signal
import socket
import struct
import sys
import time

VERSION, ANY = 2, 0xFFFFFFFF
HELLO = struct.Struct("=8sII")
WELCOME = struct.Struct("=8sIIIIII104s")
PARCEL = struct.Struct("=8sII")
RING = struct.Struct("=8sIIIIIIII")
DESCRIPTOR = struct.Struct("=QQIIIHH")
HEAD, REVOKED, CONTINUES, IP = 128, 260, 1, 32
HEAD_MAX = 128  # bytes of a frame that are looked at


class Ring:
    """Ring with the frames of one queue."""

    def __init__(self, umem, ring, tail):
        self.umem = mmap.mmap(umem, 0, prot=mmap.PROT_READ)
        self.memory = mmap.mmap(ring, 0, prot=mmap.PROT_READ)
        # Stores eight bytes at once; pack_into would store one after the other.
        self.head = memoryview(self.memory)[HEAD : HEAD + 8].cast("Q")
        self.revoked = memoryview(self.memory)[REVOKED : REVOKED + 4].cast("I")
        self.tail = memoryview(mmap.mmap(tail, 0))[:8].cast("Q")
        header = RING.unpack_from(self.memory)
        self.len, self.descriptors, self.queue = header[2], header[4], header[8]
        self.position = 0

    def read(self, count):
        """Passes all published frames to count, then releases their memory.

        Returns the number of descriptors. When the engine has disconnected this process and taken
        its memory back, there may be other frames in it: then none is passed.
        """
        head, begin, frame = self.head[0], self.position, b""
        while self.position < head:
            at = self.descriptors + (self.position & (self.len - 1)) * DESCRIPTOR.size
            _, addr, length, _, session, _, flags = DESCRIPTOR.unpack_from(self.memory, at)
            # A copy; the headers may go on in the next part.
            frame += self.umem[addr : addr + min(length, HEAD_MAX - len(frame))]
            if self.revoked[0]:
                return 0
            if not flags & CONTINUES:
                count(session, frame, flags)
                frame = b""
            self.position += 1
        self.tail[0] = self.position
        return self.position - begin


def attach(path):
    """Attaches to an output; returns the connection, the rings, and the names of the sessions."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    connection.send(HELLO.pack(b"vxtapSHR", VERSION, ANY))
    magic, _, status, _, _, ring_count, _, sentence = WELCOME.unpack(connection.recv(WELCOME.size))
    if magic != b"vxtapSHR" or status != 0:
        sys.exit(f"flows: refused: {sentence.split(bytes(1))[0].decode()}")
    rings, sessions = [], {}
    while len(rings) < ring_count:
        if not receive(connection, rings, sessions, 0):
            sys.exit("flows: the engine has closed the connection")
    return connection, rings, sessions


def receive(connection, rings, sessions, flags):
    """Receives a parcel, if there is one; returns whether the engine is still there."""
    try:
        # socket.recv_fds would be shorter, but ignores the flags.
        message, ancillary, _, _ = connection.recvmsg(PARCEL.size, socket.CMSG_LEN(3 * 4), flags)
    except BlockingIOError:
        return True
    files = [file for _, _, rights in ancillary for (file,) in struct.iter_unpack("=i", rights)]
    if len(files) == 3:
        rings.append(Ring(*files))
    elif len(files) == 1:
        with mmap.mmap(files[0], 0, prot=mmap.PROT_READ) as text:
            sessions.update(line.split("\t", 1) for line in text[:].decode().splitlines())
    for file in files:
        socket.close(file)
    return bool(message)


def flow_of(packet):
    """Returns the protocol and the two ends of an IP packet, the smaller end first; else None."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        protocol, ports = packet[9], (packet[0] & 15) * 4
        ends = [packet[12:16], packet[16:20]]
    elif version == 6 and len(packet) >= 40:
        protocol, ports = packet[6], 40
        ends = [packet[8:24], packet[24:40]]
    else:
        return None
    numbers = [0, 0]
    if protocol in (6, 17) and len(packet) >= ports + 4:
        numbers = struct.unpack_from("!HH", packet, ports)
    return protocol, *sorted(zip(ends, numbers))


def main():
    """Reads until the engine ends or a signal comes."""
    if len(sys.argv) != 2:
        sys.exit("usage: flows.py SOCKET")
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))
    flows = collections.Counter()

    def count(session, frame, flags):
        header = 0 if flags & IP else 14
        while not flags & IP and frame[header - 2 : header] == b"\x81\x00":
            header += 4  # a VLAN tag
        flows[session, flow_of(frame[header:])] += 1

    connection, rings, sessions = attach(sys.argv[1])
    print(f"flows: attached, {len(rings)} rings", file=sys.stderr, flush=True)
    is_there = True
    while is_there and not stopped:
        # Received before the rings are read, so that the last frames are read.
        is_there = receive(connection, rings, sessions, socket.MSG_DONTWAIT)
        if sum(ring.read(count) for ring in rings) == 0:
            time.sleep(0.0005)
    for (session, flow), frames in flows.most_common():
        name = sessions.get(str(session), session)
        if flow:
            protocol, *ends = flow
            ends = "  ".join(f"{ipaddress.ip_address(address)} {port}" for address, port in ends)
            print(f"{frames:10}  {name}  {protocol}  {ends}")
        else:
            print(f"{frames:10}  {name}  not IP")
    print(f"{flows.total():10} frames")


if __name__ == "__main__":
    main()
