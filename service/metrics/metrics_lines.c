/* How a sample is written: its declaration, labels, buckets, and sums over all shares. */
#include "service/metrics/metrics_own.h"

#include <stdio.h>

uint64_t metrics_sum(const struct metrics *metrics, const atomic_uint_least64_t *in_first_share)
{
	size_t at = (size_t)((const char *)in_first_share - (const char *)&metrics->shares[0]);
	uint64_t total = 0;

	for (size_t i = 0; i < SHARES; i++) {
		const void *share = &metrics->shares[i];
		const atomic_uint_least64_t *counter = (const void *)((const char *)share + at);

		total += atomic_load_explicit(counter, memory_order_relaxed);
	}
	return total;
}

void print_family(
	const struct printing *printing, const char *name, const char *type, const char *help)
{
	bool counter = type[0] == 'c';
	const char *ending = counter && !printing->open_metrics ? "_total" : "";

	buf_addf(printing->out, "# HELP lettergate_%s%s %s\n# TYPE lettergate_%s%s %s\n", name,
		ending, help, name, ending, type);
}

void print_label(
	const struct printing *printing, const char *separator, const char *name, const char *value)
{
	buf_addf(printing->out, "%s%s=\"", separator, name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			buf_add_byte(printing->out, '\\');
		if (*value == '\n')
			buf_add_string(printing->out, "\\n");
		else
			buf_add_byte(printing->out, *value);
	}
	buf_add_byte(printing->out, '"');
}

void print_sample(const struct printing *printing, const char *name, const char *label_a,
	const char *value_a, const char *label_b, const char *value_b, uint64_t value)
{
	buf_addf(printing->out, "lettergate_%s", name);
	if (label_a)
		print_label(printing, "{", label_a, value_a);
	if (label_b)
		print_label(printing, ",", label_b, value_b);
	buf_add_string(printing->out, label_a ? "} " : " ");
	buf_add_u64(printing->out, value);
	buf_add_byte(printing->out, '\n');
}

void print_gauge(
	const struct printing *printing, const char *name, const char *help, uint64_t value)
{
	print_family(printing, name, "gauge", help);
	print_sample(printing, name, NULL, NULL, NULL, NULL, value);
}

const char *bound_text(double bound, char room[24])
{
	snprintf(room, 24, "%g", bound);
	for (const char *at = room; *at; at++)
		if (*at == '.')
			return room;
	snprintf(room, 24, "%g.0", bound);
	return room;
}

static void add_bucket(const struct printing *printing, const char *name, const char *label,
	const char *value, const char *bound, uint64_t count)
{
	char full[64];

	snprintf(full, sizeof(full), "%s_bucket", name);
	if (label)
		print_sample(printing, full, label, value, "le", bound, count);
	else
		print_sample(printing, full, "le", bound, NULL, NULL, count);
}

/* Buckets count all that is below, so they are summed up as they come. */
void print_histogram(const struct printing *printing, const char *name, const char *label,
	const char *value, const atomic_uint_least64_t *buckets, const uint32_t *bounds,
	size_t count, double unit, const atomic_uint_least64_t *total)
{
	uint64_t below = 0;
	char room[24];

	for (size_t i = 0; i < count; i++) {
		below += metrics_sum(printing->metrics, &buckets[i]);
		add_bucket(printing, name, label, value, bound_text(bounds[i] * unit, room), below);
	}
	below += metrics_sum(printing->metrics, &buckets[count]);
	add_bucket(printing, name, label, value, "+Inf", below);
	buf_addf(printing->out, "lettergate_%s_sum", name);
	if (label)
		print_label(printing, "{", label, value);
	buf_addf(printing->out, "%s %.6f\n", label ? "}" : "",
		(double)metrics_sum(printing->metrics, total) * unit);
	buf_addf(printing->out, "lettergate_%s_count", name);
	if (label)
		print_label(printing, "{", label, value);
	buf_addf(printing->out, "%s ", label ? "}" : "");
	buf_add_u64(printing->out, below);
	buf_add_byte(printing->out, '\n');
}

void print_durations(const struct printing *printing, const char *name, const char *label,
	const char *value, const struct durations *durations)
{
	print_histogram(printing, name, label, value, durations->buckets, duration_bounds_us,
		DURATION_BOUNDS, 1e-6, &durations->sum_us);
}
