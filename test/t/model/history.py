"""A history is a list of steps: what people, meters and the clock did, in the order they did it.

Each step is a plain dict {"do": name, ...}, so a history can be printed, cut down and replayed.
statement() says a step in SQL, facts() reads the World out of a history, whatever its order.
"""
import datetime
import json
from fractions import Fraction

import rules

CURRENCIES = {"CNY": 2, "JPY": 0, "KWD": 3}
# Balances stay above every limit: cutting relays is not what this is about.
OPENING = 1_000_000


# ---- in SQL: one database, one site, so codes need no prefix ----

def text(value):
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def stamp(us):
    return rules.to_datetime(us).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def time(us):
    return "NULL" if us is None else text(stamp(us))


def kwh(wh):
    return "NULL" if wh is None else "%d.%03d" % divmod(wh, 1000)


def call(function, *args):
    return "SELECT prepay.%s(%s)" % (function, ", ".join(args))


def place_id(code):
    return "(SELECT place_id FROM prepay.place WHERE code = %s)" % text(code)


def insert(table, columns, *rows):
    return ("INSERT INTO prepay.%s (%s) VALUES " % (table, columns)
            + ", ".join("(%s)" % ", ".join(row) for row in rows))


def say_open(s):
    options = '{"tier_extra_kwh": %s, "tier_start": %s}' % (kwh(s["extra"]), kwh(s["tier_start"]))
    return call("open_account", text(s["code"]), "'Customer'", "place => " + text(s["place"]),
                "meters => " + text("{" + ",".join(s["meters"]) + "}"),
                "tariff => " + text(s["tariff"]), "opening_balance => %d" % OPENING,
                "key => " + text("open " + s["code"]), "options => " + text(options))


def say_meter(s):
    return insert("meter", "site_id, code, place_id, register_max, rated_kw, ratio, reverse_energy",
                  ("1", text(s["code"]), place_id(s["place"]), kwh(s["register_max"]),
                   text(s["rated_kw"]), s["ratio"], text(s["reverse"])))


def say_holiday(s):
    return (insert("holiday", "calendar, day, day_type", ("'X'", text(s["day"]), text(s["type"])))
            + " ON CONFLICT (calendar, day) DO UPDATE SET day_type = EXCLUDED.day_type")


SAY = {
    "clock": lambda s: "SET prepay.now = " + time(s["at"]),
    "run": lambda s: "SET prepay.now = '%s@%s*%d'" % (stamp(s["from"]), stamp(s.get("real", 0)),
                                                      s["rate"]),
    "wait": lambda s: "SELECT pg_catalog.pg_sleep(0) /* until %s */" % stamp(s["at"]),
    "site": lambda s: call("create_site", "'s'", "'Site'", text(s["zone"]), text(s["currency"])),
    "set": lambda s: call("set_setting", "'s'", text(s["name"]), text(s["value"])),
    "place": lambda s: insert("place", "site_id, code, name, parent_id",
                              ("1", text(s["code"]), "'Place'", place_id(s["parent"]))),
    "holiday": say_holiday,
    "tariff": lambda s: call("define_tariff", text(s["code"]), text(json.dumps(s["definition"])),
                             time(s["from"]), "'{\"retroactive\": true}'"),
    "meter": say_meter,
    "open": say_open,
    "add": lambda s: call("add_meter", text(s["account"]), text(s["meter"]), kwh(s["kwh"]),
                          time(s["at"])),
    "remove": lambda s: call("remove_meter", text(s["account"]), text(s["meter"]), kwh(s["kwh"]),
                             time(s["at"])),
    "replace": lambda s: call("replace_meter", text(s["old"]), text(s["new"]), kwh(s["old_kwh"]),
                              kwh(s["new_kwh"]), time(s["at"])),
    "change": lambda s: call("change_meter", text(s["meter"]), "'{\"ratio\": %s}'" % s["ratio"],
                             time(s["at"])),
    "assign": lambda s: call("assign_tariff", text(s["target"]), text(s["tariff"]),
                             time(s["from"])),
    "correct": lambda s: call("correct_reading", text(s["meter"]), time(s["at"]), kwh(s["kwh"]),
                              "'misread'"),
    "extra": lambda s: call("update_account", text(s["account"]),
                            "'{\"tier_extra_kwh\": %s}'" % kwh(s["wh"])),
    "sell": lambda s: call("sell", text(s["account"]), s["amount"], text(s["key"])),
    "read": lambda s: insert("reading", "site_id, meter_id, read_at, kwh, reverse_kwh",
                             *[("1", str(number), time(at), kwh(register), kwh(reverse))
                               for number, at, register, reverse, *_ in s["rows"]]),
    "tick": lambda s: call("tick", str(s["rows"])),
    "check": lambda s: call("tick"),
    "crash": lambda s: "BEGIN; %s; ROLLBACK /* kill -9 */" % statement(s["step"]),
    "begin": lambda s: "BEGIN",
    "commit": lambda s: "COMMIT",
    "rollback": lambda s: "ROLLBACK",
}


