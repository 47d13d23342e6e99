#!/bin/bash
# Runs once, when the database's volume is empty: the roles that are not the administrator.
set -euo pipefail

# The service's password stands in its URL, and there alone; %2F and the like are decoded.
url=$(</run/secrets/database_url)
if [[ ! $url =~ ^postgres(ql)?://aliaport:([^@/]+)@ ]]; then
    echo "roles.sh: database_url has to begin with postgresql://aliaport:PASSWORD@" >&2
    exit 1
fi
printf -v password '%b' "${BASH_REMATCH[2]//%/\\x}"

# Through standard input, for the arguments of a program are seen by all; not logged, for the server would.
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
