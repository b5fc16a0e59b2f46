<?php
// notes {version}
class Notes {
    public function __construct(private PDO $db, private int $perPage) {}

    public function page(int $page): string {
        $rows = $this->db->prepare('SELECT id, title FROM notes ORDER BY id LIMIT ? OFFSET ?');
        $rows->execute([$this->perPage, ($page - 1) * $this->perPage]);
        return implode("\n", array_map(fn ($row) => $row['title'], $rows->fetchAll()));
    }
}
