#!/usr/bin/env python3
"""Breaks the code that decides money, one token at a time, and lists what no test notices.

    test/mutate.py core   --minutes 20          the pure rating core against its unit tests
    test/mutate.py server --minutes 20          what decides money in the server against a few
                                                regress tests and the model (test/t/model)
    test/mutate.py core --files rate.c,cal.c --seed 3

Works on a copy of the tracked files, in a folder of its own; run by hand, not by make check. A
mutant swaps a comparison, a sign, a condition, Min and Max, or moves a constant by one; with
--minutes they are drawn at random from all there are. Survivors are printed as they are found,
with file and line: each is either equivalent (it cannot be told apart) or a test that is missing.
Needs what make check needs; as root the server runs as user postgres.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORE = "money cal tariff tariff_load tariff_schedule tariff_price tariff_charge rate rate_split " \
       "rate_position rate_bill"
SERVER = "rerate rerate_apply rerate_queue history seal accept balance rating usage owner tariff_store"
REGRESS = "edges rating late standing tariff_change meter_change meter_life reading holiday semantics"
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+",
         "+=": "-=", "-=": "+=", "&&": "||", "||": "&&", "Min(": "Max(", "Max(": "Min(",
         "least(": "greatest(", "greatest(": "least(", " AND ": " OR ", "* 2": "* 3"}
TOKEN = re.compile(r"(?<= )(?:<=|>=|==|!=|&&|\|\||\+=|-=|[<>+-])(?= )|\bM(?:in|ax)\(|\bleast\(|"
                   r"\bgreatest\(| AND |(?<![\w.\"'$%x-])\d+(?![\w.\"'])")
# Not about money, checked by the compiler, or the ends of comparisons that know they differ.
SKIP = re.compile(r"^\s*(#|/?\*|//|extern|static const|typedef|elog|ereport|err|fault\(|Assert|"
                  r"\{ \w+OID)|load_fault|\? -1 : ")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def mutants_of(path, in_strings):
    """(line number, column, token, what it becomes); in_strings: in SQL as well, but not its numbers"""
    inside = False
    for number, line in enumerate(path.read_text().split("\n")):
        comment, inside = inside, ("/*" in line or inside) and "*/" not in line
        if comment or SKIP.match(line):
            continue
        code = line.split("/*")[0]
        if not in_strings:
            code = STRING.sub(lambda m: " " * len(m.group()), code)
        for match in TOKEN.finditer(code):
            token = match.group()
            if token.isdigit():
                # Sizes, columns, OID lists and numbers within SQL are no rules.
                quoted = any(m.start() < match.start() < m.end() for m in STRING.finditer(code))
                if (int(token) <= 31 and not quoted
                        and not re.search(r"\[\d*\]|OID|lengthof|^\s*\d+,$|db_\w+\(|ARG", code)):
                    yield number, match.start(), token, str(int(token) + 1)
            else:
                yield number, match.start(), token, SWAPS[token]


def mutate(path, mutant):
    """The original text, for putting it back."""
    text = path.read_text()
    number, column, token, becomes = mutant
    lines = text.split("\n")
    line = lines[number]
    lines[number] = line[:column] + becomes + line[column + len(token):]
    path.write_text("\n".join(lines))
    return text


def run(*command, seconds=120, **kwargs):
    """Whether a command ends well and in time."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds, check=False, **kwargs).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class Core:
    """Unit tests of the rating core with their sanitizers: a read beyond an array is a kill."""
    def __init__(self, folder):
        self.unit = folder / "test/unit"
        self.make = ("make", "-s", "-j2", "-C", str(self.unit), "all")
        self.tests = "money cal tariff rate split bill vectors".split()
        if not run(*self.make, seconds=600):
            sys.exit("the unit tests do not build")

    def survives(self):
        """None when the mutant does not even build."""
        if not run(*self.make):
            return None
        return (all(run("build/test_" + test, cwd=self.unit, env={**os.environ, "DATA": "data"},
                        seconds=30) for test in self.tests)
                and run("python3", "oracle.py", "--seed", "7", "--cases", "250", "--seconds", "60",
                        "build/rate_cli", cwd=self.unit))


