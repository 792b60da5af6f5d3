"""Random small worlds: a site, rich tariffs, accounts, meters that move, readings."""
import datetime

import rules
from rules import DAY, EVER, HOUR, MINUTE, SECOND

# Changes of the clocks at all hours, by 30 and 60 minutes, over midnight, and a day that never was.
PLACES = [
    ("Asia/Shanghai", "2026-05-29"), ("Asia/Kathmandu", "2027-12-30"),
    ("America/Los_Angeles", "2026-03-06"), ("America/Los_Angeles", "2026-10-30"),
    ("Europe/Berlin", "2026-03-27"), ("Europe/Berlin", "2028-02-27"),
    ("Europe/London", "2026-10-23"), ("Australia/Lord_Howe", "2026-04-02"),
    ("Australia/Lord_Howe", "2026-10-01"), ("America/Santiago", "2026-09-04"),
    ("America/Santiago", "2026-04-02"), ("America/Havana", "2026-03-06"),
    ("America/Havana", "2026-10-30"), ("America/Sao_Paulo", "2018-11-01"),
    ("America/Sao_Paulo", "2018-02-15"), ("Pacific/Chatham", "2026-09-25"),
    ("Africa/Casablanca", "2026-02-13"), ("Asia/Beirut", "2026-03-27"),
    ("Pacific/Auckland", "2026-12-29"), ("UTC", "2026-06-28"), ("Pacific/Apia", "2011-12-28"),
]


class Fact:
    """A step with the time it happened.

    Facts of one chain must be told in order; those of chain "on time" at their very time, those
    of chain "last" after everything else.
    """
    def __init__(self, at, chain, step):
        self.at, self.chain, self.step = at, chain, step

    def registers(self):
        """(meter, time) of the registers that are told with it."""
        s = self.step
        if s["do"] == "replace":
            return [(s["old"], s["at"]), (s["new"], s["at"])]
        told = s["do"] in ("add", "remove") and s["kwh"] is not None
        return [(s["meter"], s["at"])] if told else []


