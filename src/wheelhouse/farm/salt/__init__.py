"""Jobs on the minions of a Salt master, where their grains fit, through Salt's own job system.

`minion` says who can build what, `bundle` what a job needs there, `bus` speaks to Salt (by `program`, which runs in
Salt's environment), and `dispatch` sends jobs and sees to it that each ends, once, with its record.
"""
