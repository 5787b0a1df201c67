-- The scripts of pipeline.gate.gate, which says what they are for. Each begins with a line `--- name`; what stands
-- before the first is part of all of them. Constants (READY, ALONE, ...) and now_ms() come from pipeline.gate.scripts.

local function int(x) return string.format('%.0f', x) end
local function task_of(unit) return string.match(unit, '^%S+') end
local function state_of(wave) return redis.call('HGET', wave, 'state') end
local function form_of(wave) return redis.call('HGET', wave, 'form') end
local function expire(wave, ...)
  local gone = redis.call('HGET', wave, 'gone')
  for _, part in ipairs({...}) do redis.call('PEXPIREAT', wave .. part, gone) end
end
-- Names what cannot be read, where `wave doctor` and alerts find it (see pipeline.forms).
local function name_unreadable(what, why)
  redis.pcall('ZADD', 'unreadable', int(now_ms()), string.sub(what .. ': ' .. why, 1, LONGEST))
  redis.pcall('ZREMRANGEBYRANK', 'unreadable', 0, -1 - NAMED)
end
-- Calls f; that it met data which are not what they should be is named. Other errors (no memory, a replica) are raised.
local function guarded(what, f, ...)
  local ok, found = pcall(f, ...)
  if ok then return found end
  local text = type(found) == 'table' and found.err or tostring(found)
  local why = string.match(text, 'UNREADABLE (.*)$') or string.find(text, 'WRONGTYPE') and 'a key has another type'
    or (string.find(text, 'attempt to') or string.find(text, 'bad argument') or string.find(text, 'not an integer'))
      and 'a field is missing or not a number'
  if not why then error(found, 0) end
  name_unreadable(what, why)
  return 'unreadable'
end
local function unreadable(why) error({err='UNREADABLE ' .. why}, 0) end
-- A unit's record, as pipeline.gate.unit_record reads it; without one it is pending, and waits for `inputs` units.
-- One that cannot be read is in no state that lets it run or count, but `reset` makes a new one of it.
local function load(wave, unit, inputs)
  local raw = redis.call('HGET', wave .. ' units', unit)
  if not raw then
    return {form=form_of(wave), state='pending', attempt=0, need=tonumber(inputs or 0), lease=0, limit=0, owner='-',
            suspicion=0, more=''}
  end
  local form, state, attempt, need, lease, limit, owner, suspicion, more =
    string.match(raw, '^(%d+) (%l+) (%d+) (%d+) (%d+) (%d+) (%S+) (%d+)(.*)$')
  local newer = form and tonumber(form) > FORM
  if newer or not form or not string.find(' pending running done ', ' ' .. state .. ' ', 1, true) then
    return {form=form_of(wave), state=newer and 'newer' or 'unreadable', attempt=UNKNOWN, need=0, lease=0, limit=0,
            owner='-', suspicion=0, more='', raw=raw}
  end
  return {form=form, state=state, attempt=tonumber(attempt), need=tonumber(need), lease=tonumber(lease),
          limit=tonumber(limit), owner=owner, suspicion=tonumber(suspicion), more=more}
end
local function save(wave, unit, u)
  redis.call('HSET', wave .. ' units', unit, table.concat(
    {u.form, u.state, int(u.attempt), int(u.need), int(u.lease), int(u.limit), u.owner, int(u.suspicion)}, ' ') .. u.more)
end
local function look_at(wave_id, unit, time) redis.call('ZADD', 'deadlines', int(time), wave_id .. ' ' .. unit) end
local function totals_of(id)
  local name = string.match(id, '^(%S+) ')
  return name and 'totals:' .. name
end
local function note(wave, unit, incident, number)
  local totals = totals_of(string.sub(wave, 6))
  if totals then redis.call('HINCRBY', totals, '@incident ' .. incident, 1) end
  local key = wave .. ' incidents'
  local known = redis.call('LLEN', key)
  if known >= TOLD then return redis.call('HINCRBY', wave, 'untold', 1) end
  redis.call('RPUSH', key, table.concat({int(now_ms()), incident, int(number or 0), unit}, ' '))
  if known == 0 then expire(wave, ' incidents') end
