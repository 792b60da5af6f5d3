/*
 * install.h: storage version this library works on.
 */
#ifndef PREPAY_INSTALL_H
#define PREPAY_INSTALL_H

#define STORAGE_VERSION 1

#endif
