UPDATE notes SET title = upper(title);
DELETE FROM tags WHERE tag = 'archive';
CREATE TABLE search (note INTEGER PRIMARY KEY, words TEXT NOT NULL);
