"""Build what the template deploys: the layer and the functions. Needs Python 3.11, pip and nothing else.

`sam build` comes here through the Makefile, `scripts/build_lambda_packages.sh` and the embedded AWS directly.
"""
