"""Fits by several processes: under mpirun, `flow.fit(y, shards=8, reducer=Reducer())` in each of them, with mpi4py.

Every process makes the same call with the same data; all end with the same bits as one process with as many shards. One
that fails leaves the others waiting: `mpirun -n 4 python -m mpi4py script.py` ends all of them then.
"""

import numpy as np

try:
    from mpi4py import MPI
except ImportError as error:
    raise ImportError("pushforward.mpi needs mpi4py: pip install mpi4py") from error


class Reducer:
    """The processes of a communicator (default: all). Sums go along one binary tree, neighbours first, so that they have
    the same bits for 1, 2, 4, ... processes."""

    def __init__(self, comm=None):
        self._comm = (MPI.COMM_WORLD if comm is None else comm).Dup()  # its own messages
        self.rank, self.size = self._comm.rank, self._comm.size

    def sum(self, values):
        if self.size & (self.size - 1):
            self._sum_by_tree(values)
        elif self.size > 1:
            self._sum_by_halves(values)

    def broadcast(self, values):
        self._comm.Bcast(values)

    def _sum_by_halves(self, values):
        begin, end, parts, received = 0, len(values), [], np.empty_like(values)
        step = 1
        while step < self.size:
            middle = begin + (end - begin) // 2
            kept, sent = slice(begin, middle), slice(middle, end)
            if self.rank & step:
                kept, sent = sent, kept
            self._exchange(values[sent], self.rank ^ step, received[kept])
            values[kept] += received[kept]
            parts.append((begin, end))
            begin, end = kept.start, kept.stop
            step *= 2
        while parts:
            step //= 2
            whole = parts.pop()
            missing = slice(end, whole[1]) if begin == whole[0] else slice(whole[0], begin)
            self._exchange(values[begin:end], self.rank ^ step, values[missing])
            begin, end = whole

    def _sum_by_tree(self, values):
        received, step = np.empty_like(values), 1
        while step < self.size:
            if self.rank % (2 * step):
                self._comm.Send(values, self.rank - step)
                break
            if self.rank + step < self.size:
                self._comm.Recv(received, self.rank + step)
                values += received
            step *= 2
        self._comm.Bcast(values)

    def _exchange(self, sent, other, received):
        self._comm.Sendrecv(sent, other, recvbuf=received, source=other)
