/*
 * meter_job.h
 *		Requests to a meter as jobs of its bus.
 */
#ifndef PREPAYD_METER_JOB_H
#define PREPAYD_METER_JOB_H

#include "topology.h"

/* Address, protocol and time-out; the caller sets priority, rank, callback. */
void meter_job_init(Job *job, const Meter *meter, const Profile *profile);

void meter_job_read(Job *job, const Profile *profile, const ProfileRequest *request);

/* False when the data cannot be made: the site's time zone is not known. */
bool meter_job_write(Job *job, const Meter *meter, const Profile *profile, const ProfileStep *step,
					 const ProfileValue *args);

#endif
