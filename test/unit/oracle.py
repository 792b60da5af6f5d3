#!/usr/bin/env python3
"""Rate random tariffs by brute force and compare every line and amount with the C core.

The rules are taken from the definition itself, in fractions: time is cut at every minute
mark at which anything could change and each bit is looked up on the wall clock, tiers are
overlaps of ranges of energy, accumulation periods are found by walking from day to day.
Nothing is shared with the core but the rules of rounding.
"""
import argparse
import bisect
import datetime
import json
import math
import random
import subprocess
import sys
import time
from fractions import Fraction

MINUTE = 60_000_000
DAY = 1440 * MINUTE
EPOCH = datetime.date(2000, 1, 1)
PICO = Fraction(1, 10**12)

ZONES = {
    "Asia/Shanghai": ([], [28800]),
    "Asia/Kathmandu": ([], [20700]),
    "America/Los_Angeles": ([605527200, 626086800, 636976800, 657536400],
                            [-28800, -25200, -28800, -25200, -28800]),
    "America/Sao_Paulo": ([594615600, 603684000], [-10800, -7200, -10800]),
    "America/St_Johns": ([321852660, 342412260], [-12600, -9000, -12600]),
    "America/Havana": ([605509200, 626072400], [-18000, -14400, -18000]),
    "Pacific/Apia": ([378554400], [-36000, 50400]),
}


def round_half_away(x):
    q = abs(x)
    q = (2 * q.numerator + q.denominator) // (2 * q.denominator)
    return q if x >= 0 else -q


def pico(x):
    return round_half_away(x / PICO) * PICO


def date_of(day):
    return EPOCH + datetime.timedelta(days=day)


