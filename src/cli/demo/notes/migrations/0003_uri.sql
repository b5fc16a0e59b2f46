ALTER TABLE notes ADD COLUMN uri TEXT;
UPDATE notes SET uri = 'note/' || id;
CREATE UNIQUE INDEX notes_uri ON notes (uri);
