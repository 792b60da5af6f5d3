-- What bench.sh has measured: medians of the samples, each beside its baseline.
CREATE TEMP VIEW figure AS
	SELECT accounts, tariff, side, count(*) AS samples,
		CASE WHEN side LIKE 'row%' THEN 1e6 * sum(wall) / sum(n)
			ELSE (percentile_cont(0.5) WITHIN GROUP (ORDER BY 1e6 * wall / n))::numeric END AS wall,
		CASE WHEN side LIKE 'row%' THEN 1e6 * sum(cpu) / sum(n)
			ELSE (percentile_cont(0.5) WITHIN GROUP (ORDER BY 1e6 * cpu / n))::numeric END AS cpu
	FROM sample GROUP BY accounts, tariff, side;
\pset format aligned
\pset border 0
\pset footer off
\echo
\echo Medians. x: the time of the baseline through ours; the CPU of the backends alone beside it, in us an operation.
SELECT o.side || ' / ' || b.side AS "ours / baseline", o.accounts, o.tariff, round(1e6 / o.wall) AS "ours/s", round(1e6 / b.wall) AS "baseline/s",
	round(o.cpu, 1) AS "our cpu us", round(b.cpu, 1) AS "its cpu us", round(b.wall / o.wall, 2) AS x, round(b.cpu / o.cpu, 2) AS "x by cpu",
	CASE b.side WHEN 'plain' THEN '>= 0.8 x, >= 80000/s' WHEN 'trigger' THEN '>= 10 x' ELSE '>= 15000/s' END AS reach
FROM figure o JOIN figure b ON (b.accounts, b.tariff) = (o.accounts, o.tariff)
	AND (o.side, b.side) IN (('rated', 'plain'), ('rated', 'trigger'), ('row', 'row plain'), ('row async', 'row plain async'))
ORDER BY b.side, o.tariff, o.accounts;
\echo The cost of a rated reading against the smaller town and the simpler tariff, by CPU.
SELECT concat_ws(' ', o.accounts, o.tariff, 'against', b.accounts, b.tariff) AS what, round(o.cpu, 1) AS cpu_us, round(b.cpu, 1) AS base_us,
	round(o.cpu / b.cpu, 2) AS factor, '<= 1.3' AS reach
FROM figure o JOIN figure b ON b.side = 'rated' AND o.side = 'rated'
	AND (o.tariff = b.tariff AND o.accounts > b.accounts OR o.accounts = b.accounts AND o.tariff = 'rich' AND b.tariff = 'flat')
ORDER BY 1;
