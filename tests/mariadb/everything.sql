-- Every kind of object and value that version 1 carries. Run with a charset of utf8mb4.
ALTER DATABASE CHARACTER SET = latin1 COLLATE = latin1_german1_ci;
SET SESSION sql_mode = '';
SET SESSION time_zone = '+00:00';

CREATE TABLE numbers (
  id INT NOT NULL AUTO_INCREMENT, ti TINYINT, si SMALLINT UNSIGNED, mi MEDIUMINT ZEROFILL,
  bi BIGINT, bu BIGINT UNSIGNED, de DECIMAL(65,30), d0 DECIMAL(10,0) UNSIGNED, fl FLOAT,
  fd FLOAT(7,3), du DOUBLE, dd DOUBLE(15,4), bt BIT(9), b1 BIT(1), bo BOOLEAN, ye YEAR,
  PRIMARY KEY (id), KEY (bi), UNIQUE KEY uq (bu)
) ENGINE=InnoDB AUTO_INCREMENT=51;
INSERT INTO numbers VALUES
  (1, -128, 65535, 42, -9223372036854775808, 18446744073709551615,
   '12345678901234567890123456789012345.123456789012345678901234567890', 4294967295,
   0.1, 1234.567, 1/3e0, -12345678901.2345, b'101010101', b'1', TRUE, 1901),
  (2, 127, 0, 8388607, 9223372036854775807, 0, '-0.000000000000000000000000000001', 0,
   3.4028234663852886e38, -0.001, 2.2250738585072014e-308, 0, b'0', b'0', FALSE, 2155),
  (3, 0, 1, 0, 0, 1, 0, 7, 1.17549435e-38, 9999.999, 1.7976931348623157e308, 1.00005, b'1', NULL,
   NULL, '0000'),
  (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (5, 1, 1, 1, 1, 5, 1, 1, 16777217, 3.1, 4.9406564584124654e-324, 2, b'111111111', b'1', 5, 2024),
  (50, 1, 1, 1, 1, 6, 1, 1, -1e-40, 3.2, -0.1, 2, b'100000000', b'0', 5, 1970);
DELETE FROM numbers WHERE id = 50;

-- Every bit pattern that a computation can leave in a FLOAT.
CREATE TABLE floats (id INT PRIMARY KEY, f FLOAT, d DOUBLE) ENGINE=InnoDB;
INSERT INTO floats SELECT seq, EXP(RAND(seq) * 80 - 40) * IF(seq % 2, 1, -1),
  EXP(RAND(seq) * 1200 - 600) / 3 FROM seq_1_to_2000;

CREATE TABLE times (
  id INT PRIMARY KEY, d DATE, dt DATETIME, d6 DATETIME(6), ts TIMESTAMP NULL,
  t3 TIMESTAMP(3) NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP(3),
  ti TIME, t6 TIME(6), de DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00'
) ENGINE=InnoDB;
SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO times VALUES
  (1, '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', '1970-01-01 00:00:01', '-838:59:59',
   '838:59:59.999999', '0000-00-00'),
  (2, '2020-02-31', '2020-00-00 12:00:00', '2020-11-00 23:59:59.123456', '2038-01-19 03:14:07',
   '2021-03-28 01:30:00.123', '00:00:00', '-00:00:00.000001', '9999-12-31 23:59:59'),
  (3, NULL, NULL, NULL, NULL, '2021-10-31 01:30:00.999', NULL, NULL, '1000-01-01');
SET SESSION sql_mode = '';

CREATE TABLE texts (
  id INT PRIMARY KEY, c CHAR(10), v VARCHAR(50), l1 VARCHAR(50) CHARACTER SET latin1,
  u2 VARCHAR(20) CHARACTER SET ucs2, u16 TEXT CHARACTER SET utf16, sj VARCHAR(20) CHARACTER SET sjis,
  gb VARCHAR(20) CHARACTER SET gbk, bi BINARY(5), vb VARBINARY(40), tb TINYBLOB, mt MEDIUMTEXT, lb LONGBLOB,
  js JSON, KEY (v(10)), FULLTEXT KEY ft (mt)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
INSERT INTO texts VALUES
  (1, 'a  ', 'it''s \\ "q" ` ; -- \r\n\t\Z 😀', _latin1 x'ff80818d8f909dE9', '漢', 'x😀', '表示',
   '誠', 'ab', x'00ff275c0a1a22', '', 'the quick brown fox', REPEAT(x'00f0', 70000), '{"a": [1, "é😀"]}'),
  (2, '', '', '', '', '', '', '', '', '', x'00', '', '', '[]'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'ÄÖ', REPEAT('é', 50), CONVERT('Ã©' USING latin1), 'ÿ', REPEAT('ab', 3000), 'ソ能', '縗', x'0102030405',
   'C:\\dir\0', x'fffe', REPEAT('long ', 60000), x'', '"a''b\\\\c"');

CREATE TABLE choices (
  id INT PRIMARY KEY, e ENUM('a', '', '3', 'it''s', 'ä') NOT NULL, s SET('x', 'y', 'z'),
  en ENUM('1', '2') CHARACTER SET utf8mb4
) ENGINE=InnoDB;
INSERT INTO choices VALUES (1, 'nonsense', 'x,z', '2'), (2, '', '', NULL), (3, '3', NULL, '1'),
  (4, 4, 7, 'nonsense'), (5, 'ä', 'y', 2), (6, 0, 0, 0), (7, 'a', 'x', 1);

CREATE TABLE shapes (id INT PRIMARY KEY, p POINT NOT NULL, g GEOMETRY, pl POLYGON, SPATIAL KEY (p)) ENGINE=InnoDB;
INSERT INTO shapes VALUES
  (1, POINT(1, -2.5), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))', 4326),
   ST_GeomFromText('POLYGON((0 0,0 5,5 5,0 0))')), (2, POINT(0, 0), NULL, NULL);

