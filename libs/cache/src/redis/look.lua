-- Looks for a value: V and its bytes, or L and the lease of who loads it.
-- KEYS[1] where; ARGV[1] a lease to leave if nothing is there, empty for none; ARGV[2] its milliseconds.
-- Answers {bytes, milliseconds left}, or 'leased', 'busy', 'absent'.
local kept = redis.call('GET', KEYS[1])
if kept then
  if string.sub(kept, 1, 1) == 'V' then
    local left = redis.call('PTTL', KEYS[1])
    if left > 0 then return {string.sub(kept, 2), left} end
  elseif ARGV[1] == '' then
    return 'absent'
  -- A process has one load of a key: a lease of its own that it finds again was given up.
  elseif string.sub(kept, 2, 9) ~= string.sub(ARGV[1], 1, 8) then
    return 'busy'
  end
end
if ARGV[1] == '' then return 'absent' end
redis.call('SET', KEYS[1], 'L' .. ARGV[1], 'PX', ARGV[2])
return 'leased'
