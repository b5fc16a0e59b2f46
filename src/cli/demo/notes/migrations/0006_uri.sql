INSERT INTO search (note, words) SELECT id, title FROM notes;
ALTER TABLE notes ADD COLUMN uri TEXT;
