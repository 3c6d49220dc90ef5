"""Web pages for people: values of the index and of the build in, HTML out.

`routes` asks, `reader` decides what an asker sees, and each page has a module that makes a frozen view of what it
shows: `home`, `search`, `project` (with `grid`, `about` and `insides`), `builds`, `waiting`, `mirrored`. `pages`
renders views by the templates of this folder. Nothing here is loaded before somebody asks for a page.
"""
