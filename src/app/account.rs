//! As whom the application's own commands run: never as root.

use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User};

use crate::app::AppError;
use crate::app::files::{Files, Found};
use crate::app::profile::{Profile, RunAs, Vars};
use crate::app::variables::tree_path;
use crate::os::process::Identity;

/// An account of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// By number.
    pub uid: u32,
    /// Its own group, by number.
    pub gid: u32,
    /// Its name; `None` for a number that the machine has no name for.
    pub name: Option<String>,
    /// Its home, `/` if unknown.
    pub home: PathBuf,
}

impl Account {
    /// The account of this process.
    pub fn caller() -> Self {
        Self::by_id(Uid::effective().as_raw(), Gid::effective().as_raw())
    }

    /// The account with the number `uid`, in group `gid` where the machine does not know it.
    pub fn by_id(uid: u32, gid: u32) -> Self {
        match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => Self::from(user),
            _ => Self { uid, gid, name: None, home: PathBuf::from("/") },
        }
    }

    /// As a child takes it.
    pub fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid, name: self.name.clone() }
    }

    /// Whether it is root.
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            name: Some(user.name),
            home: user.dir,
        }
    }
}

/// The account that the profile names for this tree.
///
/// Another account than the caller's can only be taken by root. Without a rule it is the caller.
pub(super) fn find(profile: &Profile, vars: &Vars, files: &dyn Files) -> Result<Account, AppError> {
    let account = match &profile.runtime.run_as {
        None => Account::caller(),
        Some(RunAs::OwnerOf(file)) => {
            let path = tree_path(&file.fill(vars)?, files)?;
            let Some((_, Found::File { uid, gid, .. })) = files.find(&path)? else {
                let path = path.to_string();
                return Err(AppError::NotAFile { path, place: files.place() });
            };
            Account::by_id(uid, gid)
        }
        Some(RunAs::FirstOf(names)) => names
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(Account::from)
            .ok_or_else(|| AppError::NoAccount { names: names.clone() })?,
    };
    if account.is_root() {
        return Err(AppError::WouldRunAsRoot { app: profile.app.clone() });
    }
    let caller = Uid::effective();
    if !caller.is_root() && caller.as_raw() != account.uid {
        return Err(AppError::CannotBecome {
            account: account.name.unwrap_or_else(|| account.uid.to_string()),
        });
    }
    Ok(account)
}