end
local function bucket(bounds, value)
  for i, bound in ipairs(bounds) do
    if value <= bound then return i end
  end
  return #bounds + 1
end
local function keep(wave, id, gone)
  redis.call('HSET', wave, 'gone', int(gone))
  expire(wave, '', ' shards', ' units', ' status', ' errors', ' counts', ' starts', ' resends', ' marks', ' incidents',
         ' told', ' left')
  redis.call('ZADD', 'waves', int(gone), id)
end
local function expiry(now, after) return tonumber(after) > 0 and now + tonumber(after) or FAR end
local function lifetime(expires, now, ttl) return math.min(expires, now + YEAR) + tonumber(ttl) end
local function sum_up(wave, id, now, reason)
  local totals, told, open = totals_of(id), {}, {}
  if not totals then return end
  local submitted, tasks, backfill = unpack(redis.call('HMGET', wave, 'submitted', 'tasks', 'backfill'))
  local before = redis.call('HGETALL', wave .. ' told')
  for i = 1, #before, 2 do told[before[i]] = tonumber(before[i + 1]) end
  for task, n in string.gmatch(tasks or '', '(%S+) (%d+)') do open[task] = tonumber(n) end
  local counts = redis.call('HGETALL', wave .. ' counts')
  for i = 1, #counts, 2 do
    local task, char = string.match(counts[i], '^(%S+) (%S+)$')
    local n = tonumber(counts[i + 1])
    if char ~= 'us' and open[task] then open[task] = open[task] - n end
    local more = n - (told[counts[i]] or 0)
    if more > 0 then redis.call('HINCRBY', totals, counts[i], more) end
  end
  for task, n in pairs(open) do
    if n > 0 then redis.call('HINCRBY', totals, task .. ' ' .. (reason == 'cancelled' and CANCELLED or EXPIRED), n) end
  end
  redis.call('HINCRBY', totals, '@waves ' .. reason .. (backfill and ' backfill' or ''), 1)
  if not backfill and #before == 0 then
    redis.call('HINCRBY', totals, '@took ' .. bucket(WAVE_BOUNDS, (now - submitted) / 1000), 1)
    redis.call('HINCRBY', totals, '@took ms', int(now - submitted))
  end
  redis.call('SADD', 'totals', string.sub(totals, 8))
  redis.call('PEXPIRE', totals, KEPT)
end
-- A pipe that stands is the truth: what is finished, and made an observation, is never taken back.
local function finished(char) return (string.byte(char) - 64) % 16 == 2 end
local function lacking(wave)
  if redis.call('HGET', wave, 'open') ~= '0' then return true end
  local counts = redis.call('HGETALL', wave .. ' counts')
  for i = 1, #counts, 2 do
    local char = string.match(counts[i], ' (%S)$')
    if char and not finished(char) and counts[i + 1] ~= '0' then return true end
  end
  return false
end
local function close_wave(wave, id, now, reason)
  redis.call('HSET', wave, 'state', 'closed', 'reason', reason, 'ended', int(now))
  -- Who was lost may still put pipes of what is not finished, and die then: somebody looks for them once more.
  if lacking(wave) and redis.call('EXISTS', wave .. (reason == 'done' and ' incidents' or ' units')) == 1 then
    look_at(id, '@wave @', now + AGAIN)
  else
    redis.call('ZREM', 'deadlines', id .. ' @wave @')
  end
  guarded('totals of wave ' .. id, sum_up, wave, id, now, reason)
  local ttl = redis.call('HGET', wave, 'ttl')
  if ttl and now + ttl < tonumber(redis.call('HGET', wave, 'gone')) then keep(wave, id, now + ttl) end
end

local function marked_late(char)
  local byte = string.byte(char)
  return math.floor((byte - 64) / 16) % 2 == 0 and string.char(byte + 16) or char
