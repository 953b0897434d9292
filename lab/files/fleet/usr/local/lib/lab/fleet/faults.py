"""Makes the way to the nodes' port 22 a bad one, as /run/lab/faults says: `DELAY-MS CUT-AFTER-BYTES CUT-FIRST`.

Connections that the packet filter redirects to port 2200 go on to where they were meant to go. What a connection's
first packets would take for their way is waited for before that, once there and back. The first CUT-FIRST
connections since the file was written are reset once CUT-AFTER-BYTES came from the client; -1 as either is none.
"""

import asyncio
import os
import socket
import struct

SO_ORIGINAL_DST = 80
SETTINGS = "/run/lab/faults"


class Faults:
    """The settings at a time; a connection keeps those that it began with."""

    def __init__(self, text):
        delay_ms, cut_after, cut_first = text.split()
        self.delay = float(delay_ms) / 1000
        self.cut_after = int(cut_after)
        self.cuts_left = int(cut_first)

    def next_cut(self):
        """After how many bytes the next connection is cut; None if it isn't."""
        if self.cut_after < 0 or self.cuts_left <= 0:
            return None
        self.cuts_left -= 1
        return self.cut_after


class Cut(Exception):
    pass


current = None


def faults():
    global current
    written = os.stat(SETTINGS).st_ino  # it is replaced, never changed
    if current is None or current[0] != written:
        with open(SETTINGS) as file:
            current = (written, Faults(file.read()))
    return current[1]


async def carry(reader, writer, delay, left=None):
    """Passes on what comes, each piece `delay` after it came, and no more than `left` bytes."""
    loop = asyncio.get_running_loop()
    pieces = asyncio.Queue()

    async def receive():
        piece = b"-"
        while piece:
            try:
                piece = await reader.read(65536)
            except OSError:
                piece = b""
            pieces.put_nowait((loop.time() + delay, piece))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not piece:
                break
            if left is not None:
                piece, left = piece[:left], max(0, left - len(piece))
            writer.write(piece)
            await writer.drain()
            if left == 0:
                raise Cut
        if writer.can_write_eof():
            writer.write_eof()
    finally:
        receiving.cancel()


def reset(writer):
    ended = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ended)
    writer.transport.abort()


async def forward(reader, writer):
    original = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", original)
    now = faults()
    delay, cut = now.delay, now.next_cut()
    onward = None
    carrying = []
    try:
        await asyncio.sleep(2 * delay)
        onward_reader, onward = await asyncio.open_connection(socket.inet_ntoa(address), port)
        if cut is not None:
            # What comes before the cut arrives.
            onward.transport.set_write_buffer_limits(0)
        carrying = [
            asyncio.create_task(carry(reader, onward, delay, cut)),
            asyncio.create_task(carry(onward_reader, writer, delay)),
        ]
        await asyncio.gather(*carrying)
    except Cut:
        for each in (writer, onward):
            reset(each)
    except OSError:
        pass  # either side has gone
    finally:
        for task in carrying:
            task.cancel()
        for each in filter(None, (writer, onward)):
            each.close()


async def main():
    server = await asyncio.start_server(forward, "0.0.0.0", 2200, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
