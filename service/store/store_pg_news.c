/* News for the other replicas, and theirs: so that they look before their second is over. Nothing
 * counts on it: a database that knows no LISTEN is asked once a second, as by all. */
#include "service/clock.h"
#include "service/store/store_pg_own.h"

enum { NEWS_EVERY_US = 200000 };

/* Before the pipeline begins. A refusal leaves the session as it was. */
enum err pg_listen(struct pg_store *store)
{
	PGresult *result;

	if (!pg_plain(store, "LISTEN lettergate", &result))
		return ERR_IO;
	store->listens = pg_plain_is_ok(result);
	PQclear(result);
	return OK;
}

void pg_tell(void *self)
{
	struct pg_store *store = self;

	store->has_news = true;
}

/* A transaction of its own, with nothing to be written to disk. Not among those that are prepared:
 * there may be no such function. */
static void send_news(struct pg_store *store)
{
	enum err err = pg_expect(store);

	store->has_news = false;
	store->news_us = now_us();
	if (!err && !PQsendQueryParams(store->conn, "SELECT pg_notify('lettergate', '')", 0, NULL,
			    NULL, NULL, NULL, 1))
		err = ERR_IO;
	if (!err)
		err = pg_put_sync(store);
	if (!err)
		err = pg_drain(store);
	if (err && store->conn)
		pg_lose(store, "the others cannot be told");
}

/* Some of theirs came; our own come back as well. */
static bool take_news(struct pg_store *store)
{
	bool found = false;
	PGnotify *news;

	while ((news = PQnotifies(store->conn))) {
		found = found || news->be_pid != PQbackendPID(store->conn);
		PQfreemem(news);
	}
	return found;
}

bool pg_hears(void *self)
{
	struct pg_store *store = self;

	if (!store->conn || !store->listens)
		return false;
	store->err = OK;
	if (store->has_news && now_us() >= store->news_us + NEWS_EVERY_US)
		send_news(store);
	if (store->conn && !PQconsumeInput(store->conn))
		pg_lose(store, PQerrorMessage(store->conn));
	return store->conn && take_news(store);
}
