#!/usr/bin/env python3
"""Raw request and response vectors of the shipped meter profiles.

The register maps are typed in here a second time, from the sources and not from the profiles, and
packed by struct. So a wrong address, type, order or exponent in a profile shows up as a difference:

    vectors.py --check FOLDER    the vectors in the profiles are exactly these
    vectors.py --write FOLDER    puts them into the profiles
"""
import glob
import json
import os
import struct
import sys


def u16(value):
    return struct.pack(">H", value)


def i16(value):
    return struct.pack(">h", value)


def u32(value):
    return struct.pack(">I", value)


def i32(value):
    return struct.pack(">i", value)


def i32_low_first(value):
    packed = i32(value)
    return packed[2:] + packed[:2]


def i64(value):
    return struct.pack(">q", value)


def f32(value):
    return struct.pack(">f", value)


def f64(value):
    return struct.pack(">d", value)


def read(block, function, start, count, registers, expect, title=None):
    """One poll of `count` registers; registers maps an address to its packed content."""
    image = bytearray(2 * count)
    for address, packed in registers.items():
        at = 2 * (address - start)
        assert 0 <= at and at + len(packed) <= len(image)
        image[at:at + len(packed)] = packed
    vector = {"block": block}
    if title:
        vector["title"] = title
    vector["request"] = struct.pack(">BHH", function, start, count).hex()
    vector["response"] = (struct.pack(">BB", function, len(image)) + bytes(image)).hex()
    vector["expect"] = expect
    return vector


def write(command, address, data, args=None):
    request = struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data
    return {"command": command, "args": args or {}, "request": request.hex(),
            "response": request[:5].hex()}


def acrel_prepaid(single_phase):
    count = 17 if single_phase else 10
    registers = {0x0000: u32(12345678), 0x0002: u32(1000001), 0x0004: u32(2000002),
                 0x0006: u32(4000000), 0x0008: u32(5345675)}
    expect = {"kwh": "123456.78", "period_kwh": ["10000.01", "20000.02", "40000.00", "53456.75"]}
    if single_phase:
        registers.update({0x000A: u16(7), 0x000B: u16(2305), 0x000C: u16(812), 0x000D: i16(1870)})
        expect["kw"] = "1.870"
    recharge = struct.pack(">BHHBIHH", 0x20, 0x0100, 4, 8, 10000, 8, 0)
    # The vendor answers 15 bytes on a serial line: unit, 12 of PDU, checksum.
    answer = struct.pack(">BHHBIH", 0x20, 0x0100, 4, 6, 12345, 8)
    return [
        read("main", 3, 0x0000, count, registers, expect),
        read("money", 3, 0x004E, 3, {0x004E: u16(7), 0x004F: u32(2345)},
             {"purchase_count": "7", "meter_balance": "23.45"}),
        read("control", 3, 0x0057, 2, {0x0057: u16(1), 0x0058: u16(0)}, {"relay_closed": True},
             "forced on"),
        read("control", 3, 0x0057, 2, {0x0057: u16(1), 0x0058: u16(1)}, {"relay_closed": False},
             "forced off"),
        read("control", 3, 0x0057, 2, {0x0057: u16(0), 0x0058: u16(1)}, {"relay_closed": None},
             "the meter's own prepaid logic"),
        write("trip", 0x0057, u16(1) + u16(1)),
        write("close", 0x0057, u16(1) + u16(0)),
        write("keep_on", 0x0057, u16(1) + u16(0)),
        write("prepaid", 0x0057, u16(0) + u16(0)),
        write("push_tariff", 0x2006 if single_phase else 0x2000,
              bytes([4, 0, 0, 2, 0, 8, 4, 0, 22]).ljust(42, b"\0"),
              {"table1": [{"rate": 4, "hour": 0, "minute": 0}, {"rate": 2, "hour": 8, "minute": 0},
                          {"rate": 4, "hour": 22, "minute": 0}],
               "table2": [], "seasons": [{"month": 1, "day": 1, "table": 1}]}),
        {"command": "recharge", "args": {"amount": "100.00", "count": 8},
         "request": recharge.hex(), "response": answer.hex()},
    ]


