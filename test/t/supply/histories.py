"""Random histories of towns, told to the server and to the rules at once.

Each account of a town has a history of its own; they share the clock, the agent, tick(), policies and schedules.
What must hold at every step:

  - a trip is handed out only while the rules want the meter off at that moment, a close only while they do not;
    so nobody is cut after he has paid, in a protected time, or against keep_on;
  - a command whose last attempt may have been carried out is read back before anything is written;
  - a meter has at most one relay command waiting and one under way;
  - an answer that comes twice, or to an attempt that is not the present one, changes nothing;
  - no more trips for want of money go out in a minute than the limit, but for those a supervisor confirmed;

and, when the field is quiet for SETTLE rounds of tick(), reading, taking and reporting:

  - every relay is where the rules want it;
  - the server's decision is the rules' in name, and so are the active alarms;
  - each crossing has given one message, for the deepest level.
"""
import argparse
import json
import os
import random
import sys
import time
from datetime import datetime, timedelta

import contract
import field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
import server as servers  # noqa: E402

SETTLE = 3
LIVE = "('queued', 'sent', 'unknown')"
LIMIT = 4


class Broken(Exception):
    pass


def money(cents):
    return "%s%d.%02d" % ("-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100)


def quoted(value):
    return "'" + str(value).replace("'", "''") + "'"


def rows_of(values):
    return ", ".join("(" + ", ".join(v) + ")" for v in values)


class History:
    def __init__(self, server, seed, accounts):
        self.server, self.random = server, random.Random(seed)
        self.now = datetime(2026, 3, 2, 8) + timedelta(hours=self.random.randrange(72))
        self.town, self.log, self.keys = contract.Town(), {}, 0
        self.has_limit = self.random.random() < 0.4
        self.passed = 0  # trips under the limit in this minute
        self.read_at, self.spooled = {}, []
        self.longest = self.handed_out = 0
        self.met = {}
        self.build(accounts)

    # ---- the town ----

    def build(self, accounts):
        at, number = self.now, 0
        for n in range(1, accounts + 1):
            opening = self.random.choice([0, 600, 1000, 2500, 4000])
            account = contract.Account(n, opening, self.random.choice([0, 0, 0, 1000]) if opening else 0)
            self.town.accounts.append(account)
            for _ in range(2 if self.random.random() < 0.1 else 1):
                number += 1
                self.town.meters.append(contract.Meter(number, account))
        self.field = field.Field(self.random, [m.number for m in self.town.meters])
        self.server.fresh()
        self.set_clock()
        self.sql("SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai')")
        self.sql("SELECT prepay.define_tariff('one', '{\"prices\": 1}')")
        settings = [("tariff", "one"), ("alarm1_amount", money(contract.ALARM1)), ("alarm2_amount", money(contract.ALARM2)),
                    ("alarm_margin", money(contract.MARGIN))]
        if self.has_limit:
            settings.append(("trip_limit_per_minute", LIMIT))
        for name, value in settings:
            self.sql("SELECT prepay.set_setting('town', %s, %s)" % (quoted(name), quoted(value)))
        self.sql("SELECT prepay.create_agent('gw')")
        self.sql("INSERT INTO prepay.gateway (site_id, code, agent) SELECT 1, 'G' || n, 'gw' FROM generate_series(1, %d) AS n"
                 % (number // 200 + 1))
        self.sql("INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id) SELECT 1, 'M' || n, 1 + n / 200, 1 + n %% 200"
                 " FROM generate_series(1, %d) AS n" % number)
        self.sql("SELECT count(prepay.open_account('A' || n, 'Tenant', phone => '139' || n, meters => m,"
                 " opening_balance => b, key => 'o' || n, options => o)) FROM (VALUES %s) AS v (n, m, b, o)" % rows_of(
                     (str(a.number), "ARRAY[%s]" % ", ".join("'M%d'" % m.number for m in self.meters_of(a)),
                      money(a.balance), "'{\"credit_limit\": %s}'::jsonb" % money(a.credit))
                     for a in self.town.accounts))
        for account in self.town.accounts:
            account.changed(at)
        self.read(self.town.meters, use=False)
        self.add_schedule(None, self.window(5))
        self.add_window_policy(None, self.window(9))
        if self.random.random() < 0.5:
            self.grace(None, 600)

    def meters_of(self, account):
        return [m for m in self.town.meters if m.account is account]

    def some(self, items, share):
        return [i for i in items if self.random.random() < share]

    # ---- talking ----

    def sql(self, statement):
        return self.server.run(statement)

    def refused(self, statement):
        """Whether the server refuses a statement by its rule of supply."""
        try:
            self.sql(statement)
        except servers.SqlError as error:
            if "stay off" in str(error) or "cannot be switched on" in str(error):
                return True
            raise
        return False

    def note(self, meter, text):
        self.log.setdefault(meter.number, []).append("%s  %s" % (self.now, text))

    def note_account(self, account, text):
        for meter in self.meters_of(account):
            self.note(meter, "%s, balance %s" % (text, money(account.balance)))

    def must(self, good, meter, what):
        if not good:
            raise Broken("%s\n%s" % (what, "\n".join(self.log.get(meter.number, [])[-40:]) if meter else ""))

    def key(self):
        self.keys += 1
        return "'k%d'" % self.keys

    def at(self, time_=None):
        return quoted((time_ or self.now).strftime("%Y-%m-%d %H:%M:%S+08"))

    def set_clock(self):
        self.sql("SET prepay.now = %s" % self.at())

    # ---- what people and time do ----

    def pass_time(self):
        self.now += timedelta(seconds=self.random.choice([1, 1, 60, 300, 901, 901, 3600, 3600, 3600 * 5]))
        self.set_clock()

    def read(self, meters, use=True):
        """Readings of now; some are held back and come later, with the relay as it was."""
        rows = []
        for meter in meters:
            number = meter.number
            if self.read_at.get(number) == self.now:
                continue
            self.read_at[number] = self.now
            used = self.random.choice([0, 2, 5, 10, 20]) if use and self.field.closed[number] else 0
            if used and not meter.account.funded:
                used = 0
            self.field.register[number] += used
            row = (number, self.now, self.field.register[number], self.field.closed[number])
            if use and self.random.random() < 0.1:
                self.spooled.append(row)
            else:
                rows.append(row)
        self.store(rows)

    def store(self, rows):
        if not rows:
            return
        self.sql("INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES %s" % rows_of(
            ("1", str(m), self.at(t), str(kwh), str(closed)) for m, t, kwh, closed in rows))
        for number, at, kwh, closed in rows:
            meter = self.town.meters[number - 1]
            meter.charged = max(getattr(meter, "charged", 0), kwh)
            self.note(meter, "read %d kWh, relay %s at %s" % (kwh, closed, at))
        for account in {self.town.meters[r[0] - 1].account for r in rows}:
            self.settle_balance(account)

    def settle_balance(self, account, paid=0):
        account.paid = getattr(account, "paid", account.balance) + paid
        used = 100 * sum(getattr(m, "charged", 0) for m in self.meters_of(account))
        if paid or account.balance != account.paid - used:
            account.balance = account.paid - used
            account.changed(self.now)

    def unspool(self):
        self.random.shuffle(self.spooled)
        rows, self.spooled = self.spooled, []
        self.store(rows)

    def pay(self):
        chosen = [a for a in self.some(self.town.accounts, 0.2) if not a.suspended]
        paid = {a: self.random.choice([100, 500, 1500, 3000, max(100, 600 - a.balance)]) for a in chosen}
        if chosen:
            self.sql("SELECT s.balance FROM (VALUES %s) AS v (n, amount, key), prepay.sell('A' || v.n, v.amount, v.key) AS s"
                     % rows_of((str(a.number), money(paid[a]), self.key()) for a in chosen))
        for account in chosen:
            self.settle_balance(account, paid[account])
            self.note_account(account, "paid %s" % money(paid[account]))

    def adjust(self):
        for account in self.some(self.town.accounts, 0.02):
            amount = self.random.choice([-3000, -700, -100, 100, 900])
            if amount < 0 and not account.funded:
                continue
            self.sql("SELECT prepay.adjust('A%d', %s, %s, 'test')" % (account.number, money(amount), self.key()))
            self.settle_balance(account, amount)
            self.note_account(account, "adjusted by %s" % money(amount))

    def change_account(self):
        for account in self.some(self.town.accounts, 0.06):
            if self.random.random() < 0.5:
                account.suspended = not account.suspended
                change = {"state": "suspended" if account.suspended else "open"}
            elif account.funded:
                account.credit = self.random.choice([0, 1000, 3000])
                change = {"credit_limit": account.credit // 100}
            else:
                continue
            self.sql("SELECT prepay.update_account('A%d', %s)" % (account.number, quoted(json.dumps(change))))
            account.changed(self.now)
            self.note_account(account, "changed to %s" % change)

    def order(self):
        for meter in self.some(self.town.meters, 0.1):
            action = self.random.choice(["keep_on", "prepaid", "prepaid", "trip", "close", "close", "lock", "unlock", "unlock"])
            after = {"keep_on": "keep_on", "trip": "forced_off", "prepaid": "",
                     "close": "" if meter.order == "forced_off" else meter.order or ""}.get(action)
            side = contract.SIDE[self.town.rule(meter, self.now, after)]
            refused = self.refused("SELECT prepay.control('M%d', '%s')" % (meter.number, action))
            self.note(meter, "%s ordered%s" % (action, ", refused" if refused else ""))
            self.must(refused == (action in ("keep_on", "close") and side == "off"), meter,
                      "%s of M%d %s" % (action, meter.number, "is refused" if refused else "is not refused"))
            if refused:
                continue
            if after is not None:
                meter.order = after or None
            if action in ("lock", "unlock"):
                meter.locked = action == "lock"

    def tenant(self):
        for meter in self.some(self.town.meters, 0.08):
            on = self.random.random() < 0.6
            was, meter.tenant_off = meter.tenant_off, not on
            rule = self.town.rule(meter, self.now)
            refused = self.refused("SELECT prepay.tenant_switch(1, %d, %s)" % (meter.number, on))
            self.note(meter, "tenant switches %s%s" % ("on" if on else "off", ", refused" if refused else ""))
            self.must(refused == (on and contract.SIDE[rule] != "on"), meter, "tenant's switch of M%d" % meter.number)
            if refused:
                meter.tenant_off = was

    def window(self, longest=40):
        quarter = timedelta(minutes=15)
        start = self.random.randrange(96)
        end = (start + self.random.choice([n for n in (1, 4, 8, 16, 40) if n <= longest])) % 96
        days = sorted(self.random.sample(range(1, 8), self.random.choice([0, 3, 6])))
        return contract.Window(start * quarter, end * quarter, days)

    def window_sql(self, window):
        times = ["'%02d:%02d'" % divmod(t // timedelta(minutes=1), 60) for t in (window.start, window.end)]
        return times + ["ARRAY%s::int[]" % window.weekdays if window.weekdays else "NULL"]

    def policy(self):
        number = len(self.town.policies)
        if number > 5 or (number and self.random.random() < 0.5):
            index = self.random.randrange(number)
            policy = self.town.policies[index]
            policy.active = not policy.active
            self.sql("UPDATE prepay.supply_policy SET active = %s WHERE code = 'P%d'" % (policy.active, index))
            return
        account = self.random.choice([None, *self.random.sample(self.town.accounts, 3)])
        scope = str(account.number) if account else "NULL"
        kind = self.random.choice(["window", "window", "grace", "dispute"])
        if kind == "window":
            self.add_window_policy(account, self.window())
        elif kind == "grace":
            self.grace(account, self.random.choice([10, 60, 600, 3000]))
        else:
            policy = contract.Policy(account, until=self.now + timedelta(minutes=self.random.choice([30, 600, 3000])))
            self.sql("INSERT INTO prepay.supply_policy (site_id, code, account_id, dispute, valid_to)"
                     " VALUES (1, 'P%d', %s, true, %s)" % (number, scope, self.at(policy.until)))
            self.town.policies.append(policy)

    def add_window_policy(self, account, window):
        self.sql("INSERT INTO prepay.supply_policy (site_id, code, account_id, from_time, to_time, weekdays)"
                 " VALUES (1, 'P%d', %s, %s)" % (len(self.town.policies), account.number if account else "NULL",
                                                ", ".join(self.window_sql(window))))
        self.town.policies.append(contract.Policy(account, window=window))

    def grace(self, account, minutes):
        self.sql("INSERT INTO prepay.supply_policy (site_id, code, account_id, grace) VALUES (1, 'P%d', %s, '%d minutes')"
                 % (len(self.town.policies), account.number if account else "NULL", minutes))
        self.town.policies.append(contract.Policy(account, grace=timedelta(minutes=minutes)))

    def schedule(self):
        number = len(self.town.schedules)
        if number > 5 or (number and self.random.random() < 0.5):
            index = self.random.randrange(number)
            schedule = self.town.schedules[index]
            schedule.active = not schedule.active
            self.sql("UPDATE prepay.switch_schedule SET active = %s WHERE code = 'S%d'" % (schedule.active, index))
            return
        self.add_schedule(self.random.choice([None, *self.random.sample(self.town.meters, 3)]), self.window())

    def add_schedule(self, meter, window):
        self.sql("INSERT INTO prepay.switch_schedule (site_id, code, meter_id, from_time, to_time, weekdays)"
                 " VALUES (1, 'S%d', %s, %s)" % (len(self.town.schedules), meter.number if meter else "NULL",
                                                ", ".join(self.window_sql(window))))
        self.town.schedules.append(contract.Schedule(meter, window))

    def touch(self):
        """Somebody is at the meter itself: its relay moves, the next reading shows it."""
        for meter in self.some(self.town.meters, 0.01):
            self.field.closed[meter.number] = not self.field.closed[meter.number]
            self.note(meter, "relay moved by hand: closed %s" % self.field.closed[meter.number])

    def tick(self):
        self.sql("SELECT prepay.tick(%d)" % self.random.choice([3, 20, 1000]))

    def wait(self, minutes=None):
        """Real time passes: leases end, attempts become due."""
        minutes = minutes or self.random.choice([2, 2, 20])
        self.sql("UPDATE prepay.command SET lease_until = lease_until - interval '%(m)d minutes',"
                 " not_before = not_before - interval '%(m)d minutes', passed_at = passed_at - interval '%(m)d minutes'"
                 " WHERE status IN %(live)s OR passed_at IS NOT NULL" % {"m": minutes, "live": LIVE})
        self.sql("UPDATE prepay.meter_control SET decide_at = decide_at - interval '%d minutes'"
                 " WHERE decide_at IS NOT NULL" % minutes)
        self.passed = 0

    def confirm(self):
        if self.has_limit:
            self.sql("SELECT prepay.confirm_trips('town')")

    # ---- the agent ----

    def take(self, clean=False):
        rows = self.sql("SELECT t.command_id, t.meter_id, t.action, t.attempt, t.verify_only, c.automatic,"
                        " c.confirmation_id IS NOT NULL, to_char(t.valid_until AT TIME ZONE 'Asia/Shanghai',"
                        " 'YYYY-MM-DD HH24:MI:SS') FROM prepay.take_commands('gw', %d) t"
                        " JOIN prepay.command c ON c.site_id = 1 AND c.command_id = t.command_id"
                        % (1000 if clean else self.random.choice([5, 32, 1000])))
        reports = []
        for number, meter_id, action, attempt, verify, automatic, confirmed, until in rows:
            meter = self.town.meters[int(meter_id) - 1]
            command = {"id": int(number), "meter": meter.number, "action": action, "attempt": int(attempt),
                       "verify": verify == "t",
                       "valid_until": until and datetime.strptime(until, "%Y-%m-%d %H:%M:%S")}
            self.note(meter, "taken: %s %s, attempt %s%s" % (action, number, attempt, ", read back" if command["verify"] else ""))
            self.judge(meter, command, automatic == "t", confirmed == "t")
            report = self.field.take(command, self.now, clean)
            self.note(meter, "agent: %s, relay closed %s" % (report and report[2], self.field.closed[meter.number]))
            if report:
                reports.append(report)
        self.handed_out += len(rows)
        self.check_live()
        if not clean and self.random.random() < 0.5:
            self.answer_twice()
        self.deliver(reports)

    def judge(self, meter, command, automatic, confirmed):
        rule, number = self.town.rule(meter, self.now), command["id"]
        uncertain = self.field.open_command.pop(number, False)
        self.must(command["verify"] == uncertain, meter, "command %d is %sread back first" % (
            number, "not " if uncertain else ""))
        if command["verify"]:
            return
        if command["action"] == "trip":
            self.must(contract.SIDE[rule] == "off", meter, "M%d is cut though the rules say %s" % (meter.number, rule))
        else:
            self.must(contract.SIDE[rule] != "off", meter, "M%d is closed though the rules say %s" % (meter.number, rule))
        if command["action"] == "trip" and automatic and command["attempt"] == 1 and rule in contract.BRAKED and not confirmed:
            self.passed += 1
            self.must(not self.has_limit or self.passed <= LIMIT, meter, "trip %d in a minute" % self.passed)

    def deliver(self, reports):
        if not reports:
            return
        values = []
        for number, attempt, outcome, result in reports:
            text = {k: v.strftime("%Y-%m-%dT%H:%M:%S+08:00") if k == "read_at" else v for k, v in result.items()}
            values.append((str(number), str(attempt), quoted(outcome), quoted(json.dumps(text)) + "::jsonb"))
        rows = self.sql("SELECT v.n, r.status, c.attempts, v.i FROM (VALUES %s) AS v (n, i, o, j) JOIN prepay.command c"
                        " ON c.site_id = 1 AND c.command_id = v.n,"
                        " prepay.report_command('gw', v.n, v.i, v.o, v.j) AS r (status)" % rows_of(values))
        status = {int(r[0]): r[1] for r in rows if r[2] == r[3]}
        for report in reports:
            if report[2] == "unknown" and report[0] in status:
                self.field.open_command[report[0]] = True
            elif report[0] in status:
                self.field.open_command.pop(report[0], None)
            if self.random.random() < 0.1:
                self.field.repeats.append(report)

    def answer_late(self):
        self.field.begin_waiting(self.now)
        late, self.field.late = self.field.late, []
        for report in late:
            meter = self.sql("SELECT meter_id FROM prepay.command WHERE command_id = %d" % report[0])[0][0]
            self.note(self.town.meters[int(meter) - 1], "late answer to %d: %s" % (report[0], report[2]))
        self.deliver(late)

    def answer_twice(self):
        """An answer once more, or long after: only to the present attempt does it change anything."""
        reports = self.field.repeats + self.some(self.field.delayed, 0.5)
        self.field.repeats = []
        self.field.delayed = [r for r in self.field.delayed if r not in reports]
        for report in reports:
            number, attempt, outcome, _ = report
            before = self.command(number)
            if before[1] in ("sent", "unknown") and int(before[2]) == attempt:
                self.deliver([report])
                continue
            self.sql("SELECT prepay.report_command('gw', %d, %d, %s, '{\"relay_closed\": %s}')" % (
                number, attempt, quoted(outcome), self.random.choice(["true", "false"])))
            self.must(before == self.command(number), self.town.meters[int(before[0]) - 1],
                      "a stale answer changes command %d" % number)

    def command(self, number):
        return self.sql("SELECT meter_id, status, attempts, finished_at, result FROM prepay.command WHERE command_id = %d"
                        % number)[0]

    # ---- what must hold ----

    def check_live(self):
        rows = self.sql("SELECT meter_id FROM prepay.command WHERE status IN %s AND action IN ('trip', 'close', 'keep_on',"
                        " 'prepaid') GROUP BY meter_id HAVING count(*) FILTER (WHERE status = 'queued') > 1"
                        " OR count(*) FILTER (WHERE status <> 'queued') > 1" % LIVE)
        for row in rows:
            self.must(False, self.town.meters[int(row[0]) - 1], "M%s has two commands of a kind under way" % row[0])

    def misplaced(self):
        wanted = {m: contract.SIDE[self.town.rule(m, self.now)] for m in self.town.meters}
        return [m for m in self.town.meters if wanted[m] and (wanted[m] == "on") != self.field.closed[m.number]]

    def settle(self):
        """The field is quiet: so many rounds later every relay is where the rules want it."""
        self.answer_late()
        self.unspool()
        self.field.restart()
        for round_ in range(1, SETTLE + 1):
            self.wait(20)
            self.now += timedelta(seconds=1)
            self.set_clock()
            self.read(self.town.meters, use=False)
            for _ in range(50):
                if self.sql("SELECT prepay.tick()")[0][0] == "0":
                    break
            self.take(clean=True)
            self.confirm()
            if not self.misplaced():
                self.longest = max(self.longest, round_)
                break
        for meter in self.misplaced():
            self.must(False, meter, "M%d is %s though the rules say %s" % (
                meter.number, "on" if self.field.closed[meter.number] else "off", self.town.rule(meter, self.now)))
        self.check_decisions()
        self.check_messages()

    def check_decisions(self):
        decisions = dict(self.sql("SELECT meter, decision FROM prepay.supply_decision('town')"))
        for meter in self.town.meters:
            rule = self.town.rule(meter, self.now)
            self.met[rule] = self.met.get(rule, 0) + 1
            self.must(decisions["M%d" % meter.number] == rule, meter, "M%d: the server says %s, the rules %s" % (
                meter.number, decisions["M%d" % meter.number], rule))

    def check_messages(self):
        rows = self.sql("SELECT a.account_id, (SELECT string_agg(n.template, ' ' ORDER BY n.notification_id)"
                        " FROM prepay.notification n WHERE n.account_id = a.account_id),"
                        " (SELECT string_agg(l.kind, ' ' ORDER BY l.kind) FROM prepay.alarm l WHERE l.account_id = a.account_id"
                        " AND l.cleared_at IS NULL) FROM prepay.account a")
        for number, messages, alarms in rows:
            account = self.town.accounts[int(number) - 1]
            meter = self.meters_of(account)[0]
            self.must((messages or "").split() == account.messages, meter, "A%s has messages %s, not %s" % (
                number, messages, account.messages))
            self.must((alarms or "").split() == sorted(account.raised), meter, "A%s has alarms %s, not %s" % (
                number, alarms, sorted(account.raised)))

    # ---- a history ----

    def run(self, steps):
        often = [self.pass_time, lambda: self.read(self.some(self.town.meters, 0.35)), self.take]
        seldom = [self.pay, self.tick, self.answer_late, self.answer_twice, self.wait]
        rare = [self.order, self.tenant, self.change_account, self.adjust, self.policy, self.schedule, self.unspool,
                self.touch, self.confirm]
        acts = often * 5 + seldom * 3 + rare * 2
        for step in range(steps):
            self.random.choice(acts)()
            if step % 40 == 39:
                self.settle()
        self.settle()
        # Time alone goes by: edges of schedules and policies, ends of grace and of disputes.
        for hours in (self.random.randrange(2, 12), self.random.randrange(12, 80)):
            self.now += timedelta(hours=hours)
            self.set_clock()
            self.settle()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--conninfo", required=True)
    parser.add_argument("--template", default="supply")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=25, help="no new town after so long")
    parser.add_argument("--towns", type=int, default=1000000, help="at most so many")
    parser.add_argument("--accounts", type=int, default=250)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    server = servers.Server(options.conninfo, options.template)
    end, town, total, commands = time.time() + options.seconds, 0, 0, 0
    while town < options.towns and (time.time() < end or town == 0):
        seed, town = options.seed + town, town + 1
        history = None
        try:
            history = History(server, seed, options.accounts)
            history.run(options.steps)
            total, commands = total + options.accounts, commands + history.handed_out
            print("ok %d - seed %d: %d histories, %d commands, relays right after %d rounds" % (
                town, seed, options.accounts, history.handed_out, history.longest), flush=True)
        except Broken as fault:
            print("not ok %d - seed %d" % (town, seed))
            for line in str(fault).split("\n"):
                print("# " + line)
            return 1
    print("# %d histories, %d commands" % (total, commands))
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
