#include "smtp/verdict/verdict.h"

#include "smtp/verdict/verdict_table.h"

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

/* Before MAIL nobody knows the message, so nothing there can be its fault: a row that says so is
 * passed over for a later, more general one. */
static bool may_be_blamed(enum smtp_category category, enum smtp_phase phase)
{
	return phase >= SMTP_IN_MAIL || smtp_categories[category].reach == SMTP_REACH_RELAY;
}

static bool is_in_range(uint16_t detail, uint16_t first, uint16_t last)
{
	return detail >= first && detail <= (last ? last : first);
}

static bool row_fits(const struct code_row *row, const struct smtp_said *said)
{
	const struct smtp_enhanced *wanted = &row->enhanced;

	if (row->code && row->code != said->code && row->code != said->code / 100)
		return false;
	if (wanted->class &&
		(wanted->class != said->enhanced.class ||
			wanted->subject != said->enhanced.subject ||
			!is_in_range(said->enhanced.detail, wanted->detail, row->last)))
		return false;
	return !row->words || text_contains_nocase(said->text, text_of(row->words));
}

struct finding {
	enum smtp_category category; /* SMTP_OK_CATEGORY: none */
	enum temper temper;
};

static struct finding find(const struct code_row *rows, size_t count, const struct smtp_said *said,
	enum smtp_phase phase)
{
	for (size_t i = 0; i < count; i++)
		if ((rows[i].phases & phase_bits[phase]) &&
			may_be_blamed(rows[i].category, phase) && row_fits(&rows[i], said))
			return (struct finding){ rows[i].category, rows[i].temper };
	return (struct finding){ SMTP_OK_CATEGORY, BY_DIGIT };
}

static struct finding find_enhanced(const struct smtp_said *said, enum smtp_phase phase)
{
	const struct smtp_enhanced *enhanced = &said->enhanced;

	for (size_t i = 0; enhanced->class && i < smtp_enhanced_count; i++) {
		const struct enhanced_row *row = &smtp_enhanced_rows[i];
		bool is_later = enhanced->class == 4;
		enum smtp_category category = is_later ? row->later : row->never;

		if ((row->phases & phase_bits[phase]) && row->subject == enhanced->subject &&
			is_in_range(enhanced->detail, row->detail, row->last) &&
			may_be_blamed(category, phase))
			return (struct finding){ category, is_later ? row->temper : BY_DIGIT };
	}
	return (struct finding){ SMTP_OK_CATEGORY, BY_DIGIT };
}

