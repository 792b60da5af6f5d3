"""What supply and messages should be: the rules of the contract, and nothing of how the server keeps them.

Money is whole cents, times are datetimes of the site's wall clock (a zone without daylight saving).
"""
from datetime import timedelta

ALARM1, ALARM2, MARGIN = 2000, 500, 200
DAY = timedelta(days=1)

SIDE = {"locked": "off", "keep_on": "on", "forced_off": "off", "no_account": "off", "schedule_off": "off",
        "tenant_off": "off", "on": "on", "hold": None, "off_due": "off"}
# What the brake on mass disconnection holds back.
BRAKED = ("off_due", "no_account")


class Window:
    """A daily time, on some weekdays: past midnight it belongs to the day it began on."""
    def __init__(self, start, end, weekdays):
        self.start, self.end, self.weekdays = start, end, weekdays

    def holds(self, at):
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        since = at - day
        if self.start < self.end:
            return self.start <= since < self.end and self.fits(day)
        if since >= self.start:
            return self.fits(day)
        return since < self.end and self.fits(day - DAY)

    def fits(self, day):
        return not self.weekdays or day.isoweekday() in self.weekdays


class Account:
    def __init__(self, number, opening, credit):
        self.number, self.balance, self.credit = number, opening, credit
        self.funded = opening > 0
        self.suspended = False
        self.used_up_at = None
        self.raised = set()
        self.messages = []

    def thresholds(self):
        return (("alarm1", ALARM1, MARGIN), ("alarm2", ALARM2, MARGIN), ("arrears", -self.credit, 0))

    def has_money(self):
        return self.balance > -self.credit

    def changed(self, at):
        """The balance, the limit or the state of the account has changed."""
        self.funded = self.funded or self.balance > 0
        if self.has_money():
            self.used_up_at = None
        elif self.used_up_at is None and (self.funded or self.credit > 0):
            self.used_up_at = at
        crossed = None
        for kind, threshold, margin in self.thresholds():
            if kind in self.raised:
                if self.suspended or self.balance > threshold + margin:
                    self.raised.discard(kind)
            elif not self.suspended and self.balance <= threshold and (self.funded or threshold < 0):
                self.raised.add(kind)
                crossed = kind
        if crossed:
            self.messages.append(crossed)


class Meter:
    def __init__(self, number, account):
        self.number, self.account = number, account
        self.locked = self.tenant_off = False
        self.order = None


class Policy:
    """A window, a grace after the crossing or a dispute; of one account or of all."""
    def __init__(self, account, window=None, grace=None, until=None):
        self.account, self.window, self.grace, self.until = account, window, grace, until
        self.active = True

    def protects(self, account, at):
        if not self.active or self.account not in (None, account):
            return False
        if self.until is not None and at >= self.until:
            return False
        if self.window is not None and not self.window.holds(at):
            return False
        return self.grace is None or (account.used_up_at is not None and at < account.used_up_at + self.grace)


class Schedule:
    def __init__(self, meter, window):
        self.meter, self.window, self.active = meter, window, True

    def is_off(self, meter, at):
        return self.active and self.meter in (None, meter) and self.window.holds(at)


class Town:
    def __init__(self):
        self.accounts, self.meters, self.policies, self.schedules = [], [], [], []

    def rule(self, meter, at, order=None):
        """The rule that decides a meter; order: as if this were its order ("" for none)."""
        order = meter.order if order is None else order or None
        account = meter.account
        if meter.locked:
            return "locked"
        if order:
            return order
        if account.suspended:
            return "no_account"
        if any(s.is_off(meter, at) for s in self.schedules):
            return "schedule_off"
        if meter.tenant_off:
            return "tenant_off"
        if account.has_money():
            return "on"
        if any(p.protects(account, at) for p in self.policies):
            return "hold"
        return "off_due"
