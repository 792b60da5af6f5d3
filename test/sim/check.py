#!/usr/bin/python3
"""Check prepay-sim with tools we did not write: mbpoll and pymodbus; faults with raw sockets.

Usage: check.py PATH-OF-PREPAY-SIM
"""
import asyncio
import atexit
import datetime
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from pymodbus.client import ModbusTcpClient
from pymodbus.constants import Endian
from pymodbus.payload import BinaryPayloadDecoder
from pymodbus.transaction import ModbusRtuFramer

SIM = ""
HERE = os.path.dirname(os.path.abspath(__file__))
T0 = "2026-01-05T00:00:00+08:00"
FROZEN = ["--clock", T0]


def running_clock(rate):
    """A clock that is at T0 now and runs at rate."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return ["--clock", f"{T0}@{now.isoformat()}*{rate}"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sim:
    """One running simulator: gateways G0, G1... on own ports and a control port."""

    def __init__(self, meters, options=(), gateways=1, extra="", lines=()):
        self.ports = [free_port() for _ in range(gateways)]
        self.control_port = free_port()
        lines = [f"gateway G{i} 127.0.0.1:{port}" for i, port in enumerate(self.ports)] + list(lines)
        lines += [f"meter {m}" for m in meters]
        lines += [f"control 127.0.0.1:{self.control_port}", extra]
        self.file = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.file.write("\n".join(lines) + "\n")
        self.file.flush()
        self.process = subprocess.Popen([SIM, "--config", self.file.name, *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        atexit.register(self.process.kill)  # a failed test must not leave it running
        self.ready = self.process.stdout.readline().strip()
        self.control = None
        if self.ready:
            connection = socket.create_connection(("127.0.0.1", self.control_port))
            self.control = connection.makefile("rw", newline="\n")
            connection.close()

    def ask(self, command):
        self.control.write(command + "\n")
        self.control.flush()
        return self.control.readline().strip()

    def order(self, command):
        answer = self.ask(command)
        assert answer.split()[0] == "ok", f"{command}: {answer}"
        return answer

    def get(self, meter):
        return dict(w.split("=", 1) for w in self.order(f"get {meter}").split()[1:])

    def journal(self, meter):
        self.order(f"journal {meter}")
        lines = []
        while (line := self.control.readline().strip()) != "end":
            lines.append(line)
        return lines

    def stop(self):
        if self.control:
            self.control.close()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        atexit.unregister(self.process.kill)
        self.process.stdout.close()
        self.file.close()
        return status


class Raw:
    """A raw Modbus TCP connection."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=3)
        self.tid = 100

    def frame(self, unit, pdu, tid=None):
        if tid is None:
            self.tid = self.tid % 65535 + 1
            tid = self.tid
        return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, wait=0.4):
        """All bytes that come until it is quiet for wait seconds; b'' at once on end of file."""
        data = b""
        while select.select([self.socket], [], [], wait)[0]:
            piece = self.socket.recv(4096)
            if not piece:
                break
            data += piece
        return data

    def answer(self, unit, pdu):
        """PDU of the answer, its header checked."""
        self.send(self.frame(unit, pdu))
        header = self.exactly(7)
        tid, protocol, length, got_unit = struct.unpack(">HHHB", header)
        assert (tid, protocol, got_unit) == (self.tid, 0, unit), header
        return self.exactly(length - 1)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, "connection closed"
            data += piece
        return data

    def closed_by_peer(self, wait=1.0):
        if not select.select([self.socket], [], [], wait)[0]:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()


READ_TOTAL = bytes.fromhex("0300000002")


def recharge_pdu(amount, count):
    return struct.pack(">BHHBIHH", 0x20, 0x0100, 4, 8, amount, count, 0)


class SimCase(unittest.TestCase):
    meters = ()
    options = FROZEN
    gateways = 1

    def setUp(self):
        self.sim = Sim(self.meters, self.options, self.gateways)
        self.addCleanup(self.sim.stop)
        self.raw = Raw(self.sim.ports[0])
        self.addCleanup(self.raw.close)
        self.client = ModbusTcpClient("127.0.0.1", port=self.sim.ports[0])
        self.assertTrue(self.client.connect())
        self.addCleanup(self.client.close)

    def u32(self, unit, address):
        answer = self.client.read_holding_registers(address, 2, slave=unit)
        self.assertFalse(answer.isError(), answer)
        return answer.registers[0] << 16 | answer.registers[1]

    def real(self, unit, address):
        answer = self.client.read_input_registers(address, 2, slave=unit)
        self.assertFalse(answer.isError(), answer)
        return BinaryPayloadDecoder.fromRegisters(
            answer.registers, byteorder=Endian.Big, wordorder=Endian.Big).decode_32bit_float()


