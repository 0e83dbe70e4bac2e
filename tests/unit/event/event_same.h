/* Comparing events in tests. */
#ifndef SPOOR_TEST_EVENT_SAME_H
#define SPOOR_TEST_EVENT_SAME_H

#include "record/event.h"

/* NULL where all that producers give is the same, else the name of the first difference. */
const char *event_difference(const struct sp_event *a, const struct sp_event *b);

#endif
