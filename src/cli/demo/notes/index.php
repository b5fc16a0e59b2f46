<?php
// notes: a small application that exists only to be backed up, upgraded and put back.
require __DIR__ . '/lib/notes.php';

$config = require __DIR__ . '/config.php';
$notes = new Notes(new PDO('sqlite:' . $config['database']['name']), $config['per_page']);
echo $notes->page((int) ($_GET['page'] ?? 1));
