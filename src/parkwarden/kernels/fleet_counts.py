"""The count detectors' walks over the fleet's rings: one call judges every instance.

All kernels share one signature: `columns` (fields, capacity, samples) and `limits` (limits, capacity) of aggregate/windows.py,
`shape` (capacity, samples, rows to judge, then the rows of the fields read), `head`, `count`, `began` per row, `params`, `memory`
(width, capacity; NaN = nothing remembered) and to be filled: `verdict`, `cause` (u8 per row) and `out` (numbers, rows). Field 0 is the
time; NaN is "not told". What each kernel decides is said in the detector's module under judge/fleet. Returns the rows at suspect or
worse. Walks go from the newest sample back and end where the window or a hole does, so cost goes with the window, not the ring.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from parkwarden.kernels import _fleet_layout as to

_ABOVE = 1.0 + 1e-9  # "above a threshold" must not hang on the last bit of a sum

_AHEAD = 12  # rows: a row's rings lie a KiB apart, which the processor's own prefetching does not follow


@intrinsic
def _prefetch(typingctx, pointer, offset):
    """Ask for the cache line at an offset; nothing is read, so the offset need not be right."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        at = builder.bitcast(builder.gep(args[0], [args[1]]), byte)
        builder.call(ask, [at, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.CPointer(types.float64), types.int64), codegen


@njit(inline="always")
def _fetch(columns, ring, samples, head, first, last):
    """Prefetch the lines of a ring that hold its samples first..last, counted back from the newest (0)."""
    back = first
    while back < last + 8:
        i = head - 1 - min(back, last)
        if i < 0:
            i += samples
        _prefetch(columns, ring + i)
        back += 8


@njit(inline="always")
def _short(began, fallback):
    """Why a window that reaches back to its begin is too short."""
    if began == to.RESTARTED:
        return to.RESTART
    if began == to.STEPPED:
        return to.CLOCK
    return fallback


@njit(inline="always")
def _newest(columns, t0, samples, head, count, now):
    """How many samples lie in the future, of `count`: the walk begins behind them."""
    skip = 0
    while skip < count:
        i = head - 1 - skip
        if i < 0:
            i += samples
        if columns[t0 + i] <= now:
            break
        skip += 1
    return skip


@njit
def _onset(columns, t0, v0, samples, head, skip, n, memory, at_base, at_since):
    """Where growth began: the cut of the window's n told samples into a level and a line with the least squared error.

    Not further back: when the rule first fires its window reaches before the rise, and what was before that may be another rise.
    """
    sy = 0.0
    syy = 0.0
    tn = 0.0
    vn = 0.0
    m = 0
    k = skip
    while m < n:
        i = head - 1 - k
        if i < 0:
            i += samples
        k += 1
        v = columns[v0 + i]
        if v != v:
            continue
        if m == 0:
            tn = columns[t0 + i]
            vn = v
        m += 1
        sy += v - vn
        syy += (v - vn) * (v - vn)
    best = np.inf
    base = vn
    since = tn
    m = 0
    bx = 0.0
    by = 0.0
    bxx = 0.0
    bxy = 0.0
    byy = 0.0
    k = skip
    older_t = tn
    while m < n:
        i = head - 1 - k
        if i < 0:
            i += samples
        k += 1
        v = columns[v0 + i] - vn
        if v != v:
            continue
        t = columns[t0 + i] - tn
        m += 1
        bx += t
        by += v
        bxx += t * t
        bxy += t * v
        byy += v * v
        if m < 3:
            continue
        cxx = bxx - bx * bx / m
        cxy = bxy - bx * by / m
        error = max(byy - by * by / m - cxy * cxy / cxx, 0.0)
        rest = n - m
        if rest > 0:
            error += max(syy - byy - (sy - by) * (sy - by) / rest, 0.0)
        if error <= best * _ABOVE + 1e-9 * syy:
            best = min(best, error)
            slope = cxy / cxx
            if rest == 0:
                base = vn + v
                since = tn + t
            else:
                level = (sy - by) / rest
                base = vn + level
                older_t = t  # the crossing lies between the last sample of the level and the first of the line
                j = k
                while True:
                    i = head - 1 - j
                    if i < 0:
                        i += samples
                    if columns[v0 + i] == columns[v0 + i]:
                        older_t = columns[t0 + i] - tn
                        break
                    j += 1
                cross = t
                if slope > 0.0:
                    cross = (level - (by - slope * bx) / m) / slope
                since = tn + min(max(cross, older_t), t)
    memory[at_base] = base
    memory[at_since] = since


def trend(columns, limits, shape, head, count, began, params, memory, verdict, cause, out):
    capacity = shape[to.CAPACITY]
    samples = shape[to.SAMPLES]
    rows = shape[to.ROWS]
    now = params[to.T_NOW]
    found = 0
    walked = 0  # samples of the row before: what the next ones will be asked for
    for s in range(rows):
        t0 = s * samples
        v0 = (shape[to.FIELD] * capacity + s) * samples
        h = head[s]
        c = count[s]
        if s + _AHEAD < rows:
            _fetch(columns, t0 + _AHEAD * samples, samples, head[s + _AHEAD], 0, walked)
            _fetch(columns, v0 + _AHEAD * samples, samples, head[s + _AHEAD], 0, walked)
        skip = _newest(columns, t0, samples, h, c, now)
        n = 0
        hole = False
        reached = False
        tn = 0.0
        vn = 0.0
        told = 0.0
        sx = 0.0
        sy = 0.0
        sxx = 0.0
        sxy = 0.0
        syy = 0.0
        for k in range(skip, c):
            i = h - 1 - k
            if i < 0:
                i += samples
            t = columns[t0 + i]
            if t <= now - params[to.T_WINDOW]:
                reached = True
                break
            v = columns[v0 + i]
            if v != v:
                continue
            if n == 0:
                if now - t > params[to.T_MAX_GAP]:
                    hole = True
                    break
                tn = t
                vn = v
            elif told - t > params[to.T_MAX_GAP]:
                hole = True
                break
            told = t
            n += 1
            x = t - tn
            y = v - vn
            sx += x
            sy += y
            sxx += x * x
            sxy += x * y
            syy += y * y
        walked = min(n, samples - 1)
        span = tn - told
        for j in range(11):
            out[j * rows + s] = np.nan
        out[3 * rows + s] = n
        out[4 * rows + s] = span
        verdict[s] = to.UNKNOWN
        if n < params[to.T_MIN_N] or span < params[to.T_MIN_SPAN]:
            if c == 0:
                cause[s] = _short(began[s], to.NO_DATA)
            elif skip == c:
                cause[s] = to.CLOCK
            elif hole:
                cause[s] = to.GAP
            elif n == 0:
                i = h - 1 - skip
                if i < 0:
                    i += samples
                cause[s] = to.GAP if now - columns[t0 + i] > params[to.T_MAX_GAP] else to.NOT_TOLD
            else:
                few = to.TOO_FEW if n < params[to.T_MIN_N] else to.TOO_SHORT
                cause[s] = few if reached else _short(began[s], few)
            continue
        cause[s] = to.FINE
        cxx = sxx - sx * sx / n
        cxy = sxy - sx * sy / n
        cyy = max(syy - sy * sy / n, 0.0)
        sigma = np.sqrt(cyy / n)
        slope = cxy / cxx
        out[s] = sigma
        out[rows + s] = slope
        out[2 * rows + s] = cxy * cxy / (cxx * cyy) if cyy > 0.0 else 0.0
        out[5 * rows + s] = vn
        out[10 * rows + s] = tn
        b = to.T_BASE * capacity + s
        if sigma > params[to.T_SIGMA] * _ABOVE and slope > params[to.T_SLOPE] * _ABOVE:
            if memory[b] != memory[b]:
                _onset(columns, t0, v0, samples, h, skip, n, memory, b, to.T_SINCE * capacity + s)
                memory[to.T_PEAK * capacity + s] = vn
            memory[to.T_LAST * capacity + s] = now
        base = memory[b]
        if base != base:
            verdict[s] = to.OK
            continue
        peak = max(memory[to.T_PEAK * capacity + s], vn)
        held = now - memory[to.T_LAST * capacity + s]
        if held != 0.0 and (
            vn <= base + max(params[to.T_SIGMA], params[to.T_RELEASE] * (peak - base)) or held > params[to.T_HOLD]
        ):
            for j in range(4):
                memory[j * capacity + s] = np.nan
            verdict[s] = to.OK
            continue
        memory[to.T_PEAK * capacity + s] = peak
        verdict[s] = to.SUSPECT
        found += 1
        out[6 * rows + s] = base
        out[7 * rows + s] = memory[to.T_SINCE * capacity + s]
        out[8 * rows + s] = held
        out[9 * rows + s] = peak
    return found


def gc(columns, limits, shape, head, count, began, params, memory, verdict, cause, out):
    capacity = shape[to.CAPACITY]
    samples = shape[to.SAMPLES]
    rows = shape[to.ROWS]
    now = params[to.G_NOW]
    found = 0
    walked = 0
    for s in range(rows):
        t0 = s * samples
        gc0 = (shape[to.FIELD] * capacity + s) * samples
        cpu0 = (shape[to.FIELD + 1] * capacity + s) * samples
        num0 = (shape[to.FIELD + 2] * capacity + s) * samples
        avg0 = (shape[to.FIELD + 3] * capacity + s) * samples
        h = head[s]
        c = count[s]
        if s + _AHEAD < rows:
            _fetch(columns, t0 + _AHEAD * samples, samples, head[s + _AHEAD], 0, walked)
            for ring in (gc0, cpu0, num0):
                _fetch(columns, ring + _AHEAD * samples, samples, head[s + _AHEAD], 0, 0)
                _fetch(columns, ring + _AHEAD * samples, samples, head[s + _AHEAD], walked, walked)
        skip = _newest(columns, t0, samples, h, c, now)
        for j in range(6):
            out[j * rows + s] = np.nan
        verdict[s] = to.UNKNOWN
        if c == 0 or skip == c:
            cause[s] = to.CLOCK if c > 0 else _short(began[s], to.NO_DATA)
            continue
        end = skip  # the window is the readings skip .. end-1, newest first
        hole = False
        reached = False
        told = now
        for k in range(skip, c):
            i = h - 1 - k
            if i < 0:
                i += samples
            t = columns[t0 + i]
            if t <= now - params[to.G_WINDOW]:
                reached = True
                break
            if told - t > params[to.G_MAX_GAP]:
                hole = True
                break
            told = t
            end = k + 1
        walked = max(end - skip - 1, 0)
        # cumulative numbers: newest and oldest told of the window
        gap = hole or (reached and end == skip)
        new_t = np.nan
        new_gc = 0.0
        new_cpu = 0.0
        for k in range(skip, end):
            i = h - 1 - k
            if i < 0:
                i += samples
            if columns[gc0 + i] == columns[gc0 + i] and columns[cpu0 + i] == columns[cpu0 + i]:
                new_t = columns[t0 + i]
                new_gc = columns[gc0 + i]
                new_cpu = columns[cpu0 + i]
                break
        span = 0.0
        used = 0.0
        busy = 0.0
        if new_t == new_t:
            for k in range(end - 1, skip - 1, -1):
                i = h - 1 - k
                if i < 0:
                    i += samples
                if columns[gc0 + i] == columns[gc0 + i] and columns[cpu0 + i] == columns[cpu0 + i]:
                    span = new_t - columns[t0 + i]
                    used = new_gc - columns[gc0 + i]
                    busy = new_cpu - columns[cpu0 + i]
                    break
        cycles = np.nan
        cycles_span = 0.0
        for k in range(skip, end):
            i = h - 1 - k
            if i < 0:
                i += samples
            if columns[num0 + i] == columns[num0 + i]:
                cycles = columns[num0 + i]
                cycles_span = columns[t0 + i]
                break
        if cycles == cycles:
            for k in range(end - 1, skip - 1, -1):
                i = h - 1 - k
                if i < 0:
                    i += samples
                if columns[num0 + i] == columns[num0 + i]:
                    cycles -= columns[num0 + i]
                    cycles_span -= columns[t0 + i]
                    break
            if cycles_span <= 0.0:
                cycles = np.nan
        source = 0
        fraction = np.nan
        if new_t == new_t:
            source = to.DELTAS
            if span >= params[to.G_MIN_SPAN] and used >= 0.0 and busy >= 0.0 and (busy > 0.0 or used == 0.0):
                fraction = min(used / busy, 1.0) if busy > 0.0 else 0.0
        else:
            for k in range(skip, end):
                i = h - 1 - k
                if i < 0:
                    i += samples
                if columns[avg0 + i] == columns[avg0 + i]:
                    source = to.AVERAGE
                    span = cycles_span
                    if cycles == cycles and span >= params[to.G_MIN_SPAN]:
                        fraction = min(columns[avg0 + i], 1.0)
                    break
        if fraction != fraction or cycles < 0.0:
            if gap:
                cause[s] = to.GAP
            elif source == 0 or (source == to.AVERAGE and cycles != cycles and end - skip > 1):
                cause[s] = to.NOT_TOLD
            elif span >= params[to.G_MIN_SPAN]:
                cause[s] = to.COUNTER_FELL
            else:
                cause[s] = to.TOO_SHORT if reached else _short(began[s], to.TOO_SHORT)
            continue
        cause[s] = to.FINE
        out[s] = fraction
        out[rows + s] = cycles
        out[2 * rows + s] = source
        out[3 * rows + s] = span
        ran = cycles >= 1.0 if cycles == cycles else used > 0.0
        if source == to.DELTAS:
            out[4 * rows + s] = used
            out[5 * rows + s] = busy
            ran = ran and used * _ABOVE >= params[to.G_CORES] * span
        verdict[s] = to.OK
        if ran and fraction > params[to.G_FRACTION] * _ABOVE:
            verdict[s] = to.SUSPECT
            found += 1
    return found


def heap(columns, limits, shape, head, count, began, params, memory, verdict, cause, out):
    capacity = shape[to.CAPACITY]
    samples = shape[to.SAMPLES]
    rows = shape[to.ROWS]
    now = params[to.H_NOW]
    found = 0
    for s in range(rows):
        t0 = s * samples
        h = head[s]
        c = count[s]
        if s + _AHEAD < rows:
            for f in (0, shape[to.FIELD], shape[to.FIELD + 2]):
                _fetch(columns, (f * capacity + s + _AHEAD) * samples, samples, head[s + _AHEAD], 0, 1)
        skip = _newest(columns, t0, samples, h, c, now)
        for j in range(7):
            out[j * rows + s] = np.nan
        verdict[s] = to.UNKNOWN
        if c == 0 or skip == c:
            cause[s] = to.CLOCK if c > 0 else _short(began[s], to.NO_DATA)
            continue
        which = -1  # the newest told number of a fresh reading decides which of the two is compared
        at = skip
        stale = False
        while at < c:
            i = h - 1 - at
            if i < 0:
                i += samples
            if now - columns[t0 + i] > params[to.H_MAX_GAP]:
                stale = at == skip
                break
            for f in range(2):
                if which < 0:
                    v = columns[(shape[to.FIELD + f] * capacity + s) * samples + i]
                    if v == v:
                        which = f
            if which >= 0:
                break
            at += 1
        if which < 0:
            cause[s] = to.GAP if stale else to.NOT_TOLD
            continue
        v0 = (shape[to.FIELD + which] * capacity + s) * samples
        i = h - 1 - at
        if i < 0:
            i += samples
        tn = columns[t0 + i]
        vn = columns[v0 + i]
        seen = memory[to.H_SEEN * capacity + s]
        after = seen if seen == seen else now - params[to.H_MAX_GAP]
        why = _short(began[s], to.TOO_FEW)
        first = True
        jump_base = np.nan
        jump_at = np.nan
        t1 = tn
        v1 = vn
        k = at + 1
        while k < c:
            i = h - 1 - k
            if i < 0:
                i += samples
            k += 1
            v = columns[v0 + i]
            if v != v:
                continue
            t = columns[t0 + i]
            if t1 - t > params[to.H_MAX_GAP]:
                if first:
                    why = to.GAP
            elif v == 0.0 and v1 > 0.0:
                real = False  # one lone zero is a hole in the page, two in a row are an empty heap
                for kk in range(k, c):
                    ii = h - 1 - kk
                    if ii < 0:
                        ii += samples
                    if columns[v0 + ii] == columns[v0 + ii]:
                        real = columns[v0 + ii] == 0.0
                        break
                if first:
                    why = to.FINE if real else to.ZERO_BASE
                if real and t1 > after and v1 > params[to.H_BYTES] and vn > params[to.H_BYTES]:
                    jump_base = v
                    jump_at = t1
            else:
                if first:
                    why = to.FINE
                if (
                    t1 > after
                    and v1 - v > params[to.H_BYTES]
                    and (v1 - v) * _ABOVE >= params[to.H_SHARE] * v
                    and vn - v > params[to.H_BYTES]
                    and (vn - v) * _ABOVE >= params[to.H_SHARE] * v
                ):
                    jump_base = v
                    jump_at = t1
            first = False
            t1 = t
            v1 = v
            if t1 <= after:
                break
        memory[to.H_SEEN * capacity + s] = tn
        cycles = np.nan
        g0 = (shape[to.FIELD + 2] * capacity + s) * samples
        i = h - 1 - at
        if i < 0:
            i += samples
        cycles = columns[g0 + i]
        b = to.H_BASE * capacity + s
        if memory[b] == memory[b]:
            base = memory[b]
            if (
                vn - base <= params[to.H_BYTES]
                or (vn - base) * _ABOVE < params[to.H_SHARE] * base
                or now - memory[to.H_AT * capacity + s] > params[to.H_HOLD]
            ):
                memory[b] = np.nan
        if memory[b] != memory[b] and jump_base == jump_base:
            memory[b] = jump_base
            memory[to.H_AT * capacity + s] = jump_at
            memory[to.H_GC * capacity + s] = cycles
        cause[s] = why
        base = memory[b]
        if base == base:
            verdict[s] = to.SUSPECT
            cause[s] = to.FINE
            found += 1
            out[s] = base
            out[2 * rows + s] = vn - base
            out[3 * rows + s] = (vn - base) / base if base > 0.0 else np.nan
            out[4 * rows + s] = memory[to.H_AT * capacity + s]
            out[5 * rows + s] = cycles - memory[to.H_GC * capacity + s]
        elif why == to.FINE:
            verdict[s] = to.OK
        out[rows + s] = vn
        out[6 * rows + s] = which
    return found


def excess(columns, limits, shape, head, count, began, params, memory, verdict, cause, out):
    capacity = shape[to.CAPACITY]
    samples = shape[to.SAMPLES]
    rows = shape[to.ROWS]
    now = params[to.E_NOW]
    found = 0
    for s in range(rows):
        t0 = s * samples
        v0 = (shape[to.FIELD] * capacity + s) * samples
        h = head[s]
        c = count[s]
        skip = _newest(columns, t0, samples, h, c, now)
        value = np.nan
        stale = False
        for k in range(skip, c):
            i = h - 1 - k
            if i < 0:
                i += samples
            if now - columns[t0 + i] > params[to.E_MAX_AGE]:
                stale = k == skip
                break
            value = columns[v0 + i]
            if value == value:
                break
        procs = limits[shape[to.FIELD + 1] * capacity + s]
        out[s] = value
        out[rows + s] = procs
        verdict[s] = to.UNKNOWN
        if value == value and procs == procs:
            cause[s] = to.FINE
            verdict[s] = to.OK
            if value > procs * params[to.E_PER_PROC]:
                verdict[s] = to.SUSPECT
                found += 1
        elif c == 0:
            cause[s] = _short(began[s], to.NO_DATA)
        elif skip == c:
            cause[s] = to.CLOCK
        else:
            cause[s] = to.GAP if stale else to.NOT_TOLD
    return found


def blocked(columns, limits, shape, head, count, began, params, memory, verdict, cause, out):
    capacity = shape[to.CAPACITY]
    samples = shape[to.SAMPLES]
    rows = shape[to.ROWS]
    now = params[to.B_NOW]
    found = 0
    for s in range(rows):
        t0 = s * samples
        v0 = (shape[to.FIELD] * capacity + s) * samples
        g0 = (shape[to.FIELD + 1] * capacity + s) * samples
        h = head[s]
        c = count[s]
        skip = _newest(columns, t0, samples, h, c, now)
        m_seen = to.B_SEEN * capacity + s
        m_base = to.B_BASE * capacity + s
        m_n = to.B_N * capacity + s
        m_fired = to.B_FIRED * capacity + s
        m_looked = to.B_LOOKED * capacity + s
        k = skip
        while k < c:  # back to the first reading not judged yet
            i = h - 1 - k
            if i < 0:
                i += samples
            if columns[t0 + i] <= memory[m_looked]:
                break
            k += 1
        share = np.nan
        extra = np.nan
        for kk in range(k - 1, skip - 1, -1):
            i = h - 1 - kk
            if i < 0:
                i += samples
            v = columns[v0 + i]
            g = columns[g0 + i]
            if v != v or g != g:
                continue
            t = columns[t0 + i]
            if memory[m_n] != memory[m_n] or (
                memory[m_fired] != memory[m_fired] and t - memory[m_seen] > params[to.B_MAX_AGE]
            ):
                memory[m_n] = 0.0
                memory[m_base] = 0.0
            base = memory[m_base]
            n = memory[m_n]
            if memory[m_fired] == memory[m_fired]:
                if v <= base + params[to.B_JUMP] / 2.0:
                    memory[m_fired] = np.nan
                elif t - memory[m_fired] > params[to.B_HOLD]:
                    memory[m_fired] = np.nan
                    memory[m_base] = v
                    memory[m_n] = 1.0
            elif (
                n >= params[to.B_MIN_N]
                and v - base > params[to.B_JUMP] * _ABOVE
                and (v - base) * g * _ABOVE >= params[to.B_EXTRA]
            ):
                memory[m_fired] = t
            else:
                weight = 1.0 / (n + 1.0)
                if n >= params[to.B_MIN_N]:
                    weight = 1.0 - np.exp(-(t - memory[m_seen]) / params[to.B_TAU])
                memory[m_base] = base + weight * (v - base)
                memory[m_n] = n + 1.0
            memory[m_seen] = t
        if skip < k:
            i = h - 1 - skip
            if i < 0:
                i += samples
            memory[m_looked] = columns[t0 + i]
        for j in range(skip, c):  # the newest told, judged now or before
            i = h - 1 - j
            if i < 0:
                i += samples
            if memory[m_seen] != memory[m_seen] or columns[t0 + i] < memory[m_seen]:
                break
            if columns[v0 + i] == columns[v0 + i] and columns[g0 + i] == columns[g0 + i]:
                share = columns[v0 + i]
                extra = (share - memory[m_base]) * columns[g0 + i]
                break
        out[s] = share
        out[rows + s] = memory[m_base]
        out[2 * rows + s] = extra
        out[3 * rows + s] = memory[m_fired]
        verdict[s] = to.UNKNOWN
        if c == 0:
            cause[s] = _short(began[s], to.NO_DATA)
        elif skip == c:
            cause[s] = to.CLOCK
        elif memory[m_seen] != memory[m_seen]:
            cause[s] = to.NOT_TOLD
        elif now - memory[m_seen] > params[to.B_MAX_AGE]:
            cause[s] = to.GAP
        elif memory[m_fired] == memory[m_fired]:
            cause[s] = to.FINE
            verdict[s] = to.SUSPECT
            found += 1
        elif memory[m_n] < params[to.B_MIN_N]:
            cause[s] = _short(began[s], to.TOO_FEW)
        else:
            cause[s] = to.FINE
            verdict[s] = to.OK
    return found


_SIGNATURE = "f64*, f64*, i64*, i64*, i64*, i64*, f64*, f64*, u8*, u8*, f64*"
KERNELS = {f.__name__: (f, _SIGNATURE) for f in (trend, gc, heap, excess, blocked)}
