"""cast.py DIRECTORY FILE: types a session there into a shell, as a person does,
and writes what the terminal showed, and when, as an asciicast v2."""

import json
import os
import random
import sys
import time

import pexpect

COLUMNS, ROWS = 92, 26
PROMPT = "$ "

# What is typed, and the text that its shell shows when it is ready for more.
SESSION = [
    ("# the owner's box: two containers, no published port", PROMPT),
    ("cat compose.yaml", PROMPT),
    ("berth-provision up --yes", PROMPT),
    ("# anna's laptop: one port, every container that she may enter", PROMPT),
    ("ssh -p 2222 anna@gpu-box", PROMPT),
    ("ssh -p 2222 anna+master@gpu-box", "master:~% "),
    ("echo 'seed = 7' >train.toml; sudo id -un; ssh worker hostname", "master:~% "),
    ("exit", PROMPT),
    ("scp -P 2222 anna+master@gpu-box:train.toml .", PROMPT),
    ("cat train.toml", PROMPT),
]


class Recorder:
    """Recorder writes what the terminal shows as events of an asciicast."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.file.write(json.dumps({"version": 2, "width": COLUMNS, "height": ROWS}) + "\n")
        self.begin = time.monotonic()

    def write(self, text):
        at = round(time.monotonic() - self.begin, 3)
        self.file.write(json.dumps([at, "o", text]) + "\n")

    def flush(self):
        self.file.flush()


def main(directory, path):
    shell = pexpect.spawn(
        "bash", ["--norc", "--noprofile"], cwd=directory, encoding="utf-8", timeout=300,
        dimensions=(ROWS, COLUMNS), env=environment(),
    )
    shell.expect_exact(PROMPT)
    shell.logfile_read = Recorder(path)
    shell.logfile_read.write(PROMPT)
    for line, ready in SESSION:
        for key in line:
            shell.send(key)
            time.sleep(random.uniform(0.02, 0.06))
        shell.send("\r")
        shell.expect_exact("\n")
        shell.expect_exact(ready)
        time.sleep(1.2)
    shell.logfile_read.flush()


def environment():
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    return kept | {"PS1": PROMPT, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


if __name__ == "__main__":
    main(*sys.argv[1:])