class Registers(SimCase):
    meters = ("P1 G0 1 acrel-ddsy1352 kw=2.2 start_kwh=1234.56 count=7",
              "T1 G0 2 acrel-dtsy1352 kw=30 start_kwh=500 ratio=40",
              "D1 G0 3 acrel-dtsd1352 kw=9 start_kwh=77.77 reverse_kw=1",
              "E1 G0 4 eastron-sdm630 kw=9 start_kwh=4321.5",
              "S1 G0 5 sfere kw=1 start_kwh=88.88")

    def mbpoll(self, *args):
        result = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(self.sim.ports[0]), "-0", "-1",
                                 *args, "127.0.0.1"], capture_output=True, text=True, timeout=20)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return re.findall(r"^\[\d+\]:\s*(\S+)", result.stdout, re.M)

    def test_mbpoll_reads_prepaid_block(self):
        values = self.mbpoll("-a", "1", "-r", "0", "-c", "17", "-t", "4:hex")
        self.assertEqual(len(values), 17)
        self.assertEqual(int(values[0], 16) << 16 | int(values[1], 16), 123456)
        bands = sum(int(values[i], 16) << 16 | int(values[i + 1], 16) for i in (2, 4, 6, 8))
        self.assertTrue(123456 - 3 <= bands <= 123456, bands)
        self.assertEqual(int(values[10], 16), 1)
        self.assertTrue(2160 <= int(values[11], 16) <= 2240)
        self.assertEqual(int(values[13], 16), 2200)

    def test_mbpoll_reads_money_block(self):
        values = self.mbpoll("-a", "1", "-r", str(0x46), "-c", "28", "-t", "4")
        self.assertEqual(int(values[0x4E - 0x46]), 7)
        self.assertEqual([values[0x57 - 0x46], values[0x58 - 0x46]], ["1", "0"])

    def test_mbpoll_reads_float(self):
        values = self.mbpoll("-a", "4", "-r", str(0x48), "-c", "1", "-t", "3:float", "-B")
        self.assertEqual(float(values[0]), 4321.5)

    def test_mbpoll_writes_trip(self):
        result = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(self.sim.ports[0]), "-0", "-a",
                                 "1", "-r", str(0x57), "-t", "4", "127.0.0.1", "1", "1"],
                                capture_output=True, text=True, timeout=20)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(self.sim.get("P1")["relay"], "open")

    def test_pymodbus_reads_every_model(self):
        self.assertEqual(self.u32(1, 0), 123456)
        self.assertEqual(self.u32(2, 0), 50000)
        self.assertEqual(self.u32(3, 0x000A), 7777)
        self.assertEqual(self.u32(3, 0x0000), 7777)
        self.assertEqual(self.u32(3, 0x0014), 0)
        self.assertEqual(self.u32(5, 0x0073), 8888)
        self.assertEqual(self.real(4, 0x48), 4321.5)
        self.assertEqual(self.real(4, 0x156), 4321.5)

    def test_power_adds_up(self):
        powers = [self.u32(3, a) for a in (0x164, 0x166, 0x168, 0x16A)]
        self.assertEqual(powers[3], 9000)
        self.assertTrue(abs(sum(powers[:3]) - 9000) <= 3)
        self.assertEqual(self.real(4, 0x34), 9000.0)
        volts = self.client.read_holding_registers(0x61, 6, slave=3).registers
        for phase in range(3):
            watts = volts[phase] / 10 * volts[3 + phase] / 100 * 0.95
            self.assertTrue(abs(watts - powers[phase]) < 30, (watts, powers[phase]))

    def test_ratio_divides_registers(self):
        registers = self.client.read_holding_registers(0, 0x39, slave=2).registers
        self.assertEqual(registers[0x0D], 750)  # 30 kW through 40:1
        self.assertEqual(registers[0x38], 40)
        self.assertEqual(self.sim.get("T1")["energy"], "20000.000000")

    def test_sfere_control(self):
        self.assertFalse(self.client.write_register(0x0B25, 2, slave=5).isError())
        self.assertEqual(self.sim.get("S1")["relay"], "open")
        self.assertEqual(self.client.read_holding_registers(0x0B25, 1, slave=5).registers, [2])
        self.assertFalse(self.client.write_registers(0x0B25, [1], slave=5).isError())
        self.assertEqual(self.sim.get("S1")["relay"], "closed")
        self.assertEqual(self.raw.answer(5, bytes.fromhex("060b250003")), b"\x86\x03")
        self.assertEqual(self.raw.answer(5, recharge_pdu(100, 1)), b"\xa0\x01")

    def test_exceptions(self):
        cases = (
            (1, "0300620002", "8302"),  # past the end of a range
            (1, "0330000001", "8302"),  # no such range
            (1, "0300000000", "8303"),  # nothing asked
            (1, "030000007e", "8303"),  # more than 125
            (1, "03000000", "8303"),    # short request
            (1, "0400000002", "8401"),  # this model reads with 03
            (4, "0300000002", "8301"),  # and this one with 04
            (1, "6500", "e501"),        # unknown function
            (1, "100046000204" + "00000001", "9002"),  # not writable
            (1, "10005600020400010001", "9002"),       # begins before the control registers
            (1, "10005800020400010001", "9002"),       # ends after them
            (1, "10005700020400010002", "9003"),       # not 0 or 1
            (1, "1000570002030001", "9003"),           # byte count does not match
            (3, "10005700020400010001", "9001"),       # model without writes
            (9, "0300000002", "830b"),  # nobody there
        )
        for unit, request, expected in cases:
            with self.subTest(request=request):
                self.assertEqual(self.raw.answer(unit, bytes.fromhex(request)).hex(), expected)
        self.assertEqual(self.sim.get("P1")["relay"], "closed")

    def test_unknown_unit_silent(self):
        self.sim.order("set G0 unknown=silence")
        self.raw.send(self.raw.frame(9, READ_TOTAL))
        self.assertEqual(self.raw.receive(), b"")
        self.sim.order("set G0 unknown=exception")
        self.assertEqual(self.raw.answer(9, READ_TOTAL).hex(), "830b")

    def test_control_refuses_nonsense(self):
        for command in ("", "jump P1", "get", "get X", "set P1", "set P1 kw=-1", "set P1 kw=1e3",
                        "set P1 kw=0.0000001", "set P1 relay=ajar", "set P1 digits=5",
                        "set P1 kw=1 kw=2", "set E1 relay=open", "set P1 count=65536",
                        "fault X late", "fault P1 refuse", "fault P1 gremlins", "fault P1 late n=0",
                        "fault P1 late ms=-1", "fault P1 late p=1.1", "fault P1 late n",
                        "fault P1 silence lost=luggage", "fault G0", "journal X"):
            with self.subTest(command=command):
                self.assertTrue(self.sim.ask(command).startswith("error "), command)
        self.assertEqual(self.sim.order("list"), "ok P1 T1 D1 E1 S1")
        self.assertEqual(self.sim.get("P1")["mean_kw"], "2.200000")


