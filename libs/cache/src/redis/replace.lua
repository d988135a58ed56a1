-- Keeps a value in place of whatever is there, or nothing, and tells everybody.
-- KEYS[1] where; ARGV[1] the value's bytes; ARGV[2] its milliseconds, 0 for nothing; ARGV[3] channel; ARGV[4] news.
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'V' .. ARGV[1], 'PX', ARGV[2])
end
return redis.call('PUBLISH', ARGV[3], ARGV[4])
