"""Results of made-up runs."""

import numpy as np

from components.study.results import FACTS, MEASURES, Results


def results(**rows: tuple[float, ...]) -> Results:
    """Rows with the MAE of each seed; photographs differ by what they are, and a little by row and seed."""
    random = np.random.default_rng(0)
    base = random.gamma(2, 0.03, 40)
    runs = {}
    for row, maes in rows.items():
        for seed, mae in enumerate(maes, 1):
            scores = {name: base + mae + 0.001 * random.standard_normal(40) for name in MEASURES}
            scores["f_beta"], scores["iou"] = 1 - scores["mae"], 1 - 2 * scores["mae"]
            runs[row, seed] = scores
    facts = {
        run: dict(zip(FACTS, ("9.5", "0f1e2d3c", "feed0123", "abc1234", "a machine"), strict=True)) for run in runs
    }
    return Results([f"photo{i}" for i in range(40)], runs, facts)
