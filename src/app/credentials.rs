//! Where an application's databases are, as its own configuration says.
//!
//! The same code reads the live tree and the safety snapshot: from `Armed` on only the latter is
//! asked, for the migration may have emptied the live configuration.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use secrecy::SecretString;

use crate::app::AppError;
use crate::app::config::{Config, Setting};
use crate::app::files::Files;
use crate::app::profile::{
    ConfigParser, ConfigSource, DatabaseRule, DatabaseSource, Driver, Template, Vars,
};
use crate::app::variables::tree_path;
use crate::database::{Address, MYSQL_PORT, MySqlAddress};

/// One database of an application.
#[derive(Clone, Debug)]
pub struct AppDatabase {
    /// As the profile calls it.
    pub name: String,
    /// Where it lives.
    pub address: Address,
    /// Before each table's name; mostly empty.
    pub prefix: String,
    /// Which part of the address came from where, in the order of an address.
    pub origins: Vec<CredentialOrigin>,
}

/// Where one part of an address was found. The value itself is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialOrigin {
    /// `host`, `password`, …
    pub part: &'static str,
    /// The file, from the root; a path outside of it for a password file.
    pub file: String,
    /// Its line; 0 where the whole file is meant.
    pub line: usize,
    /// The environment variable whose default it is.
    pub default_of: Option<String>,
}

/// Where MySQL's socket lies when a configuration says `localhost` and no more.
const SOCKETS: [&str; 4] = [
    "/run/mysqld/mysqld.sock",
    "/var/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
];

/// Finds the database that `rule` means. `root` is where the installation lies.
pub fn find(
    rule: &DatabaseRule,
    vars: &Vars,
    root: &Path,
    files: &dyn Files,
) -> Result<AppDatabase, AppError> {
    match &rule.source {
        DatabaseSource::Url { url, password_file } => {
            from_url(rule, &url.fill(vars)?, password_file.as_deref())
        }
        DatabaseSource::Config(source) => {
            let configs = Configs::read(source, vars, root, files)?;
            configs.agree()?;
            configs.database(rule, vars, root)
        }
    }
}

fn from_url(
    rule: &DatabaseRule,
    url: &str,
    password_file: Option<&Path>,
) -> Result<AppDatabase, AppError> {
    let bad = |source| AppError::BadDatabaseUrl { database: rule.name.clone(), source };
    let mut address = Address::parse(url).map_err(bad)?;
    let mut origins = Vec::new();
    if let Some(file) = password_file {
        address = address.with_password(password_from(file)?);
        let file = file.display().to_string();
        origins.push(CredentialOrigin { part: "password", file, line: 0, default_of: None });
    }
    Ok(AppDatabase { name: rule.name.clone(), address, prefix: String::new(), origins })
}

/// The first line of a file that nobody else may read.
fn password_from(file: &Path) -> Result<SecretString, AppError> {
    let read = |source| AppError::Read { path: file.to_owned(), source };
    let meta = fs::metadata(file).map_err(read)?;
    let caller = nix::unistd::Uid::effective().as_raw();
    if meta.mode() & 0o077 != 0 || (meta.uid() != 0 && meta.uid() != caller) {
        return Err(AppError::Exposed { path: file.to_owned() });
    }
    let text = fs::read_to_string(file).map_err(read)?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default()))
}

/// The configuration files of one database, later ones first.
struct Configs<'a> {
    source: &'a ConfigSource,
    named: Vec<Config>,
    others: Vec<Config>,
}

