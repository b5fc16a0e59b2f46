<?php
// Since 1.3.0, asked about by migration 0004.
class Statistics {
    public function allowed(PDO $db): bool {
        return (bool) $db->query("SELECT value FROM settings WHERE name = 'statistics'")->fetchColumn();
    }
}
