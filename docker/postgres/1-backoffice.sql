-- An example of what an operator has: the tables behind the casino. Nothing here is needed by smartico-sync.
CREATE SCHEMA backoffice;

CREATE TABLE backoffice.players (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  brand       text NOT NULL,
  username    text NOT NULL,
  first_name  text,
  last_name   text,
  email       text,
  phone       text,
  birthdate   date,
  gender      text,
  country     text,
  language    text NOT NULL DEFAULT 'EN',
  currency    text NOT NULL DEFAULT 'EUR',
  status      text NOT NULL DEFAULT 'ACTIVE',
  kyc         text,
  registered  timestamptz NOT NULL DEFAULT now(),
  updated     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX players_updated ON backoffice.players (updated, brand, id);

CREATE TABLE backoffice.deposits (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  brand      text NOT NULL,
  player     bigint NOT NULL REFERENCES backoffice.players,
  amount     numeric(18, 2) NOT NULL CHECK (amount > 0),
  method     text NOT NULL,
  status     text NOT NULL CHECK (status IN ('pending', 'approved', 'failed')),
  requested  timestamptz NOT NULL DEFAULT now(),
  finalized  timestamptz CHECK ((finalized IS NULL) = (status = 'pending'))
);
CREATE INDEX deposits_approved ON backoffice.deposits (finalized, id) WHERE status = 'approved';

CREATE TABLE backoffice.casino_transactions (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  brand     text NOT NULL,
  player    bigint NOT NULL REFERENCES backoffice.players,
  type      text NOT NULL CHECK (type IN ('BET', 'WIN')),
  round     uuid NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  bet       numeric(18, 2) NOT NULL,
  win       numeric(18, 2) CHECK ((win IS NOT NULL) = (type = 'WIN')),
  game      text NOT NULL
);

CREATE TABLE backoffice.games (
  id        text PRIMARY KEY,
  name      text NOT NULL,
  category  text NOT NULL,
  provider  text NOT NULL
);
INSERT INTO backoffice.games VALUES
  ('game-001', 'Book of Tides', 'slots', 'Northwind'),
  ('game-002', 'Moonlit Reels', 'slots', 'Peartree'),
  ('game-003', 'European Roulette', 'table', 'Red Kite'),
  ('game-004', 'Live Baccarat', 'live', 'Studio Nine');
ALTER TABLE backoffice.casino_transactions ADD FOREIGN KEY (game) REFERENCES backoffice.games;

INSERT INTO backoffice.players (brand, username, first_name, last_name, email, phone, birthdate, gender, country, registered, updated)
SELECT CASE WHEN n % 3 = 0 THEN 'NightOwl' ELSE 'GoldenReef' END, 'player' || n,
  (ARRAY['Anna', 'Ben', 'Carla', 'David'])[1 + n % 4], (ARRAY['Borg', 'Costa', 'Novak'])[1 + n % 3],
  'player' || n || '@example.com', '+35699' || lpad(n::text, 6, '0'), date '1970-01-01' + n * 9, 'UNKNOWN', 'MT',
  now() - interval '1 year' + n * interval '4 hours', now() - interval '1 day' + n * interval '1 second'
FROM generate_series(1, 2000) AS n;

INSERT INTO backoffice.deposits (brand, player, amount, method, status, requested, finalized)
SELECT p.brand, p.id, 10 + (p.id % 90), 'card', 'approved', now() - interval '6 hours', now() - interval '6 hours' + p.id * interval '1 second'
FROM backoffice.players AS p WHERE p.id % 2 = 0;

-- A casino that goes on: docker compose --profile live up
CREATE PROCEDURE backoffice.play(rounds integer)
LANGUAGE sql
AS $$
  WITH played AS (
    SELECT p.id, p.brand, gen_random_uuid() AS round, round((random() * 20 + 0.1)::numeric, 2) AS bet,
      'game-00' || 1 + floor(random() * 4)::int AS game, random() AS luck
    FROM (SELECT id, brand FROM backoffice.players ORDER BY random() LIMIT rounds) AS p
  )
  INSERT INTO backoffice.casino_transactions (brand, player, type, round, bet, win, game)
  SELECT brand, id, 'BET', round, bet, NULL::numeric, game FROM played
  UNION ALL
  SELECT brand, id, 'WIN', round, bet, round(bet * (luck * 5)::numeric, 2), game FROM played WHERE luck < 0.3;

  INSERT INTO backoffice.deposits (brand, player, amount, method, status, finalized)
  SELECT brand, id, 25, 'card', 'approved', clock_timestamp() FROM backoffice.players ORDER BY random() LIMIT 1;

  -- A login touches the profile, a change changes it; only the second is an event.
  UPDATE backoffice.players SET updated = clock_timestamp()
  WHERE id = (SELECT id FROM backoffice.players ORDER BY random() LIMIT 1);
  UPDATE backoffice.players SET kyc = CASE WHEN kyc = 'VERIFIED' THEN 'PENDING' ELSE 'VERIFIED' END, updated = clock_timestamp()
  WHERE id = (SELECT id FROM backoffice.players ORDER BY random() LIMIT 1);
$$;

CALL backoffice.play(500);
ANALYZE;