def eastron(power_address):
    return [
        read("power", 4, power_address, 2, {power_address: f32(1234.5)}, {"kw": "1.235"}),
        read("energy", 4, 0x0048, 4, {0x0048: f32(9876.543), 0x004A: f32(0.125)},
             {"kwh": "9876.543", "reverse_kwh": "0.125"}),
        read("energy", 4, 0x0048, 4, {0x0048: f32(float("nan")), 0x004A: f32(0)},
             {"kwh": None, "reverse_kwh": "0.000"}, "no value"),
    ]


def di(identification):
    return struct.pack("<I", identification)


def low_first(digits):
    """Packed BCD as DL/T 645 sends it."""
    return bytes.fromhex(digits)[::-1]


def dlt645_read(block, identification, value, expect, title=None):
    vector = {"block": block}
    if title:
        vector["title"] = title
    vector["request"] = (b"\x11" + di(identification)).hex()
    vector["response"] = (b"\x91" + di(identification) + value).hex()
    vector["expect"] = expect
    return vector


# 2026-01-05 11:34:56 in Shanghai, a Monday; the password is of level 2, the operator 1 2 3 4.
SECRETS = bytes([2, 0, 0, 0, 1, 2, 3, 4])


def dlt645_relay(command, order):
    # Valid for five minutes: 11:39:56.
    data = SECRETS + bytes([order, 0]) + bytes.fromhex("563911050126")
    return {"command": command, "args": {}, "request": (b"\x1c" + data).hex(), "response": "9c"}


VECTORS = {
    "dlt645-2007": [
        dlt645_read("total", 0x00010000, low_first("12345678"), {"kwh": "123456.78"}),
        dlt645_read("reverse", 0x00020000, low_first("00000005"), {"reverse_kwh": "0.05"}),
        dlt645_read("power", 0x02030000, low_first("012345"), {"kw": "1.2345"}),
        dlt645_read("power", 0x02030000, low_first("812345"), {"kw": "-1.2345"}, "feeding in"),
        dlt645_read("state", 0x04000503, bytes([0x00, 0x01]), {"relay_closed": True}),
        dlt645_read("state", 0x04000503, bytes([0x10, 0x00]), {"relay_closed": False}),
        dlt645_read("clock", 0x0400010C, low_first("26010501113456"),
                    {"meter_clock": "2026-01-05T03:34:56.000000+00:00"}),
        dlt645_relay("trip", 0x1A),
        dlt645_relay("close", 0x1C),
        dlt645_relay("keep_on", 0x3A),
        {"command": "set_clock", "args": {},
         "request": (b"\x14" + di(0x04000101) + SECRETS + low_first("26010501")).hex(),
         "response": "94"},
    ],
    "acrel-ddsy1352": acrel_prepaid(True),
    "acrel-dtsy1352": acrel_prepaid(False),
    "acrel-dtsd1352": [
        read("energy", 3, 0x000A, 12,
             {0x000A: u32(5000000), 0x000C: u32(1), 0x000E: u32(999999), 0x0010: u32(1500000),
              0x0012: u32(2500000), 0x0014: u32(123)},
             {"kwh": "50000.00", "reverse_kwh": "1.23",
              "period_kwh": ["0.01", "9999.99", "15000.00", "25000.00"]}),
        read("power", 3, 0x016A, 2, {0x016A: i32(-4321)}, {"kw": "-4.321"}, "feeding in"),
    ],
    "acrel-adl400": [
        read("power", 3, 0x211A, 2, {0x211A: f32(12.5)}, {"kw": "12.500"}),
        read("energy", 3, 0x3000, 8, {0x3004: f64(7654321.123)}, {"kwh": "7654321.123"}),
    ],
    "acrel-adw300": [
        read("power", 3, 0x0024, 2, {0x0024: i32(2750)}, {"kw": "2.750"}),
        read("energy", 3, 0x003E, 4, {0x003E: u32(4294967294), 0x0040: u32(50)},
             {"kwh": "42949672.94", "reverse_kwh": "0.50"}),
    ],
    "sfere-prepaid": [
        read("total", 3, 0x0073, 2, {0x0073: u32(150000)}, {"kwh": "1500.00"}),
        read("rates", 3, 0x008B, 10,
             {0x008B: u32(10000), 0x008D: u32(20000), 0x008F: u32(30000), 0x0091: u32(40000),
              0x0093: u32(50000)},
             {"period_kwh": ["100.00", "200.00", "300.00", "400.00", "500.00"]}),
        read("control", 3, 0x0B25, 1, {0x0B25: u16(1)}, {"relay_closed": True}),
        read("control", 3, 0x0B25, 1, {0x0B25: u16(2)}, {"relay_closed": False}),
        read("control", 3, 0x0B25, 1, {0x0B25: u16(0)}, {"relay_closed": None}),
        write("trip", 0x0B25, u16(2)),
        write("close", 0x0B25, u16(1)),
    ],
    "eastron-sdm120": eastron(0x000C),
    "eastron-sdm220": eastron(0x000C),
    "eastron-sdm630": eastron(0x0034),
    "schneider-iem3000": [
        read("power", 3, 0x0BF3, 2, {0x0BF3: f32(3.75)}, {"kw": "3.750"}),
        read("energy", 3, 0x0C83, 8, {0x0C83: i64(123456789012), 0x0C87: i64(7)},
             {"kwh": "123456789.012", "reverse_kwh": "0.007"}),
        read("energy", 3, 0x0C83, 8, {0x0C83: i64(-2**63), 0x0C87: i64(-2**63)},
             {"kwh": None, "reverse_kwh": None}, "no value"),
    ],
    "chint-ddsu666": [
        read("power", 3, 0x2004, 2, {0x2004: f32(0.875)}, {"kw": "0.875"}),
        read("energy", 3, 0x4000, 12, {0x4000: f32(321.5), 0x400A: f32(2.25)},
             {"kwh": "321.500", "reverse_kwh": "2.250"}),
    ],
    "chint-dtsu666": [
        read("power", 3, 0x2012, 2, {0x2012: f32(23456)}, {"kw": "2.3456"}),
        read("energy", 3, 0x101E, 12, {0x101E: f32(654.75), 0x1028: f32(0)},
             {"kwh": "654.750", "reverse_kwh": "0.000"}),
    ],
    "carlo-gavazzi-em24": [
        read("power", 4, 0x0028, 2, {0x0028: i32_low_first(-15000)}, {"kw": "-1.5000"},
             "feeding in"),
        read("import", 4, 0x0042, 2, {0x0042: i32_low_first(1234567)}, {"kwh": "123456.7"}),
        read("export", 4, 0x005C, 2, {0x005C: i32_low_first(70000)}, {"reverse_kwh": "7000.0"}),
    ],
}


