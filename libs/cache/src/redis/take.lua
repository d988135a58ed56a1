-- Counts as Limiter::take does, by the server's clock, in microseconds; the caller computes the answer from what is
-- returned. KEYS[1] the state: when each of two rates is used up, and until when it is blocked.
-- ARGV[1] how many; ARGV[2] the block, or 0; then interval and burst of each rate.
-- Answers {now, used up, used up, blocked until} as they were.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local state = redis.call('GET', KEYS[1])
local first, second, blocked = string.match(state or '', '^(%d+) (%d+) (%d+)$')
local before = {tonumber(first or 0), tonumber(second or 0)}
local after = {before[1], before[2]}
blocked = tonumber(blocked or 0)
local answer = {now, before[1], before[2], blocked}
if blocked > now then return answer end
local allowed = true
for rate = 1, (#ARGV - 2) / 2 do
  local interval, burst = tonumber(ARGV[1 + 2 * rate]), tonumber(ARGV[2 + 2 * rate])
  after[rate] = math.max(before[rate], now) + interval * math.min(tonumber(ARGV[1]), burst)
  if after[rate] - now > interval * burst then allowed = false end
end
if not allowed then
  if ARGV[2] == '0' then return answer end
  after, blocked = before, now + ARGV[2]
end
local left = math.max(after[1], after[2], blocked) - now
redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', after[1], after[2], blocked), 'PX', math.ceil(left / 1000) + 1)
return answer
