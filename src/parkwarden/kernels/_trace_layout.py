"""Shapes and limits of the trace kernels, shared with the code that calls them. No numba in here: it is read at run time.

Every hash table is open addressing in rows of int64 with the key in column 0; column 1 is nonzero where the row is
used, or, in the two id tables that start anew each generation, `stamp << 32 | value`. Capacities are powers of two,
kept at most half full by the caller (the goroutines' at most two thirds).
"""

from __future__ import annotations

# columns of a batch: kind, offset and size of its data, thread, time
B = 5
KIND_EVENTS, KIND_STRINGS, KIND_STACKS, KIND_SYNC, KIND_CPU, KIND_OTHER = 0, 1, 2, 3, 4, 5

# columns of a cursor (one per thread and generation)
C = 7
C_M, C_NEXT, C_END, C_POS, C_STOP, C_TIME, C_ARGS = 0, 1, 2, 3, 4, 5, 6

# columns of a goroutine
G = 9
G_ID, G_META, G_SEQ, G_SINCE, G_STACK, G_WAIT, G_MADE, G_PARENT, G_RAN = range(9)
RUNNABLE, RUNNING, SYSCALL, WAITING = 1, 2, 3, 4  # tracev2.GoStatus

# columns of a wait and of a creation
W = 6
W_COUNT, W_TOTAL, W_MAX, W_STACK, W_REASON, W_STATE = range(6)
N = 12
N_COUNT, N_FIRST, N_LAST, N_BIN, N_INBIN, N_PEAK, N_ALIVE, N_PARENTS, N_PARENT, N_STACK, N_START, N_ROW = range(12)

# the timeline: bins x states x (how many more are in it, for how many nanoseconds of the bin)
T_BINS = 1 << 16  # a bin of a 5 s trace is 131 µs: finer than a pixel at any zoom, and 32 MB while it is made
T_STATES = (
    32  # states and wait reasons told apart; Go 1.27 has 17 reasons (runtime/traceruntime.go: traceBlockReasonStrings)
)
T_RUNNABLE, T_RUNNING, T_SYSCALL, T_WAITING, T_COROUTINE, T_REASONS = 0, 1, 2, 3, 4, 5  # reasons follow as they are met
T_SITE_BITS, T_COUNT_BITS = 17, 29  # a row of creations: bin, creation (MAX_SITES), how many
T_ROWS = 1 << 22  # rows of creations: 32 MB; what does not fit is in the sum of all
T_RANGES = 1 << 16  # collections and stops of the world: 7 minutes of 50 collections a second
T_GC = -1  # a range's kind where it is no stop of the world
T_NEVER, T_CLOSED = -2, -1  # S_GC, S_STW before the first range and between two

# reasons that are not strings of the trace
R_SYSCALL, R_SCHED, R_WAITING, R_COROUTINE, R_FIRST = -2, -3, -4, -5, -6

# state shared by caller and kernels
S_SEED, S_STAMP, S_LAST, S_HEAP, S_PARKED, S_FIRST_GEN = 0, 1, 2, 3, 4, 5
S_GMASK, S_GN, S_GLIMIT, S_WMASK, S_WN, S_WLIMIT, S_CMASK, S_CN, S_CLIMIT = 6, 7, 8, 9, 10, 11, 12, 13, 14
S_PMASK, S_PN, S_PLIMIT, S_MMASK, S_MN, S_MLIMIT = 15, 16, 17, 18, 19, 20
S_IDMASK, S_IDN, S_STRMASK, S_STRN, S_SIDMASK, S_SIDN = 21, 22, 23, 24, 25, 26
S_FRMASK, S_FRN, S_SKMASK, S_SKN, S_POOLN = 27, 28, 29, 30, 31
S_EVENTS, S_CREATED, S_ENDED, S_BINNS, S_BINS = 32, 33, 34, 35, 36
S_STRCAP, S_FRCAP, S_SKCAP, S_POOLCAP, S_IDCAP, S_SIDCAP = 37, 38, 39, 40, 41, 42
S_NBATCH, S_GEN, S_ERRPOS, S_FORCE = 43, 44, 45, 46
E_BATCH, E_BATCH_POS, E_FORCED, E_LATE, E_STATUS, E_NOG, E_EXISTS, E_ID, E_TABLE, E_TABLE_POS = (
    47, 48, 49, 50, 51, 52, 53, 54, 55, 56,
)  # fmt: skip
E_FULL, E_STACKID, E_STRINGID, E_DUP, E_CAP, E_BYTES, E_EMPTY = 57, 58, 59, 60, 61, 62, 63
S_TSHIFT, S_TEND, S_TSTATES, S_TN, S_TLIMIT, S_RN, S_GC, S_STW, S_STWKIND = 64, 65, 66, 67, 68, 69, 70, 71, 72
E_REASONS, E_ROWS, E_RANGES = 73, 74, 75
S_SIZE = 76

# why `run` came back
DONE, GROW_G, GROW_W, GROW_C, GROW_P, GROW_M, GROW_T, FOLD_T = 0, 1, 2, 3, 4, 5, 6, 7

MAX_PARKED = 256  # threads held back at once for a goroutine's earlier event; more is not clock skew but damage
MAX_GOROUTINES = 1 << 20  # alive at once: 128 MB of rows; a Go process with so many holds 2 GB of stacks
MAX_SITES = 1 << 17  # distinct (stack, reason) and (creating stack, start); real traces have hundreds
MAX_PARENTS = 1 << 19  # (creation, parent) pairs told apart; from then on `parents` is a lower bound
MAX_THREADS = 1 << 20  # the runtime itself stops at 10,000 unless told otherwise
MAX_STRINGS = 1 << 20  # distinct strings, frames: a large Go binary has some 100,000 functions
MAX_STACKS = 1 << 19  # distinct stacks
MAX_FRAMES_KEPT = 1 << 24  # frames of all distinct stacks together: 64 MB
MAX_TICKS = 1 << 62
MAX_ID = 1 << 62
MAX_BATCH = 65536  # tracev2.MaxBatchSize
MAX_STRING = 1024  # tracev2.MaxEventTrailerDataSize
MAX_FRAMES = 128  # tracev2.MaxFramesPerStack
MAX_GEN_JUMP = 16  # generations count up by one; a header further off is taken for damage
