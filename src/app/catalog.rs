//! Which applications there are: profiles on disk, and installations found by looking.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::app::files::{Files, Live};
use crate::app::profile::Profile;
use crate::app::{App, AppError, builtin};

/// How deep below a searched directory an installation may lie.
const DEPTH_MAX: usize = 4;

/// Directories that hold no installation of their own.
const SKIPPED: [&str; 6] = [".git", "node_modules", "vendor", "cache", "tmp", "proc"];

/// An installation that was found, and what is known of it.
#[derive(Debug)]
pub struct Sighting {
    /// Where.
    pub root: PathBuf,
    /// The profile that fits.
    pub profile: String,
    /// Met with it, or why it could not be.
    pub app: Result<App, AppError>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Search {
    /// In path order.
    pub found: Vec<Sighting>,
    /// How many directories were looked at.
    pub directories: u64,
}

/// Reads the profile at `path`, which only root or the caller may have written.
pub fn load(path: &Path) -> Result<Profile, AppError> {
    let read = |source| AppError::Read { path: path.to_owned(), source };
    let meta = fs::metadata(path).map_err(read)?;
    let caller = nix::unistd::Uid::effective().as_raw();
    // It names commands that we run: whoever can write it can become whoever runs it.
    if meta.mode() & 0o022 != 0 || (meta.uid() != 0 && meta.uid() != caller) {
        return Err(AppError::Exposed { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    Ok(Profile::parse(&text, &path.display().to_string())?)
}

/// The profiles in the directory `apps_d`, by file name. A missing directory holds none.
pub fn added(apps_d: &Path) -> Result<Vec<Profile>, AppError> {
    let read = |source| AppError::Read { path: apps_d.to_owned(), source };
    let mut paths = Vec::new();
    match fs::read_dir(apps_d) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => {
            for entry in listed.map_err(read)? {
                let path = entry.map_err(read)?.path();
                if path.extension().is_some_and(|ext| ext == "toml") {
                    paths.push(path);
                }
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| load(path)).collect()
}

/// The text of a profile that adds the installation at `root` under the built-in `profile`.
pub fn entry(profile: &str, root: &Path) -> String {
    let table = toml::Table::from_iter([
        ("extends".to_owned(), toml::Value::from(format!("builtin:{profile}"))),
        ("root".to_owned(), toml::Value::from(root.to_string_lossy().into_owned())),
    ]);
    table.to_string()
}

/// Meets the installation of `profile` at its own root.
pub fn open(profile: Profile) -> Result<App, AppError> {
    let Some(root) = profile.root.clone() else {
        return Err(AppError::NoRoot { app: profile.name });
    };
    let files = Live::open(&root)?;
    let name = profile.name.clone();
    App::meet(profile, &root, &files).map(|app| App { name, ..app })
}

/// Looks for installations of the built-in profiles below `dirs`. Nothing is executed.
pub fn search(dirs: &[PathBuf]) -> Result<Search, AppError> {
    let profiles = builtin::all()?;
    let mut search = Search::default();
    for dir in dirs {
        let walk = WalkDir::new(dir).max_depth(DEPTH_MAX).sort_by_file_name().into_iter();
        let entered = walk.filter_entry(|entry| {
            entry.file_type().is_dir()
                && (entry.depth() == 0 || !SKIPPED.iter().any(|name| entry.file_name() == *name))
        });
        // What cannot be entered holds nothing that this caller could back up.
        for entry in entered.flatten() {
            search.directories += 1;
            if let Some(sighting) = sight(entry.path(), &profiles)? {
                search.found.push(sighting);
            }
        }
    }
    Ok(search)
}

/// What is installed at `root`, if one of `profiles` fits.
pub fn sight(root: &Path, profiles: &[Profile]) -> Result<Option<Sighting>, AppError> {
    let Ok(live) = Live::open(root) else { return Ok(None) };
    let fitting: Vec<_> = profiles.iter().filter(|profile| looks_like(profile, &live)).collect();
    let profile = match fitting[..] {
        [] => return Ok(None),
        [one] => one,
        ref several => {
            let layouts = several.iter().map(|profile| profile.name.clone()).collect();
            let place = root.display().to_string();
            return Ok(Some(Sighting {
                root: root.to_owned(),
                profile: several[0].name.clone(),
                app: Err(AppError::AmbiguousLayout { place, layouts }),
            }));
        }
    };
    Ok(Some(Sighting {
        root: root.to_owned(),
        profile: profile.name.clone(),
        app: App::meet(profile.clone(), root, &live),
    }))
}

/// Whether some layout's paths are there. The version may still not be readable: then the
/// installation is shown with that problem instead of being passed over.
fn looks_like(profile: &Profile, live: &Live) -> bool {
    let files: &dyn Files = live;
    let has = |path: &String| files.has(path).unwrap_or(false);
    profile
        .layouts
        .iter()
        .any(|layout| layout.require.iter().all(has) && !layout.forbid.iter().any(has))
}
