#!/usr/bin/python3
"""The agent rows of the design's figures: CPU, memory and lateness under a steady load.

Needs a server with pg_prepay to install into (PGHOST, PGPORT, PGUSER) and a built agent and
simulator. The database of the run is dropped and made anew.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICKS = os.sysconf("SC_CLK_TCK")
DATABASE = "bench_agent"


def psql(sql, database=DATABASE):
    return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql],
                          check=True, capture_output=True, text=True).stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def model(registers):
    """One request of so many registers, with the points of a prepaid meter inside."""
    return {
        "profile": "bench", "rev": 1, "title": "one block", "protocol": "modbus",
        "verified": False, "limits": {"max_regs": 125, "timeout_ms": 1000, "tries": 2},
        "blocks": [{"id": "main", "fc": 3, "addr": 0, "n": registers},
                   {"id": "control", "fc": 3, "addr": "0x0057", "n": 2, "polled": False}],
        "points": [{"name": "kwh", "at": "main+0", "type": "u32", "exp10": -2},
                   {"name": "kw", "at": "main+13", "type": "i16", "exp10": -3}],
        "commands": {name: {"steps": [{"fc": 16, "addr": "0x0057", "data": data}],
                            "verify": [{"fc": 3, "addr": "0x0057", "n": 2, "eq": data}],
                            "settle_ms": 0, "retry_ms": 50, "tries": 5}
                     for name, data in (("trip", "0001 0001"), ("close", "0001 0000"))},
        "source": [{"what": "all", "ref": "for benchmarks"}],
        "vectors": [{"block": "control", "request": "0300570002", "response": "030400010000",
                     "expect": {}}]}


def cpu_times(pid):
    """Seconds in the program and in the kernel."""
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def cpu_seconds(pid):
    return sum(cpu_times(pid))


def memory_mib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", status.read(), re.M))
    return int(found["VmHWM"]) / 1024


def scrape(port):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=5) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(prepayd_\S+) (\S+)$", text, re.M)}


def quantile(before, after, name, q):
    """Upper bound of the bucket that holds the quantile, in seconds."""
    buckets = []
    for key, value in after.items():
        bound = re.fullmatch(r'prepayd_%s_bucket\{le="(.*)"\}' % name, key)
        if bound:
            buckets.append((float(bound[1]), value - before.get(key, 0)))
    total = after["prepayd_%s_count" % name] - before.get("prepayd_%s_count" % name, 0)
    return next((bound for bound, count in sorted(buckets) if count >= q * total), float("nan"))


class Run:
    log_level = "warn"
    sims = 1

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="prepay-bench-agent.")
        self.programs = []

    def close(self):
        for program in reversed(self.programs):
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def set_up(self):
        o = self.options
        psql("DROP DATABASE IF EXISTS %s WITH (FORCE)" % DATABASE, "postgres")
        psql("CREATE DATABASE %s" % DATABASE, "postgres")
        psql("CREATE EXTENSION pg_prepay")
        psql("SELECT prepay.install()")
        psql("SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai')")
        psql("SELECT prepay.define_tariff('one', '{\"prices\": 1}')")
        psql("SELECT prepay.set_setting('town', 'tariff', 'one'), prepay.create_agent('gw'),"
             " prepay.set_setting('town', 'vacant_supply', 'on')")
        ports = [o.port + i for i in range(o.gateways)]
        psql("INSERT INTO prepay.meter_model (code, profile) VALUES ('bench', '%s')"
             % json.dumps(model(o.registers)))
        psql("INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval, options)"
             " SELECT 1, 'G' || n, 'gw', '127.0.0.1:' || %d + n, interval '%d s',"
             " '{\"window\": %d, \"poll\": \"%s\"}' FROM generate_series(0, %d) AS n"
             % (o.port, o.interval, o.window, o.poll, o.gateways - 1))
        psql("INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)"
             " SELECT 1, 'M' || n, 1 + n %% %d, 1 + n / %d, 'bench'"
             " FROM generate_series(0, %d) AS n" % (o.gateways, o.gateways, o.meters - 1))
        for sim in range(self.sims):
            with open(self.town(sim), "w", encoding="ascii") as town:
                print("control 127.0.0.1:%d" % free_port(), file=town)
                for i, port in enumerate(ports):
                    if self.sim_of(i) == sim:
                        print("gateway G%d 127.0.0.1:%d unknown=silence" % (i, port), file=town)
                for n in range(o.meters):
                    if n % 100 >= o.dead and self.sim_of(n % o.gateways) == sim:
                        print("meter M%d G%d %d acrel-ddsy1352 kw=1"
                              % (n, n % o.gateways, 1 + n // o.gateways), file=town)
        os.chmod(self.folder, 0o755)

    def town(self, sim):
        return os.path.join(self.folder, "town%d.sim" % sim)

    def sim_of(self, _gateway):
        """Which simulator process plays a gateway."""
        return 0

    def start(self):
        log = open(os.path.join(self.folder, "sim.log"), "w", encoding="utf-8")
        for sim in range(self.sims):
            program = subprocess.Popen([os.path.join(ROOT, "test/sim/prepay-sim"), "--config",
                                        self.town(sim)], stdout=subprocess.PIPE, stderr=log, text=True)
            self.programs.append(program)
            program.stdout.readline()
        self.metrics = free_port()
        os.mkdir(os.path.join(self.folder, "spool"))
        self.fill(os.path.join(self.folder, "spool"))
        with open(os.path.join(self.folder, "agent.conf"), "w", encoding="ascii") as conf:
            print("[agent]\nname = gw\nconninfo = dbname=%s\nspool = %s/spool\n"
                  "metrics = 127.0.0.1:%d\nlog_level = %s"
                  % (DATABASE, self.folder, self.metrics, self.log_level), file=conf)
        log = open(os.path.join(self.folder, "agent.log"), "w", encoding="utf-8")
        self.agent = subprocess.Popen([self.options.agent, "--config",
                                       os.path.join(self.folder, "agent.conf")], stderr=log)
        self.programs.append(self.agent)

    def fill(self, spool):
        """What the spool holds before the agent starts."""

    def prepare(self):
        """What has to be done once the agent runs, before the time is taken."""

    def trouble(self):
        """What goes on while it is."""

    def more_figures(self):
        return {}

    def measure(self):
        o = self.options
        time.sleep(o.settle)
        self.prepare()
        before, cpu, own = scrape(self.metrics), cpu_seconds(self.agent.pid), cpu_times(self.agent.pid)[0]
        began = time.monotonic()
        self.trouble()
        time.sleep(max(0, o.seconds - (time.monotonic() - began)))
        after, used = scrape(self.metrics), cpu_seconds(self.agent.pid) - cpu
        own = cpu_times(self.agent.pid)[0] - own
        span = time.monotonic() - began
        polls = after['prepayd_polls_total{result="ok"}'] - before['prepayd_polls_total{result="ok"}']
        stored = (after['prepayd_ingest_rows_total{result="stored"}']
                  - before['prepayd_ingest_rows_total{result="stored"}'])
        return self.more_figures() | {"polls_per_s": polls / span, "stored_per_s": stored / span,
                "late": after['prepayd_polls_total{result="late"}']
                        - before['prepayd_polls_total{result="late"}'],
                "cpu_percent": 100 * used / span, "cpu_without_kernel": 100 * own / span, "us_per_poll": 1e6 * used / max(polls, 1),
                "memory_mib": memory_mib(self.agent.pid),
                "spool": after["prepayd_spool_records"],
                "p50_ms": 1000 * quantile(before, after, "poll_lateness_seconds", 0.5),
                "p99_ms": 1000 * quantile(before, after, "poll_lateness_seconds", 0.99)}


def arguments(description):
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default=os.path.join(ROOT, "agent", "prepayd"))
    parser.add_argument("--meters", type=int, default=5000)
    parser.add_argument("--gateways", type=int, default=1000)
    parser.add_argument("--registers", type=int, default=48)
    parser.add_argument("--interval", type=int, default=1)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--poll", choices=("grid", "spread"), default="grid")
    parser.add_argument("--dead", type=int, default=0, help="per cent of the meters silent")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--settle", type=int, default=8)
    parser.add_argument("--port", type=int, default=21000)
    parser.add_argument("--pause", action="store_true", help="stay up after the figures")
    return parser


def run(kind, options):
    run = kind(options)
    try:
        run.set_up()
        run.start()
        figures = run.measure()
        print("agent: %d meters x %d registers, %d s" % (options.meters, options.registers,
                                                        options.interval))
        for name, value in figures.items():
            print("  %-22s %10.1f" % (name, value))
        if options.pause:
            print("pid %d, folder %s" % (run.agent.pid, run.folder), flush=True)
            sys.stdin.readline()
    finally:
        run.close()


if __name__ == "__main__":
    run(Run, arguments(__doc__).parse_args())
