#!/usr/bin/python3
"""From the order, or the sale, to the relay that is read back, under the load of agent.py.

Histogram of the whole and of its parts, in milliseconds:
  order     control() or sell(), as its caller waits for it
  take      from its commit until the agent has the command
  meter     write, settle, read-back
  verified  from the call of control() or sell() until the read-back agrees
  known     until the database knows it

One simulator plays a thousand gateways in turn, so that an answer waits for those of all others,
which it does not in the field. Meters that are given orders are therefore behind gateways of a
second process; --one leaves them with the rest.
"""
import random
import re
import subprocess
import sys
import time
from datetime import datetime

import agent

BOUNDS = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
STAGES = ("order", "take", "meter", "verified", "known")
LINE = re.compile(r"^(\S+)Z level=\w+ event=command_(taken|ended) command=(\d+) .*?"
                  r"(?:outcome=(\w+)|attempt)")


def stamp(text):
    return datetime.fromisoformat(text + "+00:00").timestamp()


class CommandRun(agent.Run):
    log_level = "info"

    def __init__(self, options):
        super().__init__(options)
        self.sims = 1 if options.one else 2
        ordered = [n for n in range(options.meters) if self.is_ordered(n % options.gateways)]
        self.sale_meters = ordered[1::2][:options.sales]
        self.order_meters = ordered[0::2]

    def is_ordered(self, gateway):
        return gateway >= 0.92 * self.options.gateways

    def sim_of(self, gateway):
        return int(self.sims == 2 and self.is_ordered(gateway))

    def set_up(self):
        super().set_up()
        o = self.options
        agent.psql("SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n],"
                   " opening_balance => CASE WHEN n = ANY ('{%s}') THEN 0.01 ELSE 100000 END,"
                   " key => 'o' || n)) FROM generate_series(0, %d) AS n"
                   % (",".join(map(str, self.sale_meters)), o.meters - 1))
        agent.psql("VACUUM ANALYZE")

    def prepare(self):
        for _ in range(120):
            left = agent.psql("SELECT count(*) FROM prepay.meter_control WHERE desired = 'off'"
                              " AND acknowledged = 'off'")
            if int(left) >= len(self.sale_meters):
                return
            time.sleep(1)
        sys.exit("the accounts without money are not cut: %s of %d" % (left, len(self.sale_meters)))

    def trouble(self):
        """One transaction each, at random moments of the poll interval."""
        o = self.options
        many = len(self.order_meters)
        calls = [("order", "prepay.control('meter:M%d', '%s')"
                  % (self.order_meters[n % many], ("trip", "close")[n // many % 2]))
                 for n in range(o.orders)]
        calls += [("sale", "prepay.sell('A%d', 500, 's%d')" % (n, n)) for n in self.sale_meters]
        pause = 1.6 * o.seconds / max(len(calls), 1)
        # Orders stay in their order, a meter's trip before its close.
        places = sorted(random.Random(1).sample(range(len(calls)), len(self.sale_meters)))
        sales = calls[o.orders:]
        calls = calls[:o.orders]
        for place, sale in zip(places, sales):
            calls.insert(place, sale)
        script = "".join(
            "SELECT extract(epoch FROM clock_timestamp()) AS begun \\gset\n"
            "SELECT count(*) FROM %s \\gset\n"
            "SELECT '%s', :begun, extract(epoch FROM clock_timestamp());\n"
            "SELECT pg_sleep(%.4f * random()) \\gset\n" % (call, kind, pause) for kind, call in calls)
        self.calls = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", agent.DATABASE],
                                    input=script, check=True, capture_output=True,
                                    text=True).stdout.split("\n")

    def more_figures(self):
        time.sleep(2)
        taken, ended = {}, {}
        with open(self.folder + "/agent.log", encoding="utf-8") as log:
            for line in log:
                found = LINE.match(line)
                if found and found[2] == "taken":
                    taken.setdefault(int(found[3]), stamp(found[1]))
                elif found and found[4] == "done":
                    ended[int(found[3])] = stamp(found[1])
        rows = agent.psql("SELECT command_id, extract(epoch FROM finished_at) FROM prepay.command"
                          " WHERE status = 'done' AND (NOT automatic OR action = 'close')"
                          " ORDER BY command_id")
        done = [(int(a), float(b)) for a, b in (row.split("|") for row in rows.split("\n") if row)]
        calls = [call.split("|") for call in self.calls if call]
        figures = {}
        for kind in ("order", "sale"):
            figures |= self.match(kind, calls, done, taken, ended)
        return figures

    def match(self, kind, calls, done, taken, ended):
        """Calls and commands are both in the order of their beginning, and each call makes one."""
        pairs = [(call, command) for call, command in zip(calls, done) if call[0] == kind]
        samples = {stage: [] for stage in STAGES}
        for (_, begun, back), (command, known) in pairs:
            begun, back = float(begun), float(back)
            for stage, value in (("order", back - begun), ("take", taken[command] - back),
                                 ("meter", ended[command] - taken[command]),
                                 ("verified", ended[command] - begun), ("known", known - begun)):
                samples[stage].append(1000 * value)
        if not pairs:
            return {}
        print("%s, %d samples: at most ... ms" % (kind, len(pairs)))
        print("  %-9s" % "" + "".join("%6d" % bound for bound in BOUNDS) + "   p50    p99    max")
        for stage in STAGES:
            values = sorted(samples[stage])
            print("  %-9s" % stage
                  + "".join("%6d" % sum(value <= bound for value in values) for bound in BOUNDS)
                  + "%6.1f %6.1f %6.1f" % (values[len(values) // 2],
                                           values[min(len(values) - 1, int(0.99 * len(values)))],
                                           values[-1]))
        values = sorted(samples["verified"])
        return {kind + "s": float(len(values)),
                kind + "_p99_ms": values[min(len(values) - 1, int(0.99 * len(values)))]}


def main():
    parser = agent.arguments(__doc__)
    parser.add_argument("--sales", type=int, default=100, help="sales that give supply back")
    parser.add_argument("--one", action="store_true", help="one simulator for all")
    parser.add_argument("--orders", type=int, default=100, help="relay orders during the time")
    agent.run(CommandRun, parser.parse_args())


if __name__ == "__main__":
    main()
