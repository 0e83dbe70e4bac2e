/*
 * How the process gets its memory. Once, by a program's main, before anything else
 */
#ifndef SP_OS_MEMORY_H
#define SP_OS_MEMORY_H

/*
 * Keeps large buffers out of the heap: they come from the system and go back to it. Encoding an
 * index, sealing and snapshots take tens of megabytes for a moment, on several threads. glibc
 * begins so too, but after the first such buffer was given back it takes the next ones from the
 * heap, between what stays: a store of 10 million events then holds 430 MiB instead of 250. Has no
 * effect with other C libraries. A library must not decide this for its host; hosts that write a
 * lot may do the same.
 */
void sp_memory_keep_small(void);

#endif
