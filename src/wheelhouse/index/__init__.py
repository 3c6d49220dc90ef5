"""A package index: projects and files in a store, and the pages of the Simple API that follow from them.

`model` is the ground: what there is, in the words of the PEPs. From there up: `access` (who may), `pages` (how it
reads), `stores` (where it is kept), `changes` (how it changes), `outages` (what becomes of that while a store is down),
`upstream` (other indexes behind ours), `telling`, `routes`, `web` (pages for people), and `serving`, which answers.

Beside them: `settings` and `environment` say what a server has to know, `prefetch` fills a mirror ahead of need,
`client` asks a running index for changes, and `client_config` says how to install from here.
"""
