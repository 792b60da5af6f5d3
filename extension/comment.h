/*
 * comment.h: every table, view and column says what it is.
 */
#ifndef PREPAY_COMMENT_H
#define PREPAY_COMMENT_H

/* Apply the catalogue "relation[.column]: text" to schemas prepay and prepay_api; runs as the
 * storage owner. */
extern void comment_apply(const char *catalogue);

#endif