class Energy(SimCase):
    meters = ("F1 G0 1 acrel-ddsy1352 kw=10 start_kwh=100",
              "R1 G0 2 acrel-ddsy1352 kw=10 start_kwh=999.99 digits=5",
              "W1 G0 3 acrel-ddsy1352 kw=10",
              "B1 G0 4 acrel-ddsy1352 kw=10 button=1",
              "D1 G0 5 acrel-dtsd1352 kw=10 reverse_kw=2",
              "H1 G0 6 acrel-ddsy1352 kw=3 shape=home")

    def setUp(self):
        self.options = running_clock(7200)
        super().setUp()

    def advance(self):
        time.sleep(0.1)

    def test_flat_energy_is_exact(self):
        start = datetime.datetime.fromisoformat(T0)
        for _ in range(20):
            state = self.sim.get("F1")
            elapsed = datetime.datetime.fromisoformat(state["clock"]) - start
            elapsed_us = elapsed // datetime.timedelta(microseconds=1)
            mwh = 100 * 10**6 + 10 * 10**6 * elapsed_us // (3600 * 10**6)
            self.assertEqual(int(state["energy"].replace(".", "")), mwh)
            time.sleep(0.013)

    def test_trip_stops_energy_and_close_resumes(self):
        before = self.u32(1, 0)
        self.advance()
        self.assertGreater(self.u32(1, 0), before)
        self.assertFalse(self.client.write_registers(0x57, [1, 1], slave=1).isError())
        stopped = self.u32(1, 0)
        self.advance()
        self.assertEqual(self.u32(1, 0), stopped)
        registers = self.client.read_holding_registers(0, 0x59, slave=1).registers
        self.assertEqual((registers[0x0C], registers[0x0D]), (0, 0))
        self.assertGreater(registers[0x0B], 2000)
        self.assertEqual(registers[0x57:0x59], [1, 1])
        self.assertFalse(self.client.write_registers(0x57, [1, 0], slave=1).isError())
        self.advance()
        self.assertGreater(self.u32(1, 0), stopped)
        self.assertFalse(self.client.write_register(0x58, 1, slave=1).isError())
        self.assertEqual(self.sim.get("F1")["relay"], "open")

    def test_journal_of_writes(self):
        self.client.write_registers(0x57, [1, 1], slave=1)
        self.client.write_register(0x58, 0, slave=1)
        self.client.write_registers(0x57, [1, 5], slave=1)
        lines = self.sim.journal("F1")
        self.assertEqual([line.split(" ", 1)[1] for line in lines], [
            "fc=0x10 addr=0x0057 n=2 regs=0x0001,0x0001 result=ok",
            "fc=0x06 addr=0x0058 n=1 regs=0x0000 result=ok",
            "fc=0x10 addr=0x0057 n=2 regs=0x0001,0x0005 result=exception_3"])
        stamps = [datetime.datetime.fromisoformat(line.split()[0]) for line in lines]
        self.assertEqual(stamps, sorted(stamps))
        self.assertGreater(stamps[0], datetime.datetime.fromisoformat(T0))

    def test_register_rolls_over(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self.u32(2, 0) >= 99999:
            time.sleep(0.01)
        self.assertLess(self.u32(2, 0), 90000)
        self.assertGreater(float(self.sim.get("R1")["energy"]), 1000)

    def test_welded_contact_goes_on_counting(self):
        self.sim.order("set W1 welded=1")
        self.client.write_registers(0x57, [1, 1], slave=3)
        before = self.u32(3, 0)
        self.advance()
        self.assertGreater(self.u32(3, 0), before)
        self.assertEqual(self.client.read_holding_registers(0x57, 2, slave=3).registers, [1, 1])
        self.assertEqual(self.sim.get("W1")["relay"], "closed")
        self.sim.order("set W1 welded=0")
        self.assertEqual(self.sim.get("W1")["relay"], "open")

    def test_button_holds_back_a_close(self):
        self.client.write_registers(0x57, [1, 1], slave=4)
        self.client.write_registers(0x57, [1, 0], slave=4)
        state = self.sim.get("B1")
        self.assertEqual((state["relay"], state["permitted"]), ("open", "1"))
        self.sim.order("set B1 press=1")
        self.assertEqual(self.sim.get("B1")["relay"], "closed")

    def test_local_tool_works_the_contact(self):
        self.sim.order("set F1 relay=open")
        self.assertEqual(self.client.read_holding_registers(0x57, 2, slave=1).registers, [1, 1])
        self.assertEqual(self.sim.get("F1")["relay"], "open")

    def test_load_change(self):
        self.sim.order("set F1 kw=0")
        before = self.u32(1, 0)
        self.advance()
        self.assertEqual(self.u32(1, 0), before)
        self.sim.order("set F1 kwh=5.5 kw=0.0")
        self.assertEqual(self.u32(1, 0), 550)

    def test_both_directions(self):
        deadline = time.monotonic() + 10  # twelve business hours are six seconds
        while self.u32(5, 0x14) < 100:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        registers = self.client.read_holding_registers(0, 0x1E, slave=5).registers
        total, forward, reverse = (registers[a] << 16 | registers[a + 1] for a in (0, 0xA, 0x14))
        self.assertTrue(0 <= total - forward - reverse <= 1, (total, forward, reverse))

    def test_simctl(self):
        target = f"127.0.0.1:{self.sim.control_port}"
        tool = os.path.join(HERE, "simctl")
        run = subprocess.run([sys.executable, tool, target, "get", "F1"], capture_output=True,
                             text=True)
        self.assertEqual(run.returncode, 0)
        self.assertTrue(run.stdout.startswith("ok kwh="), run.stdout)
        run = subprocess.run([sys.executable, tool, target, "get", "none"], capture_output=True,
                             text=True)
        self.assertEqual((run.returncode, run.stdout), (1, "error unknown meter\n"))
        run = subprocess.run([sys.executable, tool, target], capture_output=True, text=True,
                             input="set F1 kw=1\njournal F1\n")
        self.assertEqual((run.returncode, run.stdout), (0, "ok\nok entries=0\nend\n"))


class Money(SimCase):
    meters = ("M1 G0 1 acrel-ddsy1352 kw=0 balance=10 count=7 price=0.6",
              "M2 G0 2 acrel-ddsy1352 kw=0 count=65535",
              "M3 G0 3 acrel-ddsy1352 kw=10 start_kwh=50 balance=5 price=0.6")

    def setUp(self):
        self.options = running_clock(7200)
        super().setUp()

    def balance_and_count(self, unit):
        registers = self.client.read_holding_registers(0x4E, 3, slave=unit).registers
        return registers[1] << 16 | registers[2], registers[0]

    def test_purchase_count_rule(self):
        done = bytes.fromhex("200100000406") + struct.pack(">IH", 6000, 8)
        self.assertEqual(self.raw.answer(1, recharge_pdu(5000, 8)), done)
        self.assertEqual(len(done) + 3, 15)  # on a serial line with unit and checksum
        self.assertEqual(self.balance_and_count(1), (6000, 8))
        self.assertEqual(self.raw.answer(1, recharge_pdu(5000, 8)), done)
        self.assertEqual(self.balance_and_count(1), (6000, 8))
        for count in (7, 10, 0):
            self.assertEqual(self.raw.answer(1, recharge_pdu(5000, count)), b"\xa0\x03")
        self.assertEqual(self.raw.answer(1, recharge_pdu(0, 9)), b"\xa0\x03")
        self.assertEqual(self.raw.answer(1, recharge_pdu(99999999, 9)), b"\xa0\x03")
        self.assertEqual(self.balance_and_count(1), (6000, 8))
        self.assertEqual([line.split("result=")[1] for line in self.sim.journal("M1")],
                         ["ok", "repeated"] + ["exception_3"] * 5)

    def test_malformed_recharge(self):
        good = recharge_pdu(5000, 8)
        for bad, code in ((good[:-1], 3), (good + b"\0", 3), (good[:-1] + b"\1", 3),
                          (good[:2] + b"\1" + good[3:], 2), (good[:4] + b"\3" + good[5:], 3)):
            self.assertEqual(self.raw.answer(1, bad), bytes((0xA0, code)))
        self.assertEqual(self.balance_and_count(1), (1000, 7))

    def test_count_wraps(self):
        self.assertEqual(self.raw.answer(2, recharge_pdu(100, 0))[0], 0x20)
        self.assertEqual(self.balance_and_count(2), (100, 0))

    def test_meter_cuts_itself_at_zero(self):
        deadline = time.monotonic() + 5
        while self.sim.get("M3")["relay"] == "closed":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        state = self.sim.get("M3")
        # 5 / 0.6 kWh, and the next whole mWh: neither polling nor clock decides.
        self.assertEqual((state["energy"], state["balance"]), ("58.333334", "0.00"))
        self.assertEqual(self.client.read_holding_registers(0x57, 2, slave=3).registers, [0, 0])
        self.assertEqual(self.raw.answer(3, recharge_pdu(100, 1))[0], 0x20)
        self.assertEqual(self.sim.get("M3")["relay"], "closed")
        time.sleep(0.3)
        self.assertEqual(self.sim.get("M3")["relay"], "open")
        self.assertEqual(self.sim.get("M3")["energy"], "60.000000")

    def test_forced_control_beats_the_balance(self):
        self.client.write_registers(0x57, [1, 0], slave=3)
        held = self.balance_and_count(3)
        time.sleep(1.0)
        self.assertEqual(self.sim.get("M3")["relay"], "closed")
        self.assertEqual(self.balance_and_count(3), held)
        self.sim.order("set M3 balance=0")
        self.assertEqual(self.sim.get("M3")["relay"], "closed")
        self.client.write_registers(0x57, [0, 0], slave=3)
        self.assertEqual(self.sim.get("M3")["relay"], "open")


class Complete(SimCase):
    meters = ["M1 G0 1 complete-prepaid balance=60 count=7 price=0.6",
              "M2 G0 2 acrel-ddsy1352 balance=60 count=7", "M3 G0 3 acrel-dtsy1352"]

    def test_withdrawal(self):
        def pdu(amount, count):
            return struct.pack(">BHHBIHH", 0x20, 0x0200, 4, 8, amount, count, 0)

        done = bytes.fromhex("200200000406") + struct.pack(">IH", 1000, 8)
        self.assertEqual(self.raw.answer(1, pdu(6001, 8)), b"\xa0\x03")
        self.assertEqual(self.raw.answer(1, pdu(5000, 9)), b"\xa0\x03")
        self.assertEqual(self.raw.answer(1, pdu(5000, 8)), done)
        self.assertEqual(self.raw.answer(1, pdu(5000, 8)), done)
        self.assertEqual(self.raw.answer(1, pdu(1000, 9))[0], 0x20)
        self.assertEqual(self.sim.get("M1")["relay"], "open")
        self.assertEqual(self.raw.answer(1, recharge_pdu(100, 10))[0], 0x20)
        self.assertEqual(self.sim.get("M1")["relay"], "closed")
        self.assertEqual(self.raw.answer(2, pdu(5000, 8)), b"\xa0\x02")

    def test_settings(self):
        for unit, address, count in ((1, 0x2000, 6), (1, 0x2006, 42), (1, 0x0046, 6), (1, 0x0061, 1),
                                     (2, 0x2006, 21), (2, 0x201B, 21), (3, 0x2000, 42), (3, 0x0028, 6)):
            values = list(range(1, count + 1))
            self.assertFalse(self.client.write_registers(address, values, slave=unit).isError())
            self.assertEqual(self.client.read_holding_registers(address, count, slave=unit).registers,
                             values)
        self.assertFalse(self.client.write_registers(0x59, [0, 12345], slave=1).isError())
        self.assertEqual(self.sim.get("M1")["price"], "1.2345")
        for unit, address in ((2, 0x59), (2, 0x46), (3, 0x2029), (1, 0x202F)):
            self.assertTrue(self.client.write_registers(address, [0, 1], slave=unit).isError())


class Framing(SimCase):
    meters = ("A1 G0 1 acrel-ddsy1352 kw=1 start_kwh=11.11",
              "A2 G0 2 acrel-ddsy1352 kw=1 start_kwh=22.22")

    def test_glued_requests(self):
        count = 300
        self.raw.send(b"".join(self.raw.frame(1 + i % 2, READ_TOTAL, tid=i) for i in range(count)))
        data = self.raw.exactly(13 * count)
        for i in range(count):
            tid, _, _, unit, _, _, value = struct.unpack(">HHHBBBI", data[13 * i:13 * i + 13])
            self.assertEqual((tid, unit, value), (i, 1 + i % 2, 1111 if i % 2 == 0 else 2222))

    def test_split_requests(self):
        request = self.raw.frame(1, READ_TOTAL, tid=1) + self.raw.frame(2, READ_TOTAL, tid=2)
        self.raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            self.raw.send(bytes((byte,)))
            time.sleep(0.003)
        self.assertEqual(self.raw.exactly(26).hex(),
                         "00010000000701030400000457" + "000200000007020304000008ae")

    def test_slow_reader_gets_all(self):
        count = 60000  # 12 MB of answers: more than the kernel keeps for a peer that does not read
        self.raw.socket.settimeout(30)
        request = b"".join(self.raw.frame(1, bytes.fromhex("0300000063"), tid=i % 65536)
                           for i in range(count))
        sender = threading.Thread(target=self.raw.send, args=(request,))
        sender.start()
        self.addCleanup(sender.join)
        time.sleep(0.5)
        self.assertEqual(self.sim.get("A2")["kwh"], "22.22")
        size = 7 + 2 + 2 * 0x63
        left = b""
        for i in range(count):
            while len(left) < size:
                piece = self.raw.socket.recv(65536)
                self.assertTrue(piece, f"connection closed after {i} answers")
                left += piece
            self.assertEqual(struct.unpack(">H", left[:2])[0], i)
            left = left[size:]

    def test_garbage_is_cut_off(self):
        for junk in (b"GET / HTTP/1.0\r\n\r\n", bytes.fromhex("000100000001010300"),
                     bytes.fromhex("00010000ffff0103")):
            with self.subTest(junk=junk):
                raw = Raw(self.sim.ports[0])
                raw.send(junk)
                self.assertTrue(raw.closed_by_peer())
                raw.close()
        self.assertIn("bad_frames=3", self.sim.order("stats"))
        self.assertEqual(self.raw.answer(1, READ_TOTAL)[0], 3)


class Faults(SimCase):
    meters = ("A1 G0 1 acrel-ddsy1352 kw=1 start_kwh=11.11 balance=10 count=0",
              "A2 G0 2 acrel-ddsy1352 kw=1 start_kwh=22.22",
              "A3 G1 1 acrel-ddsy1352 kw=1 start_kwh=33.33")
    gateways = 2
    TRUE = bytes.fromhex("030400000457")

    def request(self, wait=0.3):
        frame = self.raw.frame(1, READ_TOTAL)
        self.raw.send(frame)
        return self.raw.receive(wait)

    def expected(self, tid=None, unit=1):
        return struct.pack(">HHHB", self.raw.tid if tid is None else tid, 0, 7, unit) + self.TRUE

    def test_silence_hits_one_meter_only(self):
        self.sim.order("fault A1 silence")
        self.assertEqual(self.request(), b"")
        self.assertEqual(self.raw.answer(2, READ_TOTAL)[0], 3)
        self.sim.order("fault A1 off")
        self.assertEqual(self.request(), self.expected())

    def test_silence_of_a_gateway(self):
        self.sim.order("fault G0 silence n=2")
        self.assertEqual(self.request(), b"")
        self.raw.send(self.raw.frame(2, READ_TOTAL))
        self.assertEqual(self.raw.receive(0.3), b"")
        self.assertEqual(self.request(), self.expected())
        other = Raw(self.sim.ports[1])
        self.assertEqual(other.answer(1, READ_TOTAL)[0], 3)
        other.close()

    def test_lost_request_and_lost_answer(self):
        self.sim.order("fault A1 silence n=1 on=write")
        self.raw.send(self.raw.frame(1, recharge_pdu(500, 1)))
        self.assertEqual(self.raw.receive(0.3), b"")
        self.assertEqual(self.sim.get("A1")["count"], "0")
        self.sim.order("fault A1 silence n=1 on=write lost=answer")
        self.assertEqual(self.request(), self.expected())
        self.raw.send(self.raw.frame(1, recharge_pdu(500, 1)))
        self.assertEqual(self.raw.receive(0.3), b"")
        self.assertEqual(self.sim.get("A1")["count"], "1")
        self.assertEqual(self.sim.get("A1")["balance"], "15.00")

    def test_late(self):
        self.sim.order("fault A1 late ms=400 n=1")
        start = time.monotonic()
        self.raw.send(self.raw.frame(1, READ_TOTAL))
        late = self.raw.tid
        self.assertEqual(self.raw.answer(2, READ_TOTAL)[0], 3)
        self.assertLess(time.monotonic() - start, 0.3)
        self.assertEqual(self.raw.receive(1.0), self.expected(tid=late))
        self.assertGreaterEqual(time.monotonic() - start, 0.4)

    def test_late_answer_to_a_closed_connection(self):
        self.sim.order("fault A1 late ms=200 n=1")
        gone = Raw(self.sim.ports[0])
        gone.send(gone.frame(1, READ_TOTAL))
        time.sleep(0.05)
        gone.close()
        time.sleep(0.4)
        self.assertEqual(self.request(), self.expected())

    def test_wrong_tid(self):
        self.sim.order("fault A1 wrong_tid n=1")
        self.assertEqual(self.request(), self.expected(tid=self.raw.tid + 1))
        self.assertEqual(self.request(), self.expected())

    def test_wrong_unit(self):
        self.sim.order("fault A1 wrong_unit n=1")
        self.assertEqual(self.request(), self.expected(unit=0))
        self.assertEqual(self.request(), self.expected())

    def test_partial(self):
        self.sim.order("fault A1 partial ms=300 n=1")
        first = self.request(wait=0.15)
        self.assertEqual(first, self.expected()[:6])
        self.assertEqual(first + self.raw.receive(0.6), self.expected())
        self.sim.order("fault A1 partial ms=0 n=1")
        self.assertEqual(self.request(wait=0.5), self.expected()[:6])

    def test_glue(self):
        self.sim.order("fault A1 glue n=1")
        data = self.request()
        self.assertEqual(data, self.expected(tid=self.raw.tid - 1) + self.expected())

    def test_exception(self):
        self.sim.order("fault A1 exception n=1")
        self.assertEqual(self.raw.answer(1, READ_TOTAL).hex(), "8304")
        self.sim.order("fault A1 exception code=6 n=1")
        self.assertEqual(self.raw.answer(1, recharge_pdu(500, 1)).hex(), "a006")
        self.assertEqual(self.sim.get("A1")["count"], "0")

    def test_disconnect(self):
        self.sim.order("fault A1 disconnect n=1")
        self.raw.send(self.raw.frame(1, READ_TOTAL))
        self.assertTrue(self.raw.closed_by_peer())
        again = Raw(self.sim.ports[0])
        self.assertEqual(again.answer(1, READ_TOTAL), self.TRUE)
        again.close()

    def test_refuse(self):
        self.sim.order("fault G0 refuse")
        self.assertTrue(self.raw.closed_by_peer())
        with self.assertRaises(ConnectionRefusedError):
            Raw(self.sim.ports[0])
        other = Raw(self.sim.ports[1])
        self.assertEqual(other.answer(1, READ_TOTAL)[0], 3)
        other.close()
        self.sim.order("fault G0 off")
        again = Raw(self.sim.ports[0])
        self.assertEqual(again.answer(1, READ_TOTAL), self.TRUE)
        again.close()

    def test_noise(self):
        self.sim.order("fault A1 noise n=1")
        data = self.request()
        self.assertTrue(data.endswith(self.expected()))
        self.assertTrue(4 <= len(data) - len(self.expected()) <= 19)
        self.assertNotIn(0, data[:-len(self.expected())])

    def test_probability(self):
        self.sim.order("fault A1 exception p=0.25")
        hits = sum(self.raw.answer(1, READ_TOTAL)[0] == 0x83 for _ in range(2000))
        self.assertTrue(400 <= hits <= 600, hits)
        self.assertIn(f"requests=2000 writes=0 faults={hits} ", self.sim.order("stats") + " ")


class Line(unittest.TestCase):
    """Serial frames, seen by pymodbus and timed."""

    def setUp(self):
        port = free_port()
        self.sim = Sim(("R1 G9 7 acrel-ddsy1352 kw=1 start_kwh=55.55",), FROZEN,
                       lines=(f"gateway G9 127.0.0.1:{port} rtu=9600",))
        self.addCleanup(self.sim.stop)
        self.client = ModbusTcpClient("127.0.0.1", port=port, framer=ModbusRtuFramer)
        self.assertTrue(self.client.connect())
        self.addCleanup(self.client.close)

    def test_pymodbus_reads_and_writes(self):
        answer = self.client.read_holding_registers(0, 2, slave=7)
        self.assertFalse(answer.isError(), answer)
        self.assertEqual(answer.registers, [0, 5555])
        self.assertFalse(self.client.write_registers(0x57, [1, 1], slave=7).isError())
        self.assertEqual(self.sim.get("R1")["relay"], "open")

    def test_the_line_takes_its_time(self):
        start = time.monotonic()
        for _ in range(3):
            self.assertFalse(self.client.read_holding_registers(0, 48, slave=7).isError())
        # 8 characters there, 101 back, 30 ms between: 154 ms each.
        self.assertGreater(time.monotonic() - start, 0.45)


class Life(unittest.TestCase):
    METERS = ("A1 G0 1 acrel-ddsy1352 kw=3 shape=shop start_kwh=10 balance=900 count=4",
              "A2 G0 2 acrel-dtsd1352 kw=30 shape=office reverse_kw=5 ratio=10",
              "A3 G0 3 eastron-sdm630 kw=5 shape=home")

    def state_at(self, path, instant):
        """Energy of all meters in a state file carried forward to an instant."""
        sim = Sim(self.METERS, ["--clock", instant, "--state", path])
        states = [sim.get(f"A{i}") for i in (1, 2, 3)]
        self.assertEqual(sim.stop(), 0)
        return states

    def test_polling_does_not_change_energy(self):
        clock = running_clock(86400)
        with tempfile.TemporaryDirectory() as folder:
            polled, idle = os.path.join(folder, "polled"), os.path.join(folder, "idle")
            sim = Sim(self.METERS, clock + ["--state", polled])
            raw = Raw(sim.ports[0])
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                raw.answer(1, READ_TOTAL)
                raw.answer(2, READ_TOTAL)
            raw.close()
            self.assertEqual(sim.stop(), 0)
            sim = Sim(self.METERS, clock + ["--state", idle])
            self.assertEqual(sim.stop(), 0)
            instant = "2026-01-09T12:34:56.789+08:00"
            states = self.state_at(polled, instant)
            self.assertEqual(states, self.state_at(idle, instant))
            self.assertGreater(float(states[0]["energy"]), 100)
            self.assertGreater(float(states[1]["reverse_kwh"]), 1)
            other = Sim(self.METERS, clock + ["--seed", "2", "--state", idle + "2"])
            self.assertEqual(other.stop(), 0)
            self.assertNotEqual(states[0]["energy"],
                                self.state_at(idle + "2", instant)[0]["energy"])

    def test_mean_load_over_four_weeks(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state")
            self.assertEqual(Sim(self.METERS, ["--clock", T0, "--state", path]).stop(), 0)
            states = self.state_at(path, "2026-02-02T00:00:00+08:00")
        # METERS[0] lives on 900 at 0.60, so it must have stopped at 1500 kWh above its start.
        self.assertEqual((states[0]["energy"], states[0]["balance"], states[0]["relay"]),
                         ("1510.000000", "0.00", "open"))
        for state, kw in ((states[1], 30), (states[2], 5)):
            self.assertTrue(abs(float(state["energy"]) / (kw * 24 * 28) - 1) < 0.02, state)
        self.assertTrue(abs(float(states[1]["reverse_kwh"]) * 10 / (5 * 24 * 28) - 1) < 0.05)

    def test_shape_of_a_working_day(self):
        meters = ("O1 G0 1 acrel-dtsd1352 kw=10 shape=office",
                  "H1 G0 2 acrel-ddsy1352 kw=10 shape=home")
        seen = {}
        for name, instant in (("night", "2026-01-07T03:00:00+08:00"),
                              ("noon", "2026-01-07T12:00:00+08:00"),
                              ("evening", "2026-01-07T20:00:00+08:00"),
                              ("sunday", "2026-01-11T12:00:00+08:00")):
            sim = Sim(meters, ["--clock", instant])
            seen[name] = [float(sim.get(m)["kw"]) for m in ("O1", "H1")]
            sim.stop()
        self.assertGreater(seen["noon"][0], 4 * seen["night"][0])
        self.assertGreater(seen["noon"][0], 4 * seen["sunday"][0])
        self.assertGreater(seen["evening"][1], 1.5 * seen["night"][1])

    def test_restart_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            options = running_clock(7200) + ["--state", os.path.join(folder, "state")]
            sim = Sim(self.METERS, options)
            sim.order("set A1 kw=4 forced=1,1 count=9")
            before = sim.get("A1")
            self.assertEqual(sim.stop(), 0)
            sim = Sim(self.METERS, options)
            after = sim.get("A1")
            moving = float(sim.get("A3")["energy"])
            self.assertEqual(sim.stop(), 0)
        for key in ("kwh", "relay", "balance", "count", "forced", "mean_kw"):
            self.assertEqual(before[key], after[key], key)
        self.assertEqual((after["relay"], after["count"]), ("open", "9"))
        self.assertGreater(moving, 0)

    def test_bad_files_are_refused(self):
        good = f"gateway G9 127.0.0.1:{free_port()}\n"
        for extra in ("nonsense", "gateway G0 127.0.0.1:1", "gateway G9 nowhere:99",
                      "meter M G0 0 acrel-ddsy1352", "meter M G0 1 unheard-of",
                      "meter M G7 1 acrel-ddsy1352", "meter M G0 1 acrel-ddsy1352 kw=much",
                      "meter M G0 1 acrel-ddsy1352 relay=open", "meter G0 G0 1 acrel-ddsy1352",
                      "meter M G0 1 eastron-sdm630 balance=5",
                      good + "meter M G9 1 sfere\nmeter N G9 1 sfere", "control here"):
            with self.subTest(extra=extra):
                sim = Sim((), FROZEN, extra=extra)
                self.assertEqual((sim.ready, sim.process.wait(5)), ("", 1))
                sim.process.stdout.close()
                sim.file.close()
        with tempfile.NamedTemporaryFile("w") as state:
            state.write("something else\n")
            state.flush()
            sim = Sim((), ["--state", state.name])
            self.assertEqual((sim.ready, sim.process.wait(5)), ("", 1))
            sim.process.stdout.close()
            sim.file.close()
        for clock in ("yesterday", T0 + "@x*2", T0 + "@" + T0, T0 + "@" + T0 + "*-1",
                      "2026-01-05T00:00:00"):
            sim = Sim((), ["--clock", clock])
            self.assertEqual((sim.ready, sim.process.wait(5)), ("", 1), clock)
            sim.process.stdout.close()
            sim.file.close()


class Scale(unittest.TestCase):
    GATEWAYS = 1000
    UNITS = 5
    ROUNDS = 20

    async def poll(self, gateway, port, errors):
        reader, writer = await asyncio.open_connection(self.host(gateway), port)
        request = b"".join(struct.pack(">HHHB", u, 0, 6, u) + bytes.fromhex("0300000030")
                           for u in range(1, self.UNITS + 1))
        size = 7 + 2 + 2 * 48
        for _ in range(self.ROUNDS):
            writer.write(request)
            data = await reader.readexactly(size * self.UNITS)
            for u in range(1, self.UNITS + 1):
                tid, _, _, unit, fc, _, total = struct.unpack_from(">HHHBBBI", data, size * (u - 1))
                if (tid, unit, fc, total) != (u, u, 3, 100 * (gateway * 10 + u)):
                    errors.append((gateway, u, tid, unit, fc, total))
        writer.close()

    @staticmethod
    def host(gateway):
        return f"127.9.{gateway // 250}.{1 + gateway % 250}"

    async def poll_all(self, port):
        errors = []
        await asyncio.gather(*(self.poll(g, port, errors) for g in range(self.GATEWAYS)))
        return errors

    def test_five_thousand_meters_on_a_thousand_ports(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 3000:
            self.skipTest("needs 3000 descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        port = free_port()
        lines = [f"gateway N{g} {self.host(g)}:{port}" for g in range(self.GATEWAYS)]
        lines += [f"meter M{g}-{u} N{g} {u} acrel-ddsy1352 kw=1 start_kwh={g * 10 + u}"
                  for g in range(self.GATEWAYS) for u in range(1, self.UNITS + 1)]
        sim = Sim((), FROZEN, extra="\n".join(lines))
        self.assertEqual(sim.ready, "ready gateways=1001 meters=5000")
        errors = asyncio.run(self.poll_all(port))
        self.assertEqual(errors, [])
        requests = self.GATEWAYS * self.UNITS * self.ROUNDS
        self.assertIn(f"requests={requests} ", sim.order("stats"))
        with open(f"/proc/{sim.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{sim.process.pid}/status", encoding="ascii") as status:
            rss_kib = int(re.search(r"VmRSS:\s*(\d+)", status.read()).group(1))
        self.assertEqual(sim.stop(), 0)
        print(f"\n# {requests} requests, {seconds / requests * 1e6:.1f} us CPU each, "
              f"{rss_kib / 1024:.1f} MiB", file=sys.stderr)
        if "asan" not in SIM:
            self.assertLess(rss_kib, 64 * 1024)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    SIM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
