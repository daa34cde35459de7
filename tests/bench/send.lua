-- What wrk posts: a fixed body of BENCH_TYPE out of the file BENCH_BODY, to BENCH_PATH, with the key
-- BENCH_KEY. Prints one line of
-- JSON at the end. `answers` counts 2xx answers; anything else is in `failures`.
wrk.method = "POST"
wrk.path = os.getenv("BENCH_PATH")
wrk.headers["Content-Type"] = os.getenv("BENCH_TYPE")
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")

local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.body = file:read("*a")
file:close()

function done(summary, latency, requests)
	local errors = summary.errors
	local broken = errors.connect + errors.read + errors.write + errors.timeout
	io.write(string.format(
		'RESULT {"answers": %d, "refused": %d, "broken": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
		summary.requests - errors.status, errors.status, broken, summary.duration / 1e6,
		latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
