-- What wrk sends in bench/http_load.py: WHAT is `one` (an event a request), `batch` (a hundred) or `read`.
local what = os.getenv("WHAT")
local number = 0

local function event()
  number = number + 1
  return string.format(
    '{"type":"agent.tool.called","source":"agent:%d","stream":"task-%d","data":{"tool":"search",' ..
    '"query":"what is new","number":%d}}', number % 20, number % 500, number)
end

function request()
  if what == "read" then
    return wrk.format("GET", "/v1/events?limit=10&reverse=true")
  end
  local body = event()
  if what == "batch" then
    local events = {body}
    for at = 2, 100 do
      events[at] = event()
    end
    body = "[" .. table.concat(events, ",") .. "]"
  end
  return wrk.format("POST", "/v1/events", {["Content-Type"] = "application/json"}, body)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"failed":%d,"refused":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, errors.connect + errors.read + errors.write + errors.timeout,
    errors.status))
end
