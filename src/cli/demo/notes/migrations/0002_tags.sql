CREATE TABLE tags (
    note INTEGER NOT NULL REFERENCES notes (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (note, tag)
);
CREATE VIEW tag_counts AS SELECT tag, count(*) AS notes FROM tags GROUP BY tag;
CREATE TRIGGER notes_gone AFTER DELETE ON notes BEGIN
    DELETE FROM tags WHERE note = old.id;
END;
