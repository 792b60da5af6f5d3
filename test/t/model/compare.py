"""What a server says beside what the rules say: lines, balances, entries, steps of the walk."""
import datetime
from collections import defaultdict
from fractions import Fraction

import history
import rules
from rules import HOUR

USAGE = """
    SELECT account, meter, day, tariff, version, component, item, period, tier,
        (sum(kwh) * 1000)::bigint, (sum(estimated_kwh) * 1000)::bigint, sum(amount)
    FROM prepay.usage_daily GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9"""
STATUS = """
    SELECT account, balance, posted_balance, sealed_through FROM prepay.account_status"""
LEDGER = "SELECT account, seq, amount, balance_after FROM prepay.ledger ORDER BY account, seq"
BOOKED = """
    SELECT account, booked_seq, sum(amount) FROM prepay.usage_daily WHERE booked_seq IS NOT NULL
    GROUP BY 1, 2"""
HELD = """
    SELECT m.code, sum(r.readings) FROM prepay.reading_review r JOIN prepay.meter m
    USING (site_id, meter_id) GROUP BY 1"""
EXPLAIN = """
    SELECT meter, day, tariff, version, component, item, period, tier, (kwh * 1000)::bigint, amount,
        estimated, (position_kwh * 1000)::bigint, price
    FROM prepay.explain(%s, prepay.now() - interval '1 year')"""
VERIFY = "SELECT * FROM prepay.verify()"


def differences(what, got, want, limit=8):
    """Lines for keys whose values differ."""
    found = []
    for key in sorted(set(got) | set(want), key=str):
        if got.get(key) != want.get(key):
            found.append("%s %s: server %s, model %s"
                         % (what, " ".join(map(str, key if isinstance(key, tuple) else (key,))),
                            shown(got.get(key)), shown(want.get(key))))
    return found[:limit] + (["… %d more" % (len(found) - limit)] if len(found) > limit else [])


def shown(value):
    if isinstance(value, (tuple, list)):
        return " ".join(map(shown, value))
    if isinstance(value, Fraction):
        return str(float(value))
    return "nothing" if value is None else str(value)


def now_of(steps):
    return [s["at"] for s in history.kept_of(steps) if s["do"] in ("clock", "wait")][-1]


def check(server, steps):
    """What differs between the server and the rules after a history; nothing, if all is well."""
    world = history.facts(steps)
    now = now_of(steps)
    status = {row[0]: row[1:] for row in server.run(STATUS)}
    usage = usage_of(server)
    pieces = world.pieces()
    found = []
    for code in world.accounts:
        balance, posted, sealed = status[code]
        sealed = datetime.date.fromisoformat(sealed)
        lines = world.charges(code, pieces[code], sealed)
        found += differences(code, *(estimates(side, sealed) for side in (usage[code], lines)))
        found += check_money(world, code, lines, sealed, balance, posted)
        found += check_sealed(world, code, sealed, now)
        found += check_explain(server, world, code, pieces[code], lines)
    found += check_ledger(server, world)
    held = {meter: int(n) for meter, n in server.run(HELD)}
    glitches = {code: m.glitches for code, m in world.meters.items() if m.glitches}
    found += differences("held readings of", held, glitches)
    found += ["verify: " + " ".join(map(str, row)) for row in server.run(VERIFY)]
    return found


def estimates(lines, sealed):
    """Without the marks of estimates in sealed days: for those alone no correction is posted."""
    lines = {key: (line[0], line[1] if key[1] > sealed else 0, line[2])
             for key, line in lines.items()}
    return {key: line for key, line in lines.items() if any(line)}


def usage_of(server):
    """{account: {key of a line: (Wh, estimated Wh, amount)}}"""
    usage = defaultdict(dict)
    for (account, meter, day, tariff, version, component, item, period, tier, wh, est,
         amount) in server.run(USAGE):
        key = (meter, datetime.date.fromisoformat(day), tariff, int(version), component, item,
               period, int(tier) if tier else None)
        line = int(wh or 0), int(est or 0), Fraction(amount)
        usage[account][key] = line
    return usage


