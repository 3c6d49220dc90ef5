"""Where the jobs of a plan run: on this machine (`local`), or as a matrix of GitHub Actions (`github`)."""