class Random:
    """Draws for one world."""
    def __init__(self, rng, even=False):
        """even: meters use evenly between whole minutes, and all else happens at whole minutes.

        Then it cannot matter how often a meter is read, as long as the corners are.
        """
        self.rng, self.even, self.corners = rng, even, set()
        self.zone_name, day = rng.choice(PLACES)
        self.zone = rules.Zone(self.zone_name)
        self.first_day = datetime.date.fromisoformat(day)
        self.start = self.zone.day_start(self.first_day)
        self.days = rng.choice([1, 2, 4, 6, 10])
        self.end = self.start + self.days * DAY

    def chance(self, p):
        return self.rng.random() < p

    def moment(self, low=None, high=None):
        """A time in the world, likely one at which something else happens."""
        rng = self.rng
        low, high = low or self.start, high or self.end
        t = rng.randrange(low, high)
        kind = rng.random()
        if kind < 0.25:
            t = self.zone.day_start(self.zone.day(t))
        elif kind < 0.5:
            t -= t % HOUR
        elif kind < 0.7:
            t -= t % (15 * MINUTE)
        if self.even:
            return min(max(t - t % MINUTE, low + -low % MINUTE), high - high % MINUTE)
        t += rng.choice([0] * 8 + [-SECOND, SECOND, -1, 1])
        return min(max(t, low), high)

    # ---- tariffs ----

    def price(self):
        low = -1 if self.chance(0.08) else 0
        return round(self.rng.uniform(low, 2), self.rng.choice([1, 2, 4, 6]))

    def slots(self, periods):
        minutes = {0}
        for _ in range(self.rng.choice([0, 1, 2, 2, 4, 7])):
            minutes.add(self.rng.choice([60 * self.rng.randrange(24), 30 * self.rng.randrange(48),
                                         self.rng.randrange(1440)]))
        return [["%02d:%02d" % divmod(m, 60), self.rng.choice(periods)] for m in sorted(minutes)]

    def month_day(self):
        day = self.first_day + datetime.timedelta(days=self.rng.choice(
            [self.rng.randint(0, 364), self.rng.randint(-1, self.days + 1)]))
        return day.strftime("%m-%d")

    def definition(self, base):
        """base: what the versions of a code have in common."""
        rng = self.rng
        d = {"periods": base["periods"]}
        seasons, kinds = [None], [None, "workday"]
        if self.chance(0.4):
            edges = sorted({self.month_day() for _ in range(rng.choice([2, 2, 3, 4]))})
            if len(edges) > 1:
                d["seasons"] = [{"name": "s%d" % i, "from": start, "to": end} for i, (start, end)
                                in enumerate(zip(edges, edges[1:] + edges[:1]))]
                seasons += [s["name"] for s in d["seasons"]]
        if self.chance(0.4):
            d["day_types"] = [{"name": "weekend", "days": sorted(rng.sample(range(1, 8),
                                                                            rng.randint(1, 4)))}]
            kinds.append("weekend")
        if base["calendar"]:
            d["calendar"] = "X"
            kinds += ["holiday", "festival"]
        rows = [{"slots": self.slots(d["periods"])}]
        rows += [{**({"season": s} if s else {}), **({"day_type": k} if k else {}),
                  "slots": self.slots(d["periods"])}
                 for s in seasons for k in kinds if (s or k) and self.chance(0.3)]
        d["schedule"] = rows
        n = 1
        if self.chance(base["tiers"]):
            n = rng.choice([2, 2, 3, 4])
            d["tiers"] = self.accumulate() if self.chance(0.2) else dict(base["accumulate"])
            top = 2 if d["tiers"]["accumulate"] == "day_allowance" else base["bound"]
            bounds = lambda: sorted(rng.sample(range(1, top * 4), n - 1))
            if self.chance(0.2):
                bounds = lambda: [b / 1000 for b in sorted(rng.sample(range(1, top * 4000), n - 1))]
            by_season = "seasons" in d and self.chance(0.4)
            d["tiers"]["upto"] = ({s: bounds() for s in seasons if s} if by_season
                                  else bounds())
            if self.chance(base["proportional"]):
                d["tiers"]["allocation"] = "proportional"
        d["prices"] = {p: self.price() if self.chance(0.15) else [self.price() for _ in range(n)]
                       for p in d["periods"]}
        if self.chance(0.4):
            d["standing"] = [{"name": name, "amount": round(rng.uniform(-1, 20), 2),
                              "per": rng.choice(["day", "month"])}
                             for name in ("fee0", "fee1")[:rng.randint(1, 2)]]
        if self.chance(0.5):
            d["surcharges"] = self.surcharges()
        return d

    def surcharges(self):
        result, depth = [], {"energy": 0, "standing": 0}
        for i in range(self.rng.randint(1, 4)):
            name = "x%d" % i
            if self.chance(0.4):
                result.append({"name": name, "per_kwh": self.price()})
                depth[name] = 0
            else:
                on = [b for b in depth if depth[b] < 2 and self.chance(0.5)] or ["energy"]
                result.append({"name": name, "on": on,
                               "percent": round(self.rng.uniform(-20, 120),
                                                self.rng.choice([0, 2, 4]))})
                depth[name] = 1 + max(depth[b] for b in on)
        return result

    def accumulate(self):
        tiers = {"accumulate": self.rng.choice(["month", "month", "quarter", "year",
                                                "day_allowance"])}
        if self.chance(0.6):
            tiers["anchor"] = self.month_day()
            if tiers["accumulate"] in ("month", "day_allowance") and self.chance(0.5):
                tiers["anchor"] = tiers["anchor"][3:]
        return tiers

    def tariffs(self):
        """Codes with their first versions, and the facts that make later ones."""
        rng = self.rng
        self.codes = ["t%d" % i for i in range(rng.choice([1, 1, 2, 3]))]
        setup, facts = [], []
        for code in self.codes:
            base = {"periods": ["p%d" % i for i in range(rng.choice([1, 2, 3, 4]))],
                    "calendar": self.chance(0.3), "accumulate": self.accumulate(),
                    "tiers": rng.choice([0, 0.8, 1]), "bound": rng.choice([2, 10, 50]),
                    "proportional": rng.choice([0, 0, 1, 0.5])}
            setup.append({"do": "tariff", "code": code, "from": None,
                          "definition": self.definition(base)})
            for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
                at = self.moment()
                told = at + rng.choice([-2 * DAY, -HOUR, 0, HOUR, DAY]) * self.chance(0.5)
                facts.append(Fact(told, ("tariff", code),
                                  {"do": "tariff", "code": code, "from": at,
                                   "definition": self.definition(base)}))
        return setup, facts

    # ---- meters and readings ----

    def even_curve(self):
        rng = self.rng
        at, register = self.start - rng.randrange(1440) * MINUTE, rng.randrange(10**6)
        knots = []
        while at < self.end:
            self.corners.add(at)
            slope = rng.choice([0, 1, 7, 133])
            for _ in range(rng.randint(1, 12)):
                knots.append((at, register))
                minutes = rng.choice([1, 15, 30, rng.randint(1, 600)])
                at += minutes * MINUTE
                register += minutes * slope
        self.corners.add(at)
        return knots + [(at, register)]

    def curve(self):
        """What a register showed: knots (time, Wh) from before the world to its end."""
        if self.even:
            return self.even_curve()
        rng = self.rng
        at = self.start - rng.choice([0, HOUR, DAY]) + rng.randrange(HOUR) * self.chance(0.7)
        register = rng.randrange(10**6)
        unit = rng.choice([1, 1, 1, 10, 500])
        stride = rng.choice([15 * MINUTE, 30 * MINUTE, HOUR, 7 * HOUR, DAY])
        knots = []
        while at < self.end:
            knots.append((at, register))
            step = rng.choice([stride, stride, stride, rng.randrange(1, 2 * stride)])
            if self.chance(0.03):
                step += rng.randrange(2 * DAY)
            # At most 8 kW, often nothing.
            register += rng.choice([0, 1, rng.randrange(2 + 8 * step // (3600 * 1000)),
                                    rng.randrange(2 + step // (3600 * 1000))]) * unit
            at += step
        knots.append((at, register))
        return knots

    def meters(self):
        rng = self.rng
        self.curves, self.shelf, self.spares = {}, {}, []
        setup, self.readings = [], []
        for i in range(rng.choice([1, 1, 2, 2, 3, 4])):
            code = "M%d" % (i + 1)
            wraps = self.chance(0.15) and not self.even
            knots = self.curve()
            used = knots[-1][1] - knots[0][1]
            setup.append({"do": "meter", "code": code, "place": self.place(),
                          "register_max": 10**6 if wraps else None,
                          "rated_kw": 4500 if wraps else None,
                          "reverse": rng.choice(["add", "add", "ignore"]),
                          "ratio": rng.choice(["1", "1", "40"] if self.even else
                                              ["1", "1", "1", "40", "1.5", "0.333333"])})
            if wraps and used >= 10**6 // 2:
                setup[-1].update(register_max=None, rated_kw=None)
                wraps = False
            modulus = 10**6 if wraps else 10**12
            self.curves[code] = knots, modulus
            reverse = rng.randrange(10**5) if self.chance(0.3) and not self.even else None
            for at, register in knots:
                if reverse is not None:
                    reverse += rng.choice([0, 1, rng.randrange(300)])
                self.readings.append((i + 1, at, register % modulus,
                                      None if reverse is None or self.chance(0.1) else reverse))
        self.meters_made = setup
        return setup

    def register(self, meter, at):
        """On the line between its neighbours, or None outside."""
        knots, modulus = (self.curves | self.shelf)[meter]
        for (a, low), (b, high) in zip(knots, knots[1:]):
            if a <= at <= b:
                return (low + (high - low) * (at - a) // (b - a)) % modulus
        return None

    def place(self):
        return self.rng.choice([None, None, *self.place_codes])

    def accounts(self):
        """Openings, and who had which meter when."""
        rng = self.rng
        # How two meters of one account take turns in its tiers goes by when they are read.
        n = len(self.curves) if self.even else rng.choice([1, 1, 2, 3])
        self.account_codes = ["A%d" % (i + 1) for i in range(n)]
        opened = {}
        facts = []
        for code in self.account_codes:
            at = rng.choice([self.start - 1, self.start - 2 * DAY, self.start, self.moment()])
            at -= at % MINUTE * self.even
            opened[code] = Fact(at, "on time", {
                "do": "open", "code": code, "place": self.place(), "meters": [],
                "tariff": rng.choice(self.codes) if self.chance(0.3) else None,
                "extra": rng.choice([0, 0, 5000, 1]), "tier_start": rng.choice([0, 0, 7500, 1])})
            facts.append(opened[code])
        facts.sort(key=lambda f: f.at)
        self.last_opened = facts[-1].at
        for meter in self.curves:
            facts += self.owners(meter, opened)
        return facts

    def owners(self, meter, opened):
        rng = self.rng
        facts = []
        owner = "A" + meter[1:] if self.even else rng.choice(self.account_codes)
        at = opened[owner].at
        if self.chance(0.7):
            opened[owner].step["meters"].append(meter)
        else:
            at = self.moment(at - HOUR * self.chance(0.1))
            facts.append(self.taken_over(meter, owner, at, opened))
        if self.chance(0.15) and not self.even and at < self.end:
            return facts + self.replaced(meter, self.moment(at))
        while self.chance(0.35) and at < self.end:
            at = self.moment(at)
            given = self.register(meter, at) if self.chance(0.5) else None
            facts.append(Fact(max(at, facts[-1].at if facts else at), ("meter", meter),
                              {"do": "remove", "account": owner, "meter": meter, "kwh": given,
                               "at": at}))
            owner = owner if self.even else rng.choice(self.account_codes)
            if self.chance(0.3):
                at = self.moment(at)
            facts.append(self.taken_over(meter, owner, at, opened))
        return facts

    def replaced(self, meter, at):
        """By a meter that was on the shelf; it has been read there, too."""
        new = "M%d" % (len(self.curves) + len(self.shelf) + 1)
        self.shelf[new] = self.curve(), 10**12
        self.spares.append({**next(m for m in self.meters_made if m["code"] == meter),
                            "code": new, "register_max": None, "rated_kw": None})
        self.readings += [(int(new[1:]), t, register, None) for t, register in self.shelf[new][0]]
        old_kwh, new_kwh = self.register(meter, at), self.register(new, at)
        if old_kwh is None or new_kwh is None:
            return []
        return [Fact(at, ("meter", meter), {"do": "replace", "old": meter, "new": new, "at": at,
                                            "old_kwh": old_kwh, "new_kwh": new_kwh})]

    def taken_over(self, meter, owner, at, opened):
        given = self.register(meter, at) if self.chance(0.5) else None
        return Fact(max(at, opened[owner].at), ("meter", meter),
                    {"do": "add", "account": owner, "meter": meter, "kwh": given, "at": at})

    def assignments(self, openings):
        targets = (["s"] + ["place:" + p for p in self.place_codes]
                   + ["account:" + a for a in self.account_codes]
                   + ["meter:" + m for m in self.curves if not self.shelf])
        facts = []
        for _ in range(self.rng.choice([0, 0, 1, 2, 3])):
            target, at = self.rng.choice(targets), self.moment()
            opened = [f.at for f in openings if target == "account:" + f.step.get("code", "")]
            facts.append(Fact(max([at] + opened), ("assign", target),
                              {"do": "assign", "target": target, "from": at,
                               "tariff": self.rng.choice(self.codes)}))
        return facts

    def others(self):
        """New ratios, extensions, sales, holidays that are known late."""
        rng = self.rng
        facts = []
        for meter in self.curves:
            if self.chance(0.15) and not self.even:
                at = self.moment()
                facts.append(Fact(at, ("ratio", meter), {"do": "change", "meter": meter, "at": at,
                                                         "ratio": rng.choice(["2", "1.25", "40"])}))
        for account in self.account_codes:
            if self.chance(0.3):
                facts.append(Fact(self.end, "on time", {"do": "sell", "account": account,
                                                        "amount": str(rng.randrange(1, 10**4)),
                                                        "key": "sale " + account}))
            if self.chance(0.2):
                at = self.moment(self.last_opened, max(self.last_opened, self.end) + 1)
                facts.append(Fact(at, "on time",
                                  {"do": "extra", "account": account,
                                   "wh": rng.choice([0, 3000, 20000])}))
        if self.chance(0.2):
            facts.append(Fact(self.moment(), "holiday", self.holiday(rng.randrange(self.days + 1))))
        return facts

    def holiday(self, i):
        return {"do": "holiday", "day": str(self.first_day + datetime.timedelta(days=i)),
                "type": self.rng.choice(["holiday", "festival", "workday", "weekend"])}

    def misread(self, readings, facts):
        """Readings somebody took down wrong, corrected when all is over."""
        told = {meter for f in facts for meter, _ in f.registers()}
        for code, (knots, modulus) in self.curves.items():
            if code in told or modulus < 10**12 or len(knots) < 3 or not self.chance(0.3):
                continue
            i = self.rng.randrange(1, len(knots) - 1)
            row = readings.index(next(r for r in readings if r[:2] == (int(code[1:]), knots[i][0])))
            wrong = self.rng.randint(knots[i - 1][1], knots[i + 1][1])
            readings[row] = (*readings[row][:2], wrong, readings[row][3])
            yield Fact(self.end, "last", {"do": "correct", "meter": code, "at": knots[i][0],
                                          "kwh": knots[i][1]})

    def glitches(self, readings):
        """Readings of nothing, which nobody can believe once the meter has shown something."""
        for code, (knots, modulus) in self.curves.items():
            if modulus < 10**12 or not self.chance(0.2):
                continue
            i = self.rng.randrange(len(knots) - 1)
            at = self.rng.randrange(knots[i][0] + 1, knots[i + 1][0])
            if knots[0][1] > 0 and not any(r[:2] == (int(code[1:]), at) for r in readings):
                row = int(code[1:]), at, 0, None, "glitch"
                yield Fact(at, "last", {"do": "read", "rows": [row]})

    def world(self):
        """(steps of setting up, dated facts, readings)."""
        rng = self.rng
        zone = {"do": "site", "zone": self.zone_name,
                "currency": rng.choice(["CNY", "CNY", "JPY", "KWD"])}
        self.place_codes = ["B%d" % i for i in range(rng.choice([0, 0, 1, 3]))]
        places = [{"do": "place", "code": p, "parent": rng.choice([None, *self.place_codes[:i]])}
                  for i, p in enumerate(self.place_codes)]
        holidays = [self.holiday(i) for i in range(-2, self.days + 2) if self.chance(0.2)]
        tariffs, versions = self.tariffs()
        setup = [zone, *places, *holidays, *tariffs,
                 {"do": "set", "name": "tariff", "value": self.codes[0]}, *self.meters()]
        if self.chance(0.3):
            setup.insert(1, {"do": "set", "name": "poll_interval", "value": "180 minutes"})
        accounts = self.accounts()
        setup += self.spares
        facts = accounts + versions + self.assignments(accounts) + self.others()
        given = {known for f in facts for known in f.registers()}
        readings = [r for r in self.readings if ("M%d" % r[0], r[1]) not in given]
        if not self.even:
            facts += [*self.misread(readings, facts), *self.glitches(readings)]
        return setup, facts, readings
