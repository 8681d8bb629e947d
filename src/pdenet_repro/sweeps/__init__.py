"""Sweeps of many runs. `sweep` composes the runs, launches those that are missing, and draws the report.

`launch` starts each run in a process of this machine, which executes `worker`; `slurm` submits each run as a job of a cluster.
`state` reads the state of a run from its folder, `plan` records which runs a study has, `status` reports both, and `forecast`
estimates how long the runs take.
"""
