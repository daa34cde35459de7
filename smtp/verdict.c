#include "smtp/verdict.h"

#include "smtp/verdict_table.h"

static const unsigned phase_bits[SMTP_PHASES] = {
	[SMTP_IN_CONNECT] = PHASE_C,
	[SMTP_IN_GREETING] = PHASE_C,
	[SMTP_IN_EHLO] = PHASE_E,
	[SMTP_IN_STARTTLS] = PHASE_T,
	[SMTP_IN_TLS] = PHASE_T,
	[SMTP_IN_AUTH] = PHASE_A,
	[SMTP_IN_MAIL] = PHASE_M,
	[SMTP_IN_RCPT] = PHASE_R,
	[SMTP_IN_DATA] = PHASE_D,
	[SMTP_IN_CONTENT] = PHASE_DOT,
	[SMTP_IN_DOT] = PHASE_DOT,
};

static const char *const phase_names[SMTP_PHASES] = { "", "dns", "connect", "tls", "greeting",
	"ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "dot", "reset" };

static const char *const outcome_names[SMTP_OUTCOMES] = { "not_sent", "accepted", "partial",
	"queued", "captured", "rendered", "probed", "rejected", "deferred", "unknown" };

static bool enhanced_fits(const struct code_row *row, struct smtp_enhanced enhanced)
{
	uint16_t last = row->detail_end ? row->detail_end : row->detail;

	if (!row->has_enhanced)
		return true;
	return row->class == enhanced.class && row->subject == enhanced.subject &&
	       enhanced.detail >= row->detail && enhanced.detail <= last;
}

static const struct code_row *find(const struct code_row *rows, size_t count,
	const struct smtp_said *said, enum smtp_phase phase)
{
	for (size_t i = 0; i < count; i++) {
		const struct code_row *row = &rows[i];
		bool code_fits =
			row->code == 0 || row->code == said->code || row->code == said->code / 100;

		if (code_fits && (row->phases & phase_bits[phase]) &&
			enhanced_fits(row, said->enhanced) &&
			(!row->words || text_contains_nocase(said->text, text_of(row->words))))
			return row;
	}
	return NULL;
}

static const struct code_row *look_up(
	const struct smtp_said *said, enum smtp_phase phase, bool no_overrides)
{
	const struct code_row *row = NULL;

	if (!no_overrides)
		row = find(smtp_overrides, smtp_override_count, said, phase);
	if (!row)
		row = find(smtp_special_rows, smtp_special_count, said, phase);
	if (!row && said->enhanced.class)
		row = find(smtp_enhanced_rows, smtp_enhanced_count, said, phase);
	return row ? row : find(smtp_basic_rows, smtp_basic_count, said, phase);
}

static struct smtp_verdict in_category(enum smtp_category category, enum smtp_phase phase)
{
	const struct category_row *row = &smtp_categories[category];

	return (struct smtp_verdict){ .category = category,
		.phase = phase,
		.reach = row->reach,
		.hint = row->hint,
		.status = row->never_status };
}

static struct smtp_verdict taken(enum smtp_phase phase)
{
	struct smtp_verdict verdict = in_category(SMTP_OK_CATEGORY, phase);

	verdict.class = SMTP_TAKEN;
	verdict.outcome = SMTP_ACCEPTED;
	return verdict;
}

static struct smtp_verdict uncertain(enum smtp_phase phase)
{
	struct smtp_verdict verdict = in_category(SMTP_OUTCOME_UNKNOWN, phase);

	verdict.class = SMTP_UNCERTAIN;
	verdict.outcome = SMTP_UNKNOWN;
	return verdict;
}

static bool is_wanted(uint16_t code, enum smtp_phase phase)
{
	switch (phase) {
	case SMTP_IN_GREETING:
	case SMTP_IN_STARTTLS:
		return code == 220;
	case SMTP_IN_AUTH:
		return code == 235 || code == 334;
	case SMTP_IN_DATA:
		return code / 100 == 3;
	default:
		return code / 100 == 2 && code != 220 && code != 221 && code != 235;
	}
}

/* The end of the data may have been taken in and something else said about it. */
static struct smtp_verdict out_of_step(enum smtp_phase phase)
{
	struct smtp_verdict verdict = in_category(SMTP_PROTOCOL_ERROR, phase);

	if (phase == SMTP_IN_DOT)
		return uncertain(phase);
	verdict.class = SMTP_LATER;
	verdict.outcome = SMTP_NOT_SENT;
	verdict.retryable = true;
	return verdict;
}

static enum smtp_outcome outcome_of(uint16_t code, enum smtp_phase phase)
{
	if (phase < SMTP_IN_MAIL || (code == 421 && phase < SMTP_IN_DOT))
		return SMTP_NOT_SENT;
	return code / 100 == 4 ? SMTP_DEFERRED : SMTP_REJECTED;
}

static bool fresh_may_help(uint16_t code, enum smtp_phase phase, bool reused)
{
	if (!reused || phase >= SMTP_IN_DOT || phase < SMTP_IN_MAIL)
		return false;
	return code == 421 || (phase == SMTP_IN_MAIL && (code / 100 == 4 || code == 503));
}

struct smtp_verdict smtp_verdict_of_said(
	const struct smtp_said *said, enum smtp_phase phase, struct smtp_verdict_rules rules)
{
	const struct code_row *row;
	struct smtp_verdict verdict;
	bool later = said->code / 100 == 4;

	if (is_wanted(said->code, phase))
		return taken(phase);
	if (said->code == 221) /* closing, where nobody asked for it */
		return phase == SMTP_IN_DOT
			       ? uncertain(phase)
			       : smtp_verdict_of_loss(SMTP_LOSS_DISCONNECTED, phase, false);
	if (said->code < 400 || said->code > 599)
		return out_of_step(phase);
	row = look_up(said, phase, rules.no_overrides);
	if (!row)
		return out_of_step(phase);
	verdict = in_category(row->category, phase);
	if (row->temper)
		later = row->temper == ALWAYS_LATER;
	verdict.class = later ? SMTP_LATER : SMTP_NEVER;
	verdict.retryable = later;
	verdict.status = later ? smtp_categories[row->category].later_status
			       : smtp_categories[row->category].never_status;
	if (!later && verdict.status == 503)
		verdict.status = 502;
	verdict.outcome = outcome_of(said->code, phase);
	verdict.fresh_may_help = fresh_may_help(said->code, phase, rules.reused);
	verdict.retry_after_s = later ? smtp_retry_after_s(said->text) : 0;
	if (verdict.status == 503 && verdict.retry_after_s == 0)
		verdict.retry_after_s = smtp_categories[row->category].pause_s;
	return verdict;
}

struct smtp_verdict smtp_verdict_of_loss(
	enum smtp_loss loss, enum smtp_phase phase, bool last_byte_sent)
{
	const struct loss_row *row = &smtp_losses[loss];
	struct smtp_verdict verdict = in_category(row->category, phase);

	if (last_byte_sent)
		return uncertain(SMTP_IN_DOT);
	verdict.class = row->retryable ? SMTP_LATER : SMTP_NEVER;
	verdict.outcome = SMTP_NOT_SENT;
	verdict.status = row->status;
	verdict.retryable = row->retryable;
	if (row->status == 503)
		verdict.retry_after_s = smtp_categories[row->category].pause_s;
	return verdict;
}

/* Which of two refusals speaks for the message: what may still come right before what may not. */
static int weight(const struct smtp_verdict *verdict)
{
	switch (verdict->outcome) {
	case SMTP_UNKNOWN:
		return 4;
	case SMTP_DEFERRED:
		return 3;
	case SMTP_REJECTED:
		return 2;
	default:
		return 1;
	}
}

struct smtp_verdict smtp_verdict_of_all(const struct smtp_verdict *verdicts, size_t count)
{
	const struct smtp_verdict *worst = &verdicts[0];
	uint32_t retry_after_s = 0;
	struct smtp_verdict all;
	size_t accepted = 0;

	for (size_t i = 0; i < count; i++) {
		accepted += verdicts[i].class == SMTP_TAKEN;
		if (verdicts[i].retry_after_s > retry_after_s)
			retry_after_s = verdicts[i].retry_after_s;
		if (worst->class == SMTP_TAKEN || weight(&verdicts[i]) > weight(worst))
			worst = verdicts[i].class == SMTP_TAKEN ? worst : &verdicts[i];
	}
	all = accepted ? taken(SMTP_IN_DOT) : *worst;
	if (accepted && accepted < count)
		all.outcome = SMTP_PARTIAL;
	if (!accepted && all.status == 503)
		all.retry_after_s = retry_after_s;
	return all;
}

const char *smtp_phase_name(enum smtp_phase phase)
{
	return phase_names[phase];
}

const char *smtp_outcome_name(enum smtp_outcome outcome)
{
	return outcome_names[outcome];
}

const char *smtp_loss_name(enum smtp_loss loss)
{
	return smtp_losses[loss].name;
}

const struct smtp_category_words *smtp_category_words(enum smtp_category category)
{
	return &smtp_categories[category].words;
}
