"""Meters and an agent that fail as real ones do: answers lost, late or twice, a process that starts anew."""


class Field:
    def __init__(self, random, meters):
        self.random = random
        self.closed = {m: True for m in meters}
        self.register = {m: 0 for m in meters}  # kWh
        self.open_command = {}  # command: whether its last attempt may have been carried out
        self.waiting = {}       # meter: a command that is taken and not begun yet
        self.late = []          # reports on their way
        self.repeats = []       # reports that were delivered and will come once more
        self.delayed = []       # reports nobody reckons with any more; some come after all

    def take(self, command, now, clean=False):
        """What the agent reports at once about a command it was given: a report, or None."""
        self.waiting.pop(command["meter"], None)  # one at a time for each meter: the older one is dropped
        number = command["id"]
        chance = 0 if clean else self.random.random()
        if command["verify"]:
            if chance < 0.7:
                return self.answer(command, now)
            return self.report(command, "unknown", {}) if chance < 0.85 else self.silence(number)
        if chance < 0.5:
            return self.carry_out(command, now)
        if chance < 0.62:  # carried out, the answer is lost
            self.delayed.append(self.carry_out(command, now))
            return self.report(command, "unknown", {})
        if chance < 0.69:  # the question is lost
            return self.report(command, "unknown", {})
        if chance < 0.74:
            return self.report(command, "failed", {"error": "no answer"})
        if chance < 0.77:
            return self.report(command, "refused", {"error": "not now"})
        if chance < 0.84:  # the agent dies after it
            self.delayed.append(self.carry_out(command, now))
            return self.silence(number)
        if chance < 0.88:  # and before it
            return self.silence(number)
        self.waiting[command["meter"]] = command
        self.open_command[number] = True
        return None

    def silence(self, number):
        self.open_command[number] = True

    def carry_out(self, command, now):
        self.closed[command["meter"]] = command["action"] != "trip"
        return self.answer(command, now)

    def answer(self, command, now):
        return self.report(command, "done", {"relay_closed": self.closed[command["meter"]], "read_at": now})

    def report(self, command, outcome, result):
        return (command["id"], command["attempt"], outcome, result)

    def begin_waiting(self, now):
        """A slow bus: what was taken some time ago is carried out now, unless it has become too old."""
        for meter, command in list(self.waiting.items()):
            if self.random.random() < 0.5:
                del self.waiting[meter]
                if command["valid_until"] and now >= command["valid_until"]:
                    self.late.append(self.report(command, "expired", {}))
                else:
                    self.late.append(self.carry_out(command, now))

    def restart(self):
        self.waiting.clear()
