#!/usr/bin/python3
"""Readings a second from a full spool into the database, rated, end to end.

The spool is filled by agent_fill.c (--fill: the compiled program) as an outage of the database
leaves it; then the agent starts, and the time is taken until the spool is empty.
"""
import subprocess
import time

import agent


class ReplayRun(agent.Run):
    def set_up(self):
        o = self.options
        o.interval = 86400
        super().set_up()
        agent.psql("SELECT set_config('prepay.now', (now() - interval '%d s')::text, false);"
                   " SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n],"
                   " opening_balance => 100000, key => 'o' || n)) FROM generate_series(0, %d) AS n"
                   % (o.points * o.every + 86400, o.meters - 1))
        agent.psql("SELECT prepay.tick()")
        agent.psql("VACUUM ANALYZE")

    def fill(self, spool):
        o = self.options
        subprocess.run([o.fill, spool, str(o.meters), str(o.points), str(o.every)], check=True)

    def wait_for_metrics(self):
        for _ in range(200):
            try:
                agent.scrape(self.metrics)
                return
            except OSError:
                time.sleep(0.05)

    def measure(self):
        o = self.options
        rows = o.meters * o.points
        cpu = agent.cpu_seconds(self.agent.pid)
        begun = time.monotonic()
        self.wait_for_metrics()
        backend = int(agent.psql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%ingest'"))
        while agent.scrape(self.metrics)["prepayd_spool_records"] > rows - 2 * o.meters:
            time.sleep(0.01)
        first = agent.scrape(self.metrics)["prepayd_spool_records"]
        began = time.monotonic()
        while (left := agent.scrape(self.metrics)["prepayd_spool_records"]) > 0:
            time.sleep(0.05)
            if time.monotonic() - began > 600:
                break
        span = time.monotonic() - began
        server = agent.cpu_seconds(backend)
        used = agent.cpu_seconds(self.agent.pid) - cpu
        stored = int(agent.psql("SELECT count(*) FROM prepay.reading"))
        return {"readings": rows, "left": left, "stored": stored, "seconds": time.monotonic() - begun,
                "replayed_per_s": (first - left) / span,
                "agent_us_per_reading": 1e6 * used / rows,
                "server_us_per_reading": 1e6 * server / rows, "memory_mib": agent.memory_mib(self.agent.pid)}


def main():
    parser = agent.arguments(__doc__)
    parser.add_argument("--fill", required=True)
    parser.add_argument("--points", type=int, default=100, help="readings a meter")
    parser.add_argument("--every", type=int, default=900, help="seconds between them")
    agent.run(ReplayRun, parser.parse_args())


if __name__ == "__main__":
    main()
