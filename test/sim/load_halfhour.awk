# Reduce a series "local_start,demand_mw" (ISO local time) to the mean of each half-hour
# of a working day and of a weekend day: 96 lines "day,half_hour,mean_mw".
BEGIN { FS = "," }
NR > 1 {
	split(substr($1, 1, 10), d, "-")
	split(substr($1, 12), t, ":")
	y = d[1]; m = d[2]; if (m < 3) { m += 12; y-- }
	# Zeller's congruence: 0 is Saturday, 1 is Sunday.
	w = (d[3] + int(13 * (m + 1) / 5) + y + int(y / 4) - int(y / 100) + int(y / 400)) % 7
	k = (w < 2 ? 1 : 0) * 48 + t[1] * 2 + int(t[2] / 30)
	sum[k] += $2; n[k]++
}
END {
	print "# England and Wales, mean demand by half-hour, 5 June to 27 August 2000,"
	print "# from the series published by J. W. Taylor"
	print "# day,half_hour,mean_mw"
	for (k = 0; k < 96; k++)
		printf "%s,%d,%d\n", k < 48 ? "weekday" : "weekend", k % 48, int(sum[k] / n[k] + 0.5)
}
