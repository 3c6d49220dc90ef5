"""What stands between the server and a store that is down: accepted, kept in the spool, shown, and delivered later.

Begin with `durable`, which puts the parts together.
"""
