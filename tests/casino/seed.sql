-- Four players, one of them the casino's own, and a life of a few hours.
INSERT INTO players VALUES
  (1, 'GoldenReef', 'anna1', 'anna@example.com', '+35699000001', 'x', 'Anna', 'Borg', '1990-05-01', 'FEMALE', 'MT', 'en-GB', 'EUR', 'Active', 'VERIFIED', '12', TRUE, FALSE, FALSE, '2026-01-01 08:00:00', '2026-01-03 10:00:00.250'),
  (2, 'GoldenReef', 'ben2', 'ben@example.com', NULL, 'x', 'Ben', 'Müller', '1985-12-31', 'M', 'DE', 'de', 'EUR', 'Blocked', NULL, 'john24', FALSE, TRUE, FALSE, '2026-01-01 09:00:00', '2026-01-03 10:00:00.250'),
  (3, 'NightOwl', 'carla3', NULL, '+46701740003', 'x', NULL, NULL, NULL, NULL, 'SE', 'sv', 'SEK', 'Self excluded', 'PENDING', NULL, TRUE, TRUE, FALSE, '2026-01-02 08:00:00', '2026-01-03 11:00:00'),
  (4, 'NightOwl', 'tester4', 'qa@example.com', NULL, 'x', 'Q', 'A', NULL, NULL, 'MT', 'en', 'EUR', 'Active', NULL, NULL, FALSE, FALSE, TRUE, '2026-01-02 09:00:00', '2026-01-03 11:00:00');
INSERT INTO wallets VALUES
  (11, 1, 100.50, 10.00, '2026-01-03 10:05:00'), (12, 2, 0.00, 0.00, '2026-01-03 10:06:00'),
  (13, 3, 25.00, 0.00, '2026-01-03 10:07:00'), (14, 4, 999.00, 0.00, '2026-01-03 10:08:00');
INSERT INTO payment_methods VALUES (1, 'card', 'Credit card'), (2, 'bank', 'Bank transfer');
INSERT INTO payments VALUES
  (501, 1, 1, 'DEPOSIT', 'COMPLETED', 50.00, '2026-01-03 10:00:00', '2026-01-03 10:00:30.123', '2026-01-03 10:00:30.123'),
  (502, 2, 2, 'DEPOSIT', 'FAILED', 20.00, '2026-01-03 10:01:00', '2026-01-03 10:01:10', '2026-01-03 10:01:10'),
  (503, 1, 2, 'WITHDRAWAL', 'COMPLETED', 30.50, '2026-01-03 10:02:00', '2026-01-04 09:00:00', '2026-01-04 09:00:00'),
  (504, 3, 1, 'WITHDRAWAL', 'PENDING', 15.00, '2026-01-03 10:03:00', NULL, '2026-01-03 10:03:00'),
  (505, 3, 1, 'DEPOSIT', 'PENDING', 75.00, '2026-01-03 10:04:00', NULL, '2026-01-03 10:04:00'),
  (506, 4, 1, 'DEPOSIT', 'COMPLETED', 1000.00, '2026-01-03 10:05:00', '2026-01-03 10:05:01', '2026-01-03 10:05:01');
INSERT INTO providers VALUES (1, 'Northwind'), (2, 'Red Kite');
INSERT INTO games VALUES (1, 'nw-book', 'Book of Tides', 'slots', 1), (2, 'rk-roulette', 'European Roulette', 'table', 2);
INSERT INTO game_rounds VALUES
  (71, 1, 1, 'r-71', '2026-01-03 10:10:00', '2026-01-03 10:10:05'), (72, 3, 2, 'r-72', '2026-01-03 10:11:00', NULL),
  (73, 4, 1, 'r-73', '2026-01-03 10:12:00', '2026-01-03 10:12:05');
INSERT INTO casino_transactions VALUES
  (901, 71, 'BET', 1.00, 0.75, 0.25, '2026-01-03 10:10:00.100'), (902, 71, 'WIN', 20.50, 20.50, 0.00, '2026-01-03 10:10:05.200'),
  (903, 72, 'BET', 5.00, 5.00, 0.00, '2026-01-03 10:11:00'), (904, 72, 'BET_ROLLBACK', 5.00, 5.00, 0.00, '2026-01-03 10:11:30'),
  (905, 73, 'BET', 9.00, 9.00, 0.00, '2026-01-03 10:12:00');
INSERT INTO sport_slips VALUES
  (301, 2, 'combo', 10.00, 3.610, 36.10, 'won', '2026-01-03 12:00:00', '2026-01-04 20:00:00'),
  (302, 3, 'single', 4.00, 1.900, NULL, 'open', '2026-01-03 12:30:00', NULL);
INSERT INTO sport_legs VALUES
  (401, 301, 'ev-1', 'Football', 'Serie A', 'Inter', 'Roma', '1X2', '1', 1.900, 'won', '2026-01-04 18:00:00'),
  (402, 301, 'ev-2', 'Tennis', NULL, 'Nadal', 'Federer', 'winner', 'Nadal', 1.900, 'won', '2026-01-04 20:00:00'),
  (403, 302, 'ev-3', 'Football', 'La Liga', 'Getafe', 'Cadiz', '1X2', 'X', 1.900, 'open', NULL);
INSERT INTO bonuses VALUES
  (801, 1, 'WELCOME50', 'deposit', 50.00, 'completed', '2026-01-03 10:00:31', '2026-01-05 10:00:00', NULL),
  (802, 2, 'SPINS10', 'free_spins', 10.00, 'cancelled', '2026-01-03 10:30:00', NULL, '2026-01-06 10:00:00'),
  (803, 3, 'WELCOME50', 'deposit', 25.00, 'active', '2026-01-03 10:31:00', NULL, NULL);
INSERT INTO logins VALUES
  (601, 1, '2026-01-03 09:59:00', '203.0.113.7', 'phone', 'ios'), (602, 3, '2026-01-03 10:00:00', '203.0.113.8', 'desktop', 'windows');