impl<'a> Configs<'a> {
    fn read(
        source: &'a ConfigSource,
        vars: &Vars,
        root: &Path,
        files: &dyn Files,
    ) -> Result<Self, AppError> {
        let environment = match &source.env_file {
            None => None,
            Some(file) => {
                let path = tree_path(&file.fill(vars)?, files)?;
                Config::read(files, &path, &ConfigParser::Dotenv, root, &|_| None)?
            }
        };
        // A value that the .env file itself computes is as unknown as a missing one is not.
        let variable = |name: &str| {
            let setting = environment.as_ref().map(|env| env.setting(name));
            setting.and_then(Result::ok).flatten().map(|setting| setting.text)
        };
        let read = |templates: &[Template]| -> Result<Vec<Config>, AppError> {
            let mut configs = Vec::new();
            for template in templates {
                let text = template.fill(vars)?;
                let named = if text.contains(['*', '?', '[']) {
                    files.matching(&text)?
                } else {
                    vec![tree_path(&text, files)?]
                };
                for path in named {
                    configs.extend(Config::read(files, &path, &source.parser, root, &variable)?);
                }
            }
            Ok(configs)
        };
        let mut configs = read(&source.files)?;
        if configs.is_empty() {
            let named = source.files.iter().map(Template::as_str).collect::<Vec<_>>().join(", ");
            return Err(AppError::NoConfig { files: named, place: files.place() });
        }
        configs.reverse();
        Ok(Self { source, named: configs, others: read(&source.agree_with)? })
    }

    fn setting(&self, key: Option<&String>) -> Result<Option<Setting>, AppError> {
        let Some(key) = key else { return Ok(None) };
        let holder = self.named.iter().find(|config| config.get(key).is_some());
        holder.map_or(Ok(None), |config| config.setting(key))
    }