CREATE TABLE addresses (id UUID PRIMARY KEY, a6 INET6, a4 INET4) ENGINE=InnoDB;
INSERT INTO addresses VALUES
  ('3f06af63-a93c-11e4-9797-00505690773f', '::ffff:1.2.3.4', '127.0.0.1'),
  ('00000000-0000-0000-0000-000000000000', 'fe80::1', NULL);

CREATE TABLE computed (
  id INT PRIMARY KEY, a INT, v INT GENERATED ALWAYS AS (a * 2) VIRTUAL,
  s VARCHAR(40) GENERATED ALWAYS AS (CONCAT('é', a)) STORED, h INT INVISIBLE DEFAULT 7,
  x VARCHAR(40) DEFAULT (CONCAT('it''s ', 1 + 1)), KEY (v), CHECK (a <> 99), CONSTRAINT named CHECK (x <> 'ä)(')
) ENGINE=InnoDB COMMENT='it''s ) ENGINE=MyISAM AUTO_INCREMENT=9 \\ `';
INSERT INTO computed (id, a, h) VALUES (1, 5, 1), (2, NULL, NULL), (3, -7, DEFAULT);
SET SESSION check_constraint_checks = 0;
INSERT INTO computed (id, a) VALUES (99, 99);
SET SESSION check_constraint_checks = 1;

CREATE TABLE `we``ird "na'me` (`c``ol "1'` INT PRIMARY KEY, `select` VARCHAR(9), `日本` INT, KEY `k``"'` (`select`)) ENGINE=InnoDB;
INSERT INTO `we``ird "na'me` VALUES (1, 'x', 2), (2, NULL, 3);

-- Two tables that refer to each other, and one to itself.
SET SESSION foreign_key_checks = 0;
CREATE TABLE hen (id INT PRIMARY KEY, egg INT, CONSTRAINT hen_egg FOREIGN KEY (egg) REFERENCES egg (id)
  ON DELETE SET NULL ON UPDATE CASCADE) ENGINE=InnoDB;
CREATE TABLE egg (id INT PRIMARY KEY, hen INT NOT NULL, parent INT,
  CONSTRAINT egg_hen FOREIGN KEY (hen) REFERENCES hen (id) ON DELETE CASCADE,
  CONSTRAINT own FOREIGN KEY (parent) REFERENCES egg (id)) ENGINE=InnoDB;
INSERT INTO hen VALUES (1, 1), (2, NULL), (3, 2);
INSERT INTO egg VALUES (1, 2, 2), (2, 1, 1), (3, 3, NULL);
SET SESSION foreign_key_checks = 1;

CREATE TABLE old_style (id INT NOT NULL AUTO_INCREMENT, v VARCHAR(200), n INT, PRIMARY KEY (id), KEY (v))
  ENGINE=MyISAM DEFAULT CHARSET=utf8mb3 CHECKSUM=1 ROW_FORMAT=DYNAMIC;
