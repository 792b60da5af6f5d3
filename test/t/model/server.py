"""A server as the model sees it: fresh copies of a database, a clock that runs, a crash.

Statements go through psql, so no driver is needed.
"""
import os
import signal
import subprocess
import threading
import time

import history

END = "\x03"
FIELD = "\x1f"
NULL = "\x02"


class SqlError(Exception):
    pass


class Psql:
    def __init__(self, conninfo):
        self.conninfo = conninfo
        self.process = subprocess.Popen(
            ["psql", "-XAtq", "-F", FIELD, "-P", "null=" + NULL, "-d", conninfo],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PGOPTIONS": "-c client_min_messages=error"})

    def send(self, sql):
        try:
            self.process.stdin.write("%s;\n\\echo %s:ERROR\n" % (sql, END))
            self.process.stdin.flush()
        except BrokenPipeError:
            raise SqlError("the connection is lost") from None

    def receive(self):
        """Rows of the statement sent last; None for NULL."""
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith(END):
                break
            lines.append(line)
        else:
            raise SqlError("the connection is lost: " + " ".join(lines))
        if line == END + "true":
            raise SqlError(" ".join(lines).strip())
        return [[None if f == NULL else f for f in row.split(FIELD)] for row in lines]

    def run(self, sql):
        self.send(sql)
        return self.receive()

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        self.process.wait()


def connected(conninfo):
    """A session with a server that may still be starting."""
    for _ in range(600):
        session = Psql(conninfo)
        try:
            session.run("SELECT 1")
            return session
        except SqlError:
            time.sleep(0.05)
    raise SqlError("the server does not come back")


class Server:
    """Copies of the template database, one at a time."""
    def __init__(self, conninfo, template):
        self.conninfo, self.template = conninfo, template
        self.control = Psql(conninfo + " dbname=postgres")
        self.name = "%s_%d" % (template, os.getpid())
        self.session = self.ticker = None

    def fresh(self):
        self.stop_running()
        if self.session:
            self.session.close()
        self.control.run('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.name)
        self.control.run('CREATE DATABASE "%s" TEMPLATE "%s"' % (self.name, self.template))
        self.session = Psql(self.conninfo + " dbname=" + self.name)
        self.latest = 0

    def run(self, sql):
        return self.session.run(sql)

    def close(self):
        self.session.close()
        self.control.run('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.name)
        self.control.close()

    # ---- a clock that runs ----

    def start_running(self, step):
        self.clock = {**step, "real": int(time.time() * 1_000_000)}
        self.run(history.statement(self.clock))
        self.ticker = Ticker(self.conninfo + " dbname=" + self.name, history.statement(self.clock))

    def wait(self, until):
        """Until the running clock shows a time; what was frozen for a statement runs again."""
        while self.running_now() <= until:
            time.sleep(0.001)
        self.run(history.statement(self.clock))

    def running_now(self):
        passed = time.time() * 1_000_000 - self.clock["real"]
        return self.clock["from"] + int(passed * self.clock["rate"])

    def stop_running(self, quietly=False):
        """Raises what tick() has failed with, unless something else went wrong before."""
        if self.ticker:
            ticker, self.ticker = self.ticker, None
            self.latest = self.running_now()
            ticker.stop()
            if ticker.error and not quietly:
                raise ticker.error

    # ---- a crash ----

    def crash(self, clock, step):
        """A server process dies in the middle of its work, and all others with it."""
        pid = int(self.run("SELECT pg_catalog.pg_backend_pid()")[0][0])
        self.run("BEGIN")
        self.run(history.statement(step))
        os.kill(pid, signal.SIGKILL)
        for session in (self.session, self.control):
            session.close()
        self.control = connected(self.conninfo + " dbname=postgres")
        self.session = connected(self.conninfo + " dbname=" + self.name)
        self.run(history.statement(clock))


class Ticker(threading.Thread):
    """Calls tick() until it is told to stop."""
    def __init__(self, conninfo, clock):
        super().__init__()
        self.session = Psql(conninfo)
        self.session.run(clock)
        self.done, self.error = threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.done.is_set():
                self.session.run("SELECT prepay.tick(3)")
                time.sleep(0.002)
        except SqlError as error:
            self.error = error

    def stop(self):
        self.done.set()
        self.join()
        self.session.close()
