"""What energy costs, in exact fractions: the rules of rating, nothing of how a server keeps them.

World holds the facts as they are known at the end, however and in whatever order they came:
readings, tariffs and their versions, assignments, meters and whose they were. charges() gives
the priced lines of an account, steps() every step of the walk through the tiers.

Times are microseconds since 1970 UTC, energy is Wh, money is a Fraction of the currency.
"""
import bisect
import datetime
import zoneinfo
from collections import defaultdict
from fractions import Fraction

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EVER = -(10**18)
NEVER = 10**18
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
PICO = 10**12


class Nonsense(Exception):
    """A history that no one would tell; only cutting down makes such."""


def rounded(x):
    """To the nearest whole, halves away from zero."""
    whole = (2 * abs(x.numerator) + x.denominator) // (2 * x.denominator)
    return whole if x >= 0 else -whole


def at_pico(x):
    return Fraction(rounded(x * PICO), PICO)


def to_datetime(us):
    return EPOCH + datetime.timedelta(microseconds=us)


def month_days(day):
    return ((day.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
            - datetime.timedelta(days=1)).day


def days_between(first, last):
    while first < last:
        yield first
        first += datetime.timedelta(days=1)


class Zone:
    def __init__(self, name):
        self.info = zoneinfo.ZoneInfo(name)
        self.known_jumps = {}

    def wall(self, us):
        return to_datetime(us).astimezone(self.info).replace(tzinfo=None)

    def day(self, us):
        return self.wall(us).date()

    def instants(self, wall):
        """When clocks show a wall time: once, twice, or about the gap that has not got it."""
        for fold in (0, 1):
            moment = wall.replace(tzinfo=self.info, fold=fold)
            yield (moment - EPOCH) // datetime.timedelta(microseconds=1)

    def _offset(self, second):
        return to_datetime(second * SECOND).astimezone(self.info).utcoffset()

    def jumps(self, utc_day):
        """Instants within a UTC day at which the clocks are changed."""
        if utc_day not in self.known_jumps:
            found = []
            for hour in range(utc_day * 24, utc_day * 24 + 24):
                low, high = hour * 3600, hour * 3600 + 3600
                if self._offset(low) != self._offset(high):
                    while high - low > 1:
                        middle = (low + high) // 2
                        if self._offset(middle) == self._offset(low):
                            low = middle
                        else:
                            high = middle
                    found.append(high * SECOND)
            self.known_jumps[utc_day] = found
        return self.known_jumps[utc_day]

    def day_start(self, day):
        """First instant of a local day (or of the next that exists)."""
        guess = min(self.instants(datetime.datetime.combine(day, datetime.time())))
        marks = [guess - DAY, guess] + [j for d in range(guess // DAY - 1, guess // DAY + 2)
                                        for j in self.jumps(d)]
        return min(m for m in marks if self.day(m) >= day)


class Version:
    def __init__(self, number, start, definition, calendar):
        self.number, self.start, self.d, self.calendar = number, start, definition, calendar
        self.periods = definition.get("periods", ["all"])
        tiers = definition.get("tiers", {})
        self.accumulate = tiers.get("accumulate", "month")
        self.anchor = tiers.get("anchor", "01-01")
        self.proportional = tiers.get("allocation") == "proportional"
        self.tiers = 1 + max(len(u) for u in self._upto().values())
        self.known_slots = {}
        self.known_starts = {}

    def _upto(self):
        upto = self.d.get("tiers", {}).get("upto", [])
        return upto if isinstance(upto, dict) else {None: upto}

    def season(self, day):
        key = (day.month, day.day)
        for season in self.d.get("seasons", []):
            start, end = (tuple(map(int, season[k].split("-"))) for k in ("from", "to"))
            if start <= key < end if start < end else key >= start or key < end:
                return season["name"]
        return None

    def day_type(self, day):
        if "calendar" in self.d and day in self.calendar:
            return self.calendar[day]
        for kind in self.d.get("day_types", []):
            if day.isoweekday() in kind["days"]:
                return kind["name"]
        return "workday"

    def slots(self, day):
        """[(wall time, period)] of a local day."""
        if day not in self.known_slots:
            season, kind = self.season(day), self.day_type(day)
            rows = [r for r in self.d.get("schedule", [{"slots": [["00:00", self.periods[0]]]}])
                    if r.get("season", season) == season and r.get("day_type", kind) == kind]
            row = max(rows, key=lambda r: 2 * ("day_type" in r) + ("season" in r))
            self.known_slots[day] = [(datetime.time.fromisoformat(t), p) for t, p in row["slots"]]
        return self.known_slots[day]

    def period(self, wall):
        return [p for t, p in self.slots(wall.date()) if t <= wall.time()][-1]

    def _begins(self, year, month):
        """First day of the accumulation period that is anchored in a month."""
        first = datetime.date(year, month, 1)
        return first.replace(day=min(int(self.anchor[-2:]), month_days(first)))

    def accumulation(self, day):
        """The accumulation period [first day, first day of the next) around a day."""
        if day not in self.known_starts:
            anchored = int(self.anchor[:2]) if len(self.anchor) == 5 else 1
            step = {"quarter": 3, "year": 12}.get(self.accumulate, 1)
            starts = [self._begins(year, month) for year in range(day.year - 2, day.year + 3)
                      for month in range(1, 13) if (month - anchored) % step == 0]
            i = bisect.bisect_right(starts, day)
            self.known_starts[day] = starts[i - 1], starts[i]
        return self.known_starts[day]

    def bounds(self, day, extra):
        """As they stand on a day; extra(day): by how much a household widens them a month."""
        upto = self._upto()
        start, end = self.accumulation(day)
        times = (end - start).days if self.accumulate == "day_allowance" else 1
        wider = 0
        while start < end:
            following = self._begins(start.year + start.month // 12, start.month % 12 + 1)
            # A month that is over keeps what it had at last, later ones have what is given now.
            wider += extra(min(day, following - datetime.timedelta(days=1)))
            start = following
        return [int(Fraction(str(u)) * 1000) * times + wider
                for u in upto[None if None in upto else self.season(day)]]

    def price(self, period, tier):
        """Of a Wh."""
        price = self.d["prices"]
        if isinstance(price, dict):
            price = price[period]
        if isinstance(price, list):
            price = price[tier]
        return Fraction(str(price)) / 1000

    def surcharges(self, wh, base):
        """Amounts by name; base: amounts of 'energy' and 'standing'."""
        amount = dict(base)
        for charge in self.d.get("surcharges", []):
            if "per_kwh" in charge:
                amount[charge["name"]] = Fraction(str(charge["per_kwh"])) * wh / 1000
            else:
                amount[charge["name"]] = (sum(amount[on] for on in charge.get("on", ["energy"]))
                                          * Fraction(str(charge["percent"])) / 100)
        return {name: value for name, value in amount.items() if name not in base}

    def standing(self, day, cut, skipped):
        """skipped: a date over which the clock went, as in Samoa; months stay whole without it."""
        amount = {}
        for charge in self.d.get("standing", []):
            price = Fraction(str(charge["amount"]))
            if cut and not charge.get("while_off", True) or skipped and charge["per"] == "day":
                continue
            if charge["per"] == "month":
                days = month_days(day)
                price = (at_pico(price * day.day / days)
                         - at_pico(price * (day.day - 1) / days))
            amount[charge["name"]] = price
        return amount


def shares(total, weights):
    """Whole parts by weight that add up: largest remainder, the earlier of equals first."""
    exact = [Fraction(total * w, sum(weights)) for w in weights]
    parts = [x.numerator // x.denominator for x in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[:total - sum(parts)]:
        parts[i] += 1
    return parts


def overlaps(bounds, start, end):
    """How much of [start, end) lies in each tier."""
    edges = [0] + list(bounds) + [max([end] + list(bounds))]
    return [max(0, min(end, high) - max(start, low)) for low, high in zip(edges, edges[1:])]


class Meter:
    def __init__(self, number, place, register_max, reverse, ratio):
        self.number, self.place, self.register_max = number, place, register_max
        self.add_reverse = reverse == "add"
        self.ratios = [(EVER, ratio)]
        self.owners = []    # (from, to, account)
        self.readings = {}  # time: (register, reverse register or None)
        self.glitches = 0   # readings nobody can believe

    def ratio(self, us):
        return [r for start, r in self.ratios if start <= us][-1]

    def owner(self, us):
        return next((a for start, end, a in self.owners if start <= us < end), None)


class Account:
    def __init__(self, place, opened, extra, tier_start):
        self.place, self.opened = place, opened
        self.extras = [(datetime.date.min, extra)]
        self.tier_start = tier_start
        self.money = Fraction(0)

    def extra(self, day):
        return [wh for start, wh in self.extras if start <= day][-1]


class Piece:
    """Energy of one meter within one day, period and version."""
    def __init__(self, meter, number, start, end, day, version, code, period, wh, estimated):
        self.meter, self.number, self.start, self.end = meter, number, start, end
        self.day, self.version, self.code, self.period = day, version, code, period
        self.wh, self.estimated = wh, estimated


class World:
    def __init__(self, zone, decimals):
        self.zone, self.decimals = Zone(zone), decimals
        self.poll_interval = 30 * MINUTE
        self.calendar, self.tariffs, self.places = {}, defaultdict(list), {}
        self.meters, self.accounts = {}, {}
        self.assignments = defaultdict(list)    # (kind, code): [(from, tariff)]

    def define(self, code, start, definition):
        self.tariffs[code].append(Version(len(self.tariffs[code]) + 1, start, definition,
                                          self.calendar))

    def assigned(self, kind, code, us):
        last = None
        for start, tariff in self.assignments[kind, code]:
            if start <= us and (last is None or start >= last[0]):
                last = (start, tariff)
        return last[1] if last else None

    def place_chain(self, place):
        while place:
            yield place
            place = self.places[place]

    def in_force(self, meter, account, us):
        """(tariff code, version) of a meter, or of an account where meter is None."""
        place = (self.meters[meter].place if meter else None) or self.accounts[account].place
        scopes = ([("meter", meter)] if meter else []) + [("account", account)]
        scopes += [("place", p) for p in self.place_chain(place)] + [("site", "")]
        code = next((c for c in (self.assigned(*scope, us) for scope in scopes) if c), None)
        if code is None:
            raise Nonsense("no tariff")
        known = [v for v in self.tariffs[code] if v.start <= us]
        return code, max(known, key=lambda v: (v.start, v.number))

    # ---- from registers to pieces ----

    def _edges(self, start, end):
        """All instants at which anything but the time of day may change."""
        edges = {v.start for versions in self.tariffs.values() for v in versions}
        edges |= {t for list_ in self.assignments.values() for t, _ in list_}
        edges |= {j for d in range(start // DAY, end // DAY + 1) for j in self.zone.jumps(d)}
        return edges

    def _parts(self, meter, account, start, end):
        """[start, end) of one owner, cut where day, version or period change."""
        edges = self._edges(start, end)
        first = self.zone.day(start)
        last = self.zone.day(end) + datetime.timedelta(days=1)
        times = {t for versions in self.tariffs.values() for v in versions
                 for day in days_between(first, last) for t, _ in v.slots(day)} | {datetime.time()}
        for day in days_between(first, last):
            for t in times:
                edges |= set(self.zone.instants(datetime.datetime.combine(day, t)))
        edges = [start] + sorted(e for e in edges if start < e < end) + [end]
        parts = []
        for a, b in zip(edges, edges[1:]):
            wall = self.zone.wall(a)
            code, version = self.in_force(meter, account, a)
            key = wall.date(), code, version, version.period(wall)
            if parts and parts[-1][2] == key:
                parts[-1][1] = b
            else:
                parts.append([a, b, key])
        return parts

    def _counted(self, meter):
        """(from, to, [(register, how much it moved)]) of a meter's neighbouring readings.

        Registers are the forward one, whose rollovers are undone, and the reverse one where it
        counts; what that moved while it was not read belongs to the interval that ends the silence.
        """
        m = self.meters[meter]
        before, reverse_before = None, None
        for us, (register, reverse) in sorted(m.readings.items()):
            if before:
                forward = register - before[1]
                moved = [(before[1], forward if forward >= 0 else forward + m.register_max)]
                if m.add_reverse and reverse is not None and reverse_before is not None:
                    moved.append((reverse_before, reverse - reverse_before))
                yield before[0], us, moved
            before = us, register
            reverse_before = reverse if reverse is not None else reverse_before

    def _stretches(self, meter, start, end):
        """[start, end) cut where owner or ratio change."""
        m = self.meters[meter]
        edges = {t for t, _ in m.ratios} | {t for o in m.owners for t in o[:2] if o[0] < o[1]}
        edges = [start] + sorted(t for t in edges if start < t < end) + [end]
        return list(zip(edges, edges[1:]))

    def _pieces(self, meter):
        m = self.meters[meter]
        for start, end, moved in self._counted(meter):
            gap = end - start > 2 * self.poll_interval
            stretches = self._stretches(meter, start, end)
            energy = [0] * len(stretches)
            for register, used in moved:
                shared = shares(used, [b - a for a, b in stretches])
                for i, ((a, b), part) in enumerate(zip(stretches, shared)):
                    energy[i] += (rounded((register + part) * m.ratio(a))
                                  - rounded(register * m.ratio(a)))
                    register += part
            for (a, b), wh in zip(stretches, energy):
                account = m.owner(a)
                if account is None:
                    continue
                parts = self._parts(meter, account, a, b)
                estimated = gap and len(parts) + len(stretches) > 2
                for (p, q, key), got in zip(parts, shares(wh, [q - p for p, q, _ in parts])):
                    if got:
                        day, code, version, period = key
                        yield account, Piece(meter, m.number, p, q, day, version, code, period,
                                             got, estimated)

    def pieces(self):
        """Of all accounts, each in the order of the walk."""
        result = defaultdict(list)
        for meter in self.meters:
            for account, piece in self._pieces(meter):
                result[account].append(piece)
        for list_ in result.values():
            list_.sort(key=lambda p: (p.end, p.start, p.number))
        return result

    # ---- from pieces to money ----

    def _brought(self, account, period):
        """What an account had used of the accumulation period in which it was opened."""
        a = self.accounts[account]
        return a.tier_start if period[0] <= self.zone.day(a.opened) < period[1] else 0

    def _bounds(self, account, version, day):
        return version.bounds(day, self.accounts[account].extra)

    def steps(self, account, pieces):
        """(piece, tier, Wh, position before) of the walk; proportional ones have no tier.

        The position is all energy under the code on the days of the accumulation period so far,
        whichever version priced it.
        """
        so_far = defaultdict(lambda: defaultdict(int))
        for piece in pieces:
            v = piece.version
            period = v.accumulation(piece.day)
            by_day = so_far[piece.code]
            at = self._brought(account, period) + sum(wh for day, wh in by_day.items()
                                                      if period[0] <= day < period[1])
            by_day[piece.day] += piece.wh
            if v.proportional:
                yield piece, None, piece.wh, at
                continue
            bounds = self._bounds(account, v, piece.day)
            for tier, wh in enumerate(overlaps(bounds, at, at + piece.wh)):
                if wh:
                    yield piece, tier, wh, at
                    at += wh

    def _shared_cost(self, v, energy, bounds):
        """{(period, tier): (Wh, cost)} of an accumulation period's energy by period."""
        total = sum(energy.values())
        cost = {}
        for period, wh in energy.items():
            below = 0
            for tier, part in enumerate(overlaps(bounds, 0, total) if total else []):
                above = below + part
                cost[period, tier] = (
                    rounded(Fraction(wh * above, total)) - rounded(Fraction(wh * below, total)),
                    at_pico(v.price(period, tier) * part * wh / total))
                below = above
        return cost

    def _energy_lines(self, account, pieces):
        """{(meter, day, code, version): {(period, tier): [Wh, estimated Wh, amount]}}"""
        lines = defaultdict(lambda: defaultdict(lambda: [0, 0, Fraction(0)]))
        taken = defaultdict(lambda: [0, 0])
        for piece, tier, wh, _ in self.steps(account, pieces):
            v = piece.version
            key = piece.meter, piece.day, piece.code, v
            if v.proportional:
                lines[key]
            else:
                line = lines[key][piece.period, tier]
                line[0] += wh
                line[1] += wh if piece.estimated else 0
                line[2] += wh * v.price(piece.period, tier)
            took = taken[key, piece.period]
            took[0] += wh
            took[1] += wh if piece.estimated else 0
        self._share(account, lines, taken)
        return lines

    def _share(self, account, lines, taken):
        """Fills in proportional lines: what a meter's day adds to the cost so far."""
        so_far = defaultdict(lambda: defaultdict(int))      # code: {(day, period): Wh}
        order = sorted(lines, key=lambda k: (k[1], k[3].start, k[3].number,
                                             self.meters[k[0]].number))
        for key in order:
            _, day, code, v = key
            accumulation = v.accumulation(day)
            before = self._energy_by_period(v, accumulation, so_far[code])
            after = {p: wh + taken[key, p][0] for p, wh in before.items()}
            for period in v.periods:
                so_far[code][day, period] += taken[key, period][0]
            if v.proportional:
                # What was used elsewhere has taken its part of the tiers and has no period.
                brought = self._brought(account, accumulation)
                bounds = [max(0, b - brought) for b in self._bounds(account, v, day)]
                old, new = (self._shared_cost(v, e, bounds) for e in (before, after))
                for period in v.periods:
                    self._add_difference(lines[key], period, taken[key, period], old, new)

    def _energy_by_period(self, v, accumulation, so_far):
        """By the periods of a version; what another called otherwise counts as its first."""
        energy = dict.fromkeys(v.periods, 0)
        for (day, period), wh in so_far.items():
            if accumulation[0] <= day < accumulation[1]:
                energy[period if period in energy else v.periods[0]] += wh
        return energy

    def _add_difference(self, lines, period, taken, old, new):
        wh, estimated = taken
        billed = said = 0
        for tier in range(sum(1 for p, _ in new if p == period)):
            before, after = old.get((period, tier), (0, 0)), new[period, tier]
            billed += after[0] - before[0]
            upto = rounded(Fraction(estimated * billed, wh)) if wh else 0
            lines[period, tier] = [after[0] - before[0], upto - said, after[1] - before[1]]
            said = upto

    def _first_meter(self, account, day):
        """Whose tariff bears the standing charges of a day; None: the account's own does."""
        begin, end = (self.zone.day_start(d) for d in (day, day + datetime.timedelta(days=1)))
        had = [(max(start, begin), m.number, code) for code, m in self.meters.items()
               for start, stop, a in m.owners if a == account and start < min(end, stop)
               and stop > begin]
        return min(had)[2] if had else None

    def charges(self, account, pieces, through, cut=lambda day: False):
        """Priced lines of an account, standing charges up to a local day.

        {(meter or None, day, tariff, version, component, item, period, tier):
         [Wh, estimated Wh, amount]}
        """
        result = {}
        for (meter, day, code, v), parts in self._energy_lines(account, pieces).items():
            head = meter, day, code, v.number
            for (period, tier), line in parts.items():
                result[(*head, "energy", "energy", period, tier + 1)] = line
            amount = sum(line[2] for line in parts.values())
            wh = sum(line[0] for line in parts.values())
            for name, amount in v.surcharges(wh, {"energy": amount, "standing": 0}).items():
                result[(*head, "surcharge", name, None, None)] = [0, 0, amount]
        opened = self.zone.day(self.accounts[account].opened)
        for day in days_between(opened, through + datetime.timedelta(days=1)):
            begin = self.zone.day_start(day)
            skipped = begin == self.zone.day_start(day + datetime.timedelta(days=1))
            code, v = self.in_force(self._first_meter(account, day), account, begin)
            standing = v.standing(day, cut(day), skipped)
            head = None, day, code, v.number
            for name, amount in standing.items():
                result[(*head, "standing", name, None, None)] = [0, 0, amount]
            total = sum(standing.values())
            for name, amount in v.surcharges(0, {"energy": 0, "standing": total}).items():
                result[(*head, "surcharge", name, None, None)] = [0, 0, amount]
        return {key: line for key, line in result.items() if any(line)}
