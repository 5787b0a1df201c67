"""The gate: who may run a unit, whose result counts, and when somebody must look at it next.

All of it is Lua on one Redis, by that Redis' clock. A *unit* is a (task, where) of a wave; each is pending,
running or done.

    pending --claim--> running --final report--> done
       ^                  |
       +--- retry --------+--- claim, after the lease has run out (attempt + 1)

Who may do what, and why it is safe:

- `claim` grants a unit to one attempt at a time. It is refused when the unit is done, when another attempt's lease
  holds, when the wave is closed or past its expiry, or when an input is still open and the timeout has not come. A
  message is only a hint that a claim may succeed, so that messages can be lost, doubled or late.
- Who runs a unit past its time limit is known to hang: its worker says so (`hang`, or by renewing it after a grace).
  The unit is overdue then, and nobody may claim it but a keeper, to end it (`seize`).
- A unit whose lease ran out before was lost, with its worker. It is run again as it was, until it looks as if it were
  the reason: when it has killed two children (of which their parents tell: `drop`) or was with three workers that
  vanished, and nothing of it was reported in between. From then on it is granted only to a worker that runs nothing
  else (answer `alone`), which writes a `mark` before each piece of it: should that worker die too, the next claim
  learns which piece it was, and nobody else is blamed.
- `release` gives back what a worker that is told to stop, or that met an error, will not finish: no loss.
- `decline` is of a worker whose code does not know the task, as in a rolling deployment. It counts how often that
  was, so that the message is passed on to other workers a bounded number of times; then it is left to the deadlines.
- `renew` lengthens the leases that one worker's attempts hold.
- `report` carries the attempt. A stale one (the lease was lost and granted again) is refused, so that a task whose
  code ran twice has one effect. The final report makes the unit done, counts down what its dependents wait for,
  arms those that became ready, and closes the wave when no unit is open.
- A client whose connection was cut does not know whether its script ran, and sends it again. So each script may run
  twice: a claim carries a token of its own and is granted again to the same one; a report says what it believes was
  reported before, and counts only when that is so.
- `due` gives what somebody must look at now and moves its score forward before it answers: a keeper that dies after
  it loses nothing, two keepers share the work. Scores: ready but unclaimed, 5 s after it became ready and doubling at
  each resend; waiting, its timeout; running, the end of its lease. A unit whose shard was not started yet has no
  score of its own: what it waits for has one.
- The wave has a score too: its expiry; before that, while it is being submitted, 5 s after it was made, so that a
  keeper arms what a submission that died did not.
- What went otherwise than it should is written into the list `{wave} incidents`, as `time kind number unit`, where it
  is decided (see `pipeline.incidents`); a wave in which all goes well writes none.
- `close` ends a wave whatever is open. Claims and reports are refused from then on.
- A retry has three steps: `begin` takes a token; `reset` makes units pending again while the wave is closed, so that
  nobody can claim them; `reopen` arms them. One that dies leaves a closed wave, and the next one takes over.

A unit's record, in the hash `{wave} units`, is `state attempt need lease limit owner suspicion`; without a record it
is pending with the need that its graph gives, so that submitting a wave writes nothing for each unit.
Times are milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

from redis import Redis

from pipeline.units import Unit

DEADLINES = "deadlines"
WAVES = "waves"
READY_MS = 5_000  # how soon a unit that is ready is looked at
RESEND_MAX_MS = 300_000  # the longest time between two resends
TOLD = 1000  # incidents of a wave that are written down; what comes after them is only counted
UNTAKEN = 3  # resends of a ready unit that nobody has claimed, after which that is an incident: 35 s
YEAR_MS = 365 * 86_400_000  # a wave without an expiry is kept so long while it is open
GRACE_MS = 5_000  # how far from its time limit a run may be when it is said to hang
WAVE_UNIT = Unit("@wave", "@")  # stands for the wave itself among the deadlines
ALONE_AFTER = (
    3  # suspicion from which a unit is run alone: a worker that vanished with it counts 1, a child 2
)
CHUNK = 1000  # units that one script touches
FAR_MS = 4_102_444_800_000  # the year 2100: the expiry of a wave that has none

_CONSTANTS = {
    "ALONE": ALONE_AFTER,
    "READY": READY_MS,
    "RESEND": RESEND_MAX_MS,
    "GRACE": GRACE_MS,
    "FAR": FAR_MS,
    "YEAR": YEAR_MS,
    "TOLD": TOLD,
    "UNTAKEN": UNTAKEN,
}
REDIS_TIME = "local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000)"
_PRELUDE = """
local function int(x) return string.format('%.0f', x) end
local function load(wave, unit, need)
  local raw = redis.call('HGET', wave .. ' units', unit)
  if not raw then return {s='p', a=0, n=tonumber(need or 0), l=0, w=0, o='-', x=0} end
  local s, a, n, l, w, o, x = string.match(raw, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  return {s=s, a=tonumber(a), n=tonumber(n), l=tonumber(l), w=tonumber(w), o=o, x=tonumber(x)}
end
local function save(wave, unit, u)
  redis.call('HSET', wave .. ' units', unit, table.concat(
    {u.s, int(u.a), int(u.n), int(u.l), int(u.w), u.o, int(u.x)}, ' '))
end
local function look(wave_id, unit, at) redis.call('ZADD', 'deadlines', int(at), wave_id .. ' ' .. unit) end
local function tell(wave, unit, kind, number)
  local key = wave .. ' incidents'
  local known = redis.call('LLEN', key)
  if known >= TOLD then return redis.call('HINCRBY', wave, 'untold', 1) end
  redis.call('RPUSH', key, table.concat({int(now_ms()), kind, int(number or 0), unit}, ' '))
  if known == 0 then redis.call('PEXPIREAT', key, redis.call('HGET', wave, 'gone')) end
end
local function keep(wave, id, gone)
  redis.call('HSET', wave, 'gone', int(gone))
  for _, part in ipairs({'', ' shards', ' units', ' status', ' errors', ' counts', ' starts', ' resends', ' marks',
                         ' incidents'}) do
    redis.call('PEXPIREAT', wave .. part, int(gone))
  end
  redis.call('ZADD', 'waves', int(gone), id)
end
local function lifetime(expires, now, ttl) return math.min(expires, now + YEAR) + tonumber(ttl) end
local function ended(wave, id, now)
  local ttl = redis.call('HGET', wave, 'ttl')
  if ttl and now + ttl < tonumber(redis.call('HGET', wave, 'gone')) then keep(wave, id, now + ttl) end
end
local function holds(u, owner) return u.s == 'r' and string.match(u.o, '^[^/]+') == owner end
"""

_SCRIPTS: dict[str, str] = {
    # KEYS: wave, temporary shards. ARGV: id, expiry ms, ttl ms, open units, n, n roots, then field value ...
    "create": """
        local state = redis.call('HGET', KEYS[1], 'state')
        if state then redis.call('DEL', KEYS[2]); return {0, state} end
        local now = now_ms()
        local expires = tonumber(ARGV[2]) > 0 and now + tonumber(ARGV[2]) or FAR
        local gone = lifetime(expires, now, ARGV[3])
        local fields = {'state', 'submitting', 'open', ARGV[4], 'submitted', int(now), 'expires', int(expires),
                        'gone', int(gone), 'ttl', ARGV[3]}
        local roots = tonumber(ARGV[5])
        for i = 6 + roots, #ARGV do fields[#fields + 1] = ARGV[i] end
        redis.call('HSET', KEYS[1], unpack(fields))
        if tonumber(ARGV[4]) == 0 then
          redis.call('HSET', KEYS[1], 'state', 'closed', 'reason', 'empty', 'ended', int(now))
        else
          redis.call('RENAME', KEYS[2], KEYS[1] .. ' shards')
          redis.call('PEXPIREAT', KEYS[1] .. ' shards', int(gone))
          look(ARGV[1], '@wave @', math.min(expires, now + READY))
          for i = 6, 5 + roots do look(ARGV[1], ARGV[i], now + READY) end
        end
        redis.call('PEXPIREAT', KEYS[1], int(gone))
        redis.call('ZREMRANGEBYSCORE', 'waves', '-inf', int(now))
        redis.call('ZADD', 'waves', int(gone), ARGV[1])
        return {1, redis.call('HGET', KEYS[1], 'state')}
    """,
    # KEYS: wave. ARGV: id, then unit, need, and again ...
    "arm": """
        local state = redis.call('HGET', KEYS[1], 'state')
        if not state or state == 'closed' then return 0 end
        local now = now_ms()
        for i = 2, #ARGV, 2 do
          local u = load(KEYS[1], ARGV[i], ARGV[i + 1])
          if u.s == 'p' and u.n == 0 then
            redis.call('ZADD', 'deadlines', 'NX', int(now + READY), ARGV[1] .. ' ' .. ARGV[i])
          end
        end
        return 1
    """,
    # KEYS: wave. ARGV: id.   The canvases are sent: from now on the wave is open.
    "open": """
        local state = redis.call('HGET', KEYS[1], 'state')
        if state ~= 'submitting' then return state end
        redis.call('HSET', KEYS[1], 'state', 'open')
        look(ARGV[1], '@wave @', redis.call('HGET', KEYS[1], 'expires'))
        return 'open'
    """,
    # KEYS: wave. ARGV: id, unit, need, timeout ms, lease ms, limit ms, owner/token, mode (run, alone or seize),
    #             then for each clock: place, n, n times (unit, timeout ms)
    "claim": """
        local wave, id, unit = KEYS[1], ARGV[1], ARGV[2]
        local state, expires = unpack(redis.call('HMGET', wave, 'state', 'expires'))
        if not state then return {'lost', 0} end
        local u, now = load(wave, unit, ARGV[3]), now_ms()
        if state == 'closed' or now >= tonumber(expires) then return {'closed', 0} end
        local function granted(mark)
          return {'granted', int(u.a), int(u.n), redis.call('HGET', wave .. ' status', unit) or '', mark}
        end
        if u.s == 'd' then return {'done', 0} end
        if u.s == 'r' and u.o == ARGV[7] then return granted(redis.call('HGET', wave .. ' marks', unit) or '') end
        if u.s == 'r' and u.l > now then return {'held', int(u.l - now)} end
        local overdue = u.s == 'r' and u.w == 0
        if overdue ~= (ARGV[8] == 'seize') then return {overdue and 'overdue' or 'held', 0} end
        local lost = u.s == 'r' and not overdue
        if lost then u.x = u.x + 1 end
        if u.x >= ALONE and ARGV[8] == 'run' then return {'alone', 0} end
        local i = 9
        while i <= #ARGV do
          local place, n = ARGV[i], tonumber(ARGV[i + 1])
          if redis.call('HSETNX', wave .. ' starts', place, int(now)) == 1 then
            redis.call('PEXPIREAT', wave .. ' starts', redis.call('HGET', wave, 'gone'))
            for k = 0, n - 1 do
              local waiter = ARGV[i + 2 + 2 * k]
              if waiter ~= unit then
                redis.call('ZADD', 'deadlines', 'NX', int(now + tonumber(ARGV[i + 3 + 2 * k])), id .. ' ' .. waiter)
              end
            end
          end
          i = i + 2 + 2 * n
        end
        if u.n > 0 then
          local place = string.match(unit, ' (%S+)$')
          local start = tonumber(redis.call('HGET', wave .. ' starts', place) or now)
          local left = start + tonumber(ARGV[4]) - now
          if left > 0 then return {'waiting', int(left)} end
        end
        if lost then
          redis.call('HINCRBY', wave, 'lost', 1)
          if u.o ~= '-' then tell(wave, unit, 'lost', u.a) end
        end
        if u.n > 0 then tell(wave, unit, 'timeout', u.n) end
        if ARGV[8] == 'alone' and u.x >= ALONE then tell(wave, unit, 'alone', u.a + 1) end
        if not lost then redis.call('HDEL', wave .. ' marks', unit) end
        u.s, u.a, u.o = 'r', u.a + 1, ARGV[7]
        u.l, u.w = now + tonumber(ARGV[5]), now + tonumber(ARGV[6])
        save(wave, unit, u)
        redis.call('HDEL', wave .. ' resends', unit)
        if u.a == 1 then redis.call('PEXPIREAT', wave .. ' units', redis.call('HGET', wave, 'gone')) end
        look(id, unit, u.l)
        return granted(redis.call('HGET', wave .. ' marks', unit) or '')
    """,
    # KEYS: waves ... ARGV: owner, lease ms, then for each wave: id, unit
    "renew": """
        local now, held = now_ms(), 0
        for i, wave in ipairs(KEYS) do
          local id, unit = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
          local u = load(wave, unit, 0)
          if holds(u, ARGV[1]) and u.w > 0 and redis.call('HGET', wave, 'state') ~= 'closed' then
            u.l = now + tonumber(ARGV[2])
            if now >= u.w + GRACE then
              u.w, u.l = 0, now
              tell(wave, unit, 'hung', u.a)
            end
            save(wave, unit, u)
            look(id, unit, u.l)
            held = held + 1
          end
        end
        return held
    """,
    # KEYS: waves ... ARGV: owner, then for each wave: id, unit.   What this owner ran will not come back: look now.
    "drop": """
        local now = now_ms()
        for i, wave in ipairs(KEYS) do
          local id, unit = ARGV[2 * i], ARGV[1 + 2 * i]
          local u = load(wave, unit, 0)
          if holds(u, ARGV[1]) and u.l > now and redis.call('HGET', wave, 'state') ~= 'closed' then
            u.x, u.l, u.o = u.x + 1, now, '-'
            save(wave, unit, u)
            tell(wave, unit, 'died', u.a)
            look(id, unit, now)
          end
        end
        return #KEYS
    """,
    # KEYS: waves ... ARGV: owner, then for each wave: id, unit.   This owner's run was stopped at its time limit.
    "hang": """
        local now = now_ms()
        for i, wave in ipairs(KEYS) do
          local id, unit = ARGV[2 * i], ARGV[1 + 2 * i]
          local u = load(wave, unit, 0)
          if holds(u, ARGV[1]) and now >= u.w - GRACE and redis.call('HGET', wave, 'state') ~= 'closed' then
            u.w, u.l = 0, now
            save(wave, unit, u)
            tell(wave, unit, 'hung', u.a)
            look(id, unit, now)
          end
        end
        return #KEYS
    """,
    # KEYS: waves ... ARGV: owner, delay ms, then for each wave: id, unit.   This owner stops: no loss.
    "release": """
        local now = now_ms()
        for i, wave in ipairs(KEYS) do
          local id, unit = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
          local u = load(wave, unit, 0)
          if holds(u, ARGV[1]) and u.w > 0 and redis.call('HGET', wave, 'state') ~= 'closed' then
            u.s, u.o, u.l = 'p', '-', 0
            save(wave, unit, u)
            tell(wave, unit, 'returned', u.a)
            look(id, unit, now + tonumber(ARGV[2]))
          end
        end
        return #KEYS
    """,
    # KEYS: wave. ARGV: unit.   Gives how often it was declined, 0 when nobody need run it.
    "decline": """
        local state = redis.call('HGET', KEYS[1], 'state')
        if not state or state == 'closed' or load(KEYS[1], ARGV[1], 0).s ~= 'p' then return 0 end
        local times = redis.call('HINCRBY', KEYS[1] .. ' resends', ARGV[1] .. ' declined', 1)
        if times == 1 then
          redis.call('PEXPIREAT', KEYS[1] .. ' resends', redis.call('HGET', KEYS[1], 'gone'))
          tell(KEYS[1], ARGV[1], 'unknown', 0)
        end
        return times
    """,
    # KEYS: wave. ARGV: unit, attempt, first, stop
    "mark": """
        local u = load(KEYS[1], ARGV[1], 0)
        if u.s ~= 'r' or u.a ~= tonumber(ARGV[2]) or redis.call('HGET', KEYS[1], 'state') == 'closed' then return 0 end
        redis.call('HSET', KEYS[1] .. ' marks', ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
        redis.call('PEXPIREAT', KEYS[1] .. ' marks', redis.call('HGET', KEYS[1], 'gone'))
        return 1
    """,
    # KEYS: wave. ARGV: id, unit, attempt, final, statuses, the same marked late, those reported before, micros,
    #             n errors, n dependents, n counts; then errors (index text), dependents (unit need), counts
    #             (char n late-char)
    "report": """
        local wave, id, unit = KEYS[1], ARGV[1], ARGV[2]
        local state = redis.call('HGET', wave, 'state')
        if not state then return {'lost', 0, 0, {}} end
        local u, now = load(wave, unit, 0), now_ms()
        local final, repeated = ARGV[4] == '1', false
        if u.s == 'd' and final and u.a == tonumber(ARGV[3]) then repeated = true
        elseif state == 'closed' then return {'closed', 0, 0, {}}
        elseif u.s ~= 'r' or u.a ~= tonumber(ARGV[3]) then return {'stale', 0, 0, {}} end
        local errors, deps, counts = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
        local gone = redis.call('HGET', wave, 'gone')
        local at, ready, late = 12, {}, 0
        for k = 1, errors do
          redis.call('HSET', wave .. ' errors', unit .. ' ' .. ARGV[at], ARGV[at + 1])
          at = at + 2
        end
        if errors > 0 then redis.call('PEXPIREAT', wave .. ' errors', gone) end
        for k = 1, deps do
          local dep = ARGV[at]
          local d = load(wave, dep, ARGV[at + 1])
          if d.s ~= 'p' then late = 1 end
          if final then
            if not repeated then
              d.n = math.max(d.n - 1, 0)
              save(wave, dep, d)
            end
            if d.n == 0 and d.s == 'p' then
              if not repeated then look(id, dep, now + READY) end
              ready[#ready + 1] = dep
            end
          end
          at = at + 2
        end
        if repeated then return {'ok', late, state == 'closed' and 1 or 0, ready} end
        local before = redis.call('HGET', wave .. ' status', unit)
        if before and before ~= ARGV[7] then
          late, counts = before == ARGV[6] and 1 or 0, 0
        end
        redis.call('HSET', wave .. ' status', unit, late == 1 and ARGV[6] or ARGV[5])
        for k = 1, counts do
          local char = late == 1 and ARGV[at + 2] or ARGV[at]
          redis.call('HINCRBY', wave .. ' counts', string.match(unit, '^%S+') .. ' ' .. char, ARGV[at + 1])
          at = at + 3
        end
        redis.call('HINCRBY', wave .. ' counts', string.match(unit, '^%S+') .. ' us', ARGV[8])
        redis.call('PEXPIREAT', wave .. ' status', gone)
        redis.call('PEXPIREAT', wave .. ' counts', gone)
        if not final then
          if u.x > 0 and u.x < ALONE then
            u.x = 0
            save(wave, unit, u)
          end
          return {'ok', late, 0, ready}
        end
        u.s, u.o, u.l = 'd', '-', now
        save(wave, unit, u)
        if late == 1 then tell(wave, unit, 'late', u.a) end
        redis.call('ZREM', 'deadlines', id .. ' ' .. unit)
        redis.call('HDEL', wave .. ' marks', unit)
        local closed = 0
        if redis.call('HINCRBY', wave, 'open', -1) == 0 then
          redis.call('HSET', wave, 'state', 'closed', 'reason', 'done', 'ended', int(now))
          redis.call('ZREM', 'deadlines', id .. ' @wave @')
          ended(wave, id, now)
          closed = 1
        end
        return {'ok', late, closed, ready}
    """,
    # ARGV: limit.   Gives kind, member, kind, member ...
    "due": """
        local now, found = now_ms(), {}
        for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'deadlines', '-inf', int(now), 'LIMIT', 0, ARGV[1])) do
          local id, unit = string.match(member, '^(.*) (%S+ %S+)$')
          local wave = 'wave:' .. id
          local state = redis.call('HGET', wave, 'state')
          if not state or state == 'closed' then
            redis.call('ZREM', 'deadlines', member)
          elseif unit == '@wave @' then
            local expires = tonumber(redis.call('HGET', wave, 'expires'))
            if state == 'submitting' or now >= expires then
              redis.call('ZADD', 'deadlines', int(now + READY), member)
              found[#found + 1] = now >= expires and 'expired' or 'unsent'
              found[#found + 1] = member
            else
              redis.call('ZADD', 'deadlines', int(expires), member)
            end
          else
            local u = load(wave, unit, 1)
            if u.s == 'd' then
              redis.call('ZREM', 'deadlines', member)
            elseif u.s == 'r' and u.l > now then
              redis.call('ZADD', 'deadlines', int(u.l), member)
            else
              local overdue = u.s == 'r' and u.w == 0
              local sent = redis.call('HINCRBY', wave .. ' resends', unit, 1)
              redis.call('PEXPIREAT', wave .. ' resends', redis.call('HGET', wave, 'gone'))
              local wait = math.min(READY * 2 ^ math.min(sent, 10), RESEND)
              redis.call('ZADD', 'deadlines', int(now + wait), member)
              if u.s == 'p' and sent == UNTAKEN then tell(wave, unit, 'untaken', 35) end
              local alone = u.x + (u.s == 'r' and 1 or 0) >= ALONE
              found[#found + 1] = overdue and 'overdue' or alone and 'alone' or u.s == 'r' and 'lost' or 'send'
              found[#found + 1] = member
            end
          end
        end
        return found
    """,
    # KEYS: wave. ARGV: id, reason
    "close": """
        local state = redis.call('HGET', KEYS[1], 'state')
        if not state or state == 'closed' then return 0 end
        local now = now_ms()
        redis.call('HSET', KEYS[1], 'state', 'closed', 'reason', ARGV[2], 'ended', int(now))
        redis.call('ZREM', 'deadlines', ARGV[1] .. ' @wave @')
        ended(KEYS[1], ARGV[1], now)
        return 1
    """,
    # KEYS: wave. ARGV: id, units ...   Unless somebody has opened it again meanwhile.
    "clear": """
        if redis.call('HGET', KEYS[1], 'state') ~= 'closed' then return 0 end
        for i = 2, #ARGV do redis.call('ZREM', 'deadlines', ARGV[1] .. ' ' .. ARGV[i]) end
        return 1
    """,
    # KEYS: wave. ARGV: token
    "begin": """
        if redis.call('HGET', KEYS[1], 'state') ~= 'closed' then return 0 end
        redis.call('HSET', KEYS[1], 'retry', ARGV[1])
        return 1
    """,
    # KEYS: wave. ARGV: id, token, then unit, need, statuses, and again ...
    "reset": """
        local wave, id = KEYS[1], ARGV[1]
        if redis.call('HGET', wave, 'state') ~= 'closed' or redis.call('HGET', wave, 'retry') ~= ARGV[2] then
          return 0
        end
        if redis.call('HGET', wave, 'reason') == 'done' then redis.call('HSET', wave, 'reason', 'cancelled') end
        for at = 3, #ARGV, 3 do
          local unit, kept = ARGV[at], ARGV[at + 2]
          local u, old = load(wave, unit, 0), redis.call('HGET', wave .. ' status', unit) or ''
          u.s, u.n, u.a, u.l, u.w, u.o, u.x = 'p', tonumber(ARGV[at + 1]), u.a + 1, 0, 0, '-', 0
          save(wave, unit, u)
          for i = 1, #old do
            local char = string.sub(old, i, i)
            if char ~= '@' and char ~= string.sub(kept, i, i) then
              redis.call('HINCRBY', wave .. ' counts', string.match(unit, '^%S+') .. ' ' .. char, -1)
            end
          end
          redis.call('HSET', wave .. ' status', unit, kept)
          redis.call('HDEL', wave .. ' resends', unit)
          redis.call('HDEL', wave .. ' marks', unit)
          redis.call('ZREM', 'deadlines', id .. ' ' .. unit)
        end
        for _, key in ipairs({' units', ' status', ' counts'}) do
          redis.call('PEXPIREAT', wave .. key, redis.call('HGET', wave, 'gone'))
        end
        return 1
    """,
    # KEYS: wave. ARGV: id, token, expiry ms, open units, then the units that are ready ...
    "reopen": """
        local wave, id, now = KEYS[1], ARGV[1], now_ms()
        if redis.call('HGET', wave, 'retry') ~= ARGV[2] then return 0 end
        if redis.call('HGET', wave, 'state') ~= 'closed' then return 1 end
        local expires = tonumber(ARGV[3]) > 0 and now + tonumber(ARGV[3]) or FAR
        redis.call('HSET', wave, 'state', 'submitting', 'open', ARGV[4], 'expires', int(expires))
        redis.call('HDEL', wave, 'reason', 'ended')
        redis.call('DEL', wave .. ' starts')
        local ttl = redis.call('HGET', wave, 'ttl')
        if ttl then keep(wave, id, lifetime(expires, now, ttl)) end
        look(id, '@wave @', math.min(expires, now + READY))
        for i = 5, #ARGV do look(id, ARGV[i], now + READY) end
        return 1
    """,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The gate's answer to a claim."""

    # granted, or why not: done, held, waiting, overdue, alone, closed, or lost (the wave is not in Redis)
    answer: str
    attempt: int = 0  # number of this attempt, from 1
    open_inputs: int = 0  # units that it would still have waited for, had its timeout not come
    statuses: str = ""  # of the entities, as earlier attempts left them; "" when none did
    mark: tuple[int, int] | None = None  # the piece (first, stop) at which an attempt that ran alone was lost
    wait: float = 0.0  # seconds until a refused claim may succeed, where that is known

    @property
    def granted(self) -> bool:
        """Whether the unit may be run."""
        return self.answer == "granted"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The gate's answer to a report."""

    answer: str  # ok, or why it was refused: stale, closed, lost
    late: bool = False  # dependents had started without it
    closed: bool = False  # it was the last unit of its wave
    ready: tuple[Unit, ...] = ()  # dependents that wait for nothing now

    @property
    def ok(self) -> bool:
        """Whether the report counts."""
        return self.answer == "ok"


def wave_key(wave_id: str) -> str:
    """Give the key of a wave's hash; its other keys begin with it and a space."""
    return f"wave:{wave_id}"


class Gate:
    """The scripts, bound to a client of the control Redis.

    `now` is Lua that returns the time in milliseconds: Redis' own clock, unless a test wants another. No time of a
    client ever reaches a script.
    """

    def __init__(self, client: Redis, now: str = REDIS_TIME) -> None:
        self._client = client
        self._tokens = count()
        head = "".join(f"local {name} = {value}\n" for name, value in _CONSTANTS.items())
        head += f"local function now_ms() {now} end\n{_PRELUDE}"
        self._scripts = {name: client.register_script(head + body) for name, body in _SCRIPTS.items()}

    def _run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return self._scripts[script](keys=keys, args=args)

    def create(
        self,
        wave_id: str,
        shards_key: str,
        fields: Mapping[str, Any],
        units: int,
        roots: Sequence[Unit],
        expiry: float,
        ttl: float,
    ) -> tuple[bool, str]:
        """Make a wave from its shards under a temporary key, unless it is there.

        `roots` get their first deadline; more than `CHUNK` of them are left to `arm`. `expiry` in seconds from
        now, 0 for none; `ttl` how long its keys are kept after that. Gives whether this call made it, and its
        condition: submitting, open or closed.
        """
        pairs = [item for pair in fields.items() for item in pair]
        first = [str(unit) for unit in roots[:CHUNK]]
        args = [wave_id, int(expiry * 1000), int(ttl * 1000), units, len(first), *first, *pairs]
        made, state = self._run("create", [wave_key(wave_id), shards_key], args)
        return bool(made), state.decode()

    def arm(self, wave_id: str, units: Iterable[tuple[Unit, int]]) -> None:
        """Give a first deadline to those units, given with what they wait for, that are pending and wait for none."""
        flat = [item for unit, need in units for item in (str(unit), need)]
        for i in range(0, len(flat), 2 * CHUNK):
            self._run("arm", [wave_key(wave_id)], [wave_id, *flat[i : i + 2 * CHUNK]])

    def open(self, wave_id: str) -> str:
        """Say that everything was sent; gives the wave's condition. Raises LookupError when Redis lost it."""
        state = self._run("open", [wave_key(wave_id)], [wave_id])
        if state is None:
            raise LookupError(f"wave {wave_id!r} is not in Redis any more")
        return str(state.decode())

    def claim(
        self,
        wave_id: str,
        unit: Unit,
        *,
        need: int,
        timeout: float,
        lease: float,
        limit: float,
        owner: str,
        waiting: Mapping[str, Sequence[tuple[Unit, float]]],
        mode: str = "run",
    ) -> Claim:
        """Ask to run a unit.

        need     how many units it waits for, by the wave's graph
        timeout  seconds after its place's start that it runs without them
        lease    seconds that the claim holds without being renewed
        limit    seconds that the run may take
        owner    who renews the lease
        waiting  place -> units whose clocks start if this is the first claim there, with their timeouts
        mode     "run"; "alone" by a worker that runs nothing else; "seize" only to end a run past its limit
        """
        token = f"{owner}/{os.getpid()}.{next(self._tokens)}"
        args: list[Any] = [wave_id, str(unit), need, _ms(timeout), _ms(lease), _ms(limit), token, mode]
        for place, units in waiting.items():
            args += [place, len(units)]
            for waiter, wait in units:
                args += [str(waiter), _ms(wait)]
        answer, *rest = self._run("claim", [wave_key(wave_id)], args)
        if answer != b"granted":
            return Claim(answer.decode(), wait=int(rest[0]) / 1000)
        attempt, open_inputs, statuses, mark = rest
        piece = tuple(int(n) for n in mark.split())
        found = (piece[0], piece[1]) if piece else None
        return Claim("granted", int(attempt), int(open_inputs), statuses.decode(), found)

    def renew(self, owner: str, lease: float, held: Sequence[tuple[str, Unit]]) -> int:
        """Lengthen the leases of what `owner` runs, given as (wave id, unit); gives how many it still holds."""
        return self._held("renew", [owner, _ms(lease)], held)

    def drop(self, owner: str, held: Sequence[tuple[str, Unit]]) -> None:
        """End the leases of what `owner` will not finish."""
        self._held("drop", [owner], held)

    def hang(self, owner: str, held: Sequence[tuple[str, Unit]]) -> None:
        """Say that what `owner` ran was stopped at its time limit: a keeper is to end it."""
        self._held("hang", [owner], held)

    def release(self, owner: str, held: Sequence[tuple[str, Unit]], delay: float = 0.0) -> None:
        """Give back what `owner` will not finish though it lives; it is sent again after `delay` seconds."""
        self._held("release", [owner, _ms(delay)], held)

    def decline(self, wave_id: str, unit: Unit) -> int:
        """Say that a worker does not know a task that others may know; gives how often that was, 0 when it is over."""
        return int(self._run("decline", [wave_key(wave_id)], [str(unit)]))

    def mark(self, wave_id: str, unit: Unit, attempt: int, first: int, stop: int) -> bool:
        """Write down which entities an attempt that runs alone does next; False when it holds the unit no more."""
        return bool(self._run("mark", [wave_key(wave_id)], [str(unit), attempt, first, stop]))

    def _held(self, script: str, args: list[Any], held: Sequence[tuple[str, Unit]]) -> int:
        if not held:
            return 0
        pairs = [item for wave_id, unit in held for item in (wave_id, str(unit))]
        return int(self._run(script, [wave_key(wave_id) for wave_id, _ in held], [*args, *pairs]))

    def report(
        self,
        wave_id: str,
        unit: Unit,
        attempt: int,
        *,
        statuses: str,
        late_statuses: str,
        before: str,
        counts: Mapping[tuple[str, str], int],
        errors: Mapping[int, str],
        dependents: Sequence[tuple[Unit, int]],
        took: float,
        final: bool,
    ) -> Receipt:
        """Tell how the entities of a unit stand.

        statuses       all entities' characters; `late_statuses` the same if dependents have started without them
        before         the characters that were reported before
        counts         (character, late character) -> how many entities got it since the last report
        errors         index of an entity -> its text
        dependents     units that wait for this one, each with how many it waits for
        took           seconds of work since the last report
        final          whether this was all of it
        """
        lists = [
            *(item for index, text in errors.items() for item in (index, text)),
            *(item for dep, need in dependents for item in (str(dep), need)),
            *(item for (char, late), n in counts.items() for item in (char, n, late)),
        ]
        sizes = [len(errors), len(dependents), len(counts)]
        head = [wave_id, str(unit), attempt, int(final), statuses, late_statuses, before, int(took * 1e6)]
        answer, late, closed, ready = self._run("report", [wave_key(wave_id)], [*head, *sizes, *lists])
        return Receipt(answer.decode(), bool(late), bool(closed), tuple(_unit(r.decode()) for r in ready))

    def due(self, limit: int = 200) -> list[tuple[str, str, Unit]]:
        """Take what somebody must look at now, as (kind, wave id, unit), and move its score forward.

        Kinds: send (ready, its timeout has come, or unclaimed), lost (its worker vanished), alone (that was not the
        first time), overdue (past its time limit); and for the wave itself, as `WAVE_UNIT`, expired and unsent (its
        submission did not come to an end).
        """
        flat = [item.decode() for item in self._run("due", [], [limit])]
        found = []
        for kind, member in zip(flat[::2], flat[1::2], strict=True):
            wave_id, task, where = member.rsplit(" ", 2)
            found.append((kind, wave_id, Unit(task, where)))
        return found

    def close(self, wave_id: str, reason: str, units: Iterable[Unit]) -> bool:
        """End a wave for a reason (expired, superseded, cancelled), and drop the deadlines of its units."""
        if not self._run("close", [wave_key(wave_id)], [wave_id, reason]):
            return False
        names = [str(unit) for unit in units]
        for i in range(0, len(names), CHUNK):
            self._run("clear", [wave_key(wave_id)], [wave_id, *names[i : i + CHUNK]])
        return True

    def begin(self, wave_id: str) -> str | None:
        """Begin to retry a closed wave; gives a token, None when it is not closed. Whoever began before is refused."""
        token = uuid4().hex
        return token if self._run("begin", [wave_key(wave_id)], [token]) else None

    def reset(self, wave_id: str, token: str, units: Iterable[tuple[Unit, int, str]]) -> bool:
        """Make units of a closed wave pending, given as (unit, what it waits for, the statuses that it keeps).

        False when somebody else has begun to retry it.
        """
        flat = [item for unit, need, statuses in units for item in (str(unit), need, statuses)]
        parts = [flat[i : i + 3 * CHUNK] for i in range(0, len(flat), 3 * CHUNK)]
        return all(self._run("reset", [wave_key(wave_id)], [wave_id, token, *part]) for part in parts)

    def reopen(self, wave_id: str, token: str, expiry: float, units: int, ready: Iterable[Unit]) -> bool:
        """Open a closed wave again after `reset`: so many units are open, and these wait for none.

        False when somebody else has begun to retry it.
        """
        args = [wave_id, token, _ms(expiry), units, *map(str, ready)]
        return bool(self._run("reopen", [wave_key(wave_id)], args))


def _unit(text: str) -> Unit:
    task, _, where = text.partition(" ")
    return Unit(task, where)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
