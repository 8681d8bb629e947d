"""Reports: figures, tables and web pages, made from run folders alone, without PyTorch.

`write.write_report` makes a report; `runs.collect` reads run folders; `groups.Grouping` decides which runs belong together.
"""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # first, because a plain import of matplotlib fails at some settings of a user
