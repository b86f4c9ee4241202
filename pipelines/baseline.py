"""Stage `baseline`: a classical method's maps of every test photograph, at the photograph's own size."""

from pathlib import Path

import numpy as np

from components.baselines import baseline as find_baseline
from components.data.images import read_photograph
from components.data.maps import write_maps
from components.data.prepared import PreparedSet
from components.storage import atomic_dir
from pipelines.stage import Stage, main


def baseline(stage: Stage, *, method: str, raw: Path, prepared: Path, out: Path) -> None:
    """Run one method over the test sets of every prepared set."""
    detect = find_baseline(method)
    stage.params({"run": method})
    sets = PreparedSet.load_all(prepared)
    total, done = sum(len(each.test_rows()) for each in sets), 0
    with atomic_dir(out) as folder:
        for each in sets:
            maps = []
            for row in each.test_rows():
                photo = np.asarray(read_photograph(raw / each.name / each.rows[row].image))
                maps.append((each.ids[row], (detect(photo) * 255).round().astype(np.uint8)))
                done += 1
                stage.progress(done, total, "images")
            write_maps(folder / f"{each.name}.zip", maps)
    stage.metrics({"images": total})


if __name__ == "__main__":
    main(baseline)
