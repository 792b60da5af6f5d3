"""The same facts told in different ways: what must not matter to what is owed."""
from rules import DAY, HOUR, MINUTE, SECOND


def told(rng, facts, readings, delay, until):
    """(when it is told, order, fact or reading), ascending."""
    items = []
    latest = {}
    for fact in facts:
        when = fact.at
        if fact.chain == "last":
            when = until
        elif fact.chain != "on time":
            when = min(fact.at + delay(rng), until)
            latest[fact.chain] = when = max(when, latest.get(fact.chain, when))
        items.append((when, (fact.chain == "last", len(items)), fact))
    for reading in readings:
        items.append((min(reading[1] + SECOND + delay(rng), until), (False, len(items)), reading))
    return sorted(items, key=lambda i: i[:2])


def steps_of(rng, items, batch, tick):
    """Clock, facts, readings in statements of up to batch rows, ticks in between."""
    steps, rows = [], []
    told_at = 0
    shown = []

    def clock():
        if not shown or shown[-1] != told_at:
            shown.append(told_at)
            steps.append({"do": "clock", "at": told_at})

    def flush():
        if rows:
            clock()
            steps.append({"do": "read", "rows": rows[:]})
            rows.clear()

    for key, _, item in items:
        if isinstance(item, tuple):
            rows.append(item)
            told_at = key
            if len(rows) >= batch:
                flush()
        else:
            flush()
            told_at = key
            clock()
            steps.append(item.step)
        if rng.random() < tick:
            flush()
            steps.append({"do": "tick", "rows": rng.choice([1, 3, 100])})
    flush()
    return steps


def in_transactions(rng, steps):
    """Runs of steps in transactions, some of them undone and done again."""
    result = []
    i = 0
    while i < len(steps):
        n = rng.choice([1, 1, 1, 2, 5, 12])
        run = steps[i:i + n]
        for k, step in enumerate(run):
            if step["do"] == "check":
                run = run[:max(1, k)]
                break
        i += len(run)
        if len(run) == 1:
            result += run
            continue
        if rng.random() < 0.3:
            result += [{"do": "begin"}, *run[:rng.randint(1, len(run))], {"do": "rollback"}]
        result += [{"do": "begin"}, *run, {"do": "commit"}]
    return result


def checked(rng, steps, n):
    """With n places at which everything must be right for what is told so far."""
    for _ in range(n):
        steps.insert(rng.randint(1 + [s["do"] for s in steps].index("open"), len(steps)),
                     {"do": "check"})
    return steps


def live(rng, setup, facts, readings, end):
    """Everything as it happens, one reading a statement, days being sealed on the way."""
    on_time = [f if f.step["do"] != "read" else type(f)(f.at, "glitch", f.step) for f in facts]
    items = told(rng, on_time, readings, lambda r: 0, end)
    return checked(rng, setup + steps_of(rng, items, 1, 0.15), rng.choice([0, 1]))


def late(rng, setup, facts, readings, end):
    """Everything late by a random time; sealed days are mended."""
    delays = [0, 0, MINUTE, HOUR, DAY, 3 * DAY]
    items = told(rng, facts, readings, lambda r: r.choice(delays), end)
    steps = checked(rng, setup + steps_of(rng, items, rng.choice([1, 3, 10]), 0.1),
                    rng.choice([0, 1, 2]))
    return in_transactions(rng, steps)


def by_chain(facts):
    named = ("on time", "last")
    return ([f for f in facts if f.chain == "on time"], [f for f in facts if f.chain not in named],
            [f for f in facts if f.chain == "last"])


def mixed(rng, facts, readings, end):
    """Steps that tell all when all is over, in any order, readings in batches."""
    on_time, others, last = by_chain(facts)
    items = told(rng, on_time, [], lambda r: 0, end)
    keys = {}
    for chain in {f.chain for f in others}:
        chained = [f for f in others if f.chain == chain]
        for fact, key in zip(chained, sorted(rng.random() for _ in chained)):
            keys[id(fact)] = key
    order = [(keys[id(f)], f) for f in others] + [(rng.random(), r) for r in readings]
    order.sort(key=lambda m: m[0])
    items += [(end, i, item) for i, item in enumerate([item for _, item in order] + last)]
    return steps_of(rng, items, rng.choice([1, 5, 40]), 0.05)


def at_end(rng, setup, facts, readings, end):
    """When all is over, in transactions that are undone now and then."""
    return setup + in_transactions(rng, mixed(rng, facts, readings, end))


def at_once(rng, setup, facts, readings, end):
    """All readings in one statement, before or after the other facts."""
    on_time, others, last = by_chain(facts)
    readings = readings[:]
    rng.shuffle(readings)
    steps = steps_of(rng, told(rng, on_time, [], lambda r: 0, end), 1, 0)
    steps.append({"do": "clock", "at": end})
    parts = [[{"do": "read", "rows": readings}], [f.step for f in others]]
    if rng.random() < 0.5:
        parts.reverse()
    return setup + steps + parts[0] + parts[1] + [f.step for f in last]


def crashing(rng, setup, facts, readings, end):
    """When all is over; the server process is killed in the middle of two statements."""
    steps = mixed(rng, facts, readings, end)
    places = [i for i, s in enumerate(steps) if s["do"] in ("read", "add", "tariff", "tick")]
    for i in sorted(rng.sample(places, min(2, len(places))), reverse=True):
        steps.insert(i, {"do": "crash", "step": steps[i]})
    return setup + steps


def running(rng, setup, facts, readings, end):
    """The clock runs by itself, and somebody else calls tick() all the time."""
    items = told(rng, facts, readings, lambda r: r.choice([0, 0, HOUR]), end)
    steps = steps_of(rng, items, rng.choice([1, 5]), 0)
    begin = setup[0]["at"]
    exact = ("open", "sell", "extra")
    # The first tick() makes partitions; a statement that runs into that may be refused.
    result = setup + [{"do": "tick", "rows": 1}]
    result.append({"do": "run", "from": begin, "rate": (end - begin) * 2 // (3 * SECOND)})
    for step, following in zip(steps, steps[1:] + [{"do": "end"}]):
        if step["do"] == "clock" and following["do"] not in exact:
            step = {"do": "wait", "at": step["at"]}
        result.append(step)
    return result


WAYS = {"live": live, "late": late, "at_end": at_end, "at_once": at_once, "running": running,
        "crashing": crashing}
