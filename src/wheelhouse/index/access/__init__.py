"""Who may do what: tokens, identities of CI jobs, and the account of what was done or tried.

Begin with `auth`, which decides; `scopes` says what a token allows, `oidc` and `minting` make one for a CI job.
"""
