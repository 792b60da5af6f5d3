/*
 * login.h: who logged in when and from where.
 */
#ifndef PREPAY_LOGIN_H
#define PREPAY_LOGIN_H

#include "postgres.h"

/* Write the log-in of this session down, if that has not been done. Inside a DbSession. */
extern void login_record(void);
/* At the start of a session that loads the library by session_preload_libraries. */
extern void login_preloaded(void);

#endif
