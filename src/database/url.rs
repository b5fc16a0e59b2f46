//! Where a database lives, and who asks.
//!
//! An address is written as a URL (`sqlite:///path`, `mysql://user@host:port/schema?socket=…`) or
//! built from what an application's own configuration says. A password never stands in a URL: it
//! would end in shell histories, process listings and logs.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use thiserror::Error;

/// The port of MySQL and MariaDB where none is given.
pub const MYSQL_PORT: u16 = 3306;

/// Where a database lives.
#[derive(Clone, Debug)]
pub enum Address {
    /// One schema of a MySQL or MariaDB server.
    MySql(MySqlAddress),
    /// One SQLite file.
    Sqlite(PathBuf),
}

/// One schema of a MySQL or MariaDB server, and the account that speaks with it.
#[derive(Clone, Debug)]
pub struct MySqlAddress {
    /// A host name or an IP address; unused where `socket` is given.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The server's socket, if it is to be used instead of TCP.
    pub socket: Option<PathBuf>,
    /// The account's name.
    pub user: String,
    /// The account's password; may be empty.
    pub password: SecretString,
    /// The schema: what MySQL calls a database.
    pub schema: String,
}

/// Why a text is not the address of a database.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadUrl {
    /// Neither `sqlite:` nor `mysql:` (nor `mariadb:`).
    #[error("a database is named by sqlite:///PATH or mysql://USER@HOST/SCHEMA")]
    Scheme,
    /// A password was written in the URL.
    #[error("a database URL must not hold a password")]
    Password,
    /// `sqlite://` not followed by an absolute path.
    #[error("sqlite:// is followed by an absolute path")]
    NotAbsolute,
    /// A part that must be there is not.
    #[error("the database URL names no {what}")]
    Missing {
        /// `user`, `host` or `schema`.
        what: &'static str,
    },
    /// The port is not a number from 1 to 65535.
    #[error("the port in the database URL is not a number from 1 to 65535")]
    Port,
    /// A parameter that is not known.
    #[error("the database URL has the unknown parameter {name:?}")]
    Parameter {
        /// The parameter's name.
        name: String,
    },
    /// A `%` that is not followed by two hex digits, or bytes that are not text where text must be.
    #[error("the database URL is not properly percent-encoded")]
    Encoding,
}

impl Address {
    /// Reads a URL. The password, if the account has one, comes by [`Self::with_password`].
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(BadUrl::Scheme)?;
        match scheme {
            "sqlite" => sqlite(rest),
            "mysql" | "mariadb" => mysql(rest).map(Self::MySql),
            _ => Err(BadUrl::Scheme),
        }
    }

    /// The same address with the account's password. A SQLite file has none.
    #[must_use]
    pub fn with_password(mut self, password: SecretString) -> Self {
        if let Self::MySql(mysql) = &mut self {
            mysql.password = password;
        }
        self
    }
}

/// As the user reads it, and as a URL that [`Address::parse`] takes: never with the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path_text(path)),
            Self::MySql(mysql) => mysql.fmt(f),
        }
    }
}

impl fmt::Display for MySqlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}@", Encoded(self.user.as_bytes(), &[]))?;
        let v6 = self.host.contains(':');
        if v6 {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != MYSQL_PORT {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "/{}", Encoded(self.schema.as_bytes(), &[]))?;
        match &self.socket {
            Some(path) => write!(f, "?socket={}", path_text(path)),
            None => Ok(()),
        }
    }
}

impl MySqlAddress {
    /// Whether what is said to the server stays on this machine.
    ///
    /// Without TLS the rows and the login would otherwise cross a network in the clear.
    pub fn is_local(&self) -> bool {
        if self.socket.is_some() || self.host == "localhost" {
            return true;
        }
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return ip.is_loopback();
        }
        // A machine's own name often stands in /etc/hosts with 127.0.1.1.
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found.is_ok_and(|mut all| {
            let first = all.next();
            first.is_some_and(|one| one.ip().is_loopback()) && all.all(|one| one.ip().is_loopback())
        })
    }
}

fn sqlite(rest: &str) -> Result<Address, BadUrl> {
    let path = PathBuf::from(OsString::from_vec(decode(rest)?));
    if path.is_absolute() { Ok(Address::Sqlite(path)) } else { Err(BadUrl::NotAbsolute) }
}

fn mysql(rest: &str) -> Result<MySqlAddress, BadUrl> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, schema) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(BadUrl::Password);
    }
    let mut socket = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("socket", path) => {
                socket = Some(PathBuf::from(OsString::from_vec(decode(path)?)));
            }
            ("password", _) => return Err(BadUrl::Password),
            (name, _) => return Err(BadUrl::Parameter { name: name.to_owned() }),
        }
    }
    let (host, port) = host_and_port(host)?;
    let host = match host {
        "" if socket.is_some() => "localhost".to_owned(),
        "" => return Err(BadUrl::Missing { what: "host" }),
        host => text(host)?,
    };
    let (user, schema) = (text(user)?, text(schema)?);
    if user.is_empty() {
        return Err(BadUrl::Missing { what: "user" });
    }
    if schema.is_empty() {
        return Err(BadUrl::Missing { what: "schema" });
    }
    Ok(MySqlAddress { host, port, socket, user, password: SecretString::from(""), schema })
}

