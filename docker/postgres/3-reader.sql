-- The role of the daemon: it may read these views and nothing else, not even the tables behind them.
-- The password comes from $READER_PASSWORD, so that it is in no file.
\getenv reader_password READER_PASSWORD
CREATE ROLE smartico_reader LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10
  PASSWORD :'reader_password';
ALTER ROLE smartico_reader SET default_transaction_read_only = on;
ALTER ROLE smartico_reader SET statement_timeout = '30s';
ALTER ROLE smartico_reader SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE smartico_reader SET timezone = 'UTC';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO smartico_reader;
GRANT USAGE ON SCHEMA crm TO smartico_reader;
GRANT SELECT ON crm.user_profile, crm.deposits, crm.casino_transactions TO smartico_reader;
