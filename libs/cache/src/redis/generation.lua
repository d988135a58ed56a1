-- The generation of the keys that share a counter of removals. KEYS[1] where; ARGV[1] one that nothing has;
-- ARGV[2] 1 to take that, 0 to take it only if there is none.
local known = redis.call('GET', KEYS[1])
if known and ARGV[2] == '0' then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
