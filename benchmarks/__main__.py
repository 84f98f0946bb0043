"""The figures in the documentation: npdiff beside PyTorch, in one sitting.

    python -m benchmarks --json figures.json        networks S, M, L; batches of 1 to 128: long
    python -m benchmarks --network digits --network digits-large --batch 128 --task sample

It is ``npdiff bench --whole``, whose help explains every option; `pip install torch==2.13.0` first.
"""

import sys

from npdiff.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--whole", *sys.argv[1:]]))
