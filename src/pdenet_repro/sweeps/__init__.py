"""Many runs. `sweep` comes first: it composes them, has those that are missing launched, and draws the report.

`launch` starts each run as a process of this machine, which `worker` describes, `slurm` as a job of a cluster. `state` reads
from a run's folder how far it has come, `plan` keeps which runs a study has, `status` shows both, `forecast` measures how long
they take.
"""
