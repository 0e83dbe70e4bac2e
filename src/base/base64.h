/*
 * Base64 (RFC 4648, section 4: the standard alphabet, padded). pure
 */
#ifndef SP_BASE_BASE64_H
#define SP_BASE_BASE64_H

#include "base/buf.h"

/* Appends the bytes as Base64 text. O(bytes). */
void sp_base64_add(struct sp_buf *to, sp_str bytes);

/*
 * Appends the bytes that the text stands for. False, and nothing appended, where the text is not
 * what sp_base64_add writes: other letters, missing padding, bits left over. O(text).
 */
SP_WARN_UNUSED bool sp_base64_decode(struct sp_buf *to, sp_str text);

#endif
