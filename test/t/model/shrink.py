"""Cuts a history that fails down to what it takes, and writes it out as SQL."""
import re
import time

import history
import rules

KINDS = ("verify", "explain", "position", "standing", "surcharge", "energy", "sealed", "balance",
         "posted")


def kind_of(found):
    """What a failure is about, so that cutting down does not change the subject."""
    if not found:
        return None
    if "ERROR:" in found[0]:
        return re.sub(r"\d+", "", found[0].split("ERROR:")[1])[:40]
    return next((kind for kind in KINDS if kind in found[0]), "other")


def without_rows(step):
    """A statement of readings with fewer of them."""
    rows = step["rows"]
    size = len(rows) // 2
    while size >= 1:
        for i in range(0, len(rows), size):
            yield {**step, "rows": rows[:i] + rows[i + size:]}
        size //= 2


def without_part(step):
    """A simpler tariff."""
    for part in ("surcharges", "standing", "day_types", "calendar", "seasons", "tiers"):
        d = dict(step["definition"])
        if d.pop(part, None) is None:
            continue
        if part in ("seasons", "day_types"):
            d["schedule"] = [r for r in d["schedule"] if part[:-1] not in r]
        elif part == "calendar":
            d["schedule"] = [r for r in d["schedule"]
                             if r.get("day_type", "workday") in ("workday", "weekend")]
        elif part == "tiers":
            d["prices"] = {p: v[0] if isinstance(v, list) else v for p, v in d["prices"].items()}
        yield {**step, "definition": d}


SIMPLER = {"read": without_rows, "tariff": without_part}


def smaller(steps):
    """Histories that are a little smaller: runs of steps left out, then steps made simpler."""
    size = len(steps) // 2
    while size >= 1:
        for i in range(len(steps) - size, -1, -size):
            yield steps[:i] + steps[i + size:]
        size //= 2
    for i, step in enumerate(steps):
        for simpler in SIMPLER.get(step["do"], lambda s: [])(step):
            yield steps[:i] + [simpler] + steps[i + 1:]


def cut_down(tell, steps, seconds):
    """The history with as few steps as still fail alike; tell(steps) returns what is wrong."""
    kind = kind_of(tell(steps))
    deadline = time.monotonic() + seconds

    def fails(candidate):
        try:
            return kind_of(tell(candidate)) == kind
        except (rules.Nonsense, LookupError, AttributeError):
            return False    # nobody would tell that

    while time.monotonic() < deadline:
        for candidate in smaller(steps):
            if time.monotonic() > deadline or fails(candidate):
                break
        else:
            break
        if time.monotonic() < deadline:
            steps = candidate
    return steps


def write_sql(path, steps, found):
    with open(path, "w") as file:
        file.write("".join("-- %s\n" % line for line in found))
        file.write("CREATE EXTENSION pg_prepay;\nSELECT prepay.install();\n")
        file.write("".join(history.statement(step) + ";\n" for step in steps))
        file.write("SELECT * FROM prepay.usage_daily;\nSELECT * FROM prepay.verify();\n")
