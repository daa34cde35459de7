#include "fuzz.h"

#include "smtp/session/feature.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct smtp_features features = { 0 };
	struct text rest = input(bytes, len);

	while (rest.len)
		smtp_features_add(&features, text_cut(&rest, '\n'));
	must(features.offered < SMTP_STARTTLS * 2);
	return 0;
}
