<?php
// Written by hand when notes was installed. An upgrade must never touch it.
return array(
    'title' => 'The notes of the demo',
    'per_page' => 25,
    'salt' => '9c1b4e0f2a',
    'database' => array(
        'driver' => 'sqlite',
        'name' => __DIR__ . '/data/notes.db',
    ),
);
