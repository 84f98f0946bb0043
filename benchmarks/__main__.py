"""The tables of the documentation: npdiff compared with PyTorch in one session.

    python -m benchmarks --json figures.json        networks S, M, L; batches of 1 to 128: long
    python -m benchmarks --network digits --network digits-large --batch 128 --task sample

It runs ``npdiff bench --whole``, whose help explains all options. PyTorch takes part if installed.
"""

import sys

from npdiff.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--whole", *sys.argv[1:]]))
