-- The views that smartico-sync reads. Columns are named as its catalogue knows them; `smartico-sync check` says what is missing.
CREATE SCHEMA crm;

-- Tracked by dt_update: indexed (players_updated), never NULL.
CREATE VIEW crm.user_profile AS
SELECT
  brand      AS ext_brand_id,
  id         AS user_ext_id,
  updated    AS dt_update,
  status     AS core_account_status,
  registered AS core_registration_date,
  language   AS core_user_language,
  currency   AS core_wallet_currency,
  username   AS core_username,
  birthdate  AS user_birthdate,
  country    AS user_country,
  email      AS user_email,
  phone      AS user_phone,
  first_name AS user_first_name,
  last_name  AS user_last_name,
  gender     AS core_user_gender,
  kyc        AS core_kyc_status
FROM backoffice.players;

-- Final deposits only, tracked by the moment they became final (deposits_approved).
CREATE VIEW crm.deposits AS
SELECT
  id        AS transaction_id,
  brand     AS ext_brand_id,
  player    AS user_ext_id,
  requested AS transaction_date,
  finalized AS dt_finalized,
  amount    AS deposit_amount,
  method    AS deposit_method
FROM backoffice.deposits
WHERE status = 'approved';

-- Bets and wins in one view, tracked by the incrementing id (the primary key). Each has an id of its own; the round, which its
-- bets and wins share, is a property like any other.
CREATE VIEW crm.casino_transactions AS
SELECT
  t.id,
  t.brand    AS ext_brand_id,
  t.player   AS user_ext_id,
  t.type     AS tx_type,
  t.id       AS bet_id,
  t.round    AS round_id,
  t.at       AS bet_date,
  t.bet      AS bet_amount,
  t.win      AS win_amount,
  t.game     AS game_id,
  g.name     AS game_name,
  g.category AS game_category,
  g.provider AS game_provider
FROM backoffice.casino_transactions AS t
LEFT JOIN backoffice.games AS g ON g.id = t.game;
