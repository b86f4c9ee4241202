"""DVC, one command after another in one process: its start, half a CPU second, is paid once and not by each stage.

Run as a script. Each line of standard input is a command, JSON: `cwd`, `environment`, `words` after `dvc`, `mark`. What
DVC and its stages say goes to standard output and error as ever; then comes the mark, a space and the exit code. The
process ends with its standard input, of which stages get nothing.
"""

import json
import os
import sys


def main() -> None:
    """Take commands until there are no more."""
    asked = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from dvc.cli import main as dvc

    for line in asked:
        command = json.loads(line)
        os.chdir(command["cwd"])
        os.environ.clear()
        os.environ.update(command["environment"])
        sys.argv = ["dvc", *command["words"]]
        code = dvc(command["words"])
        sys.stderr.flush()
        print(command["mark"], code, flush=True)


if __name__ == "__main__":
    main()
