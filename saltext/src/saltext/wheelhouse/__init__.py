"""What Salt loads for wheelhouse: by the entry point `salt.loader`, or by `saltutil.sync_all` from the file server.

Each file in `modules/`, `states/`, `runners/` and `grains/` stands alone, since `sync_all` copies it alone: it imports
Salt and the standard library, and reaches the others through `__salt__`. There is no `__init__.py` in these folders,
for `sync_all` would copy it too.
"""
