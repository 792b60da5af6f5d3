/*
 * meter_job.c
 *		Requests to a meter as jobs of its bus.
 */
#include "meter_job.h"

#include <string.h>

void
meter_job_init(Job *job, const Meter *meter, const Profile *profile)
{
	int timeout_ms = meter->gateway->options.timeout_ms;

	job->protocol = profile->protocol;
	job->unit = meter->unit;
	memcpy(job->station, meter->station, sizeof(job->station));
	job->timeout_ms = timeout_ms ? timeout_ms : profile->timeout_ms;
	job->answer_pdu = 0;
}

void
meter_job_read(Job *job, const Profile *profile, const ProfileRequest *request)
{
	job->answer_pdu = 0;
	job->pdu_len = profile_request_pdu(profile, request, job->pdu);
}

bool
meter_job_write(Job *job, const Meter *meter, const Profile *profile, const ProfileStep *step,
				const ProfileValue *args)
{
	const GatewayOptions *options = &meter->gateway->options;
	ProfileContext context = { .now = clock_business(&meter->gateway->agent->clock) };

	jpath_bytes(options->password, context.password, sizeof(context.password));
	jpath_bytes(options->operator_code, context.operator_code, sizeof(context.operator_code));
	job->answer_pdu = step->answer_pdu;
	job->pdu_len = profile_step_pdu(profile, step, args, &context, job->pdu);
	return job->pdu_len > 0;
}