INSERT INTO old_style (v, n) SELECT CONCAT('row ', seq), seq % 7 FROM seq_1_to_500;
DELETE FROM old_style WHERE id > 490;
CREATE TABLE aria (id INT PRIMARY KEY, v TEXT) ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1;
INSERT INTO aria VALUES (1, 'x'), (2, NULL);
CREATE TABLE grouped (g INT, n INT NOT NULL AUTO_INCREMENT, PRIMARY KEY (g, n)) ENGINE=MyISAM;
INSERT INTO grouped (g) VALUES (1), (1), (2), (1);
CREATE TABLE in_memory (id INT PRIMARY KEY) ENGINE=MEMORY;
INSERT INTO in_memory VALUES (1);

-- No key: duplicates count, and the order does not.
CREATE TABLE keyless (a INT, b VARCHAR(10)) ENGINE=InnoDB;
INSERT INTO keyless VALUES (2, 'x'), (1, 'y'), (2, 'x'), (NULL, NULL), (NULL, NULL), (2, 'x');
CREATE TABLE unique_only (a INT NOT NULL, b INT, UNIQUE KEY (b), UNIQUE KEY z (a)) ENGINE=InnoDB;
INSERT INTO unique_only VALUES (3, 1), (1, NULL), (2, NULL);
CREATE TABLE text_key (k VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, v INT, PRIMARY KEY (k)) ENGINE=InnoDB;
INSERT INTO text_key VALUES ('b', 1), ('Ä', 2), ('z', 4), ('é', 5), ('', 6), ('ß', 7), ('y', 8);
CREATE TABLE partial_key (k TEXT NOT NULL, v INT, PRIMARY KEY (k(5))) ENGINE=InnoDB;
INSERT INTO partial_key VALUES (REPEAT('b', 3000), 1), ('a', 2), (REPEAT('a', 3000), 3);
CREATE TABLE zero_key (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB;
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO zero_key VALUES (0, 1), (-5, 2), (3, 3);
SET SESSION sql_mode = '';
CREATE TABLE empty (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE compressed (id INT PRIMARY KEY, t TEXT COMPRESSED) ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8;
INSERT INTO compressed SELECT seq, REPEAT('squeeze', seq) FROM seq_1_to_20;
CREATE TABLE many (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v CHAR(40), KEY (v)) ENGINE=InnoDB;
INSERT INTO many (v) SELECT MD5(seq) FROM seq_1_to_6000;

-- Views: on tables, on views whose names come later, on another schema, with an alias.
CREATE VIEW z_base AS SELECT id, v FROM many WHERE id < 10;
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW b_on_z AS SELECT id, CONCAT(v, 'é😀') AS w FROM z_base WITH LOCAL CHECK OPTION;
CREATE VIEW a_on_b AS SELECT b.id, COUNT(*) AS n FROM b_on_z b JOIN z_base z ON b.id = z.id GROUP BY b.id;
CREATE VIEW across AS SELECT n.id, p.PLUGIN_NAME FROM numbers n LEFT JOIN information_schema.PLUGINS p ON n.id = -1;
CREATE DEFINER=`ghost`@`nowhere` VIEW haunted AS SELECT id FROM numbers;
SET NAMES latin1;
CREATE VIEW latin AS SELECT 'Ã©' AS x;
SET NAMES utf8mb4;

-- Triggers: several of a moment in an order that is not that of their names.
CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100)) ENGINE=InnoDB;
DELIMITER //
CREATE TRIGGER t2 BEFORE INSERT ON numbers FOR EACH ROW BEGIN INSERT INTO log (what) VALUES ('t2; é'); END//
CREATE TRIGGER t1 BEFORE INSERT ON numbers FOR EACH ROW PRECEDES t2 INSERT INTO log (what) VALUES ("t1")//
CREATE TRIGGER t3 BEFORE INSERT ON numbers FOR EACH ROW FOLLOWS t1 SET NEW.ti = IFNULL(NEW.ti, 0) + 1//
SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'//
CREATE DEFINER="root"@"localhost" TRIGGER "quo""ted" AFTER DELETE ON "old_style" FOR EACH ROW
  INSERT INTO "log" ("what") VALUES ('\' || OLD.v /* 'comment */)//
SET SESSION sql_mode = ''//
ALTER DATABASE CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin//
CREATE DEFINER=ghost@nowhere TRIGGER t4 AFTER UPDATE ON egg FOR EACH ROW BEGIN DECLARE v VARCHAR(9) DEFAULT 'x'; END//
ALTER DATABASE CHARACTER SET = latin1 COLLATE = latin1_german1_ci//
DELIMITER ;
