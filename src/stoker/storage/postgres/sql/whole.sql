-- A database as a whole: what it is, and what it consists of.

-- name: identity_columns
-- Columns of a table whose numbers the database itself gives out.
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(CAST(:name AS TEXT))) AND attidentity <> '';

-- name: columns
SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns WHERE table_schema = current_schema();

-- name: servers_alive
-- Servers seen in the last 30 s, by the database's clock.
SELECT name FROM server
WHERE seen_at - ahead > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) - 30000000 ORDER BY name;

-- name: about
-- The version for people and for programs, the size in bytes, and whether a crash may lose commits.
SELECT current_setting('server_version'), CAST(current_setting('server_version_num') AS INT),
       pg_database_size(current_database()),
       current_setting('fsync') = 'off' OR current_setting('synchronous_commit') = 'off';

-- name: rights_missing
-- What this user may not do: make tables if that is still to be done, or work on those of a list.
SELECT what FROM (
    SELECT 'CREATE on the schema ' || COALESCE(current_schema(), 'of its search_path') AS what,
           current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE') AS may
    WHERE CAST(:create AS BOOLEAN)
    UNION ALL
    SELECT r.word || ' on the table ' || t.name, has_table_privilege(to_regclass(quote_ident(t.name)), r.word)
    FROM unnest(CAST(:tables AS TEXT[])) AS t (name)
    CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS r (word)
    WHERE to_regclass(quote_ident(t.name)) IS NOT NULL
) AS rights WHERE NOT may ORDER BY what;
