"""The command `dbdflow`: what a person asks for beside `dvc repro`."""

import sys
from importlib import import_module
from keyword import iskeyword

import click

from components.common.errors import InputError
from pipelines.system import environment

COMMANDS = {
    "predict": "Make blur maps of photographs, or of folders of them.",
    "look": "Look at maps of photographs, on a page of this machine.",
    "score": "Score maps against labels: MAE, F-beta, IoU.",
    "export": "Write a network as an ONNX or TorchScript file.",
    "label": "Propose labels for pairs of a wide and a shallow photograph.",
    "prepare": "Make a data set ready for training and scoring.",
    "import": "Bring in a data set, weights, maps or corrected labels.",
    "status": "Show what of the published data and weights is here.",
    "reproduce": "Run every stage that is out of date.",
    "sweep": "Reproduce every combination of some values.",
    "study": "Train the rows of docs/study.md with several seeds.",
    "verify": "Compute recorded stages again and compare.",
    "diff": "Show what differs between two revisions or experiments.",
    "push": "Send outputs to a DVC remote.",
    "pull": "Fetch outputs from a DVC remote.",
    "ci": "Plan, run and comment a change, as CI does.",
    "log": "Log in MLflow what stages could not.",
    "up": "Start Prefect's and MLflow's servers, and workers.",
    "worker": "Have this machine work for a scheduler.",
}
"""The table of contents: each is `command` in a module of `pipelines.commands`, imported when it is asked for."""


class Group(click.Group):
    """Shows what a user can put right as one message, without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"pipelines.commands.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without an import of what it tells of."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "" in args:
            raise click.UsageError("an empty argument; is a variable not set? Say what is meant, or . for this folder")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; exit code 2 for bad input, 130 for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; files written so far are whole and stay", err=True)
            sys.exit(130)


@click.group(cls=Group)
@click.version_option(package_name="dbdflow")
def main() -> None:
    """Defocus blur detection: maps of your photographs, scores of anybody's maps, data sets made ready."""
    environment.apply()


if __name__ == "__main__":
    main()