end
-- Sets a unit's characters to what `choose` makes of those held, one after the other; gives how many got each.
local function change_statuses(wave, unit, size, choose)
  local held = redis.call('HGET', wave .. ' status', unit) or string.rep('@', size)
  local chars, new, changed = {}, {}, false
  for i = 1, #held do
    local old = string.sub(held, i, i)
    local char = choose(old, i)
    chars[i] = char
    if char ~= old then
      changed = true
      if char ~= '@' then new[char] = (new[char] or 0) + 1 end
      if old ~= '@' then redis.call('HINCRBY', wave .. ' counts', task_of(unit) .. ' ' .. old, -1) end
      if finished(char) then redis.call('HDEL', wave .. ' errors', unit .. ' ' .. (i - 1)) end
    end
  end
  if changed then redis.call('HSET', wave .. ' status', unit, table.concat(chars)) end
  for char, n in pairs(new) do redis.call('HINCRBY', wave .. ' counts', task_of(unit) .. ' ' .. char, n) end
  expire(wave, ' status', ' counts')
  return new
end

-- What an owner runs. KEYS: waves ... ARGV: owner, something else, then for each wave: id, unit.
-- `change` alters a record, and returns when its unit must be looked at and what happened to it; nothing to leave it.
local function each_held(change)
  local held = 0
  local function look(wave, id, unit)
    local u = load(wave, unit, 0)
    local owned = u.state == 'running' and string.match(u.owner, '^[^/]+') == ARGV[1]
    if not owned or state_of(wave) == 'closed' then return end
    local time, incident = change(u)
    if not time then return end
    save(wave, unit, u)
    if incident then note(wave, unit, incident, u.attempt) end
    look_at(id, unit, time)
    held = held + 1
  end
  for i, wave in ipairs(KEYS) do
    local id, unit = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
    guarded('run of ' .. id .. ' ' .. unit, look, wave, id, unit)
  end
  return held
end
local function hang(u, now)
  u.limit, u.lease = 0, now
  return now, 'hung'
end

--- create
-- KEYS: wave, temporary shards. ARGV: id, expiry ms, ttl ms, open units, n, n roots, then field value ...
local state = state_of(KEYS[1])
if state then redis.call('DEL', KEYS[2]); return {0, state} end
local now = now_ms()
local expires = expiry(now, ARGV[2])
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
  look_at(ARGV[1], '@wave @', math.min(expires, now + READY))
  for i = 6, 5 + roots do look_at(ARGV[1], ARGV[i], now + READY) end
end
expire(KEYS[1], '', ' shards')
redis.call('ZREMRANGEBYSCORE', 'waves', '-inf', int(now))
redis.call('ZADD', 'waves', int(gone), ARGV[1])
return {1, state_of(KEYS[1])}

--- arm
-- KEYS: wave. ARGV: id, then unit, need, and again ...
local state = state_of(KEYS[1])
if not state or state == 'closed' then return 0 end
local now = now_ms()
for i = 2, #ARGV, 2 do
  local u = load(KEYS[1], ARGV[i], ARGV[i + 1])
  if u.state == 'pending' and u.need == 0 then
    redis.call('ZADD', 'deadlines', 'NX', int(now + READY), ARGV[1] .. ' ' .. ARGV[i])
  end
end
return 1

--- open
-- KEYS: wave. ARGV: id.   The canvases are sent: from now on the wave is open.
local state = state_of(KEYS[1])
if state ~= 'submitting' then return state end
redis.call('HSET', KEYS[1], 'state', 'open')
look_at(ARGV[1], '@wave @', redis.call('HGET', KEYS[1], 'expires'))
return 'open'

--- claim
-- KEYS: wave. ARGV: id, unit, need, timeout ms, lease ms, limit ms, owner/token, mode (run, alone or seize),
-- submission, then for each clock: place, n, n times (unit, timeout ms)
local wave, id, unit = KEYS[1], ARGV[1], ARGV[2]
local function granted(u)
  local mark = redis.call('HGET', wave .. ' marks', unit) or ''
  return {'granted', int(u.attempt), int(u.need), redis.call('HGET', wave .. ' status', unit) or '', mark}
