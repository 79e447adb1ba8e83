-- A casino's twelve tables, as a platform keeps them.

-- What a player typed at registration, and what the casino knows of him.
CREATE TABLE players (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  brand_code TEXT NOT NULL,
  username TEXT NOT NULL,
  email TEXT,
  phone TEXT,
  password_hash TEXT NOT NULL,
  first_name TEXT,
  last_name TEXT,
  birth_date DATE,
  gender TEXT,
  country_code CHAR(2),
  language TEXT,
  currency CHAR(3) NOT NULL,
  status TEXT NOT NULL,
  kyc_status TEXT,
  affiliate_id TEXT,
  email_opt_out BOOLEAN NOT NULL,
  sms_opt_out BOOLEAN NOT NULL,
  is_test BOOLEAN NOT NULL,
  registered_at TIMESTAMP NOT NULL,
  updated_at TIMESTAMP NOT NULL
);

-- One wallet a player; it moves with every bet.
CREATE TABLE wallets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL UNIQUE,
  real_balance DECIMAL(18,2) NOT NULL,
  bonus_balance DECIMAL(18,2) NOT NULL,
  updated_at TIMESTAMP NOT NULL,
  FOREIGN KEY (player_id) REFERENCES players (id)
);

CREATE TABLE payment_methods (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  code TEXT NOT NULL,
  name TEXT NOT NULL
);

-- Deposits and withdrawals in one ledger; a row changes its status until it is final.
CREATE TABLE payments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL,
  payment_method_id INTEGER NOT NULL,
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  requested_at DATETIME NOT NULL,
  processed_at DATETIME,
  updated_at TIMESTAMP NOT NULL,
  FOREIGN KEY (player_id) REFERENCES players (id),
  FOREIGN KEY (payment_method_id) REFERENCES payment_methods (id)
);
CREATE INDEX payments_player ON payments (player_id);

CREATE TABLE providers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL
);

CREATE TABLE games (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  external_id TEXT NOT NULL,
  name TEXT NOT NULL,
  category TEXT NOT NULL,
  provider_id INTEGER NOT NULL,
  FOREIGN KEY (provider_id) REFERENCES providers (id)
);

-- A round holds a bet, perhaps several, and perhaps wins.
CREATE TABLE game_rounds (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL,
  game_id INTEGER NOT NULL,
  external_round_id TEXT NOT NULL,
  started_at TIMESTAMP NOT NULL,
  ended_at TIMESTAMP,
  FOREIGN KEY (player_id) REFERENCES players (id),
  FOREIGN KEY (game_id) REFERENCES games (id)
);

-- What a round took from the wallet and gave to it.
CREATE TABLE casino_transactions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  round_id INTEGER NOT NULL,
  type TEXT NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  amount_real DECIMAL(18,2),
  amount_bonus DECIMAL(18,2),
  created_at TIMESTAMP NOT NULL,
  FOREIGN KEY (round_id) REFERENCES game_rounds (id)
);

CREATE TABLE sport_slips (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL,
  bet_type TEXT NOT NULL,
  stake DECIMAL(18,2) NOT NULL,
  total_odds DECIMAL(10,3) NOT NULL,
  payout DECIMAL(18,2),
  status TEXT NOT NULL,
  placed_at DATETIME NOT NULL,
  settled_at DATETIME,
  FOREIGN KEY (player_id) REFERENCES players (id)
);
CREATE INDEX sport_slips_settled ON sport_slips (settled_at);

CREATE TABLE sport_legs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  slip_id INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  sport TEXT NOT NULL,
  league TEXT,
  home_team TEXT,
  away_team TEXT,
  market TEXT NOT NULL,
  selection_name TEXT NOT NULL,
  odds DECIMAL(10,3) NOT NULL,
  status TEXT NOT NULL,
  settled_at DATETIME,
  FOREIGN KEY (slip_id) REFERENCES sport_slips (id)
);

-- Bonuses that the casino gave.
CREATE TABLE bonuses (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL,
  bonus_code TEXT NOT NULL,
  bonus_type TEXT NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  status TEXT NOT NULL,
  issued_at DATETIME NOT NULL,
  completed_at DATETIME,
  cancelled_at DATETIME,
  FOREIGN KEY (player_id) REFERENCES players (id)
);

CREATE TABLE logins (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  player_id INTEGER NOT NULL,
  logged_in_at DATETIME NOT NULL,
  ip TEXT,
  device TEXT,
  platform TEXT,
  FOREIGN KEY (player_id) REFERENCES players (id)
);