def statement(step):
    return SAY[step["do"]](step)


# ---- as facts ----

def kept_of(steps):
    """Without what was undone."""
    kept = []
    undo = None
    for step in steps:
        if step["do"] == "begin":
            undo = len(kept)
        elif step["do"] == "rollback":
            del kept[undo:]
        elif step["do"] != "commit":
            kept.append(step)
    return kept


class Facts:
    """Takes steps in; what they leave behind is in world."""
    def __init__(self):
        self.world = self.now = None

    def do_clock(self, s):
        self.now = s["at"]

    do_wait = do_clock

    def do_site(self, s):
        self.world = rules.World(s["zone"], CURRENCIES[s["currency"]])

    def do_set(self, s):
        if s["name"] == "tariff":
            self.world.assignments["site", ""].append((rules.EVER, s["value"]))
        else:
            self.world.poll_interval = int(s["value"].split()[0]) * rules.MINUTE

    def do_place(self, s):
        self.world.places[s["code"]] = s["parent"]

    def do_holiday(self, s):
        self.world.calendar[datetime.date.fromisoformat(s["day"])] = s["type"]

    def do_tariff(self, s):
        start = rules.EVER if s["from"] is None else s["from"]
        self.world.define(s["code"], start, s["definition"])

    def do_meter(self, s):
        self.world.meters[s["code"]] = rules.Meter(len(self.world.meters) + 1, s["place"],
                                                   s["register_max"], s["reverse"],
                                                   Fraction(s["ratio"]))

    def do_open(self, s):
        account = rules.Account(s["place"], self.now, s["extra"], s["tier_start"])
        account.money = Fraction(OPENING)
        self.world.accounts[s["code"]] = account
        if s["tariff"]:
            self.world.assignments["account", s["code"]].append((rules.EVER, s["tariff"]))
        for meter in s["meters"]:
            self.attach(meter, s["code"], None, self.now)

    def do_add(self, s):
        self.attach(s["meter"], s["account"], s["kwh"], s["at"])

    def do_remove(self, s):
        self.detach(s["meter"], s["kwh"], s["at"])

    def do_replace(self, s):
        account = self.detach(s["old"], s["old_kwh"], s["at"])
        self.attach(s["new"], account, s["new_kwh"], s["at"])

    def attach(self, meter, account, register, at):
        self.world.meters[meter].owners.append((at, rules.NEVER, account))
        self.tell_register(meter, register, at)

    def detach(self, meter, register, at):
        owners = self.world.meters[meter].owners
        start, _, account = owners[-1]
        owners[-1] = start, at, account
        self.tell_register(meter, register, at)
        return account

    def tell_register(self, meter, register, at):
        if register is not None:
            self.world.meters[meter].readings.setdefault(at, (register, None))

    def do_change(self, s):
        self.world.meters[s["meter"]].ratios.append((s["at"], Fraction(s["ratio"])))

    def do_assign(self, s):
        kind, _, name = s["target"].partition(":")
        scope = ("site", "") if s["target"] == "s" else (kind, name)
        self.world.assignments[scope].append((s["from"], s["tariff"]))

    def do_correct(self, s):
        readings = self.world.meters[s["meter"]].readings
        readings[s["at"]] = s["kwh"], readings[s["at"]][1]

    def do_extra(self, s):
        day = self.world.zone.day(self.now)
        self.world.accounts[s["account"]].extras.append((day, s["wh"]))

    def do_sell(self, s):
        self.world.accounts[s["account"]].money += Fraction(s["amount"])

    def do_read(self, s):
        meters = list(self.world.meters.values())
        for number, at, register, reverse, *glitch in s["rows"]:
            if at > self.now or number > len(meters):
                raise rules.Nonsense("a reading of the future, or of no meter")
            if glitch:
                meters[number - 1].glitches += 1
            else:
                meters[number - 1].readings.setdefault(at, (register, reverse))

    def do_nothing(self, s):
        pass

    do_tick = do_check = do_crash = do_run = do_nothing


def facts(steps):
    """The World that the steps leave behind; what was rolled back never happened."""
    taken = Facts()
    for step in kept_of(steps):
        if taken.now is None and step["do"] != "clock":
            raise rules.Nonsense("no clock")
        getattr(taken, "do_" + step["do"])(step)
    return taken.world
