/* The table that the build makes of vocabulary/; for vocabulary.c alone. pure */
#ifndef SP_SCHEMA_VOCABULARY_TABLE_H
#define SP_SCHEMA_VOCABULARY_TABLE_H

#include "schema/vocabulary.h"

extern const struct sp_vocabulary_type sp_vocabulary_types[];
extern const size_t sp_vocabulary_type_count;

#endif