def layout(profile):
    """JSON with one block, point, command or vector a line."""
    lines = []
    for key, value in profile.items():
        if isinstance(value, list):
            items = ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in value)
            text = "[\n%s\n  ]" % items
        elif key == "commands":
            items = ",\n".join('    "%s": %s' % (name, json.dumps(item, ensure_ascii=False))
                               for name, item in value.items())
            text = "{\n%s\n  }" % items
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append('  "%s": %s' % (key, text))
    return "{\n%s\n}\n" % ",\n".join(lines)


def save(profile, folder):
    profile["vectors"] = VECTORS[profile["profile"]]
    with open(os.path.join(folder, profile["profile"] + ".json"), "w", encoding="utf-8") as out:
        out.write(layout(profile))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("--check", "--write"):
        sys.exit(__doc__)
    wrong = 0
    files = glob.glob(os.path.join(sys.argv[2], "*.json"))
    missing = set(VECTORS) - {os.path.basename(name)[:-5] for name in files}
    for code in sorted(missing):
        print("%s: no such profile" % code)
        wrong += 1
    for name in sorted(files):
        with open(name, encoding="utf-8") as stream:
            profile = json.load(stream)
        if sys.argv[1] == "--write":
            save(profile, sys.argv[2])
        elif profile["vectors"] != VECTORS.get(profile["profile"]):
            print("%s: its vectors are not those of the map" % name)
            wrong += 1
        elif os.path.basename(name) != profile["profile"] + ".json":
            print("%s: is profile %s" % (name, profile["profile"]))
            wrong += 1
    print("%d profiles, %d wrong" % (len(files), wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
