-- What wrk sends: a template whose credentials and host change from request to request. Arguments: the template's
-- file, a file with one token a line, the number of sessions, the number of hosts, the order (`cycle` or `random`),
-- and where in the cycle to begin.

local requests, count, at, random = {}, 0, 0, false

local function lines(path)
   local found = {}
   for line in io.lines(path) do
      found[#found + 1] = line
   end
   return found
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local template = file:read("*a")
   file:close()
   local tokens, sessions, hosts = lines(args[2]), tonumber(args[3]), tonumber(args[4])
   random, at = args[5] == "random", tonumber(args[6])
   count = math.max(#tokens, sessions, hosts)
   for i = 0, count - 1 do
      local values = {
         token = tokens[i % #tokens + 1],
         session = string.format("%032d", i % sessions),
         host = string.format("app-%d", i % hosts),
      }
      requests[i] = template:gsub("{(%l+)}", values)
   end
   math.randomseed(at + 1)
end

function request()
   if random then
      return requests[math.random(0, count - 1)]
   end
   at = at + 1
   return requests[at % count]
end

function done(summary)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format('\n{"requests":%d,"failed":%d,"micros":%d}\n', summary.requests, failed, summary.duration))
end
