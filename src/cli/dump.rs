//! `snap dump`: one file of a snapshot, to stdout.

use crate::tree::Kind;

use super::address;
use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "dump",
    examples: "snap dump latest:/var/www/passbolt/app/Config/database.php\n\
               snap dump 4f1c09:/etc/fstab",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// Which file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file in a snapshot
    #[arg(value_name = "SNAP:/PATH")]
    address: String,
}

/// Writes the file's bytes as they are, so there is no JSON form of it.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let (snapshot, path) = address::snapshot(cx, &repository, &args.address)?;
    let path = path.ok_or_else(|| {
        Failure::new(Code::E0001, "no path is given")
            .tip(format!("snap dump {}:/path/of/a/file", args.address))
    })?;
    let place = address::place(&repository, &snapshot, path)?;
    let Kind::File { content, .. } = place.entry.kind else {
        let message = format!("{} is not a file", place.absolute());
        return Err(Failure::new(Code::E0203, message).fix(format!("snap ls {}", args.address)));
    };
    for piece in repository.pieces(&content) {
        let bytes = repository.get(&piece?.id)?;
        // A reader that has seen enough is well; of another the end of every run tells.
        if cx.out.print_raw(&bytes).is_err() {
            break;
        }
    }
    Ok(Exit::Ok)
}