class Server:
    """A private copy of PostgreSQL; each mutant's library is put into it."""
    def __init__(self, folder):
        self.folder = folder
        ask = lambda what: subprocess.check_output(["pg_config", what], text=True).strip()
        bin_, share, lib = ask("--bindir"), ask("--sharedir"), ask("--pkglibdir")
        self.lib = lib
        self.pg = folder / "pg"
        for path in (bin_, share, lib):
            (self.pg / path[1:]).mkdir(parents=True, exist_ok=True)
        self.shell("cp %s/* %s%s/" % (bin_, self.pg, bin_))
        for path in (share, lib):
            self.shell("cp -Rs %s/. %s%s/" % (path, self.pg, path))
        self.shell("rm -f %s%s/pg_prepay.so %s%s/extension/pg_prepay*" % (self.pg, lib, self.pg, share))
        self.make = "make -s -j2 -f pgxs.mk with_llvm=no"
        self.shell("%s install DESTDIR=%s" % (self.make, self.pg))
        self.run_folder = folder / "run"
        self.run_folder.mkdir()
        self.shell("chmod -R a+rX %s" % folder)
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            self.shell("chown postgres %s" % self.run_folder)
        os.environ.update(PGHOST=str(self.run_folder), PGUSER="postgres", PGPORT="5432",
                          PATH="%s%s:%s" % (self.pg, bin_, os.environ["PATH"]))
        data = self.run_folder / "data"
        self.as_user("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
                     "--no-locale")
        with open(data / "postgresql.conf", "a") as conf:
            conf.write("listen_addresses = ''\nfsync = off\nunix_socket_directories = '%s'\n"
                       % self.run_folder)
        self.as_user("pg_ctl", "-D", data, "-l", self.run_folder / "log", "-w", "start")
        if not self.survives():
            sys.exit("the tests fail without any mutant")

    def shell(self, command):
        subprocess.run(command, shell=True, check=True, cwd=self.folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def as_user(self, *command, seconds=120):
        return run(*self.user, *map(str, command), seconds=seconds, cwd=self.run_folder)

    def stop(self):
        self.as_user("pg_ctl", "-D", self.run_folder / "data", "-m", "immediate", "stop")

    def survives(self):
        if not run(*self.make.split(), cwd=self.folder):
            return None
        # A new file: backends may still have the old one.
        library = "%s%s/pg_prepay.so" % (self.pg, self.lib)
        self.shell("rm -f %s && cp extension/../pg_prepay.so %s" % (library, library))
        regress = [self.lib + "/pgxs/src/test/regress/pg_regress", "--inputdir",
                   self.folder / "test", "--outputdir", self.run_folder, "--dbname", "mutant"]
        return (self.as_user(*regress, *REGRESS.split(), seconds=180)
                and self.as_user("psql", "-Xq", "-c", "DROP DATABASE IF EXISTS model",
                                 "-c", "CREATE DATABASE model", "postgres")
                and self.as_user("psql", "-Xq", "-c", "CREATE EXTENSION pg_prepay",
                                 "-c", "SELECT prepay.install()", "model")
                and self.as_user("python3", self.folder / "test/t/model/model.py", "--seed", "21",
                                 "--cases", "5", "--first", "--ways", "late,at_end", seconds=180))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["core", "server"])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", help="instead of all, as a comma list")
    options = parser.parse_args()
    names = (options.files or ",".join(
        name + ".c" for name in (CORE if options.part == "core" else SERVER).split())).split(",")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prepay-mutate."))
    folder.chmod(0o755)
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n")
    for name in filter(None, tracked):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    mutants = [(folder / "extension" / name, m) for name in names
               for m in mutants_of(folder / "extension" / name, options.part == "server")]
    random.Random(options.seed).shuffle(mutants)
    bench = (Core if options.part == "core" else Server)(folder)
    deadline = time.monotonic() + options.minutes * 60
    counts = {None: 0, True: 0, False: 0}
    for path, mutant in mutants:
        if time.monotonic() > deadline:
            break
        text = mutate(path, mutant)
        survived = bench.survives()
        counts[survived] += 1
        if survived:
            number, _, token, becomes = mutant
            print("survived: %s:%d: %s -> %s: %s"
                  % (path.name, number + 1, token.strip(), becomes.strip(),
                     path.read_text().split("\n")[number].strip()), flush=True)
        path.write_text(text)
    if options.part == "server":
        bench.stop()
    shutil.rmtree(folder)
    print("%d of %d mutants: %d killed, %d survived, %d do not build"
          % (sum(counts.values()), len(mutants), counts[False], counts[True], counts[None]))


if __name__ == "__main__":
    main()
