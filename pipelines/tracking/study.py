"""The study's runs in MLflow, so that its pages compare them: a run a row and seed, as the results' files have them."""

import hashlib
import json
from urllib.parse import quote

import numpy as np

from components.study.results import MEASURES, Results, run_lines
from pipelines.system import environment
from pipelines.tracking.client import Store

KIND = "study"
TAG = "dbdflow.study"
"""Row, seed, scale, commit and a hash of the figures of a run: what is there already is not made again."""


def log_study(results: Results, scale: str) -> str:
    """Make the runs that are not there yet in MLflow.

    Returns:
        where its page is that compares them.
    """
    store = Store()
    known = {each.data.tags[TAG]: each.info.run_id for each in store.find("dbdflow.kind", KIND)}
    ids = []
    for (row, seed), scores in results.runs.items():
        facts = results.facts[row, seed]
        figures = hashlib.sha256(repr(run_lines((row, seed), results)).encode()).hexdigest()[:8]
        identity = f"{row}-{seed}-{scale}-{facts['commit']}-{figures}"
        if identity not in known:
            tags = {"dbdflow.kind": KIND, TAG: identity, "git.commit": facts["commit"]}
            made = store.client.create_run(store.experiment, None, tags, f"study {scale} {row} seed {seed}").info.run_id
            means = {f"CUHK-TE-1.{name}": float(np.nanmean(scores[name])) for name in MEASURES}
            means["minutes"] = float(facts["minutes"])
            store.log(
                made, params={"row": row, "seed": str(seed), "scale": scale, "machine": facts["machine"]}, metrics=means
            )
            store.client.set_terminated(made, "FINISHED")
            known[identity] = made
        ids.append(str(known[identity]))
    return comparison(ids, store.experiment)


def comparison(ids: list[str], experiment: str) -> str:
    """The address of MLflow's page that compares runs, or where it will be once `dbdflow up` serves it."""
    asked = f"/#/compare-runs?runs={quote(json.dumps(ids))}&experiments={quote(json.dumps([experiment]))}"
    pages = environment.mlflow_pages()
    return f"{pages}{asked}" if pages else f"{asked} below MLflow's address, once `dbdflow up` serves it"
