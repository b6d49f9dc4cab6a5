"""`python -m distrl` is `distrl`."""

from distrl.cli import main

main()
