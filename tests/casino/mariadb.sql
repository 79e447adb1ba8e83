-- A casino's twelve tables, as a platform keeps them.

-- What a player typed at registration, and what the casino knows of him.
CREATE TABLE players (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  brand_code VARCHAR(60) NOT NULL,
  username VARCHAR(60) NOT NULL,
  email VARCHAR(60),
  phone VARCHAR(60),
  password_hash VARCHAR(60) NOT NULL,
  first_name VARCHAR(60),
  last_name VARCHAR(60),
  birth_date DATE,
  gender VARCHAR(60),
  country_code CHAR(2),
  language VARCHAR(60),
  currency CHAR(3) NOT NULL,
  status ENUM('Active', 'Blocked', 'Self excluded', 'Closed') NOT NULL,
  kyc_status VARCHAR(60),
  affiliate_id VARCHAR(60),
  email_opt_out TINYINT(1) NOT NULL,
  sms_opt_out TINYINT(1) NOT NULL,
  is_test TINYINT(1) NOT NULL,
  registered_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

-- One wallet a player; it moves with every bet.
CREATE TABLE wallets (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL UNIQUE,
  real_balance DECIMAL(18,2) NOT NULL,
  bonus_balance DECIMAL(18,2) NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  FOREIGN KEY (player_id) REFERENCES players (id)
);

CREATE TABLE payment_methods (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  code VARCHAR(60) NOT NULL,
  name VARCHAR(60) NOT NULL
);

-- Deposits and withdrawals in one ledger; a row changes its status until it is final.
CREATE TABLE payments (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL,
  payment_method_id BIGINT UNSIGNED NOT NULL,
  type VARCHAR(60) NOT NULL,
  status VARCHAR(60) NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  requested_at DATETIME(3) NOT NULL,
  processed_at DATETIME(3),
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  FOREIGN KEY (player_id) REFERENCES players (id),
  FOREIGN KEY (payment_method_id) REFERENCES payment_methods (id)
);
CREATE INDEX payments_player ON payments (player_id);

CREATE TABLE providers (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(60) NOT NULL
);

CREATE TABLE games (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  external_id VARCHAR(60) NOT NULL,
  name VARCHAR(60) NOT NULL,
  category VARCHAR(60) NOT NULL,
  provider_id BIGINT UNSIGNED NOT NULL,
  FOREIGN KEY (provider_id) REFERENCES providers (id)
);

-- A round holds a bet, perhaps several, and perhaps wins.
CREATE TABLE game_rounds (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL,
  game_id BIGINT UNSIGNED NOT NULL,
  external_round_id VARCHAR(60) NOT NULL,
  started_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  ended_at TIMESTAMP(6) NULL DEFAULT NULL,
  FOREIGN KEY (player_id) REFERENCES players (id),
  FOREIGN KEY (game_id) REFERENCES games (id)
);

-- What a round took from the wallet and gave to it.
CREATE TABLE casino_transactions (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  round_id BIGINT UNSIGNED NOT NULL,
  type VARCHAR(60) NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  amount_real DECIMAL(18,2),
  amount_bonus DECIMAL(18,2),
  created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  FOREIGN KEY (round_id) REFERENCES game_rounds (id)
);

CREATE TABLE sport_slips (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL,
  bet_type VARCHAR(60) NOT NULL,
  stake DECIMAL(18,2) NOT NULL,
  total_odds DECIMAL(10,3) NOT NULL,
  payout DECIMAL(18,2),
  status VARCHAR(60) NOT NULL,
  placed_at DATETIME(3) NOT NULL,
  settled_at DATETIME(3),
  FOREIGN KEY (player_id) REFERENCES players (id)
);
CREATE INDEX sport_slips_settled ON sport_slips (settled_at);

CREATE TABLE sport_legs (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  slip_id BIGINT UNSIGNED NOT NULL,
  event_id VARCHAR(60) NOT NULL,
  sport VARCHAR(60) NOT NULL,
  league VARCHAR(60),
  home_team VARCHAR(60),
  away_team VARCHAR(60),
  market VARCHAR(60) NOT NULL,
  selection_name VARCHAR(60) NOT NULL,
  odds DECIMAL(10,3) NOT NULL,
  status VARCHAR(60) NOT NULL,
  settled_at DATETIME(3),
  FOREIGN KEY (slip_id) REFERENCES sport_slips (id)
);

-- Bonuses that the casino gave.
CREATE TABLE bonuses (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL,
  bonus_code VARCHAR(60) NOT NULL,
  bonus_type VARCHAR(60) NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  status VARCHAR(60) NOT NULL,
  issued_at DATETIME(3) NOT NULL,
  completed_at DATETIME(3),
  cancelled_at DATETIME(3),
  FOREIGN KEY (player_id) REFERENCES players (id)
);

CREATE TABLE logins (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  player_id BIGINT UNSIGNED NOT NULL,
  logged_in_at DATETIME(3) NOT NULL,
  ip VARCHAR(60),
  device VARCHAR(60),
  platform VARCHAR(60),
  FOREIGN KEY (player_id) REFERENCES players (id)
);
