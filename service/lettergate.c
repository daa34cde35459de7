#include "service/lettergate.h"

#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/queue/keeper.h"
#include "service/queue/stock.h"
#include "service/oauth/oauth_crew.h"
#include "service/relay/settle.h"
#include "service/session/worker.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 10000, KEEP_MS = 600000, CAPTURED_BYTES = 256 << 20 };
enum { REPEATS = 1 << 18, REPEATS_BYTES = 64 << 20 };

/* ---- life */

/* Half the cores that we may use: the other half is busy with HTTP, and a worker that always has
 * something to do costs less than two that wake each other. Nor more than there are sessions. */
static unsigned count_workers(const struct settings *settings)
{
	cpu_set_t cores;
	unsigned workers = 1, sessions = 0;

	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		workers = (unsigned)CPU_COUNT(&cores) / 2;
	for (size_t i = 0; i < settings->relay_count; i++)
		sessions += settings->relays[i].sessions;
	if (workers > sessions)
		workers = sessions;
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	return workers ? workers : 1;
}

/* A reload shall not wait for a moment without readers. */
static void open_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

static enum err open_parts(struct lettergate *lettergate, const struct settings *settings)
{
	struct repeats_limits repeats = { REPEATS, REPEATS_BYTES,
		settings->idempotency_ttl_ms * UINT64_C(1000) };
	enum err err = metrics_open(&lettergate->metrics);

	if (!err)
		err = records_open(RECORDS, KEEP_MS, lettergate->captures ? CAPTURED_BYTES : 0,
			&lettergate->records);
	if (!err)
		err = repeats_open(&repeats, &lettergate->repeats);
	if (!err)
		err = known_open(&lettergate->known);
	if (!err)
		err = oauth_crew_open(lettergate->log, &lettergate->crew);
	lettergate->max_in_flight = settings->max_in_flight;
	lettergate->max_in_flight_bytes = settings->max_in_flight_bytes;
	lettergate->room.most =
		(struct load){ settings->max_in_flight, settings->max_in_flight_bytes };
	return err;
}

static enum err start_workers(struct lettergate *lettergate, unsigned count)
{
	enum err err = OK;

	while (!err && lettergate->worker_count < count) {
		err = worker_open(lettergate, lettergate->worker_count,
			&lettergate->workers[lettergate->worker_count]);
		lettergate->worker_count += !err;
	}
	for (unsigned i = 0; !err && i < count; i++)
		err = worker_start(lettergate->workers[i]);
	return err;
}

/* A store that cannot be reached may be there in a moment. */
static enum err open_store(
	struct lettergate *lettergate, const struct settings *settings, struct buf *why)
{
	enum err err = keeper_open(lettergate, settings, why);

	if (!err)
		err = stock_open(lettergate, why);
	return err == ERR_IO || err == ERR_DOUBT ? ERR_AWAY : err;
}

enum err lettergate_open(struct settings *settings, struct log *log,
	struct lettergate **lettergate_out, struct buf *why)
{
	struct lettergate *lettergate = calloc(1, sizeof(*lettergate));
	unsigned workers = count_workers(settings);
	enum err err = lettergate ? OK : ERR_MEMORY;

	if (!err) {
		open_lock(&lettergate->lock);
		pthread_mutex_init(&lettergate->room.lock, NULL);
		lettergate->log = log;
		lettergate->settings = settings_hold(settings);
		lettergate->captures = strcmp(settings->relays[0].host, "capture") == 0;
		err = open_parts(lettergate, settings);
	}
	if (!err)
		err = keys_load(settings->api_keys_file, settings->api_key, &lettergate->keys, why);
	if (!err)
		err = catalogue_open(settings->templates_dir, &lettergate->catalogue, why);
	if (!err && !lettergate->captures)
		err = fleet_open(
			settings, workers, lettergate->metrics, NULL, &lettergate->fleet, why);
	if (!err)
		err = open_store(lettergate, settings, why);
	settings_free(settings);
	if (!err && !lettergate->captures)
		err = fleet_start(lettergate->fleet, lettergate->crew);
	if (!err && !lettergate->captures)
		err = start_workers(lettergate, workers);
	if (!err)
		err = keeper_start(lettergate);
	if (err) {
		if (lettergate)
			lettergate_stop(lettergate);
		lettergate_close(lettergate);
		return err;
	}
	*lettergate_out = lettergate;
	return OK;
}

/* What waited for an old relay waits for a new one, if it may. */
static void hand_over(struct lettergate *lettergate, struct fleet *from)
{
	for (size_t i = 0; i < from->count; i++)
		dispatch_list(lettergate, relay_empty(from->relays[i]),
			"the relay that it may use was taken out of the settings");
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_wake(lettergate->workers[i]);
}

