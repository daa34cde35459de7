/* verdict_table - what verdict.c looks up: categories, codes, overrides, losses */
#pragma once

#include "smtp/verdict/verdict.h"

/* How a category is answered. A 4xx reply in a category takes `later`, any other `never`. */
struct category_row {
	struct smtp_category_words words;
	enum smtp_reach reach;
	uint16_t later_status, never_status;
	uint32_t pause_s; /* usual time to the next try */
	const char *hint;
};
extern const struct category_row smtp_categories[SMTP_CATEGORIES];

enum phase_set {
	PHASE_C = 1, /* greeting */
	PHASE_E = 2,
	PHASE_T = 4, /* STARTTLS */
	PHASE_A = 8,
	PHASE_M = 16,
	PHASE_R = 32,
	PHASE_D = 64,
	PHASE_DOT = 128,
	PHASE_ANY = 255,
	PHASE_OPEN = PHASE_C | PHASE_E,
	PHASE_TX = PHASE_M | PHASE_R | PHASE_D | PHASE_DOT,
};

enum temper { BY_DIGIT, ALWAYS_LATER, ALWAYS_NEVER };

/* First row that fits wins. */
struct code_row {
	uint16_t code;                 /* 4 and 5: all of that digit; 0: any */
	struct smtp_enhanced enhanced; /* class 0: any or none */
	uint16_t last;     /* of a range of details that starts in `enhanced`; 0: none */
	unsigned phases;   /* a set */
	const char *words; /* the text must contain it, without case; NULL: any */
	enum smtp_category category;
	enum temper temper;
};

extern const struct code_row smtp_overrides[], smtp_special_rows[], smtp_basic_rows[];
extern const size_t smtp_override_count, smtp_special_count, smtp_basic_count;

/* An enhanced code X.subject.detail: what 4.… means, and what 5.… SMTP_OK_CATEGORY: it says no more
 * than the basic code. */
struct enhanced_row {
	uint16_t subject, detail, last;
	unsigned phases;
	enum smtp_category later, never;
	enum temper temper; /* of 4.… */
};
extern const struct enhanced_row smtp_enhanced_rows[];
extern const size_t smtp_enhanced_count;

extern const struct loss_row {
	const char *name;
	enum smtp_category category;
	uint16_t status;
	bool retryable;
} smtp_losses[SMTP_LOSSES];
