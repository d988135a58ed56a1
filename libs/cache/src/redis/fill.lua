-- Keeps what was loaded under a lease, if the lease still stands.
-- KEYS[1] where; ARGV[1] the lease; ARGV[2] the value's bytes; ARGV[3] its milliseconds, 0 to give the lease up.
if redis.call('GET', KEYS[1]) ~= 'L' .. ARGV[1] then return 0 end
if ARGV[3] == '0' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], 'V' .. ARGV[2], 'PX', ARGV[3])
return 1
