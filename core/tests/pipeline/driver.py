"""Run a pipeline of toys in a process of its own: ``driver.py SITE PIPELINE [OVERRIDE …]``; prints peak memory."""

from __future__ import annotations

import json
import sys

if __name__ == "__main__":
    site, pipeline, *overrides = sys.argv[1:]
    sys.path.insert(0, site)

    from ronchi.catalog import scan
    from ronchi.manager import Manager
    from ronchi.pipeline.run import run_pipeline

    run = run_pipeline(pipeline, overrides=overrides, manager=Manager(scan([site])))
    print(json.dumps({name: step.peak_rss_mb for name, step in run.steps.items()}))
    sys.exit(0 if run.ok else 1)
