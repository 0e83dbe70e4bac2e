/*
 * What happened in a saga when, a line for each moment. pure
 */
#ifndef SP_FLOW_STORY_TOLD_H
#define SP_FLOW_STORY_TOLD_H

#include "flow/story_int.h"

/*
 * "  10:15:02  charge card: done after 2 s", below a line with each day. Of more than `lines`
 * moments the first third and the last ones are told, and between them how many are left out.
 */
void sp_story_moments(struct sp_buf *to, const struct sp_story *story, uint32_t lines);

#endif
