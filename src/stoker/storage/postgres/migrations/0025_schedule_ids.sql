-- Ids of schedules are used once: the runs of one that was deleted name it for ever.
INSERT INTO sequence (name, next)
SELECT 'schedule', MAX(id) + 1
FROM (SELECT MAX(id) AS id FROM schedule UNION ALL SELECT MAX(schedule) FROM run) AS used
HAVING MAX(id) IS NOT NULL;
