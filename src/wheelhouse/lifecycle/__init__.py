"""A project's name in, its recipe out; and what becomes of recipes as upstream goes on.

`find_sdist` gets the source, `survey` reads what it says, `draft` writes it down as a recipe, `solving` builds until it
works; `bumping` follows upstream's releases, `standing` tells which recipes are behind, failing, or needed no longer.
"""
