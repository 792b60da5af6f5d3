#!/usr/bin/env python3
"""prepayd from end to end: a throw-away PostgreSQL with mock.sql, the meter simulator, the agent.

    e2e.py [--agent PATH] [--keep] [NAME...]     runs all scenarios or those named

Needs the PostgreSQL 15 server programs, test/sim built, and root or a user that may run initdb.
"""
import argparse
import glob
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
import traceback
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SIM = os.path.join(ROOT, "test", "sim", "prepay-sim")
PG_BIN = max(glob.glob("/usr/lib/postgresql/*/bin"), default="/usr/bin")
PG_PORT = 6011


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, check, seconds=15.0):
    """Value of check() once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("not within %g s: %s" % (seconds, what))


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, "pg")
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            shutil.chown(folder, "postgres")
        self.run(PG_BIN + "/initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as conf:
            conf.write("port=%d\nunix_socket_directories='%s'\nlisten_addresses=''\nfsync=off\n"
                       % (PG_PORT, folder))
        self.start()
        self.sql("CREATE DATABASE mock", database="postgres")
        self.psql("-d", "mock", "-f", os.path.join(HERE, "mock.sql"))

    def run(self, *command):
        subprocess.run(self.user + list(command), check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd=self.folder)

    def start(self):
        self.run(PG_BIN + "/pg_ctl", "-D", self.data, "-w", "-l", os.path.join(self.folder, "log"),
                 "start")

    def stop(self, mode="fast"):
        self.run(PG_BIN + "/pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def psql(self, *args):
        result = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p",
                                 str(PG_PORT), "-U", "postgres"] + list(args),
                                capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(result.stderr)
        return result.stdout.strip()

    def sql(self, text, database="mock"):
        return self.psql("-d", database, "-c", text)

    def number(self, text):
        return int(self.sql(text))


class World:
    """One scenario's surroundings: fresh tables, simulator, agent."""

    METERS = [("M1", 1, 1, "acrel-ddsy1352"), ("M2", 1, 2, "acrel-ddsy1352"),
              ("M3", 1, 3, "acrel-dtsd1352"), ("M4", 2, 1, "eastron-sdm630")]

    def __init__(self, cluster, agent, interval=1):
        self.cluster = cluster
        self.program = agent
        self.folder = tempfile.mkdtemp(prefix="prepayd-e2e-")
        self.spool = os.path.join(self.folder, "spool")
        os.mkdir(self.spool)
        self.ports = {code: free_port() for code in ("control", "G1", "G2", "metrics")}
        self.sim = self.process = None
        self.log = os.path.join(self.folder, "agent.log")
        self.clock = None
        cluster.sql("TRUNCATE prepay.mock_spool, prepay.mock_batch, prepay.mock_reading, "
                    "prepay.mock_command, prepay.mock_report, prepay.mock_contact,"
                    " prepay.mock_beat;"
                    "UPDATE prepay.mock_state SET clock = NULL, ingest_error = NULL")
        self.set_plan(interval)
        with open(os.path.join(self.folder, "agent.conf"), "w", encoding="ascii") as conf:
            conf.write("[agent]\nname = town/a1\nspool = %s\nmetrics = 127.0.0.1:%d\n"
                       "conninfo = host=%s port=%d dbname=mock user=postgres\nlog_level = debug\n"
                       % (self.spool, self.ports["metrics"], cluster.folder, PG_PORT))

    def set_plan(self, interval, meters=None):
        meters = meters or self.METERS
        models = {}
        for code in {meter[3] for meter in meters}:
            path = os.path.join(ROOT, "agent", "profiles", code + ".json")
            with open(path, encoding="utf-8") as stream:
                models[code] = json.load(stream)
        plan = {"gateways": [{"gateway_id": i, "code": "G%d" % i, "transport": "tcp",
                              "address": "127.0.0.1:%d" % self.ports["G%d" % i],
                              "poll_interval_s": interval, "options": {"timeout_ms": 150}}
                             for i in (1, 2)],
                "meters": [{"meter_id": int(code[1:]), "code": code, "gateway_id": gateway,
                            "unit_id": unit, "model": model, "prepay_mode": "server"}
                           for code, gateway, unit, model in meters],
                "models": models}
        self.cluster.sql("UPDATE prepay.mock_state SET revision = revision + 1, plan = $p$%s$p$"
                         % json.dumps(plan))

    def start_sim(self, *args):
        with open(os.path.join(self.folder, "sim.conf"), "w", encoding="ascii") as conf:
            conf.write("control 127.0.0.1:%(control)d\ngateway G1 127.0.0.1:%(G1)d\n"
                       "gateway G2 127.0.0.1:%(G2)d\n" % self.ports)
            conf.write("meter M1 G1 1 acrel-ddsy1352 kw=36 start_kwh=1250.5\n"
                       "meter M2 G1 2 acrel-ddsy1352 kw=6 balance=50 count=3 price=0.6180\n"
                       "meter M3 G1 3 acrel-dtsd1352 kw=40 ratio=40 reverse_kw=5\n"
                       "meter M4 G2 1 eastron-sdm630 kw=5\n")
        self.sim = subprocess.Popen([SIM, "--config", "sim.conf", "--state", "sim.state"]
                                    + list(args), cwd=self.folder, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True)
        assert self.sim.stdout.readline().startswith("ready")

    def control(self, command):
        with socket.create_connection(("127.0.0.1", self.ports["control"]), 5) as link:
            link.sendall((command + "\n").encode())
            answer = link.makefile().readline().strip()
        assert answer.startswith("ok"), "%s: %s" % (command, answer)
        return dict(part.split("=", 1) for part in answer.split() if "=" in part)

    def writes(self, meter):
        """Register writes the meter has executed."""
        with socket.create_connection(("127.0.0.1", self.ports["control"]), 5) as link:
            link.sendall(("journal %s\n" % meter).encode())
            lines = []
            for line in link.makefile():
                if line.strip() == "end":
                    break
                lines.append(line.strip())
        return [line for line in lines if "fc=" in line or "write" in line]

    def start_agent(self, *args, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "--config", "agent.conf"] + list(args),
                                            cwd=self.folder, stdout=log, stderr=log)
        if wait:
            wait_for("metrics", lambda: self.metric("prepayd_plan_revision") is not None)

    def metric(self, name):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.ports["metrics"],
                                        timeout=2) as page:
                text = page.read().decode()
        except OSError:
            return None
        found = re.search("^%s (-?[0-9]+)$" % re.escape(name), text, re.M)
        return int(found.group(1)) if found else None

    def health(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/healthz" % self.ports["metrics"],
                                        timeout=2) as page:
                return page.status
        except urllib.error.HTTPError as error:
            return error.code

    def kill_agent(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        code = self.process.wait(10)
        self.process = None
        return code

    def readings(self, meter=None):
        where = " WHERE meter_id = %d" % meter if meter else ""
        return self.cluster.number("SELECT count(*) FROM prepay.mock_reading" + where)

    def wait_readings(self, more=4, meter=None, seconds=15):
        target = self.readings(meter) + more
        wait_for("%d readings" % target, lambda: self.readings(meter) >= target, seconds)

    def order(self, meter, action, args="{}", valid="'infinity'"):
        return self.cluster.number(
            "INSERT INTO prepay.mock_command(gateway_id, meter_id, action, args, valid_until)"
            " VALUES (1, %d, '%s', '%s', %s) RETURNING command_id" % (meter, action, args, valid))

    def outcome(self, command, seconds=25):
        """(status, result) once the command has ended."""
        row = wait_for("command %d to end" % command, lambda: self.cluster.sql(
            "SELECT status || ' ' || result FROM prepay.mock_command WHERE command_id = %d"
            " AND status NOT IN ('queued', 'sent')" % command), seconds)
        status, result = row.split(" ", 1)
        return status, json.loads(result)

    def contact(self, kind, number):
        return self.cluster.sql("SELECT state FROM prepay.mock_contact WHERE kind = '%s' AND"
                                " id = %d ORDER BY at DESC LIMIT 1" % (kind, number))

    def check_exactly_once(self):
        """Numbers without holes, rows that add up, and no batch the database had to refuse."""
        wait_for("the spool to empty", lambda: self.metric("prepayd_spool_records") == 0)
        holes = self.cluster.number(
            "SELECT count(*) FROM (SELECT max(seq) - count(*) AS n FROM prepay.mock_batch"
            " GROUP BY spool) s WHERE n <> 0")
        rows = self.cluster.number("SELECT coalesce(sum(rows), 0) FROM prepay.mock_batch")
        assert holes == 0, "holes in the numbers"
        assert rows == self.readings(), "%d rows in batches, %d readings" % (rows, self.readings())
        with open(self.log, encoding="utf-8") as log:
            refused = [line for line in log if "event=ingest_refused" in line
                       and "sqlstate=57" not in line and "sqlstate=none" not in line]
        assert not refused, refused[:3]

    def close(self):
        for process in (self.process, self.sim):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


# ---- scenarios ----

def polls(world):
    """What the database gets is what the meters show."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(12)
    row = world.cluster.sql("SELECT relay_closed, purchase_count, period_kwh IS NOT NULL,"
                            " meter_balance, kwh - 1250.5 BETWEEN 0 AND 1"
                            " FROM prepay.mock_reading WHERE meter_id = 1 LIMIT 1")
    assert row == "t|0|t|0.00|t", row
    truth = world.control("get M2")
    row = world.cluster.sql("SELECT purchase_count, relay_closed IS NULL, kwh FROM"
                            " prepay.mock_reading WHERE meter_id = 2 ORDER BY read_at DESC LIMIT 1")
    count, unknown, kwh = row.split("|")
    assert (count, unknown) == ("3", "t"), row
    assert abs(float(kwh) - float(truth["kwh"])) < 0.05, (row, truth)
    assert world.cluster.number("SELECT count(*) FROM prepay.mock_reading WHERE meter_id = 3 AND"
                                " reverse_kwh IS NULL") == 0
    assert world.health() == 200
    late = world.cluster.sql("SELECT max(extract(epoch FROM read_at) % 1)"
                             " FROM (SELECT *, row_number() OVER (PARTITION BY meter_id ORDER BY"
                             " read_at) AS n FROM prepay.mock_reading) r WHERE n > 1")
    assert float(late) < 0.5, "polls off the grid by %s s" % late
    world.check_exactly_once()
    assert world.kill_agent(signal.SIGTERM) == 0


def relay(world):
    """Trip stops the energy, is reported with the observed state, and close undoes it."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    status, result = world.outcome(world.order(1, "trip"))
    assert (status, result["relay_closed"]) == ("done", False), (status, result)
    before = world.control("get M1")
    assert before["relay"] == "open"
    time.sleep(1)
    assert world.control("get M1")["kwh"] == before["kwh"]
    wait_for("a reading with the relay open", lambda: world.cluster.number(
        "SELECT count(*) FROM prepay.mock_reading WHERE meter_id = 1 AND NOT relay_closed"))
    status, result = world.outcome(world.order(1, "close"))
    assert (status, result["relay_closed"]) == ("done", True), (status, result)
    assert world.control("get M1")["relay"] == "closed"
    status, result = world.outcome(world.order(1, "prepaid"))
    assert status == "done" and "relay_closed" not in result, (status, result)
    assert world.outcome(world.order(3, "trip"))[0] == "refused"
    assert world.outcome(world.order(1, "trip", valid="now() - interval '1 s'"))[0] == "expired"
    assert world.outcome(world.order(99, "trip"))[0] == "failed"
    status, result = world.outcome(world.order(4, "read"))
    assert status == "done" and "kwh" in result, (status, result)


def lost_answers(world):
    """A write whose answer is lost is settled by reading back, and never done twice blindly."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    world.control("fault M1 silence lost=answer on=write n=1")
    assert world.outcome(world.order(1, "trip"))[0] == "done"
    assert len(world.writes("M1")) == 1, world.writes("M1")
    world.control("fault M1 silence on=write n=1")
    assert world.outcome(world.order(1, "close"))[0] == "done"
    assert world.control("get M1")["relay"] == "closed"
    world.control("fault M1 disconnect lost=answer on=write n=1")
    assert world.outcome(world.order(1, "trip"))[0] == "done"
    world.control("fault M1 exception code=6 on=write n=2")
    assert world.outcome(world.order(1, "close"))[0] == "done"
    world.control("fault M1 exception code=2 on=write n=1")
    status, result = world.outcome(world.order(1, "trip"))
    assert (status, result["exception"]) == ("refused", 2), (status, result)
    for fault in ("late ms=400", "wrong_tid", "wrong_unit", "partial ms=50", "glue", "noise"):
        world.control("fault M1 %s on=write n=1" % fault)
        assert world.outcome(world.order(1, "trip"))[0] == "done", fault
        assert world.outcome(world.order(1, "close"))[0] == "done", fault


def recharges(world):
    """Money is added once whatever happens to requests and answers."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    price = 0.6180
    start = world.control("get M2")
    count = int(start["count"])
    added = 0
    faults = ["off", "silence lost=answer on=write n=1", "silence on=write n=1",
              "disconnect lost=answer on=write n=1", "disconnect on=write n=1",
              "late ms=300 on=any n=2", "partial ms=30 n=3", "wrong_tid on=write n=1",
              "glue n=4", "exception code=6 on=write n=1"]
    for fault in faults:
        world.control("fault M2 " + fault)
        count += 1
        status, result = world.outcome(
            world.order(2, "recharge", '{"amount": "10.00", "count": %d}' % count))
        assert status == "done", (fault, status, result)
        assert result["purchase_count"] == count, (fault, result)
        added += 10
    world.control("fault M2 off")
    # The same order again, as after a lost lease: done, and nothing added.
    assert world.outcome(world.order(2, "recharge",
                                     '{"amount": "10.00", "count": %d}' % count))[0] == "done"
    status, result = world.outcome(
        world.order(2, "recharge", '{"amount": "10.00", "count": %d}' % (count + 5)))
    assert status == "refused" and result["purchase_count"] == count, (status, result)
    end = world.control("get M2")
    used = (float(end["energy"]) - float(start["energy"])) * price
    expected = float(start["balance"]) + added - used
    assert int(end["count"]) == count
    assert abs(float(end["balance"]) - expected) < 0.03, (start, end, expected)


def unreachable(world):
    """A dead gateway: commands fail or stay unknown as they must, contact is reported, and back."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(8)
    world.control("fault G1 refuse")
    status, result = world.outcome(world.order(1, "trip"))
    assert status == "failed", (status, result)
    wait_for("gateway 1 lost", lambda: world.contact("gateway", 1) == "lost")
    assert world.contact("gateway", 2) == "ok"
    assert world.contact("meter", 1) == "ok"
    world.wait_readings(2, meter=4)
    world.control("fault G1 off")
    wait_for("gateway 1 back", lambda: world.contact("gateway", 1) == "ok", 20)
    world.wait_readings(2, meter=1)
    # Written, then the line goes dead before anything can be read back.
    world.control("fault M1 silence lost=answer")
    command = world.order(1, "trip")
    status, result = world.outcome(command)
    assert status == "unknown", (status, result)
    world.control("fault M1 off")
    wait_for("the unknown to be resolved", lambda: world.outcome(command)[0] == "done")
    assert world.control("get M1")["relay"] == "open"
    assert len([line for line in world.writes("M1")]) == 1


def dead_meter(world):
    """A silent meter is reported once, probed rarely, costs the others nothing, and comes back."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(8)
    world.control("fault M2 silence")
    wait_for("meter 2 lost", lambda: world.contact("meter", 2) == "lost", 20)
    assert world.contact("gateway", 1) == "ok"
    before = world.metric('prepayd_answers_total{result="timeout"}')
    ones = world.readings(1)
    time.sleep(6)
    assert world.readings(1) - ones >= 5
    assert world.metric('prepayd_answers_total{result="timeout"}') - before <= 4
    assert world.cluster.number("SELECT count(*) FROM prepay.mock_contact WHERE kind = 'meter'"
                                " AND id = 2 AND state = 'lost'") == 1
    world.control("fault M2 off")
    status, result = world.outcome(world.order(2, "read"))
    assert status == "done", (status, result)
    wait_for("meter 2 back", lambda: world.contact("meter", 2) == "ok")
    world.wait_readings(2, meter=2)
    world.check_exactly_once()


def line_noise(world):
    """Every fault of the line at once: no false value, no lost order of the register."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    for fault in ("wrong_tid p=0.3", "glue p=0.5", "partial ms=40 p=0.5", "wrong_unit p=0.3",
                  "noise p=0.3", "late ms=250 p=0.3", "disconnect p=0.2",
                  "exception code=4 p=0.3"):
        world.control("fault G1 " + fault)
        time.sleep(2.5)
    world.control("fault G1 off")
    world.wait_readings(4)
    falls = world.cluster.number(
        "SELECT count(*) FROM (SELECT kwh - lag(kwh) OVER (PARTITION BY meter_id ORDER BY read_at)"
        " AS step FROM prepay.mock_reading) s WHERE step < 0 OR step > 1")
    assert falls == 0
    assert world.cluster.number("SELECT count(*) FROM prepay.mock_reading WHERE meter_id = 1 AND"
                                " relay_closed IS DISTINCT FROM true") == 0
    world.check_exactly_once()


def database_down(world):
    """Polling goes on without the database; everything arrives, once, when it is back."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    world.control("fault M1 late ms=120")
    command = world.order(1, "trip")
    wait_for("the command to be taken", lambda: world.cluster.sql(
        "SELECT status FROM prepay.mock_command WHERE command_id = %d" % command) == "sent")
    world.cluster.stop("immediate")
    time.sleep(4)
    assert world.metric("prepayd_spool_records") > 8
    assert world.control("get M1")["relay"] == "open"
    world.control("fault M1 off")
    world.cluster.start()
    assert world.outcome(command)[0] == "done"
    world.check_exactly_once()
    gaps = world.cluster.number(
        "SELECT count(*) FROM (SELECT read_at - lag(read_at) OVER (PARTITION BY meter_id ORDER BY"
        " read_at) AS step FROM prepay.mock_reading) s WHERE step > interval '2.5 s'")
    assert gaps == 0, "%d grid points without a reading" % gaps
    world.cluster.stop("fast")
    world.kill_agent()
    # From the cache, with the database away.
    world.start_agent()
    wait_for("polls from the cached plan",
             lambda: (world.metric("prepayd_spool_records") or 0) > 8, 20)
    world.cluster.start()
    world.check_exactly_once()


def killed(world):
    """kill -9 of the agent and crashes of the database, again and again, under commands."""
    world.start_sim()
    commands = []
    for turn in range(12):
        world.start_agent(wait=False)
        time.sleep(0.8 + 0.13 * turn)
        if turn % 4 == 3:
            world.cluster.stop("immediate")
            time.sleep(0.5)
            world.kill_agent()
            world.cluster.start()
        else:
            commands.append(world.order(1, "trip" if turn % 2 else "close"))
            time.sleep(0.002 * turn)
            world.kill_agent()
    world.start_agent()
    for command in commands:
        status, result = world.outcome(command, 60)
        assert status in ("done", "unknown", "failed"), (status, result)
    wait_for("no command unknown", lambda: world.cluster.number(
        "SELECT count(*) FROM prepay.mock_command WHERE status = 'unknown'") == 0, 60)
    world.wait_readings(8)
    world.check_exactly_once()
    assert world.cluster.number("SELECT count(DISTINCT spool) FROM prepay.mock_spool") == 1


def refused_ingest(world):
    """A batch the database refuses is kept, shown, and delivered when it may be."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(4)
    world.cluster.sql("UPDATE prepay.mock_state SET ingest_error = '23514'")
    wait_for("unhealthy", lambda: world.health() == 503)
    assert world.metric("prepayd_ingest_blocked") == 1
    time.sleep(2)
    world.cluster.sql("UPDATE prepay.mock_state SET ingest_error = NULL")
    wait_for("healthy", lambda: world.health() == 200, 20)
    wait_for("delivery", lambda: world.metric("prepayd_spool_records") == 0)
    with open(world.log, encoding="utf-8") as log:
        assert 'hint="clear mock_state.ingest_error"' in log.read()
    holes = world.cluster.number("SELECT max(seq) - count(*) FROM prepay.mock_batch")
    assert holes == 0


def running_clock(world):
    """Under T@REAL*2880 a half-hour grid is 0.625 s, and read_at is business time."""
    real = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(real)) + "+00:00"
    world.set_plan(1800)
    world.cluster.sql("UPDATE prepay.mock_state SET clock = '"
                      "{\"at\": \"2026-01-05T00:00:00+08:00\","
                      " \"real\": \"%s\", \"rate\": 2880}'" % stamp)
    world.start_sim("--clock", "2026-01-05T00:00:00+08:00@%s*2880" % stamp)
    world.start_agent()
    world.wait_readings(40, seconds=20)
    time.sleep(0.5)
    step = world.cluster.sql(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY step) FROM (SELECT extract(epoch FROM"
        " read_at - lag(read_at) OVER (ORDER BY read_at)) AS step FROM prepay.mock_reading"
        " WHERE meter_id = 1) s")
    assert 1700 < float(step) < 1900, step
    late = world.cluster.sql(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM read_at)::numeric"
        " % 1800) FROM prepay.mock_reading")
    assert float(late) < 120, "median %s business seconds past the grid" % late
    assert world.metric("prepayd_clock_skew_seconds") < 1
    # The clock is taken back: stamps follow.
    world.cluster.sql("UPDATE prepay.mock_state SET clock = NULL")
    world.set_plan(1)
    wait_for("readings in real time", lambda: world.cluster.number(
        "SELECT count(*) FROM prepay.mock_reading WHERE read_at BETWEEN now() - interval '1 min'"
        " AND now() + interval '1 s'") >= 8, 20)


def new_plan(world):
    """A changed revision is applied without a restart; a malformed one changes nothing."""
    world.start_sim()
    world.start_agent()
    world.wait_readings(8)
    world.set_plan(1, [("M1", 1, 1, "acrel-ddsy1352"), ("M5", 1, 3, "acrel-dtsd1352")])
    world.process.send_signal(signal.SIGHUP)
    world.wait_readings(3, meter=5)
    ones = world.readings(1)
    fours = world.readings(4)
    world.cluster.sql("UPDATE prepay.mock_state SET revision = revision + 1,"
                      " plan = jsonb_set(plan, '{meters,0,gateway_id}', '77')")
    world.process.send_signal(signal.SIGHUP)
    time.sleep(2.5)
    assert world.readings(4) == fours
    assert world.readings(1) > ones
    with open(world.log, encoding="utf-8") as log:
        assert "event=plan_malformed" in log.read()
    world.set_plan(1)
    world.process.send_signal(signal.SIGHUP)
    world.wait_readings(3, meter=4)
    assert world.kill_agent(signal.SIGTERM) == 0


def modes(world):
    """--once, --dump-plan, --check-config, a damaged spool and a second process."""
    world.start_sim()
    world.start_agent("--once", wait=False)
    assert world.process.wait(20) == 0
    world.process = None
    assert world.readings() == 4
    shown = subprocess.run([world.program, "--config", "agent.conf", "--dump-plan"],
                           cwd=world.folder, capture_output=True, text=True, check=True).stdout
    assert "fc=3 addr=0x004E n=11" in shown and "source=cache" in shown, shown
    subprocess.run([world.program, "--config", "agent.conf", "--check-config"], cwd=world.folder,
                   check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(world.spool, "spool.db"), "r+b") as spool:
        spool.write(b"garbage" * 1000)
    world.start_agent()
    world.wait_readings(8)
    assert glob.glob(os.path.join(world.spool, "spool.db.bad-*"))
    second = subprocess.run([world.program, "--config", "agent.conf"], cwd=world.folder,
                            capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode == 1 and "another process" in second.stderr, second.stderr
    world.check_exactly_once()


SCENARIOS = [polls, relay, lost_answers, recharges, unreachable, dead_meter, line_noise,
             database_down, killed, refused_ingest, running_clock, new_plan, modes]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", default=os.path.join(ROOT, "agent", "prepayd"))
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed scenarios")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    program = os.path.abspath(options.agent)
    folder = tempfile.mkdtemp(prefix="prepayd-pg-")
    cluster = Cluster(folder)
    failed = 0
    try:
        for scenario in SCENARIOS:
            if options.names and scenario.__name__ not in options.names:
                continue
            world = World(cluster, program)
            begun = time.monotonic()
            try:
                scenario(world)
                print("ok     %-16s %4.1f s  %s" % (scenario.__name__, time.monotonic() - begun,
                                                    scenario.__doc__.split("\n")[0]), flush=True)
                good = True
            except Exception:  # every kind of failure fails the scenario, not the run
                failed += 1
                good = False
                print("FAILED %s" % scenario.__name__)
                traceback.print_exc(file=sys.stdout)
                print("see %s" % world.log, flush=True)
                subprocess.run(cluster.user + [PG_BIN + "/pg_ctl", "-D", cluster.data, "-w", "-l",
                                               os.path.join(folder, "log"), "start"], check=False,
                               capture_output=True, cwd=folder)
            world.close()
            if good or not options.keep:
                shutil.rmtree(world.folder, ignore_errors=True)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
    print("%d failed" % failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
