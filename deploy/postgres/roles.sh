#!/bin/bash
# Creates the roles besides the administrator. Runs once, when the database's volume is empty.
set -euo pipefail

# The service's password is stored only in its URL, percent-encoded, so decode it.
url=$(</run/secrets/database_url)
if [[ ! $url =~ ^postgres(ql)?://aliaport:([^@/]+)@ ]]; then
    echo "roles.sh: database_url must begin with postgresql://aliaport:PASSWORD@" >&2
    exit 1
fi
printf -v password '%b' "${BASH_REMATCH[2]//%/\\x}"

# The passwords go through standard input, because every user can read a program's arguments. The two SET commands keep
# them out of the server's log.
PASSWORD=$password EXPORTER=$(</run/secrets/exporter_password) psql --username="$POSTGRES_USER" --dbname=postgres \
    --no-psqlrc --set=ON_ERROR_STOP=1 --quiet <<'SQL'
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
\getenv password PASSWORD
\getenv exporter EXPORTER
CREATE ROLE aliaport LOGIN PASSWORD :'password';
CREATE DATABASE aliaport OWNER aliaport;
REVOKE ALL ON DATABASE aliaport FROM PUBLIC;
CREATE ROLE exporter LOGIN PASSWORD :'exporter' IN ROLE pg_monitor CONNECTION LIMIT 5;
GRANT CONNECT ON DATABASE aliaport TO exporter;
SQL
