/* catalogue_own - what catalogue.c (reading, reloads) and catalogue_change.c share */
#pragma once

#include <pthread.h>

#include "service/template/shelf.h"

/* Changes come one after the other, behind `changing`: what they read of the shelf nobody else
 * changes. Only the exchange itself is behind `lock`, so that sending waits for no parser. Nobody
 * waits for a store behind either. */
struct catalogue {
	pthread_mutex_t changing;
	pthread_rwlock_t lock;
	struct shelf *shelf;
	unsigned reloads; /* grows */
	catalogue_keep keep;
	void *keeper;
	/* Of what is being kept elsewhere, and not on the shelf yet. */
	unsigned under_way;
	size_t templates_under_way, bytes_under_way;
};

/* Is there room for it, in place of `old` (NULL: of none), beside what is under way? */
bool catalogue_has_room(const struct catalogue *catalogue, const struct shelf *shelf,
	const struct kept *old, const struct kept *kept);