end
local function start_clocks(now)
  local i = 10
  while i <= #ARGV do
    local place, n = ARGV[i], tonumber(ARGV[i + 1])
    if redis.call('HSETNX', wave .. ' starts', place, int(now)) == 1 then
      expire(wave, ' starts')
      for k = i + 2, i + 2 * n, 2 do
        if ARGV[k] ~= unit then
          redis.call('ZADD', 'deadlines', 'NX', int(now + tonumber(ARGV[k + 1])), id .. ' ' .. ARGV[k])
        end
      end
    end
    i = i + 2 + 2 * n
  end
end
local state, expires, submission = unpack(redis.call('HMGET', wave, 'state', 'expires', 'submission'))
if not state then return {'lost', 0} end
if ARGV[9] ~= '' and ARGV[9] ~= submission then return {'other', 0} end
local u, now = load(wave, unit, ARGV[3]), now_ms()
if state == 'closed' or now >= tonumber(expires) then return {'closed', 0} end
if u.state == 'done' or u.state == 'unreadable' or u.state == 'newer' then return {u.state, 0} end
if u.state == 'running' and u.owner == ARGV[7] then return granted(u) end
if u.state == 'running' and u.lease > now then return {'held', int(u.lease - now)} end
local overdue = u.state == 'running' and u.limit == 0
if overdue ~= (ARGV[8] == 'seize') then return {overdue and 'overdue' or 'held', 0} end
local lost = u.state == 'running' and not overdue
if lost then u.suspicion = u.suspicion + 1 end
if u.suspicion >= ALONE and ARGV[8] == 'run' then return {'alone', 0} end
start_clocks(now)
if u.need > 0 then
  local place = string.match(unit, ' (%S+)$')
  local start = tonumber(redis.call('HGET', wave .. ' starts', place) or now)
  local left = start + tonumber(ARGV[4]) - now
  if left > 0 then return {'waiting', int(left)} end
end
if lost then
  redis.call('HINCRBY', wave, 'lost', 1)
  if u.owner ~= '-' then note(wave, unit, 'lost', u.attempt) end
end
if u.need > 0 then note(wave, unit, 'timeout', u.need) end
if ARGV[8] == 'alone' and u.suspicion >= ALONE then note(wave, unit, 'alone', u.attempt + 1) end
if u.state ~= 'running' then redis.call('HDEL', wave .. ' marks', unit) end
u.state, u.attempt, u.owner = 'running', u.attempt + 1, ARGV[7]
u.lease, u.limit = now + tonumber(ARGV[5]), now + tonumber(ARGV[6])
save(wave, unit, u)
redis.call('HDEL', wave .. ' resends', unit)
if u.attempt == 1 then expire(wave, ' units') end
look_at(id, unit, u.lease)
return granted(u)

--- renew
-- See each_held. ARGV: owner, lease ms.
local now = now_ms()
return each_held(function(u)
  if u.limit == 0 then return end
  if now >= u.limit + GRACE then return hang(u, now) end
  u.lease = now + tonumber(ARGV[2])
  return u.lease
end)

--- lose
-- See each_held. ARGV: owner, died, hung or frozen.   What it ran died with its process, or was stopped at its time
-- limit, or ran where all stood still.
local now = now_ms()
return each_held(function(u)
  if ARGV[2] == 'hung' then
    if now >= u.limit - GRACE then return hang(u, now) end
  elseif ARGV[2] == 'frozen' then
    u.suspicion, u.lease, u.owner = ALONE, now, '-'
    return now, 'frozen'
  elseif u.lease > now then
    u.suspicion, u.lease, u.owner = u.suspicion + 1, now, '-'
    return now, 'died'
  end
end)

--- release
-- See each_held. ARGV: owner, delay ms.   This owner stops: no loss. What runs alone goes on so in turns, which is no
-- incident.
local now = now_ms()
return each_held(function(u)
  if u.limit == 0 then return end
  u.state, u.owner, u.lease = 'pending', '-', 0
  return now + tonumber(ARGV[2]), u.suspicion < ALONE and 'returned'
end)