def days_in_month(date):
    return ((date.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
            - datetime.timedelta(days=1)).day


class Zone:
    def __init__(self, at, offset):
        self.at = [a * 1_000_000 for a in at]
        self.offset = offset

    def wall(self, t):
        """Local day and microsecond of the day."""
        return divmod(t + self.offset[bisect.bisect_right(self.at, t)] * 1_000_000, DAY)


class Version:
    def __init__(self, number, start, end, definition, calendar):
        self.number, self.start, self.end = number, start, end
        self.d = definition
        self.calendar = dict(calendar)
        self.periods = definition.get("periods", ["all"])
        tiers = definition.get("tiers", {})
        self.accumulate = tiers.get("accumulate", "month")
        self.anchor = tiers.get("anchor", "01-01")
        self.proportional = tiers.get("allocation") == "proportional"
        self.cache = {}
        self.accumulations = {}

    def season(self, day):
        d = date_of(day)
        key = "%02d-%02d" % (d.month, d.day)
        for s in self.d.get("seasons", []):
            a, b = s["from"], s["to"]
            if a <= key < b if a < b else (key >= a or key < b):
                return s["name"]
        return "all"

    def day_type(self, day):
        if day in self.calendar:
            return self.calendar[day]
        for t in self.d.get("day_types", []):
            if date_of(day).isoweekday() in t["days"]:
                return t["name"]
        return "workday"

    def slots(self, day):
        if day not in self.cache:
            season, kind = self.season(day), self.day_type(day)
            best = None
            for row in self.d.get("schedule", [{"slots": [["00:00", self.periods[0]]]}]):
                if row.get("season", season) == season and row.get("day_type", kind) == kind:
                    rank = ("day_type" in row, "season" in row)
                    if best is None or rank > best[0]:
                        best = (rank, row["slots"])
            self.cache[day] = [((int(s[0][:2]) * 60 + int(s[0][3:])) * MINUTE, s[1])
                               for s in best[1]]
        return self.cache[day]

    def period(self, day, us):
        name = None
        for start, period in self.slots(day):
            if start <= us:
                name = period
        return name

    def starts_period(self, day):
        d = date_of(day)
        month = 1 if len(self.anchor) == 2 else int(self.anchor[:2])
        mday = int(self.anchor[-2:])
        if d.day != min(mday, days_in_month(d)):
            return False
        if self.accumulate == "year":
            return d.month == month
        return self.accumulate != "quarter" or (d.month - month) % 3 == 0

    def accumulation(self, day):
        if day not in self.accumulations:
            start, end = day, day + 1
            while not self.starts_period(start):
                start -= 1
            while not self.starts_period(end):
                end += 1
            for inside in range(start, end):
                self.accumulations[inside] = start, end
        return self.accumulations[day]

    def bounds(self, day, extra):
        upto = self.d.get("tiers", {}).get("upto", [])
        if isinstance(upto, dict):
            upto = upto[self.season(day)]
        start, end = self.accumulation(day)
        factor = end - start if self.accumulate == "day_allowance" else 1
        wider = sum(extension(extra, min(day, last)) for last in self.month_ends(start))
        return [int(Fraction(str(u)) * 1000) * factor + wider for u in upto]

    def month_ends(self, start):
        """Last day of each month of the accumulation period that begins at start."""
        day, left = start, {"quarter": 3, "year": 12}.get(self.accumulate, 1)
        mday = int(self.anchor[-2:])
        while left:
            day += 1
            if date_of(day).day == min(mday, days_in_month(date_of(day))):
                yield day - 1
                left -= 1

    def price(self, period, tier):
        """Per Wh."""
        p = self.d["prices"]
        if isinstance(p, dict):
            p = p[self.periods[period]]
        if isinstance(p, list):
            p = p[tier]
        return Fraction(str(p)) / 1000

    def surcharges(self, wh, energy, standing):
        part = {}
        for s in self.d.get("surcharges", []):
            if "per_kwh" in s:
                part[s["name"]] = Fraction(str(s["per_kwh"])) * wh / 1000
            else:
                base = {"energy": energy, "standing": standing, **part}
                part[s["name"]] = (Fraction(str(s["percent"])) / 100
                                   * sum(base[on] for on in s.get("on", ["energy"])))
        return list(part.values())


def share(total, weights):
    """Largest remainders, the earlier first on a tie."""
    whole = sum(weights)
    exact = [Fraction(total * w, whole) for w in weights]
    result = [int(x) for x in exact]
    order = sorted(range(len(weights)), key=lambda i: (result[i] - exact[i], i))
    for i in order[:total - sum(result)]:
        result[i] += 1
    return result


def grain(case):
    """Minutes between marks: nothing changes in between."""
    minutes = [int(s[0][3:]) for v in case["versions"]
               for r in v["definition"].get("schedule", []) for s in r["slots"]]
    return math.gcd(60, *minutes, *[o // 60 for o in case["zone"]["offset_s"]])


def parts_of(zone, versions, start, end, step):
    step *= MINUTE
    marks = set(range(start - start % step + step, end, step)) | {start}
    marks |= {t for t in zone.at if start < t < end}
    marks |= {v.start for v in versions if start < v.start < end}
    marks = sorted(marks) + [end]
    parts = []
    for a, b in zip(marks, marks[1:]):
        version = next(v for v in versions if v.start <= a < v.end)
        day, us = zone.wall(a)
        key = (day, version, version.period(day, us))
        if parts and parts[-1][2] == key:
            parts[-1][1] = b
        else:
            parts.append([a, b, key])
    return parts


def nearest(zone, version, name, start, end, step, before):
    """Time between an edge of an interval and the nearest moment of a period, within a week."""
    found = None
    if name not in version.periods:
        return None
    for a, b, (_, _, period) in parts_of(zone, [version], start, end, step):
        if period == name:
            if not before:
                return a - start
            found = end - b
    return found


def always(version):
    return Version(version.number, -10**19, 10**19, version.d, version.calendar.items())


def pieces_of(zone, versions, interval, step):
    meter, start, end, wh, estimated, by_period = interval
    parts = parts_of(zone, versions, start, end, step)
    pieces = []
    if by_period is None:
        shares = share(wh, [b - a for a, b, _ in parts])
        for (a, b, (day, v, period)), energy in zip(parts, shares):
            if energy:
                pieces.append([b, a, meter, v.number, v.periods.index(period), day, v, energy,
                               estimated and len(parts) > 1])
        return pieces
    first, last = parts[0][2][1], parts[-1][2][1]
    for name, energy in zip(first.periods, by_period):
        mine = [p for p in parts if p[2][2] == name]
        if energy == 0:
            continue
        if not mine:
            week = 7 * DAY
            before = nearest(zone, always(first), name, start - week, start, step, True)
            after = nearest(zone, always(last), name, end, end + week, step, False)
            at_end = after is not None and (before is None or after < before)
            a, b, (day, v, _) = parts[-1 if at_end else 0]
            pieces.append([b, a, meter, v.number, v.periods.index(name), day, v, energy, False])
            continue
        for (a, b, (day, v, period)), got in zip(mine, share(energy, [b - a for a, b, _ in mine])):
            if got:
                pieces.append([b, a, meter, v.number, v.periods.index(period), day, v, got,
                               estimated and len(mine) > 1])
    return pieces


def tier_energy(bounds, a, b):
    edges = [0] + bounds + [max(b, *bounds) if bounds else b]
    return [max(0, min(b, hi) - max(a, lo)) for lo, hi in zip(edges, edges[1:])]


def held(used, span, start):
    """Energy of the days of an accumulation period: before the case, and in it so far."""
    return start.get(span, 0) + sum(wh for day, wh in used.items() if span[0] <= day < span[1])


def extension(steps, day):
    """Household extension in Wh a month on a day."""
    return next((wh for first, wh in reversed(steps) if first <= day), 0)


def walk(pieces, start, extra):
    """start: energy so far by accumulation period (begin, end)."""
    lines, used = {}, {}
    for _, _, meter, number, period, day, v, wh, estimated in pieces:
        at = held(used, v.accumulation(day), start)
        bounds = [] if v.proportional else v.bounds(day, extra)
        for tier, energy in enumerate(tier_energy(bounds, at, at + wh)):
            if energy:
                line = lines.setdefault((meter, day, number, period, tier), [0, 0, v])
                line[0] += energy
                line[1] += energy if estimated else 0
        used[day] = used.get(day, 0) + wh
    return lines


def cumulative(v, energies, bounds):
    """Energy and cost by (period, tier) of an accumulation period so far."""
    total = sum(energies)
    result = {}
    if total == 0:
        return result
    tiers = tier_energy(bounds, 0, total)
    for p, energy in enumerate(energies):
        below = 0
        for k, in_tier in enumerate(tiers):
            upto = below + in_tier
            result[p, k] = (round_half_away(Fraction(energy * upto, total))
                            - round_half_away(Fraction(energy * below, total)),
                            pico(v.price(p, k) * in_tier * Fraction(energy, total)))
            below = upto
    return result


def by_name(v, used):
    """Energy (names, by period) under the names of a version."""
    energies = [0] * len(v.periods)
    for names, parts in used:
        for name, energy in zip(names, parts):
            energies[v.periods.index(name) if name in v.periods else 0] += energy
    return energies


def bill(lines, start, brought, extra):
    """start: by accumulation period (begin, end), [(names, energy by period)]; brought: the
    energy of no period in it, which has used up its part of the tiers."""
    result = []
    steps = {}
    for (meter, day, number, period, tier), (wh, est, v) in lines.items():
        steps.setdefault((day, number, meter), []).append((period, tier, wh, est, v))
    surcharges = []
    done = []
    for (day, number, meter), step in sorted(steps.items()):
        v = step[0][4]
        span = v.accumulation(day)
        energies = by_name(v, start.get(span, []) +
                           [use for when, *use in done if span[0] <= when < span[1]])
        mine = [0] * len(v.periods)
        for period, _, wh, _, _ in step:
            mine[period] += wh
        after = [a + b for a, b in zip(energies, mine)]
        done.append((day, v.periods, mine))
        rows = []
        if v.proportional:
            bounds = [max(0, b - brought.get(span, 0)) for b in v.bounds(day, extra)]
            old, new = cumulative(v, energies, bounds), cumulative(v, after, bounds)
            for p in range(len(v.periods)):
                raw = sum(s[2] for s in step if s[0] == p)
                est = sum(s[3] for s in step if s[0] == p)
                billed = said = 0
                for k in range(len(bounds) + 1):
                    wh = new.get((p, k), (0, 0))[0] - old.get((p, k), (0, 0))[0]
                    amount = new.get((p, k), (0, 0))[1] - old.get((p, k), (0, 0))[1]
                    billed += wh
                    upto = round_half_away(Fraction(est * billed, raw)) if raw else 0
                    if wh or amount:
                        rows.append((p, k, wh, upto - said, amount))
                    said = upto
        else:
            rows = [(p, k, wh, est, v.price(p, k) * wh)
                    for p, k, wh, est, _ in sorted(step, key=lambda s: s[:2])]
        for p, k, wh, est, amount in rows:
            result.append(("energy", 0, meter, day, number, p, k, wh, est, amount))
        wh, est = sum(r[2] for r in rows), sum(r[3] for r in rows)
        parts = v.surcharges(wh, sum(r[4] for r in rows), 0)
        for i, amount in enumerate(parts):
            if amount:
                per_kwh = "per_kwh" in v.d["surcharges"][i]
                surcharges.append(("surcharge", i, meter, day, number, -1, -1, wh if per_kwh else 0,
                                   est if per_kwh else 0, amount))
    return result + surcharges


def standing(v, day, cut):
    rows = []
    total = 0
    d = date_of(day)
    for i, s in enumerate(v.d.get("standing", [])):
        if cut and not s.get("while_off", True):
            continue
        amount = Fraction(str(s["amount"]))
        if s["per"] == "month":
            n = days_in_month(d)
            amount = pico(amount * Fraction(d.day, n)) - pico(amount * Fraction(d.day - 1, n))
        total += amount
        if amount:
            rows.append(("standing", i, 0, day, v.number, -1, -1, 0, 0, amount))
    for i, amount in enumerate(v.surcharges(0, 0, total)):
        if amount:
            rows.append(("surcharge", i, 0, day, v.number, -1, -1, 0, 0, amount))
    return rows


# Random cases

def number(rng, low, high, decimals):
    scale = 10 ** decimals
    return Fraction(rng.randint(low * scale, high * scale), scale)


def decimals(o):
    """Fractions as numbers whose text is the exact decimal."""
    if isinstance(o, Fraction):
        return float(o) if o.denominator > 1 else int(o)
    if isinstance(o, dict):
        return {k: decimals(v) for k, v in o.items()}
    if isinstance(o, (list, tuple)):
        return [decimals(v) for v in o]
    return o


def random_slots(rng, periods, coarse):
    n = rng.randint(1, 6)
    minutes = rng.sample(range(1, 1440 // coarse), n - 1)
    slots = [[m * coarse, rng.choice(periods)] for m in sorted([0] + minutes)]
    return [["%02d:%02d" % (m // 60, m % 60), p] for m, p in slots]


def random_seasons(rng, near):
    """near: a day; half the time a season changes within days of it."""
    n = rng.randint(2, 4)
    days = set(rng.sample(range(366), n - 1))
    days.add(near % 366 + rng.randint(-3, 3) if rng.random() < 0.5 else 200)
    days = sorted({d % 366 for d in days})
    n = len(days)
    keys = [date_of(d).strftime("%m-%d") for d in days]
    return [{"name": "s%d" % i, "from": keys[i], "to": keys[(i + 1) % n]} for i in range(n)]


def random_anchor(rng, near):
    if rng.random() < 0.5:
        return date_of(near + rng.randint(-2, 4)).strftime("%m-%d")
    return rng.choice(["01-31", "02-29", "11-03", "03-10", "12-30"])


def random_definition(rng, calendar, coarse, periods, near):
    d = {}
    seasons, kinds = ["all"], ["workday"]
    if len(periods) > 1 or rng.random() < 0.3:
        d["periods"] = periods
    else:
        periods = ["all"]
    if rng.random() < 0.5:
        d["seasons"] = random_seasons(rng, (date_of(near).replace(year=2000) - EPOCH).days)
        seasons = [s["name"] for s in d["seasons"]]
    if rng.random() < 0.5:
        d["day_types"] = [{"name": "weekend", "days": rng.sample(range(1, 8), rng.randint(1, 4))}]
        if rng.random() < 0.3:
            d["day_types"].append({"name": "other", "days": rng.sample(range(1, 8), 2)})
        kinds += [t["name"] for t in d["day_types"]]
    if calendar:
        d["calendar"] = "X"
        kinds.append("holiday")
    if "periods" in d or rng.random() < 0.3:
        rows = [{}]
        for s in [None] + seasons:
            for k in [None] + kinds:
                if (s or k) and rng.random() < 0.35:
                    rows.append({**({"season": s} if s else {}), **({"day_type": k} if k else {})})
        rng.shuffle(rows)
        d["schedule"] = [{**r, "slots": random_slots(rng, periods, coarse)} for r in rows]
    n_tier = 1
    if rng.random() < 0.75:
        n_tier = rng.randint(2, 5)
        step = rng.choice([2, 30, 500])
        bounds = lambda: sorted({number(rng, 0, step, 3) + i * step + Fraction(1, 1000)
                                 for i in range(n_tier - 1)})
        accumulate = rng.choice(["month", "quarter", "year", "day_allowance"])
        d["tiers"] = {"accumulate": accumulate, "upto": {s: bounds() for s in seasons}
                      if rng.random() < 0.3 else bounds()}
        if rng.random() < 0.6:
            d["tiers"]["anchor"] = random_anchor(rng, near)
            if accumulate in ("month", "day_allowance") and rng.random() < 0.5:
                d["tiers"]["anchor"] = d["tiers"]["anchor"][3:]
        if rng.random() < 0.45:
            d["tiers"]["allocation"] = "proportional"
    price = lambda: number(rng, -1 if rng.random() < 0.1 else 0, 2, rng.choice([2, 4, 6]))
    d["prices"] = {p: price() if rng.random() < 0.2 else [price() for _ in range(n_tier)]
                   for p in periods}
    if len(periods) == 1 and rng.random() < 0.5:
        d["prices"] = list(d["prices"].values())[0]
    if rng.random() < 0.5:
        d["standing"] = [{"name": "n%d" % i, "amount": number(rng, -5, 50, 2),
                          "per": rng.choice(["day", "month"]), "while_off": rng.random() < 0.5}
                         for i in range(rng.randint(1, 3))]
    if rng.random() < 0.6:
        d["surcharges"] = random_surcharges(rng)
    return d


def random_surcharges(rng):
    result, depth = [], {}
    for i in range(rng.randint(1, 5)):
        name = "x%d" % i
        if rng.random() < 0.4:
            result.append({"name": name, "per_kwh": number(rng, -1, 1, 6)})
            depth[name] = 0
            continue
        base = [b for b in ["energy", "standing"] + [n for n in depth if depth[n] < 2]
                if rng.random() < 0.5] or ["energy"]
        result.append({"name": name, "percent": number(rng, -20, 120, 4), "on": base})
        depth[name] = 1 + max(depth.get(b, 0) for b in base)
    return result


def random_extra(rng, day):
    steps = [[-2**31, rng.choice([0, 100_000, 1])]] if rng.random() < 0.4 else []
    for at in sorted({day + rng.randint(-60, 12) for _ in range(rng.choice([0, 0, 0, 1, 2]))}):
        steps.append([at, rng.randint(0, 5000)])
    return steps


def random_case(rng):
    name = rng.choice(list(ZONES))
    at, offset = ZONES[name]
    coarse = rng.choice([1] + [15] * 5 + [60] * 6)
    centre = rng.choice(at) if at and rng.random() < 0.7 else rng.randint(300_000_000, 700_000_000)
    if rng.random() < 0.3:
        centre = (datetime.date(2020, 1, 1) - EPOCH).days * 86400
    start = (centre - rng.randint(0, 3 * 86400)) * 1_000_000
    if rng.random() < 0.7:
        start -= start % (15 * MINUTE)
    periods = ["a", "b", "c", "d", "e"][:rng.randint(1, 5)]
    calendar = [[start // DAY + i, rng.choice(["holiday", "weekend", "workday", "festival"])]
                for i in range(-10, 20) if rng.random() < 0.3] if rng.random() < 0.4 else None
    switches = [start + rng.randint(0, 4 * DAY) for _ in range(rng.choice([0, 0, 1, 2]))]
    edges = [-2**62] + sorted(switches) + [2**62]
    versions = []
    for i, (a, b) in enumerate(zip(edges, edges[1:])):
        if a == b:
            continue
        names = periods[:] if rng.random() < 0.6 else rng.sample("abcdef", rng.randint(1, 5))
        definition = random_definition(rng, calendar, coarse, names, start // DAY)
        tiers = versions[0]["definition"].get("tiers") if versions else None
        if tiers and rng.random() < 0.4 and "tiers" in definition:
            # The same accumulation period, so that the position is shared.
            definition["tiers"].pop("anchor", None)
            same = {k: tiers[k] for k in ("accumulate", "anchor") if k in tiers}
            definition["tiers"].update(same)
        versions.append({"from": a, "to": b, "version": i + 1, "definition": definition,
                         **({"calendar": calendar} if calendar else {})})
    case = {"zone": {"at": [a * 1_000_000 for a in at], "offset_s": offset},
            "extra": random_extra(rng, start // DAY), "versions": versions, "positions": [],
            "batch": rng.choice([1, 2, 7, 1000]), "intervals": []}
    zone, models = models_of(case)
    for meter in range(1, rng.randint(1, 3) + 1):
        t = start + rng.choice([0, rng.randint(0, DAY)])
        for _ in range(rng.randint(1, 8)):
            length = rng.choice([30 * MINUTE, rng.randint(1, 4) * 15 * MINUTE, rng.randint(1, DAY),
                                 rng.randint(1, 2 * DAY)])
            wh = rng.choice([0, 1, rng.randint(0, 50), rng.randint(0, 3000),
                             rng.randint(0, 100_000)])
            by_period = None
            if rng.random() < 0.15:
                first = next(v for v in models if v.start <= t < v.end)
                by_period = [rng.choice([0, rng.randint(0, 3000)]) for _ in first.periods]
                wh = sum(by_period)
            case["intervals"].append([meter, t, t + length, wh, rng.random() < 0.3, by_period])
            t += length
    rng.shuffle(case["intervals"])
    if rng.random() < 0.4:
        day = zone.wall(min(i[1] for i in case["intervals"]))[0]
        for span in {v.accumulation(day) for v in models}:
            index = rng.randrange(len(models))
            energies = [rng.randint(0, 40_000) for _ in models[index].periods]
            case["positions"].append({"accum": list(span), "version": index,
                                      "by_period": energies,
                                      "wh": sum(energies) + rng.choice([0, 0, 5000])})
    case["standing"] = [[rng.randrange(len(versions)), start // DAY + rng.randint(0, 60),
                         rng.random() < 0.3] for _ in range(3)]
    return decimals(case)


def models_of(case):
    z = case["zone"]
    zone = Zone([a // 1_000_000 for a in z["at"]], z["offset_s"])
    return zone, [Version(v["version"], v["from"], v["to"], v["definition"], v.get("calendar", []))
                  for v in case["versions"]]


def expected(case):
    zone, versions = models_of(case)
    step = grain(case)
    pieces = []
    for interval in case["intervals"]:
        pieces += pieces_of(zone, versions, interval, step)
    pieces.sort(key=lambda p: p[:5])
    lines = walk(pieces, {tuple(p["accum"]): p["wh"] for p in case["positions"]}, case["extra"])
    start = {tuple(p["accum"]): [(versions[p["version"]].periods, p["by_period"])]
             for p in case["positions"]}
    brought = {tuple(p["accum"]): p["wh"] - sum(p["by_period"]) for p in case["positions"]}
    billed = bill(lines, start, brought, case["extra"])
    rows = []
    for index, day, cut in case["standing"]:
        rows += standing(versions[index], day, cut)
    chronological = not any(v.proportional for _, _, v in lines.values())
    cost = sum(b[9] for b in billed) if chronological else None
    return {"lines": sorted([*k, wh, est] for k, (wh, est, _) in lines.items()),
            "bill": [list(b) for b in billed], "standing": [list(r) for r in rows],
            "cost": cost}


def normal(result):
    amounts = lambda rows: [r[:9] + [Fraction(r[9])] for r in rows]
    return {"lines": sorted(result["lines"]), "bill": amounts(result["bill"]),
            "standing": amounts(result["standing"]),
            "cost": None if result["cost"] is None else Fraction(result["cost"])}


def show(who, rows, others):
    """Print the rows that the other side does not have."""
    rows, others = [r if isinstance(r, list) else [r] for r in (rows, others)]
    for row in rows:
        if row not in others:
            print("  %-6s %s" % (who, " ".join(map(str, row if isinstance(row, list) else [row]))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one")
    parser.add_argument("--cases", type=int, default=0, help="stop after so many")
    parser.add_argument("program")
    options = parser.parse_args()
    seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    rng = random.Random(seed)
    core = subprocess.Popen([options.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)
    deadline = time.monotonic() + options.seconds
    cases = lines = proportional = 0
    while time.monotonic() < deadline and (not options.cases or cases < options.cases):
        case = random_case(rng)
        text = json.dumps(case)
        core.stdin.write(text + "\n")
        core.stdin.flush()
        answer = core.stdout.readline()
        if not answer or "refused" in answer:
            print("oracle: seed %d, case %d: core says %r\n%s" % (seed, cases, answer, text))
            return 1
        got, want = normal(json.loads(answer)), expected(case)
        for what in want:
            if got[what] != want[what]:
                print("oracle: seed %d, case %d: %s differ\n%s" % (seed, cases, what, text))
                show("oracle", want[what], got[what])
                show("core", got[what], want[what])
                return 1
        cases += 1
        lines += len(want["bill"])
        proportional += want["cost"] is None
    core.stdin.close()
    if core.wait() != 0 or cases == 0:
        print("oracle: seed %d: core ended with %d" % (seed, core.returncode))
        return 1
    print("oracle: seed %d: %d cases agree (%d proportional, %d bill lines)"
          % (seed, cases, proportional, lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
