/*
 * link_serial.c
 *		Serial lines: libmodbus opens and sets them up, we read and write them.
 *
 * With RS-485 the kernel switches the transmitter (TIOCSRS485): done from user space, by a pause
 * for the length of the frame, it would block the loop and come late.
 */
#include "link_inner.h"

#include <errno.h>
#include <linux/serial.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

static bool
enable_rs485(int fd)
{
	struct serial_rs485 mode;

	memset(&mode, 0, sizeof(mode));
	mode.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND;
	return ioctl(fd, TIOCSRS485, &mode) == 0;
}

/* The file descriptor is set when this succeeds; else reason says why not. */
bool
link_serial_open(Link *link)
{
	const LinkLine *line = &link->end.line;

	link->line = modbus_new_rtu(link->end.address, line->baud, line->parity, 8, line->stop);
	if (!link->line || modbus_connect(link->line) != 0)
		snprintf(link->reason, sizeof(link->reason), "%s", modbus_strerror(errno));
	else if (line->rs485 && !enable_rs485(modbus_get_socket(link->line)))
		snprintf(link->reason, sizeof(link->reason),
				 "the driver has no RS-485 mode (%s): leave out \"rs485\" for adapters that switch "
				 "by themselves",
				 strerror(errno));
	else
	{
		link->fd = modbus_get_socket(link->line);
		tcflush(link->fd, TCIOFLUSH);
		link_watch(link);
		return true;
	}
	if (link->line)
	{
		modbus_close(link->line);
		modbus_free(link->line);
		link->line = NULL;
	}
	return false;
}
