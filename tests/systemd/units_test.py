"""The units as `cmake --install` puts them: where they belong, understood by
systemd without a complaint, hardened, naming programs, options and files that
are there.

usage: units_test.py BUILD-DIR"""

import configparser
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

UNITS = ("shoald.service", "shoal-refine.service", "shoal-refine.timer")
#: The most that `systemd-analyze security` may find, in tenths.
MOST_EXPOSURE = 30


def run(*command, **more):
    return subprocess.run([str(part) for part in command],
                          capture_output=True, text=True, check=False, **more)


def must(*command):
    done = run(*command)
    if done.returncode != 0 or done.stderr.strip():
        raise AssertionError("%s: %d\n%s%s" % (" ".join(map(str, command)),
                                               done.returncode, done.stdout,
                                               done.stderr))
    return done.stdout


def read(unit):
    # A key may be there twice (SystemCallFilter); the last one is kept.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(unit.read_text())
    return parser


def installed(build, root):
    """Installs only what is no program, and returns the units' folder."""
    for part in ("systemd", "config"):
        done = run("cmake", "--install", build / part, "--prefix", "/usr",
                   env={**os.environ, "DESTDIR": str(root)})
        assert done.returncode == 0, done.stderr
    folder = root / "usr/lib/systemd/system"
    for unit in UNITS:
        assert (folder / unit).is_file(), unit
    assert (root / "usr/lib/sysusers.d/shoal.conf").is_file()
    return folder


def check_commands(folder, build):
    shoalctl = shlex.split(
        read(folder / "shoal-refine.service")["Service"]["ExecStart"])
    # Every option is known: with --help after them nothing is done.
    must(build / "bin/shoalctl", *shoalctl[1:], "--help")
    shoald = shlex.split(read(folder / "shoald.service")["Service"]
                         ["ExecStart"])
    assert shoald[1] == "--config", shoald
    # The file that is installed is the one that the unit names.
    assert pathlib.Path(shoald[2]).name == "shoal.toml", shoald
    source = pathlib.Path(__file__).parents[2] / "config" / "shoal.toml"
    must(build / "bin/shoald", "--config", source, "--check-config")


def check_meaning(folder):
    service = read(folder / "shoal-refine.service")
    assert service["Service"]["Type"] == "oneshot"
    assert "shoald.service" in service["Unit"]["After"]
    # What is stopped on purpose stays stopped.
    for key in ("Requires", "Wants", "BindsTo"):
        assert key not in service["Unit"], key
    timer = read(folder / "shoal-refine.timer")
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Timer"]["RandomizedDelaySec"]
    assert timer["Install"]["WantedBy"] == "timers.target"
    must("systemd-analyze", "calendar", timer["Timer"]["OnCalendar"])


def check_with_systemd(folder, build, scratch):
    """With the programs of this build in place of the installed ones, since
    systemd looks whether they are there."""
    for unit in UNITS:
        text = (folder / unit).read_text()
        for program in ("shoald", "shoalctl"):
            start = "ExecStart="
            lines = [start + str(build / "bin" / program)
                     + line[line.index(" "):]
                     if line.startswith(start) and
                     line.split(" ")[0].endswith("/" + program) else line
                     for line in text.splitlines()]
            text = "\n".join(lines) + "\n"
        (scratch / unit).write_text(text)
    must("systemd-analyze", "verify", *[scratch / unit for unit in UNITS])
    for unit in UNITS:
        if unit.endswith(".service"):
            done = run("systemd-analyze", "security", "--offline=true",
                       "--no-pager", "--threshold=%d" % MOST_EXPOSURE,
                       scratch / unit)
            print(done.stdout.strip().splitlines()[-1])
            assert done.returncode == 0, done.stdout + done.stderr


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        folder = installed(build, root / "root")
        check_commands(folder, build)
        if shutil.which("systemd-analyze") is None:
            print("SKIPPED: needs systemd-analyze (package systemd)")
            sys.exit(77)
        check_meaning(folder)
        scratch = root / "units"
        scratch.mkdir()
        check_with_systemd(folder, build, scratch)


if __name__ == "__main__":
    main()