static struct finding look_up(
	const struct smtp_said *said, enum smtp_phase phase, bool no_overrides)
{
	struct finding found = { SMTP_OK_CATEGORY, BY_DIGIT };

	if (!no_overrides)
		found = find(smtp_overrides, smtp_override_count, said, phase);
	if (!found.category)
		found = find(smtp_special_rows, smtp_special_count, said, phase);
	if (!found.category)
		found = find_enhanced(said, phase);
	return found.category ? found : find(smtp_basic_rows, smtp_basic_count, said, phase);
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
	case SMTP_IN_CONNECT:
	case SMTP_IN_GREETING:
	case SMTP_IN_TLS:
	case SMTP_IN_STARTTLS:
		return code == 220;
	case SMTP_IN_EHLO:
		return code == 250;
	case SMTP_IN_AUTH:
		return code == 235 || code == 334;
	case SMTP_IN_DATA:
		return code / 100 == 3;
	default: /* 200 to 239 answer other questions */
		return code / 100 == 2 && code >= 240;
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

/* 221, where nobody asked for it. */
static struct smtp_verdict closing(enum smtp_phase phase, bool reused)
{
	struct smtp_verdict verdict = smtp_verdict_of_loss(SMTP_LOSS_DISCONNECTED, phase, false);

	if (phase == SMTP_IN_DOT)
		return uncertain(phase);
	verdict.fresh_may_help = reused && phase >= SMTP_IN_MAIL;
	return verdict;
}

struct smtp_verdict smtp_verdict_of_said(
	const struct smtp_said *said, enum smtp_phase phase, struct smtp_verdict_rules rules)
{
	bool later = said->code / 100 == 4;
	const struct category_row *row;
	struct smtp_verdict verdict;
	struct finding found;

	if (is_wanted(said->code, phase))
		return taken(phase);
	if (said->code == 221)
		return closing(phase, rules.reused);
	if (said->code < 400 || said->code > 599)
		return out_of_step(phase);
	found = look_up(said, phase, rules.no_overrides);
	if (!found.category)
		return out_of_step(phase);
	if (found.temper)
		later = found.temper == ALWAYS_LATER;
	row = &smtp_categories[found.category];
	verdict = in_category(found.category, phase);
	verdict.class = later ? SMTP_LATER : SMTP_NEVER;
	verdict.retryable = later;
	verdict.status = later ? row->later_status : row->never_status;
	if (!later && verdict.status == 503)
		verdict.status = 502;
	verdict.outcome = outcome_of(said->code, phase);
	verdict.fresh_may_help = fresh_may_help(said->code, phase, rules.reused);
	verdict.retry_after_s = later ? smtp_retry_after_s(said->text) : 0;
	if (verdict.status == 503 && verdict.retry_after_s == 0)
		verdict.retry_after_s = row->pause_s;
	return verdict;
}

struct smtp_verdict smtp_verdict_of_loss(
	enum smtp_loss loss, enum smtp_phase phase, bool last_byte_sent)
{
	const struct loss_row *row = &smtp_losses[loss];
	/* whoever has a session and waits, waits for the relay */
	bool is_kept_waiting = loss == SMTP_LOSS_DEADLINE && phase != SMTP_IN_QUEUE;
	enum smtp_category category = is_kept_waiting ? SMTP_RELAY_TIMEOUT : row->category;
	struct smtp_verdict verdict = in_category(category, phase);

	if (last_byte_sent)
		return uncertain(SMTP_IN_DOT);
	verdict.class = row->retryable ? SMTP_LATER : SMTP_NEVER;
	verdict.outcome = SMTP_NOT_SENT;
	verdict.status = row->status;
	verdict.retryable = row->retryable;
	if (row->status == 503)
		verdict.retry_after_s = smtp_categories[row->category].pause_s;
	if (loss == SMTP_LOSS_WITHHELD)
		verdict.hint = "The relay took this recipient and refused another; with partial: "
			       "refuse the message then goes to nobody.";
	if (phase == SMTP_IN_GREETING && category == SMTP_RELAY_TIMEOUT)
		verdict.hint = "Nothing spoke SMTP there: SMTP_PORT may be another service's, or "
			       "want the other SMTP_SECURE (TLS on 465, STARTTLS on 587). "
			       "lettergate check tells which.";
	if (phase == SMTP_IN_GREETING && row->category == SMTP_RELAY_DISCONNECTED)
		verdict.hint = "Try again. If it lasts, what listens there may not be an SMTP "
			       "server, or not want us: check SMTP_HOST, SMTP_PORT and "
			       "SMTP_SECURE (TLS on 465, STARTTLS on 587).";
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
	case SMTP_NOT_SENT:
		return verdict->retryable ? 2 : 0;
	default:
		return 1;
	}
}

struct smtp_verdict smtp_verdict_of_all(const struct smtp_answer *answers, size_t count)
{
	const struct smtp_verdict *worst = &answers[0].verdict;
	uint32_t retry_after_s = 0;
	struct smtp_verdict all;
	size_t accepted = 0;

	for (size_t i = 0; i < count; i++) {
		const struct smtp_verdict *verdict = &answers[i].verdict;

		accepted += verdict->class == SMTP_TAKEN;
		if (verdict->retry_after_s > retry_after_s)
			retry_after_s = verdict->retry_after_s;
		if (worst->class == SMTP_TAKEN || weight(verdict) > weight(worst))
			worst = verdict->class == SMTP_TAKEN ? worst : verdict;
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

const char *smtp_category_hint(enum smtp_category category)
{
	return smtp_categories[category].hint;
}
