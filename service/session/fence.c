#include "service/session/fence.h"

#include "service/session/worker.h"

bool fence_ask(struct fence *fence, struct worker *worker)
{
	atomic_store(&fence->asker, worker);
	if (atomic_exchange(&fence->answer, FENCE_ASKED) == FENCE_ASKED)
		return false;
	fence->ask(fence);
	return true;
}

enum fence_answer fence_hear(struct fence *fence)
{
	int answer = atomic_load(&fence->answer);

	if (answer == FENCE_YES || answer == FENCE_NO)
		atomic_store(&fence->answer, FENCE_NONE);
	return (enum fence_answer)answer;
}

/* Somebody else may have begun to ask meanwhile: the carrier's next tick finds the answer. */
void fence_tell(struct fence *fence, bool may_go)
{
	struct worker *worker;

	atomic_store(&fence->answer, may_go ? FENCE_YES : FENCE_NO);
	worker = atomic_load(&fence->asker);
	if (worker)
		worker_wake(worker);
}
