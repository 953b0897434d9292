"""Makes the way to the nodes' port 22 longer: `delay.py MILLISECONDS`, in each direction.

Connections that the packet filter redirects to port 2200 go on to where they were meant to go. What a connection's
first packets would take for their way is waited for before that, once there and back.
"""

import asyncio
import socket
import struct
import sys

SO_ORIGINAL_DST = 80
delay = float(sys.argv[1]) / 1000


async def carry(reader, writer):
    """Passes on what comes, each piece `delay` after it came."""
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
    while True:
        due, piece = await pieces.get()
        await asyncio.sleep(max(0, due - loop.time()))
        if not piece:
            break
        writer.write(piece)
        await writer.drain()
    await receiving
    if writer.can_write_eof():
        writer.write_eof()


async def forward(reader, writer):
    original = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", original)
    onward = None
    try:
        await asyncio.sleep(2 * delay)
        onward_reader, onward = await asyncio.open_connection(socket.inet_ntoa(address), port)
        await asyncio.gather(carry(reader, onward), carry(onward_reader, writer))
    except OSError:
        pass  # either side has gone
    finally:
        for each in filter(None, (writer, onward)):
            each.close()


async def main():
    server = await asyncio.start_server(forward, "0.0.0.0", 2200, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
