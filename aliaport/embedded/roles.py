"""The roles of the embedded server: the service's own one is ordinary, the superuser another."""

ROLE = "aliaport"
DATABASE = "aliaport"
SUPERUSER = "aliaport_superuser"

CREATE = f"CREATE ROLE {ROLE} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"
"""For the single-user mode of a new server, where a line is a statement."""

DEMOTE = f"""
SET lock_timeout = '10s';
DO $demote$
DECLARE
    first_role CONSTANT oid = 10;
    object text;
BEGIN
    IF (SELECT oid FROM pg_roles WHERE rolname = current_user) <> first_role THEN
        RETURN;
    END IF;
    -- PostgreSQL neither demotes its first superuser nor renames the role of a session.
    CREATE ROLE {SUPERUSER}_conversion SUPERUSER;
    SET SESSION AUTHORIZATION {SUPERUSER}_conversion;
    ALTER ROLE {ROLE} RENAME TO {SUPERUSER};
    RESET SESSION AUTHORIZATION;
    DROP ROLE {SUPERUSER}_conversion;
    CREATE ROLE {ROLE} LOGIN;
    ALTER DATABASE {DATABASE} OWNER TO {ROLE};
    FOR object IN
        WITH schemas AS (
            SELECT oid, nspname, nspowner FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), objects (class, id, name) AS (
            SELECT 'pg_namespace'::regclass, oid, format('SCHEMA %I', nspname)
            FROM schemas WHERE nspowner = first_role
            UNION ALL
            SELECT 'pg_class'::regclass, c.oid, format('TABLE %s', c.oid::regclass)
            FROM pg_class c JOIN schemas ON schemas.oid = relnamespace
            WHERE relowner = first_role AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            -- The sequence of a column follows its table.
            AND NOT (relkind = 'S' AND EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('a', 'i')
                AND refclassid = 'pg_class'::regclass
            ))
            UNION ALL
            SELECT 'pg_proc'::regclass, p.oid, format('ROUTINE %s', p.oid::regprocedure)
            FROM pg_proc p JOIN schemas ON schemas.oid = pronamespace WHERE proowner = first_role
            UNION ALL
            SELECT 'pg_type'::regclass, t.oid, format('TYPE %s', t.oid::regtype)
            FROM pg_type t JOIN schemas ON schemas.oid = typnamespace
            LEFT JOIN pg_class c ON c.oid = typrelid
            WHERE typowner = first_role AND typcategory <> 'A'
            AND (typtype IN ('b', 'd', 'e', 'r') OR c.relkind = 'c')
            UNION ALL
            SELECT 'pg_largeobject'::regclass, oid, format('LARGE OBJECT %s', oid)
            FROM pg_largeobject_metadata WHERE lomowner = first_role
        )
        SELECT name FROM objects WHERE NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'e'
        )
    LOOP
        EXECUTE format('ALTER %s OWNER TO {ROLE}', object);
    END LOOP;
END
$demote$;
"""  # noqa: S608 # only constants
"""Convert a server of Aliaport 3.1, whose superuser is the service's role; run it as that role.

One transaction, so that an interrupted conversion leaves the server as it was. Objects of
extensions, and those in other databases, stay with the superuser.
"""
