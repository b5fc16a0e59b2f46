-- ask: We need you to help make notes better by sending anonymous usage statistics. Ok?
CREATE TABLE statistics (day TEXT PRIMARY KEY, notes INTEGER NOT NULL);
INSERT INTO settings (name, value) VALUES ('statistics', :answer);