def check_money(world, code, lines, sealed, balance, posted):
    unit = 10 ** world.decimals
    owed = sum(line[2] for line in lines.values())
    owed_sealed = sum(line[2] for key, line in lines.items() if key[1] <= sealed)
    for what, value, cost in (("balance", balance, owed), ("posted", posted, owed_sealed)):
        should = world.accounts[code].money - Fraction(rules.rounded(cost * unit), unit)
        if Fraction(value) != should:
            yield "%s: %s %s, model %s" % (code, what, value, float(should))


def check_sealed(world, code, sealed, now):
    """A day is sealed when all meters were read after it, at the latest after the delay."""
    zone, one = world.zone, datetime.timedelta(days=1)
    through = zone.day(now - 36 * HOUR) - one
    meters = [m for m in world.meters.values() if any(o[2] == code for o in m.owners)]
    opened = world.accounts[code].opened
    if meters and all(m.owners == [(opened, rules.NEVER, code)] for m in meters):
        if all(m.readings for m in meters):
            last = min([zone.day(max(m.readings)) for m in meters] + [zone.day(now)])
            through = max(through, last - one)
        through = max(through, zone.day(opened) - one)
        good = sealed == through
    else:
        # With meters that came and went it goes by the moment; without any it is tick()'s work.
        good = max(through, zone.day(opened) - one) <= sealed < zone.day(now)
    if not good:
        yield "%s: sealed through %s, model %s" % (code, sealed, through)


def check_ledger(server, world):
    """Each entry of usage is the step of the rounded sum of the lines booked with it."""
    booked = {(account, int(seq)): Fraction(amount) for account, seq, amount in server.run(BOOKED)}
    unit = 10 ** world.decimals
    cost, total = defaultdict(Fraction), defaultdict(Fraction)
    found = []
    for account, seq, amount, after in server.run(LEDGER):
        before = rules.rounded(cost[account] * unit)
        cost[account] += booked.get((account, int(seq)), 0)
        total[account] += Fraction(amount)
        moved = Fraction(before - rules.rounded(cost[account] * unit), unit)
        if (account, int(seq)) in booked and Fraction(amount) != moved:
            found.append("%s: entry %s is %s, its lines say %s"
                         % (account, seq, amount, float(moved)))
        if Fraction(after) != total[account]:
            found.append("%s: entry %s has balance %s" % (account, seq, after))
    return found


def check_explain(server, world, code, pieces, lines):
    """The steps of the walk with their tier positions; all that is said adds up to the lines."""
    steps, said = defaultdict(int), defaultdict(lambda: [0, 0, Fraction(0)])
    for (meter, day, tariff, version, component, item, period, tier, wh, amount, estimated,
         position, price) in server.run(EXPLAIN % history.text(code)):
        v = world.tariffs[tariff][int(version) - 1]
        wh = int(wh or 0) if component == "energy" else 0
        line = said[meter, datetime.date.fromisoformat(day), tariff, v.number, component, item,
                    period, int(tier) if tier else None]
        line[0] += wh
        line[1] += wh if estimated == "t" else 0
        line[2] += Fraction(amount)
        if component == "energy" and not v.proportional:
            if Fraction(amount) * 1000 != wh * Fraction(price):
                yield "explain %s: %d Wh at %s are not %s" % (code, wh, price, amount)
            steps[meter, tariff, v.number, period, int(tier), int(position), estimated == "t"] += wh
    want = defaultdict(int)
    for piece, tier, wh, position in world.steps(code, pieces):
        if tier is not None:
            want[piece.meter, piece.code, piece.version.number, piece.period, tier + 1, position,
                 piece.estimated] += wh
    yield from differences("position of " + code, steps, want)
    # What is an estimate of a line that others' energy moved between tiers is a matter of taste.
    shared = {key for key in lines if world.tariffs[key[2]][key[3] - 1].proportional}
    said = {k: (v[0], 0 if k in shared else v[1], v[2]) for k, v in said.items() if v[0] or v[2]}
    lines = {k: (v[0], 0 if k in shared else v[1], v[2]) for k, v in lines.items() if v[0] or v[2]}
    yield from differences("explain " + code, said, lines)