fn host_and_port(text: &str) -> Result<(&str, u16), BadUrl> {
    let (host, port) = match text.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(BadUrl::Port)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(BadUrl::Port)?,
        None => MYSQL_PORT,
    };
    Ok((host, port))
}

fn text(encoded: &str) -> Result<String, BadUrl> {
    String::from_utf8(decode(encoded)?).map_err(|_| BadUrl::Encoding)
}

fn decode(encoded: &str) -> Result<Vec<u8>, BadUrl> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = digit().zip(digit()).ok_or(BadUrl::Encoding)?;
            plain.push(u8::try_from(high << 4 | low).expect("two hex digits fill a byte"));
        } else {
            plain.push(byte);
        }
    }
    Ok(plain)
}

/// Bytes, percent-encoded but for letters, digits and what stands in the second field.
struct Encoded<'a>(&'a [u8], &'a [u8]);

fn path_text(path: &Path) -> Encoded<'_> {
    Encoded(path.as_os_str().as_bytes(), b"/")
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(f, "{}", char::from(*byte))
            }
            byte if self.1.contains(byte) => write!(f, "{}", char::from(*byte)),
            byte => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn mysql(url: &str) -> MySqlAddress {
        match Address::parse(url) {
            Ok(Address::MySql(address)) => address,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_mysql_url_names_account_host_port_socket_and_schema() {
        let address = mysql("mysql://pass%40bolt@127.0.0.1:3307/my%2Ddb?socket=/run/my%20sql.sock");
        assert_eq!(address.user, "pass@bolt");
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 3307));
        assert_eq!(address.schema, "my-db");
        assert_eq!(address.socket, Some(PathBuf::from("/run/my sql.sock")));
        assert_eq!(mysql("mariadb://a@[::1]:3308/b").host, "::1");
        assert_eq!(mysql("mysql://a@/b?socket=/s").host, "localhost");
    }

    #[test]
    fn a_password_in_a_url_is_refused() {
        for url in ["mysql://a:secret@h/b", "mysql://a:@h/b", "mysql://a@h/b?password=secret"] {
            assert_eq!(Address::parse(url).expect_err(url), BadUrl::Password);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_its_reason() {
        let cases = [
            ("/var/lib/app.sqlite", BadUrl::Scheme),
            ("pgsql://a@h/b", BadUrl::Scheme),
            ("sqlite://relative/path", BadUrl::NotAbsolute),
            ("mysql://h/b", BadUrl::Missing { what: "user" }),
            ("mysql://a@/b", BadUrl::Missing { what: "host" }),
            ("mysql://a@h", BadUrl::Missing { what: "schema" }),
            ("mysql://a@h:0/b", BadUrl::Port),
            ("mysql://a@h:70000/b", BadUrl::Port),
            ("mysql://a@h/b?ssl=1", BadUrl::Parameter { name: "ssl".into() }),
            ("mysql://a@h/b%2", BadUrl::Encoding),
        ];
        for (url, why) in cases {
            assert_eq!(Address::parse(url).expect_err(url), why, "{url}");
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_is_local() {
        assert!(mysql("mysql://a@localhost/b").is_local());
        assert!(mysql("mysql://a@127.0.0.9/b").is_local());
        assert!(mysql("mysql://a@[::1]/b").is_local());
        assert!(mysql("mysql://a@db.example/b?socket=/s").is_local());
        assert!(!mysql("mysql://a@192.0.2.1/b").is_local());
    }

    #[test]
    fn neither_display_nor_debug_tells_the_password() {
        let address = Address::parse("mysql://a@localhost/b").expect("a good URL");
        let address = address.with_password(SecretString::from("hunter2"));
        assert!(!format!("{address} {address:?}").contains("hunter2"));
        let Address::MySql(address) = address else { panic!("it was a mysql URL") };
        assert_eq!(address.password.expose_secret(), "hunter2");
    }

    proptest! {
        #[test]
        fn an_address_survives_being_written_as_a_url(
            user in "\\PC{1,12}", schema in "\\PC{1,12}", port in 1u16.., socket in "/\\PC{0,20}",
        ) {
            let address = MySqlAddress {
                host: "127.0.0.1".into(),
                port,
                socket: Some(socket.into()),
                user,
                password: SecretString::from(""),
                schema,
            };
            let again = mysql(&address.to_string());
            prop_assert_eq!(again.to_string(), address.to_string());
            prop_assert_eq!((again.user, again.schema), (address.user, address.schema));
        }

        #[test]
        fn a_path_survives_being_written_as_a_url(bytes in "/[^\0]{0,30}") {
            let address = Address::Sqlite(bytes.into());
            let again = Address::parse(&address.to_string()).expect("we wrote it");
            prop_assert_eq!(again.to_string(), address.to_string());
        }
    }
}
