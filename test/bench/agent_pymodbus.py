#!/usr/bin/python3
"""Baseline: pymodbus' asyncio client polling as fast as it can. CONNECTIONS SECONDS REGISTERS PORT.

Prints requests/s, microseconds of CPU a request, MiB, failed requests.
"""
import asyncio
import resource
import sys
import time

from pymodbus.client import AsyncModbusTcpClient


async def poll(port, registers, counts, end):
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    while time.monotonic() < end:
        answer = await client.read_holding_registers(0, registers, slave=1)
        counts[answer.isError()] += 1
    await client.close()


async def main():
    connections, seconds, registers, port = (int(word) for word in sys.argv[1:5])
    counts = [0, 0]
    begun = time.monotonic()
    await asyncio.gather(*(poll(port + i, registers, counts, begun + seconds)
                           for i in range(connections)))
    span = time.monotonic() - begun
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print("%.0f %.1f %.1f %d" % (counts[0] / span, 1e6 * cpu / max(counts[0], 1),
                                 usage.ru_maxrss / 1024, counts[1]))


asyncio.run(main())