    /// Refuses an installation two of whose files name different databases.
    fn agree(&self) -> Result<(), AppError> {
        let map = &self.source.map;
        for key in [
            &map.driver,
            &map.host,
            &map.port,
            &map.socket,
            &map.user,
            &map.password,
            &map.name,
            &map.prefix,
        ] {
            let Some(first) = self.setting(key.as_ref())? else { continue };
            for other in &self.others {
                let second = other.setting(key.as_deref().unwrap_or_default())?;
                if second.is_none_or(|second| second.text != first.text) {
                    return Err(AppError::ConfigsDisagree {
                        key: key.clone().unwrap_or_default(),
                        one: first.file.to_string(),
                        other: other.file.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    fn database(
        &self,
        rule: &DatabaseRule,
        vars: &Vars,
        root: &Path,
    ) -> Result<AppDatabase, AppError> {
        let map = &self.source.map;
        let mut origins = Vec::new();
        let mut take =
            |part: &'static str, key: &Option<String>| -> Result<Option<String>, AppError> {
                let Some(setting) = self.setting(key.as_ref())? else { return Ok(None) };
                origins.push(CredentialOrigin {
                    part,
                    file: setting.file.to_string(),
                    line: setting.line,
                    default_of: setting.default_of,
                });
                Ok(Some(setting.text))
            };
        let driver = self.driver(rule, take("driver", &map.driver)?)?;
        let (host, port) = (take("host", &map.host)?, take("port", &map.port)?);
        let (socket, user) = (take("socket", &map.socket)?, take("user", &map.user)?);
        let (password, name) = (take("password", &map.password)?, take("name", &map.name)?);
        let prefix = take("prefix", &map.prefix)?.unwrap_or_default();
        let missing = |part| AppError::AddressLacks { database: rule.name.clone(), part };
        let address = match driver {
            Driver::Sqlite => {
                let mut vars = vars.clone();
                vars.set("name", name.clone().unwrap_or_default());
                let path = match &self.source.sqlite_path {
                    Some(template) => template.fill(&vars)?,
                    None => name.ok_or_else(|| missing("name"))?,
                };
                Address::Sqlite(plain(&root.join(path)))
            }
            Driver::MySql => {
                let place = place(host.as_deref(), port.as_deref(), socket, || missing("port"))?;
                Address::MySql(MySqlAddress {
                    host: place.host,
                    port: place.port,
                    socket: place.socket,
                    user: user.ok_or_else(|| missing("user"))?,
                    password: SecretString::from(password.unwrap_or_default()),
                    schema: name.ok_or_else(|| missing("name"))?,
                })
            }
            Driver::Postgres => {
                return Err(AppError::UnsupportedDriver {
                    database: rule.name.clone(),
                    driver: "postgres".to_owned(),
                });
            }
        };
        Ok(AppDatabase { name: rule.name.clone(), address, prefix, origins })
    }

    fn driver(&self, rule: &DatabaseRule, text: Option<String>) -> Result<Driver, AppError> {
        let Some(text) = text else {
            return self.source.driver.ok_or_else(|| AppError::AddressLacks {
                database: rule.name.clone(),
                part: "driver",
            });
        };
        let mapped = self.source.driver_map.iter().find(|(theirs, _)| *theirs == text);
        mapped.map(|(_, ours)| *ours).ok_or_else(|| AppError::UnsupportedDriver {
            database: rule.name.clone(),
            driver: text,
        })
    }
}

struct Place {
    host: String,
    port: u16,
    socket: Option<PathBuf>,
}

/// `host`, `host:port`, `host:/socket` or `/socket`, with a port and socket given beside it.
///
/// PHP's clients take `localhost` to mean the server's socket; accounts are often for that only.
fn place(
    host: Option<&str>,
    port: Option<&str>,
    socket: Option<String>,
    bad_port: impl Fn() -> AppError,
) -> Result<Place, AppError> {
    let host = host.unwrap_or("localhost");
    let (host, behind) = match host.rsplit_once(':') {
        _ if host.starts_with('/') => ("localhost", Some(host)),
        Some((name, behind)) if !name.contains(':') || name.ends_with(']') => (name, Some(behind)),
        _ => (host, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let mut place = Place {
        host: if host.is_empty() { "localhost" } else { host }.to_owned(),
        port: MYSQL_PORT,
        socket: socket.map(PathBuf::from),
    };
    match behind {
        Some(path) if path.starts_with('/') => place.socket = Some(PathBuf::from(path)),
        Some(text) => place.port = number(text).ok_or_else(&bad_port)?,
        None => {}
    }
    if let Some(text) = port {
        place.port = number(text).ok_or_else(&bad_port)?;
    }
    if place.host == "localhost" && place.socket.is_none() && port.is_none() && behind.is_none() {
        place.socket = SOCKETS.iter().map(PathBuf::from).find(|path| path.exists());
    }
    Ok(place)
}

/// The path without `.` and `..`, as the application's `__DIR__ . '/../data'` means it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        host: &str,
        port: Option<&str>,
        socket: Option<&str>,
    ) -> (String, u16, Option<PathBuf>) {
        let bad = || AppError::AddressLacks { database: "x".to_owned(), part: "port" };
        let place = place(Some(host), port, socket.map(str::to_owned), bad).unwrap();
        (place.host, place.port, place.socket)
    }

    #[test]
    fn a_host_may_carry_its_port_or_socket() {
        let tcp = |host: &str, port| (host.to_owned(), port, None);
        assert_eq!(found("db.example", None, None), tcp("db.example", 3306));
        assert_eq!(found("db.example:3307", None, None), tcp("db.example", 3307));
        assert_eq!(found("127.0.0.1", Some("3308"), None), tcp("127.0.0.1", 3308));
        assert_eq!(found("[::1]:3309", None, None), tcp("::1", 3309));
        assert_eq!(found("::1", None, None), tcp("::1", 3306));
        let socket = |path: &str| ("localhost".to_owned(), 3306, Some(PathBuf::from(path)));
        assert_eq!(found("localhost:/run/my.sock", None, None), socket("/run/my.sock"));
        assert_eq!(found("/run/my.sock", None, None), socket("/run/my.sock"));
        assert_eq!(found("localhost", None, Some("/a.sock")), socket("/a.sock"));
    }

    #[test]
    fn a_port_that_is_none_is_refused() {
        let bad = || AppError::AddressLacks { database: "x".to_owned(), part: "port" };
        assert!(place(Some("h:port"), None, None, bad).is_err());
        assert!(place(Some("h"), Some("0"), None, bad).is_err());
    }

    #[test]
    fn a_path_is_made_plain_without_asking_the_disk() {
        assert_eq!(
            plain(Path::new("/srv/app/config/../data/./a.db")),
            Path::new("/srv/app/data/a.db")
        );
    }
}
