#!/usr/bin/env python3
"""Random histories told to a server and to the rules alone; what is owed must be the same.

    model.py --conninfo 'host=/tmp user=postgres' --seed 7 --cases 10 --first --shrink 60

The template database is copied for each history. Prints one TAP line a case. --shrink cuts a
history that fails down to the steps it takes and writes it out as SQL.
"""
import argparse
import random
import sys
import time

import history
import shrink
import ways
import worlds
from compare import check, differences, now_of
from rules import DAY, MINUTE
from server import Server, SqlError


def look(server, steps, sealed):
    """Everything must be right here, and what was sealed before must still be there."""
    work_off(server)
    found = check(server, steps)
    lines = set(map(tuple, server.run("TABLE prepay.usage_line")))
    if sealed - lines:
        found.append("sealed lines are gone: %s" % list(sealed - lines)[:2])
    sealed |= lines
    return found


def work_off(server):
    for _ in range(10000):
        if server.run("SELECT prepay.tick()") == [["0"]]:
            return
    raise SqlError("tick() does not come to an end")


def do(server, steps, i, sealed):
    """Step i; what it finds wrong."""
    step = steps[i]
    if step["do"] == "check":
        return look(server, steps[:i], sealed)
    if step["do"] == "crash":
        server.crash([s for s in steps[:i] if s["do"] == "clock"][-1], step["step"])
    elif step["do"] == "run":
        server.start_running(step)
    elif step["do"] == "wait":
        server.wait(step["at"])
    else:
        server.run(history.statement(step))
    return []


def tell(server, steps):
    """Tells a history to a fresh database; what is wrong on the way or at its end."""
    sealed = set()
    i = -1
    try:
        server.fresh()
        for i in range(len(steps)):
            found = do(server, steps, i, sealed)
            if found:
                return ["at step %d: %s" % (i, line) for line in found]
        server.stop_running()
        end = {"do": "clock", "at": max(now_of(steps), server.latest) + 4 * DAY}
        server.run(history.statement(end))
        return look(server, steps + [end], sealed)
    except SqlError as error:
        server.stop_running(quietly=True)
        return ["at step %d, %s: %s" % (i, steps[i]["do"], error)]


def frequency(draw, steps, fewer):
    """Accounts to which it matters that meters which used evenly were read less often."""
    found = []
    dense, sparse = history.facts(steps), history.facts(fewer)
    last = draw.zone.day(draw.end)
    of = [{code: w.charges(code, pieces[code], last) for code in w.accounts}
          for w, pieces in ((w, w.pieces()) for w in (dense, sparse))]
    for code in dense.accounts:
        lines = [{k: (v[0], v[2]) for k, v in w[code].items() if v[0] or v[2]} for w in of]
        found += differences("%s, dense and sparse" % code, *lines)
    return found


class Case:
    """A random world, and the ways to tell it."""
    def __init__(self, seed):
        self.seed, rng = seed, random.Random(seed)
        self.draw = worlds.Random(rng, even=seed % 5 == 0)
        setup, self.facts, self.readings = self.draw.world()
        begin = min([self.draw.start - 3 * DAY] + [f.at for f in self.facts])
        self.end = max([self.draw.end] + [f.at for f in self.facts]
                       + [r[1] for r in self.readings]) + MINUTE
        self.setup = [{"do": "clock", "at": begin}] + setup

    def steps(self, way, readings=None):
        rng = random.Random("%d %s" % (self.seed, way))
        return ways.WAYS[way](rng, self.setup, self.facts, readings or self.readings, self.end)

    def sparse(self):
        """Fewer of the readings of meters that used evenly."""
        rng = random.Random(self.seed)
        return [r for r in self.readings if r[1] in self.draw.corners or rng.random() < 0.3]


def run(server, case, options):
    """Tells a case in all ways; True when all come out as the model says."""
    told = {way: case.steps(way) for way in options.ways.split(",")}
    good = True
    if case.draw.even:
        told["sparse"] = case.steps("live", case.sparse())
        for line in frequency(case.draw, case.steps("live"), told["sparse"]):
            good = False
            print("# seed %d, %s" % (case.seed, line))
    for way, steps in told.items():
        found = tell(server, steps)
        if not found:
            continue
        good = False
        if options.shrink:
            steps = shrink.cut_down(lambda s: tell(server, s), steps, options.shrink)
            found = tell(server, steps)
            shrink.write_sql("%s/seed%d_%s.sql" % (options.output, case.seed, way), steps, found)
        print("# seed %d, %s, %s:" % (case.seed, way, case.draw.zone_name))
        print("".join("#   %s\n" % line for line in found), end="")
        if options.first:
            break
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conninfo", default="", help="of a superuser, without dbname")
    parser.add_argument("--template", default="model", help="database with the extension installed")
    parser.add_argument("--seed", type=int, required=True, help="of the first case, then one more")
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no case after so long")
    parser.add_argument("--ways", default=",".join(ways.WAYS))
    parser.add_argument("--first", action="store_true", help="leave a case at its first failure")
    parser.add_argument("--shrink", type=float, default=0, help="seconds to cut a failure down")
    parser.add_argument("--output", default="/tmp", help="folder for what was cut down, as SQL")
    options = parser.parse_args()
    server = Server(options.conninfo, options.template)
    deadline = time.monotonic() + options.seconds
    failures = 0
    for i in range(options.cases):
        if time.monotonic() > deadline:
            break
        case = Case(options.seed + i)
        good = run(server, case, options)
        failures += not good
        print("%s %d - seed %d: %d readings and %d facts told %s"
              % ("ok" if good else "not ok", i + 1, case.seed, len(case.readings),
                 len(case.facts), options.ways), flush=True)
    server.close()
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
