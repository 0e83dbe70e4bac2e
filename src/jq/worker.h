/*
 * How a worker is called: the words behind its name. pure
 *
 *     spoor --jq-worker MEMORY-BYTES DEADLINE-MS RESULT-BYTES
 */
#ifndef SP_JQ_WORKER_H
#define SP_JQ_WORKER_H

#define SP_JQ_WORKER_WORD "--jq-worker"

#endif