--- decline
-- KEYS: wave. ARGV: unit.   Returns how often it was declined, 0 when nobody need run it.
local state = state_of(KEYS[1])
if not state or state == 'closed' or load(KEYS[1], ARGV[1], 0).state ~= 'pending' then return 0 end
local times = redis.call('HINCRBY', KEYS[1] .. ' resends', ARGV[1] .. ' declined', 1)
if times == 1 then
  expire(KEYS[1], ' resends')
  note(KEYS[1], ARGV[1], 'unknown', 0)
end
return times

--- mark
-- KEYS: wave. ARGV: unit, attempt, first, stop, submission
if ARGV[5] ~= '' and ARGV[5] ~= redis.call('HGET', KEYS[1], 'submission') then return 0 end
local u = load(KEYS[1], ARGV[1], 0)
if u.state ~= 'running' or u.attempt ~= tonumber(ARGV[2]) then return 0 end
if state_of(KEYS[1]) == 'closed' then return 0 end
redis.call('HSET', KEYS[1] .. ' marks', ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
expire(KEYS[1], ' marks')
return 1

--- report
-- KEYS: wave. ARGV: id, unit, attempt, final, statuses, the same marked late, those reported before, micros,
-- n errors, n dependents, n counts, ms since the claim, submission; then errors (index text), dependents (unit need),
-- counts (char n late-char)
local wave, id, unit = KEYS[1], ARGV[1], ARGV[2]
local state, submission = unpack(redis.call('HMGET', wave, 'state', 'submission'))
if not state or (ARGV[13] ~= '' and ARGV[13] ~= submission) then return {'lost', 0, 0, {}} end
local u, now, final = load(wave, unit, 0), now_ms(), ARGV[4] == '1'
local mine = u.attempt == tonumber(ARGV[3])
local repeated = mine and final and u.state == 'done'
local errors, deps, counts = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local at, ready, late, task = 14 + 2 * errors, {}, 0, task_of(unit)
if not repeated and (state == 'closed' or not mine or u.state ~= 'running') then
  local behind = state == 'closed' or u.state == 'done'
  for k = at, at + 2 * deps - 2, 2 do behind = behind or load(wave, ARGV[k], 0).state ~= 'pending' end
  local new = change_statuses(wave, unit, #ARGV[5], function(old, i)
    local char = string.sub(ARGV[5], i, i)
    if finished(old) or not finished(char) then return old end
    return behind and marked_late(char) or char
  end)
  local totals = state == 'closed' and totals_of(id)
  for char, n in pairs(totals and new or {}) do
    redis.call('HINCRBY', totals, task .. ' ' .. char, n)
    if redis.call('EXISTS', wave .. ' told') == 1 then redis.call('HINCRBY', wave .. ' told', task .. ' ' .. char, n) end
  end
  return {state == 'closed' and 'closed' or 'stale', 0, 0, {}}
end
for k = 1, deps do
  local name = ARGV[at]
  local dependent = load(wave, name, ARGV[at + 1])
  if dependent.state == 'running' or dependent.state == 'done' then late = 1 end
  if final and dependent.state ~= 'unreadable' and dependent.state ~= 'newer' then
    if not repeated then
      dependent.need = math.max(dependent.need - 1, 0)
      save(wave, name, dependent)
    end
    if dependent.need == 0 and dependent.state == 'pending' then
      if not repeated then look_at(id, name, now + READY) end
      ready[#ready + 1] = name
    end
  end
  at = at + 2
end
if repeated then return {'ok', late, state == 'closed' and 1 or 0, ready} end
local held = redis.call('HGET', wave .. ' status', unit)
if not held or held == ARGV[7] then
  redis.call('HSET', wave .. ' status', unit, late == 1 and ARGV[6] or ARGV[5])
else
  counts = 0
  if held == ARGV[5] or held == ARGV[6] then
    late = held == ARGV[6] and 1 or 0
  else
    local chars = late == 1 and ARGV[6] or ARGV[5]
    change_statuses(wave, unit, #held, function(old, i) return finished(old) and old or string.sub(chars, i, i) end)
    held = redis.call('HGET', wave .. ' status', unit)
  end
end
for k = 14, 12 + 2 * errors, 2 do
  local place = tonumber(ARGV[k]) + 1
  if not (held and finished(string.sub(held, place, place) .. '@')) then
    redis.call('HSET', wave .. ' errors', unit .. ' ' .. ARGV[k], ARGV[k + 1])
  end
end
if errors > 0 then expire(wave, ' errors') end
for k = 1, counts do
  local char = late == 1 and ARGV[at + 2] or ARGV[at]
  redis.call('HINCRBY', wave .. ' counts', task .. ' ' .. char, ARGV[at + 1])
  at = at + 3
end
redis.call('HINCRBY', wave .. ' counts', task .. ' us', ARGV[8])
expire(wave, ' status', ' counts')
if not final then
  if u.suspicion > 0 and u.suspicion < ALONE then
    u.suspicion = 0
    save(wave, unit, u)
  end
  return {'ok', late, 0, ready}
end
u.state, u.owner, u.lease = 'done', '-', now
save(wave, unit, u)
if late == 1 then note(wave, unit, 'late', u.attempt) end
local totals = totals_of(id)
if totals then
  local run = '@run ' .. task .. ' '
  redis.call('HINCRBY', totals, run .. bucket(RUN_BOUNDS, ARGV[12] / 1000), 1)
  redis.call('HINCRBY', totals, run .. 'ms', ARGV[12])
end
redis.call('ZREM', 'deadlines', id .. ' ' .. unit)
redis.call('HDEL', wave .. ' marks', unit)
local closed = 0
if redis.call('HINCRBY', wave, 'open', -1) == 0 then
  close_wave(wave, id, now, 'done')
  closed = 1
end
return {'ok', late, closed, ready}

--- due
-- ARGV: limit.   Returns kind, member, kind, member ...   What only newer code reads is left to it as it is.
local now, found, forms = now_ms(), {}, {}
local function tell(kind, member) found[#found + 1], found[#found + 2] = kind, member end
local function look_at_wave(wave, member, state)
  local expires = tonumber(redis.call('HGET', wave, 'expires'))
  if state ~= 'submitting' and now < expires then return redis.call('ZADD', 'deadlines', int(expires), member) end
  redis.call('ZADD', 'deadlines', int(now + READY), member)
  tell(now >= expires and 'expired' or 'unsent', member)
end
local function look_at_unit(wave, unit, member)
  local u = load(wave, unit, 1)
  if u.state == 'newer' then return 'left' end
  if u.state == 'unreadable' then
    unreadable('its record is "' .. u.raw .. '". `wave cancel` and `wave retry` of its wave run it again.')
  end
  if u.state == 'done' then return redis.call('ZREM', 'deadlines', member) end
  if u.state == 'running' and u.lease > now then return redis.call('ZADD', 'deadlines', int(u.lease), member) end
  local overdue = u.state == 'running' and u.limit == 0
  local sent = redis.call('HINCRBY', wave .. ' resends', unit, 1)
  expire(wave, ' resends')
  local wait = math.min(READY * 2 ^ math.min(sent, 10), RESEND)
  redis.call('ZADD', 'deadlines', int(now + wait), member)
  if u.state == 'pending' and sent == UNTAKEN then note(wave, unit, 'untaken', 35) end
  local alone = u.suspicion + (u.state == 'running' and 1 or 0) >= ALONE
  tell(overdue and 'overdue' or alone and 'alone' or u.state == 'running' and 'lost' or 'send', member)
end
local function look(member)
  local id, unit = string.match(member, '^(.*) (%S+ %S+)$')
  if not id then unreadable('it does not name a wave, a task and a place.') end
  local wave = 'wave:' .. id
  local state = state_of(wave)
  if not state or state == 'closed' and unit ~= '@wave @' then return redis.call('ZREM', 'deadlines', member) end
  forms[id] = forms[id] or tonumber(form_of(wave)) or 0
  if forms[id] < 1 or forms[id] > FORM then return 'left' end
  if state == 'closed' then
    redis.call('ZADD', 'deadlines', int(now + READY), member)
    return tell('closed', member)
  end
  if unit == '@wave @' then return look_at_wave(wave, member, state) end
  return look_at_unit(wave, unit, member)
end
local left, done = 0, 0
repeat
  local members = redis.call('ZRANGEBYSCORE', 'deadlines', '-inf', int(now), 'LIMIT', left, ARGV[1])
  for _, member in ipairs(members) do
    local answer = guarded('deadline ' .. member, look, member)
    if answer == 'left' then left = left + 1 else done = done + 1 end
    if answer == 'unreadable' then redis.call('ZREM', 'deadlines', member) end
  end
until done >= tonumber(ARGV[1]) or #members == 0
return found

--- close
-- KEYS: wave. ARGV: id, reason
local state = state_of(KEYS[1])
if not state or state == 'closed' then return 0 end
close_wave(KEYS[1], ARGV[1], now_ms(), ARGV[2])
return 1

--- clear
-- KEYS: wave. ARGV: id, units ...   Unless somebody has opened it again meanwhile.
if state_of(KEYS[1]) ~= 'closed' then return 0 end
for i = 2, #ARGV do redis.call('ZREM', 'deadlines', ARGV[1] .. ' ' .. ARGV[i]) end
return 1

--- begin
-- KEYS: wave. ARGV: token
if state_of(KEYS[1]) ~= 'closed' then return 0 end
redis.call('HSET', KEYS[1], 'retry', ARGV[1])
local counts = redis.call('HGETALL', KEYS[1] .. ' counts')
redis.call('DEL', KEYS[1] .. ' told')
redis.call('HSET', KEYS[1] .. ' told', '@', 0, unpack(counts))
expire(KEYS[1], ' told')
return 1

--- reset
-- KEYS: wave. ARGV: id, token, then unit, need, statuses, and again ...
local wave, id = KEYS[1], ARGV[1]
if state_of(wave) ~= 'closed' or redis.call('HGET', wave, 'retry') ~= ARGV[2] then
  return 0
end
if redis.call('HGET', wave, 'reason') == 'done' then redis.call('HSET', wave, 'reason', 'cancelled') end
for at = 3, #ARGV, 3 do
  local unit, kept = ARGV[at], ARGV[at + 2]
  local u = load(wave, unit, 0)
  u.state, u.attempt, u.need = 'pending', u.attempt + 1, tonumber(ARGV[at + 1])
  u.lease, u.limit, u.owner, u.suspicion = 0, 0, '-', 0
  save(wave, unit, u)
  change_statuses(wave, unit, #kept, function(old, i) return finished(old) and old or string.sub(kept, i, i) end)
  redis.call('HDEL', wave .. ' resends', unit)
  redis.call('HDEL', wave .. ' marks', unit)
  redis.call('ZREM', 'deadlines', id .. ' ' .. unit)
end
expire(wave, ' units', ' status', ' counts')
return 1

--- reopen
-- KEYS: wave. ARGV: id, token, expiry ms, open units, then the units that are ready ...
local wave, id, now = KEYS[1], ARGV[1], now_ms()
if redis.call('HGET', wave, 'retry') ~= ARGV[2] then return 0 end
if state_of(wave) ~= 'closed' then return 1 end
local expires = expiry(now, ARGV[3])
redis.call('HSET', wave, 'state', 'submitting', 'open', ARGV[4], 'expires', int(expires))
redis.call('HDEL', wave, 'reason', 'ended')
redis.call('DEL', wave .. ' starts')
local ttl = redis.call('HGET', wave, 'ttl')
if ttl then keep(wave, id, lifetime(expires, now, ttl)) end
look_at(id, '@wave @', math.min(expires, now + READY))
for i = 5, #ARGV do look_at(id, ARGV[i], now + READY) end
return 1
