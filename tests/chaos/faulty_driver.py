"""The command line, with a disk that is full, or a permission that is gone, from a given write on.

`faulty_driver.py ERRNO CALL WORDS...`
"""

import os
import sys

import pyarrow.parquet as pq

write_table, calls = pq.write_table, []


def fail(*arguments, **options):
    calls.append(1)
    if len(calls) >= int(sys.argv[2]):
        raise OSError(int(sys.argv[1]), os.strerror(int(sys.argv[1])))
    return write_table(*arguments, **options)


if __name__ == "__main__":
    from studies.cli import app

    pq.write_table = fail
    app(sys.argv[3:])
