//! Source text of one package: its licence, its names, and lines as PHP has them.

use super::Random;

const SYLLABLES: [&str; 40] = [
    "get", "set", "user", "add", "con", "fig", "ses", "sion", "view", "mod", "el", "re", "quest",
    "tab", "le", "col", "umn", "ca", "che", "rou", "te", "han", "dler", "fil", "ter", "fac",
    "tory", "ser", "vice", "pro", "vi", "der", "map", "per", "val", "id", "at", "or", "lo", "g",
];

/// `@` a word of everybody, `$` one of the package, `#` a number, `~` some words.
const LINES: [&str; 28] = [
    "        if ($this->@ === null) {\n",
    "        $@ = $this->$->@($@, '$');\n",
    "        return $this->$;\n",
    "    }\n\n    /**\n     * ~\n     *\n     * @param string $@ ~\n     * @return void\n     */\n",
    "    public function @($@, array $@ = [])\n    {\n",
    "            throw new \\InvalidArgumentException(sprintf('~ %s', $@));\n",
    "        foreach ($@ as $@ => $@) {\n",
    "        }\n",
    "    protected $@ = '$';\n",
    "        $this->@['@'] = (int) $@;\n",
    "        // ~\n",
    "        $@ = array_merge($this->@, ['$' => '@', '@' => #]);\n",
    "        } elseif (isset($@['$']) && $@['@'] !== '') {\n",
    "    use $\\@\\$;\n",
    "    private function $@(@ $@): ?string\n    {\n",
    "        return parent::@($@, $@);\n",
    "            $@[] = new $($this->@, '~');\n",
    "            continue;\n",
    "        self::@('$.@', #);\n",
    "        \\assert($@ instanceof @);\n",
    "            '@' => __('~'),\n",
    "            '$' => ['type' => '@', 'length' => #, 'default' => null],\n",
    "        <td class=\"@\"><?php echo h($@['$']['@']); ?></td>\n",
    "        <a href=\"/@/$/#\" class=\"btn\">~</a>\n",
    "        $this->assertSame('~', $@->@());\n",
    "     * @see \\$\\@::@()\n",
    "        $@ = preg_replace('/[^a-z#]+/i', '', $@);\n",
    "        return \\count($@) > # ? $@ : false;\n",
];

const COMMON: usize = 4_000;
const OWN: usize = 220;

/// A package: what its files have in common.
#[derive(Debug)]
pub struct Package {
    seed: u64,
    licence: String,
}

impl Package {
    /// The package of this seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut licence = String::from("<?php\n\n/**\n");
        for _ in 0..4 + random.below(8) {
            licence.push_str(" * ");
            for _ in 0..6 + random.below(6) {
                push_word(&mut licence, random.next());
                licence.push(' ');
            }
            licence.push('\n');
        }
        licence.push_str(" */\n\nnamespace ");
        push_word(&mut licence, random.next());
        licence.push_str(";\n\n");
        Self { seed, licence }
    }

    /// A directory's name.
    pub fn name(&self) -> String {
        let mut name = String::new();
        push_word(&mut name, self.seed);
        format!("{name}-{:06x}", self.seed & 0xff_ffff)
    }

    /// One of the package's words.
    pub fn word(&self, random: &mut Random) -> String {
        let mut word = String::new();
        self.push_own(&mut word, random);
        word
    }

    /// Appends a source file of at least `bytes`.
    pub fn source(&self, random: &mut Random, bytes: usize, text: &mut Vec<u8>) {
        let mut out = String::with_capacity(bytes + 200);
        if bytes > 2 * self.licence.len() {
            out.push_str(&self.licence);
        } else {
            out.push_str("<?php\n");
        }
        while out.len() < bytes {
            for piece in LINES[random.rank(LINES.len())].chars() {
                match piece {
                    '@' => push_word(&mut out, random.rank(COMMON) as u64),
                    '$' if out.ends_with([' ', '(', '[']) => out.push('$'),
                    '$' => self.push_own(&mut out, random),
                    '#' => out.push_str(&random.below(1000).to_string()),
                    '~' => {
                        for _ in 0..3 + random.below(7) {
                            push_word(&mut out, random.rank(COMMON) as u64);
                            out.push(' ');
                        }
                    }
                    other => out.push(other),
                }
            }
        }
        text.extend_from_slice(out.as_bytes());
    }

    fn push_own(&self, out: &mut String, random: &mut Random) {
        push_word(out, self.seed ^ (random.rank(OWN) as u64 + 1).wrapping_mul(0x0005_deec_e66d));
    }
}

/// The word of a number: two to four syllables, the later ones capital.
fn push_word(out: &mut String, number: u64) {
    let mut random = Random::new(number);
    for place in 0..2 + random.below(3) {
        let syllable = SYLLABLES[usize::try_from(random.below(40)).unwrap_or_default()];
        let (first, rest) = syllable.split_at(1);
        if place > 0 && random.below(2) == 0 {
            out.push_str(&first.to_ascii_uppercase());
            out.push_str(rest);
        } else {
            out.push_str(syllable);
        }
    }
}