enum err lettergate_read(
	const struct settings *settings, struct lettergate_files *files_out, struct buf *why)
{
	struct lettergate_files files = { 0 };
	enum err err = catalogue_read(settings->templates_dir, &files.shelf, why);

	if (!err)
		err = keys_load(settings->api_keys_file, settings->api_key, &files.keys, why);
	if (err)
		lettergate_forget(&files);
	else
		*files_out = files;
	return err;
}

void lettergate_forget(struct lettergate_files *files)
{
	keys_free(files->keys);
	catalogue_forget(files->shelf);
	*files = (struct lettergate_files){ 0 };
}

/* What a reload exchanges. */
static enum err open_anew(const struct lettergate *lettergate, struct settings *settings,
	struct fleet **fleet_out, struct buf *why)
{
	enum err err = OK;

	if (!lettergate->captures)
		err = fleet_open(settings, lettergate->worker_count, lettergate->metrics,
			lettergate->fleet, fleet_out, why);
	if (!err && *fleet_out)
		err = fleet_start(*fleet_out, lettergate->crew);
	return err;
}

enum err lettergate_reload(struct lettergate *lettergate, struct settings *settings,
	struct lettergate_files *files, struct buf *why)
{
	struct keys *keys = files->keys, *old_keys;
	struct fleet *fleet = NULL, *old_fleet;
	struct settings *old_settings;
	bool captures = strcmp(settings->relays[0].host, "capture") == 0;
	enum err err;

	if (captures != lettergate->captures) {
		buf_add_string(why, "SMTP_HOST: a reload cannot begin or end capturing; restart");
		settings_free(settings);
		return ERR_VALUE;
	}
	err = open_anew(lettergate, settings, &fleet, why);
	if (!err)
		err = catalogue_exchange(lettergate->catalogue, files->shelf, why);
	if (err) {
		fleet_release(fleet);
		settings_free(settings);
		return err;
	}
	*files = (struct lettergate_files){ 0 };
	pthread_rwlock_wrlock(&lettergate->lock);
	old_keys = lettergate->keys;
	old_fleet = lettergate->fleet;
	old_settings = lettergate->settings;
	keys_inherit(keys, old_keys);
	for (size_t i = 0; old_fleet && i < old_fleet->count; i++)
		relay_retire(old_fleet->relays[i]); /* before anybody can know the new ones */
	lettergate->keys = keys;
	lettergate->fleet = fleet;
	lettergate->settings = settings;
	pthread_rwlock_unlock(&lettergate->lock);
	repeats_set_ttl(lettergate->repeats, settings->idempotency_ttl_ms * UINT64_C(1000));
	keys_free(old_keys);
	settings_free(old_settings);
	keeper_reload(lettergate, settings);
	if (old_fleet)
		hand_over(lettergate, old_fleet);
	fleet_release(old_fleet);
	return OK;
}

static void settle_waiting(
	struct lettergate *lettergate, struct delivery *(*take_out)(struct relay *relay))
{
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_DRAINING, SMTP_IN_QUEUE, false);

	for (size_t i = 0; lettergate->fleet && i < lettergate->fleet->count; i++)
		settle_list(lettergate, take_out(lettergate->fleet->relays[i]), &verdict,
			"the gateway stops");
}

void lettergate_give_back(struct lettergate *lettergate)
{
	settle_waiting(lettergate, relay_take_queued);
}

void lettergate_stop(struct lettergate *lettergate)
{
	atomic_store(&lettergate->is_draining, true);
	keeper_stop(lettergate);
	keeper_answer_all(lettergate);
	pthread_rwlock_wrlock(&lettergate->lock);
	lettergate->is_stopping = true;
	pthread_rwlock_unlock(&lettergate->lock);
	settle_waiting(lettergate, relay_empty);
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_stop(lettergate->workers[i]);
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_join(lettergate->workers[i]);
	settle_waiting(lettergate, relay_empty); /* what a session had put back */
}

void lettergate_close(struct lettergate *lettergate)
{
	if (!lettergate)
		return;
	keeper_close(lettergate); /* it may wake a worker to the last */
	for (unsigned i = 0; i < lettergate->worker_count; i++)
		worker_close(lettergate->workers[i]);
	fleet_release(lettergate->fleet);
	oauth_crew_close(lettergate->crew);
	keys_free(lettergate->keys);
	settings_free(lettergate->settings);
	known_close(lettergate->known);
	records_close(lettergate->records);
	repeats_close(lettergate->repeats);
	catalogue_close(lettergate->catalogue);
	metrics_close(lettergate->metrics);
	assert(!lettergate->room.taken.messages && !lettergate->room.taken.bytes);
	pthread_mutex_destroy(&lettergate->room.lock);
	pthread_rwlock_destroy(&lettergate->lock);
	free(lettergate);
}

unsigned lettergate_in_flight(struct lettergate *lettergate)
{
	return atomic_load(&lettergate->in_flight);
}
